//! What a hot upgrade does to processes that are at work meanwhile: measured, spared, named.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod erlang_support;

use erlang_support::{Host, transition};
use relupd::driver::{Drained, DriverError, Method, Purge, ReleaseDriver, Rung};
use std::thread::JoinHandle;
use std::time::Duration;

/// A request that is at work until it is woken, and what becomes of it.
struct Request {
    name: &'static str,
    asked: JoinHandle<std::io::Result<(u16, String)>>,
}

impl Request {
    /// Its process is in the app's code before anything is loaded.
    async fn begin(host: &Host, name: &'static str) -> Self {
        let (port, others) = (host.port, at_work(host));
        let asked = std::thread::spawn(move || erlang_support::get(port, &format!("/slow/{name}")));
        while at_work(host) <= others {
            assert!(!asked.is_finished(), "the request was over before it was seen at work");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Self { name, asked }
    }

    fn is_over(&self) -> bool {
        self.asked.is_finished()
    }

    fn wake(&self, host: &Host) {
        assert_eq!(host.get(&format!("/wake/{}", self.name)).unwrap().0, 200);
    }

    /// The version of the code that answered.
    fn answered_by(self) -> String {
        let (status, body) = self.asked.join().unwrap().unwrap();
        assert_eq!(status, 200, "{body}");
        serde_json::from_str::<serde_json::Value>(&body).unwrap()["version"].as_str().unwrap().to_owned()
    }
}

/// How many slow requests have begun and not ended.
fn at_work(host: &Host) -> u64 {
    let (status, body) = host.get("/slow").unwrap();
    assert_eq!(status, 200, "{body}");
    serde_json::from_str::<serde_json::Value>(&body).unwrap()["at_work"].as_u64().unwrap()
}

fn lingering(drained: Drained) -> Vec<String> {
    match drained {
        Drained::Lingering(processes) => processes,
        Drained::Clear(life) => panic!("nobody lingers in {life}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_installation_does_to_processes_is_measured() {
    let host = Host::running("0.1.0").await;
    host.place("0.2.0").await;
    let up = transition("0.1.0", "0.2.0", Method::Hot);
    let load = erlang_support::Load::start(host.port);
    tokio::time::sleep(Duration::from_millis(200)).await;
    host.driver.install(&up).await.unwrap();
    let measured = host.driver.verify(&up).await.unwrap().expect("it was measured");
    let (_, failures) = load.stop();
    assert_eq!(failures, Vec::<String>::new());
    assert_eq!((measured.suspended, measured.code_changes), (1, 1), "{measured:?}");
    assert!(measured.longest_suspend > Duration::ZERO, "{measured:?}");
    assert!(measured.longest_code_change <= measured.longest_suspend, "{measured:?}");
    assert_eq!(measured.code_change_time, measured.longest_code_change);
    assert!(measured.longest_suspend <= measured.took, "{measured:?}");
    // Whoever asks again, and be it another daemon, gets the same answer.
    let host = host.reopen();
    host.settle().await;
    assert_eq!(host.driver.verify(&up).await.unwrap(), Some(measured));
    let restart = transition("0.1.0", "0.2.0", Method::Restart);
    assert_eq!(host.driver.verify(&restart).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_migration_is_seen_in_time_and_in_the_queue_of_its_process() {
    let host = Host::running("0.1.0").await;
    host.place("0.2.0").await;
    host.get("/drowsy/2000").unwrap();
    let clients = [(); 3].map(|()| erlang_support::Load::start(host.port));
    let up = transition("0.1.0", "0.2.0", Method::Hot);
    host.driver.install(&up).await.unwrap();
    let measured = host.driver.verify(&up).await.unwrap().expect("it was measured");
    for client in clients {
        assert_eq!(client.stop().1, Vec::<String>::new());
    }
    let slow = Duration::from_secs(2);
    assert!(measured.longest_code_change >= slow && measured.longest_suspend >= slow, "{measured:?}");
    // Each client waits for its own request; what the release handler asks next may stand behind them.
    assert!((3..=5).contains(&measured.longest_queue), "{measured:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_was_passed_over_is_named_and_nothing_is_verified() {
    let host = Host::with(|settings| settings.patience.code_change = Duration::from_millis(500));
    host.first("0.1.0").await;
    host.place("0.2.0").await;
    host.get("/stall").unwrap();
    let up = transition("0.1.0", "0.2.0", Method::Hot);
    host.driver.install(&up).await.unwrap();
    host.get("/unstall").unwrap();
    let refused = host.driver.verify(&up).await.unwrap_err();
    let DriverError::Failed { reason, .. } = &refused else { panic!("{refused:?}") };
    assert!(reason.contains("did not suspend in time") && reason.contains("shop_counter"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_request_outlives_the_way_up_and_the_commit() {
    let host = Host::running("0.1.0").await;
    host.place("0.2.0").await;
    let up = transition("0.1.0", "0.2.0", Method::Hot);
    let request = Request::begin(&host, "long").await;
    host.driver.install(&up).await.unwrap();
    host.driver.verify(&up).await.unwrap();
    let names = lingering(host.driver.drain(&up, Purge::Soft).await.unwrap());
    assert!(names.iter().any(|name| name.contains("shop_routes")), "{names:?}");
    assert!(!request.is_over());
    request.wake(&host);
    host.drained(&up).await;
    host.driver.commit(&up).await.unwrap();
    assert_eq!(request.answered_by(), "0.1.0");
}

#[tokio::test(flavor = "multi_thread")]
async fn long_requests_outlive_a_trial_that_goes_back() {
    let host = Host::running("0.1.0").await;
    host.place("0.2.0").await;
    let up = transition("0.1.0", "0.2.0", Method::Hot);
    let before = Request::begin(&host, "before").await;
    host.driver.install(&up).await.unwrap();
    host.driver.verify(&up).await.unwrap();
    let during = Request::begin(&host, "during").await;
    let woken = async {
        // The way back has begun by then, and waits.
        tokio::time::sleep(Duration::from_secs(1)).await;
        before.wake(&host);
    };
    let (back, ()) = tokio::join!(host.driver.roll_back(&up, Rung::RelupDown), woken);
    back.unwrap();
    assert_eq!(before.answered_by(), "0.1.0");
    assert!(!during.is_over(), "code of the version that is left becomes old, and is not purged");
    during.wake(&host);
    assert_eq!(during.answered_by(), "0.2.0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_way_back_does_not_wait_for_ever() {
    let host = Host::with(|settings| settings.patience.way_back = Duration::from_millis(500));
    host.first("0.1.0").await;
    host.place("0.2.0").await;
    host.get("/linger").unwrap();
    let up = transition("0.1.0", "0.2.0", Method::Hot);
    host.driver.install(&up).await.unwrap();
    host.driver.roll_back(&up, Rung::RelupDown).await.unwrap();
    assert_eq!(host.info()["version"], "0.1.0");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_lingers_is_killed_where_that_is_asked_for() {
    let host = Host::running("0.1.0").await;
    host.place("0.2.0").await;
    host.get("/linger").unwrap();
    let up = transition("0.1.0", "0.2.0", Method::Hot);
    host.driver.install(&up).await.unwrap();
    let names = lingering(host.driver.drain(&up, Purge::Soft).await.unwrap());
    assert!(names[0].ends_with("shop_lingering} in shop_routes"), "{names:?}");
    let drained = host.driver.drain(&up, Purge::Brutal).await.unwrap();
    assert!(matches!(drained, Drained::Clear(_)), "{drained:?}");
    assert!(matches!(host.driver.drain(&up, Purge::Soft).await.unwrap(), Drained::Clear(_)));
    host.driver.commit(&up).await.unwrap();
}
