//! What `mix release` makes, through a daemon: pushed as it is, its relup made by the cluster, rolled hot.

use crate::support::{Play, assert_says};
use chaos_tests::cluster::ports;
use chaos_tests::crash::{Fault, Points};
use chaos_tests::http;
use chaos_tests::samples::ElixirSamples;
use chaos_tests::wait;
use serde_json::Value;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

fn spec(play: &Play, app: SocketAddr) -> String {
    let directory = play.cluster.directory().display();
    format!(
        r#"name = "greeter"
root = "{directory}/{{{{node.name}}}}/opt/greeter"

[environment]
LC_ALL = "C.UTF-8"
PORT = "{port}"
GREET = "{{{{node.name}}}}"

[health]
interval = "200ms"

[[health.check]]
name = "answers"
http = "http://{app}/"
body = "hello from"

[upgrade]
bake = "800ms"
"#,
        port = app.port(),
    )
}

async fn answer(app: SocketAddr) -> (u64, String) {
    let body: Value = serde_json::from_str(&http::get(app, "/").await.unwrap().body).unwrap();
    (body["count"].as_u64().unwrap(), body["greeting"].as_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_of_mix_is_rolled_hot_with_a_relup_that_the_cluster_made() {
    let Some(samples) = ElixirSamples::shared().await.unwrap() else {
        eprintln!("SKIPPED: mix is not installed (apt-get install elixir)");
        return;
    };
    let play = Play::formed(1).await;
    let ctl = play.ctl();
    let app = free_address();
    for version in ["0.1.0", "0.2.0"] {
        ctl.run(&["release", "push", &samples.with_sasl(version).to_string_lossy()]).await.unwrap();
    }
    let text = ctl.run(&["release", "show", "0.2.0"]).await.unwrap().stdout;
    assert_says(&text, &["greeter 0.2.0", "sasl", "included", "Config.Reader", "beam.smp"]);
    let appup = samples.appup().to_string_lossy().into_owned();
    let make = ["release", "relup", "--from", "0.1.0", "--to", "0.2.0", "--appup", &appup];
    let made = ctl.run(&make).await.unwrap().stdout;
    assert_says(&made, &["greeter 0.2.0 leads up from 0.1.0 and back, hot"]);
    let diff: Value = ctl.json(&["release", "diff", "0.1.0", "0.2.0"]).await.unwrap();
    assert_eq!(diff["applications"][0]["name"], "greeter", "{diff}");

    let path = play.path().join("greeter.toml");
    fs::write(&path, spec(&play, app)).unwrap();
    ctl.run(&["app", "apply", &path.to_string_lossy()]).await.unwrap();
    let installed = ctl.roll("greeter", "0.1.0").await.unwrap();
    assert_eq!(installed.summary.phase, "completed", "{}", installed.summary.reason);
    let (before, greeting) = answer(app).await;
    assert_eq!(greeting, "hello from 0.1.0 to n1");

    for (version, expected) in [("0.2.0", "hello from 0.2.0 to n1"), ("0.1.0", "hello from 0.1.0 to n1")] {
        let plan = ctl.plan("greeter", version).await.unwrap();
        assert_eq!(plan.steps[0].method, "hot", "{plan:?}");
        let rolled = ctl.roll("greeter", version).await.unwrap();
        assert_eq!(rolled.summary.phase, "completed", "{}", rolled.summary.reason);
        assert!(rolled.nodes[0].measured.is_some(), "it went hot: {rolled:?}");
        let (count, greeting) = answer(app).await;
        assert!(count > before, "the counter has kept its state");
        assert_eq!(greeting, expected);
    }
}

/// What `runtime.exs` makes of the configuration is written before a hot upgrade, in these steps.
const COMPLETING: [&str; 4] = [
    "rename 0.2.0/.relupd-shipped-sys.config",
    "write 0.2.0/sys.config",
    "fsync 0.2.0/sys.config",
    "rename 0.2.0/sys.config",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_is_completed_although_its_writing_breaks() {
    let Some(samples) = ElixirSamples::shared().await.unwrap() else {
        eprintln!("SKIPPED: mix is not installed (apt-get install elixir)");
        return;
    };
    let mut play = Play::prepared(1).await;
    let points = Points::new(&play.path().join("points")).unwrap();
    let (name, value) = points.variable();
    play.cluster.set_environment(&name, &value);
    play.cluster.form().await.unwrap();
    let app = bring(&play, &samples).await;
    let release = play.cluster.directory().join("n1/opt/greeter/releases/0.2.0");
    for point in COMPLETING {
        let id = broken(&play, &points, point, Fault::KillDaemon).await;
        play.cluster.kill_daemon(0).unwrap();
        points.disarm().unwrap();
        play.cluster.start_daemon(0).await.unwrap();
        let ended = play.ctl().watch_to_end(&id).await.unwrap();
        assert_eq!(ended.summary.phase, "completed", "{point}: {}", ended.summary.reason);
        assert_eq!(answer(app).await.1, "hello from 0.2.0 to n1", "{point}");

        let back = play.ctl().roll("greeter", "0.1.0").await.unwrap();
        assert_eq!(back.summary.phase, "completed", "{point}: {}", back.summary.reason);
        assert_eq!(answer(app).await.1, "hello from 0.1.0 to n1", "{point}");
        // As it was shipped, for the next time.
        fs::rename(release.join(".relupd-shipped-sys.config"), release.join("sys.config")).unwrap();
    }
    let id = broken(&play, &points, "create 0.2.0/sys.config", Fault::DiskFull).await;
    let ended = play.ctl().watch_to_end(&id).await.unwrap();
    assert_eq!(ended.summary.phase, "reverted", "{}", ended.summary.reason);
    assert_says(&ended.summary.reason, &["0.2.0/sys.config", "No space left"]);
    assert_eq!(answer(app).await.1, "hello from 0.1.0 to n1");
}

/// Starts a rollout to 0.2.0 and waits until this has struck.
async fn broken(play: &Play, points: &Points, point: &str, fault: Fault) -> String {
    points.break_at(point, fault).unwrap();
    let plan = play.ctl().plan("greeter", "0.2.0").await.unwrap();
    let id = play.ctl().start(&plan).await.unwrap();
    let struck = async || Ok(points.is_hit().then_some(()));
    wait::until(point, Duration::from_secs(60), struck).await.unwrap();
    id
}

/// A node on 0.1.0 that knows a way to 0.2.0; where the app answers.
async fn bring(play: &Play, samples: &ElixirSamples) -> SocketAddr {
    let ctl = play.ctl();
    let app = free_address();
    for version in ["0.1.0", "0.2.0"] {
        ctl.run(&["release", "push", &samples.with_sasl(version).to_string_lossy()]).await.unwrap();
    }
    let appup = samples.appup().to_string_lossy().into_owned();
    ctl.run(&["release", "relup", "--from", "0.1.0", "--to", "0.2.0", "--appup", &appup]).await.unwrap();
    let path = play.path().join("greeter.toml");
    fs::write(&path, spec(play, app)).unwrap();
    ctl.run(&["app", "apply", &path.to_string_lossy()]).await.unwrap();
    let installed = ctl.roll("greeter", "0.1.0").await.unwrap();
    assert_eq!(installed.summary.phase, "completed", "{}", installed.summary.reason);
    app
}

fn free_address() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, ports::free(&[Ipv4Addr::LOCALHOST]).unwrap()))
}
