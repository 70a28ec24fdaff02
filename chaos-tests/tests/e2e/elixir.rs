//! What `mix release` makes, through a daemon: pushed as it is, its relup made by the cluster, rolled hot.

use crate::support::{Play, assert_says};
use chaos_tests::http;
use chaos_tests::samples::ElixirSamples;
use serde_json::Value;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

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
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let app = free.local_addr().unwrap();
    drop(free);
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
