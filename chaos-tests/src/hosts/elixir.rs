//! A second app beside the first, as `mix release` makes it without sasl or any library of relupd's: a service of its
//! own that goes by restart, one host after the other, and is asked from outside meanwhile. Its unit was written
//! by hand, before relupd came, and is adopted.

use super::Hosts;
use super::chaos::WINDOW;
use super::install::MAX_IN_FLIGHT;
use crate::http;
use crate::load::Load;
use crate::report::Figure;
use crate::samples::ElixirSamples;
use crate::show::Show;
use anyhow::{Context as _, ensure};
use std::fs;
use std::net::SocketAddr;

const APP: &str = "greeter";

const APP_PORT: u16 = 4100;

const UNIT: &str = "hello.service";

/// As an administrator has written it, years ago; the user is made by hand, too.
const UNIT_TEXT: &str = "[Unit]\nDescription=Says hello\n\n[Service]\nUser=hello\nNice=3\n\
    ExecStart=/opt/hello/bin/hello start\n\n[Install]\nWantedBy=multi-user.target\n";

const VERSIONS: [&str; 2] = ["0.1.0", "0.2.0"];

/// Installs it on every host, and rolls it once. It goes on running.
pub(super) async fn play(hosts: &Hosts, show: Show) -> anyhow::Result<Vec<Figure>> {
    let Some(samples) = ElixirSamples::shared().await? else {
        show.say("  SKIPPED: an app in Elixir: mix is not installed (apt-get install elixir)");
        return Ok(Vec::new());
    };
    for host in hosts.all() {
        host.run(&["useradd", "--system", "--no-create-home", "hello"]).await?;
        host.write(&format!("/etc/systemd/system/{UNIT}"), UNIT_TEXT)?;
        host.run(&["relupctl", "app", "setup", APP, "--unit", UNIT]).await?;
        let environment =
            format!("LISTEN_IP=0.0.0.0\nPORT={APP_PORT}\nGREET={}\nLC_ALL=C.UTF-8\n", host.name());
        host.write(&format!("/etc/relupd/apps/{APP}.env"), &environment)?;
    }
    let ctl = hosts.ctl(0)?;
    for version in VERSIONS {
        ctl.run(&["release", "push", &samples.without_sasl(version).to_string_lossy()]).await?;
    }
    let path = hosts.directory().join("greeter.toml");
    fs::write(&path, spec())?;
    ctl.run(&["app", "apply", &path.to_string_lossy()]).await?;
    let installed = ctl.roll(APP, VERSIONS[0]).await?;
    ensure!(installed.summary.phase == "completed", "the first rollout: {}", installed.summary.reason);

    let at =
        hosts.all().iter().map(|host| (host.name().to_owned(), (host.public_address(), APP_PORT).into()));
    let apps: Vec<(String, SocketAddr)> = at.collect();
    let load = Load::start(&apps, &hosts.directory().join("greeter.log"))?;
    let plan = ctl.plan(APP, VERSIONS[1]).await?;
    ensure!(plan.steps.iter().all(|step| step.method == "restart"), "it goes by restart: {plan:?}");
    let id = ctl.start(&plan).await?;
    let rolled = ctl.watch_to_end(&id).await?;
    let record = load.stop().await?;
    ensure!(rolled.summary.phase == "completed", "by restart: {}", rolled.summary.reason);
    for (name, app) in &apps {
        let answer = http::get(*app, "/").await.with_context(|| format!("on {name}"))?.body;
        let said: serde_json::Value = serde_json::from_str(&answer).context("not what it answers")?;
        ensure!(said["version"] == VERSIONS[1], "{name} answers {answer}");
    }
    for host in hosts.all() {
        let [state, user, nice] = ["ActiveState", "User", "Nice"].map(|property| host.unit(UNIT, property));
        let found = (state.await?, user.await?, nice.await?);
        let wanted = ("active", "hello", "3");
        ensure!(
            (found.0.as_str(), found.1.as_str(), found.2.as_str()) == wanted,
            "{UNIT} does not go on as it was on {}: {found:?}",
            host.name()
        );
    }
    let down = record.nodes_failing_at_once(WINDOW);
    show.witnessed(&format!(
        "{APP}, in Elixir, by restart in its adopted {UNIT}: {} requests from outside, {} host at most down at once",
        record.requests(),
        down
    ));
    Ok(vec![
        Figure::some("requests_in_elixir_rollout", record.requests()),
        Figure::at_most("elixir_hosts_down_at_once", down as f64, "", MAX_IN_FLIGHT as f64),
    ])
}

fn spec() -> String {
    format!(
        r#"name = "{APP}"
root = "/opt/{APP}"
user = "hello"

[nodes]
labels = {{ role = "web" }}

[service]
kind = "systemd"
unit = "{UNIT}"
stop_grace = "5s"

[health]
interval = "300ms"

[[health.check]]
name = "answers"
http = "http://{{{{node.address}}}}:{APP_PORT}/"
body = "hello from"

[upgrade]
max_in_flight = {MAX_IN_FLIGHT}
bake = "1s"
"#
    )
}
