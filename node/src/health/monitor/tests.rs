use super::*;
use crate::spec::{HealthCheck, Probe};
use std::time::Duration;
use tempfile::TempDir;

/// An app that is healthy as long as a file is there.
struct App {
    directory: TempDir,
    liveness: watch::Sender<Liveness>,
    monitor: Monitor,
}

impl App {
    fn new(interval: Duration) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("healthy").display().to_string();
        let command = vec!["/bin/ls".to_owned(), file];
        let check = HealthCheck {
            name: "file".to_owned(),
            timeout: Duration::from_secs(20),
            probe: Probe::Exec { command },
        };
        Self::with(directory, interval, vec![check])
    }

    fn with(directory: TempDir, interval: Duration, checks: Vec<HealthCheck>) -> Self {
        let policy = HealthPolicy {
            interval,
            healthy_after: 1,
            unhealthy_after: 1,
            start_grace: Duration::ZERO,
            checks,
        };
        let surroundings =
            Surroundings { environment: Default::default(), directory: "/".into(), user: None };
        let (liveness, receiver) = watch::channel(Liveness::Unknown);
        let name = "shop".parse().expect("a name");
        let monitor =
            Monitor::start(name, policy, &surroundings, receiver, Metrics::new()).expect("a monitor");
        Self { directory, liveness, monitor }
    }

    fn set_healthy(&self, healthy: bool) {
        let file = self.directory.path().join("healthy");
        if healthy {
            std::fs::write(file, "").expect("written");
        } else {
            std::fs::remove_file(file).expect("removed");
        }
    }

    fn is_up(&self, nonce: &str) {
        self.liveness.send_replace(Liveness::Up { boot_nonce: BootNonce(nonce.to_owned()) });
    }

    /// Waits for a verdict on this life.
    async fn until(&self, nonce: &str, healthy: bool) -> Health {
        let mut health = self.monitor.health();
        let nonce = Some(BootNonce(nonce.to_owned()));
        health
            .wait_for(|health| health.boot_nonce == nonce && health.flag() == Some(healthy))
            .await
            .expect("the monitor runs")
            .clone()
    }
}

#[tokio::test]
async fn follows_what_the_app_answers() {
    let app = App::new(Duration::from_millis(5));
    app.set_healthy(true);
    app.is_up("a");
    app.until("a", true).await;
    app.set_healthy(false);
    let health = app.until("a", false).await;
    assert!(
        matches!(&health.verdict, Verdict::Unhealthy { check, reason }
        if check == "file" && reason.contains("No such file")),
        "{health:?}"
    );
}

#[tokio::test]
async fn the_first_round_and_a_prompted_one_do_not_wait_for_the_interval() {
    let app = App::new(Duration::from_secs(24 * 3600));
    app.set_healthy(true);
    app.is_up("a");
    app.until("a", true).await;
    app.set_healthy(false);
    app.monitor.prompt().now();
    app.until("a", false).await;
}

#[tokio::test]
async fn a_new_life_is_judged_from_nothing() {
    let app = App::new(Duration::from_secs(24 * 3600));
    app.set_healthy(true);
    app.is_up("a");
    let first = app.until("a", true).await;
    app.is_up("b");
    let second = app.until("b", true).await;
    assert!(second.judged_at > first.judged_at);
}

#[tokio::test]
async fn the_death_of_the_vm_needs_no_round() {
    let app = App::new(Duration::from_secs(24 * 3600));
    app.set_healthy(true);
    app.is_up("a");
    app.until("a", true).await;
    app.liveness.send_replace(Liveness::Down);
    let mut health = app.monitor.health();
    let down =
        health.wait_for(|health| health.flag() == Some(false)).await.expect("the monitor runs").clone();
    assert_eq!(down.boot_nonce, None);
    app.liveness.send_replace(Liveness::Unknown);
    health.wait_for(|health| health.flag().is_none()).await.expect("the monitor runs");
}

#[tokio::test]
async fn without_checks_life_is_enough() {
    let app = App::with(tempfile::tempdir().expect("a directory"), Duration::from_secs(1), Vec::new());
    app.is_up("a");
    app.until("a", true).await;
    let App { liveness, mut monitor, .. } = app;
    drop(liveness);
    while monitor.health.changed().await.is_ok() {}
}
