//! From bare hosts to a cluster with an app, by what an administrator types: operations.md has the same
//! commands.

use super::host::Host;
use super::{APP_PORT, Hosts, PUBLIC_PORT};
use crate::cluster::APP;
use crate::samples::Samples;
use crate::wait;
use crate::witness::Info;
use crate::{ctl::Rollout, http};
use anyhow::{Context as _, ensure};
use relupd::clock::monotonic;
use std::fs;
use std::time::Duration;

/// The daemon's port on the dedicated network.
pub const PORT: u16 = 7400;

/// So many instances are at work at the same time.
pub(super) const MAX_IN_FLIGHT: usize = 1;

/// From one round of health checks to the next: a verdict is waited for in every cell.
pub(super) const OFTEN: &str = "300ms";

/// The same as it is where a spec does not say.
const BY_DEFAULT: &str = "5s";

/// Where the package lies on a host.
const PACKAGE: &str = "/root/relupd.deb";

/// A start, an election and a join, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The daemon's configuration on a host.
#[must_use]
pub fn configuration(host: &Host) -> String {
    format!(
        "listen = \"{}:{PORT}\"\n\n[node]\nname = \"{}\"\nlabels = {{ role = \"web\" }}\n",
        host.cluster_address(),
        host.name()
    )
}

/// Installs the package; nothing is configured by that, and nothing runs.
pub async fn package(host: &Host, package: &std::path::Path) -> anyhow::Result<()> {
    host.copy(package, PACKAGE)?;
    host.run(&["dpkg", "--install", PACKAGE]).await.map(drop)
}

impl Hosts {
    /// Installs and configures every host, and makes them one cluster. Those after the first come in by
    /// the token in their unit's credential. How long it took the slowest of them, from its package.
    pub async fn form(&self) -> anyhow::Result<Duration> {
        let first = &self.all()[0];
        package(first, self.package()).await?;
        first.write("/etc/relupd/relupd.toml", &configuration(first))?;
        first.run(&["systemctl", "start", "relupd"]).await?;
        first.run(&["relupctl", "cluster", "init"]).await?;
        let mut slowest = Duration::ZERO;
        for host in &self.all()[1..] {
            let begin = monotonic();
            package(host, self.package()).await?;
            host.write("/etc/relupd/relupd.toml", &configuration(host))?;
            self.join(host).await?;
            slowest = slowest.max(monotonic().since(begin));
        }
        self.settled().await?;
        Ok(slowest)
    }

    /// Starts a configured host with a token, and waits until it is a member.
    async fn join(&self, host: &Host) -> anyhow::Result<()> {
        let token = self.all()[0].run(&["relupctl", "cluster", "token"]).await?;
        host.write("/etc/relupd/join-token", &token)?;
        host.run(&["chmod", "600", "/etc/relupd/join-token"]).await?;
        host.run(&["systemctl", "start", "relupd"]).await?;
        wait::until(&format!("{} is a member", host.name()), PATIENCE, async || {
            let index = self.index_of(host.name())?;
            let status = self.ctl(index)?.status().await?;
            Ok((!status.cluster.leader.is_empty()).then_some(()))
        })
        .await?;
        host.run(&["rm", "/etc/relupd/join-token"]).await.map(drop)
    }

    /// The part of the app that needs root, on every host.
    pub async fn set_up_app(&self) -> anyhow::Result<()> {
        for host in self.all() {
            host.run(&["relupctl", "app", "setup", APP]).await?;
            host.write(
                &format!("/etc/relupd/apps/{APP}.env"),
                &format!("LISTEN_IP=0.0.0.0\nPORT={APP_PORT}\nSHOP_SICK_FILE={}\n", sick_file()),
            )?;
            host.write("/etc/nftables.conf", &firewall())?;
            host.run(&["systemctl", "enable", "--quiet", "--now", "nftables"]).await?;
        }
        Ok(())
    }

    /// Hands releases and the spec to the cluster, and rolls the first release out.
    pub async fn install_app(&self, samples: &Samples, versions: &[&str]) -> anyhow::Result<Rollout> {
        let ctl = self.ctl(0)?;
        for version in versions {
            ctl.run(&["release", "push", &samples.archive(version).to_string_lossy()]).await?;
        }
        self.apply_spec("auto").await?;
        let rollout = ctl.roll(APP, versions[0]).await?;
        ensure!(rollout.summary.phase == "completed", "the first rollout: {}", rollout.summary.reason);
        Ok(rollout)
    }

    /// Applies the app's spec. Its canary is promoted `auto` or `manual`.
    pub(super) async fn apply_spec(&self, promote: &str) -> anyhow::Result<()> {
        self.apply(&spec(promote, OFTEN)).await
    }

    /// Applies it with health checks as rare as they are by default.
    pub(super) async fn apply_quiet_spec(&self) -> anyhow::Result<()> {
        self.apply(&spec("auto", BY_DEFAULT)).await
    }

    async fn apply(&self, spec: &str) -> anyhow::Result<()> {
        let path = self.directory().join("app.toml");
        fs::write(&path, spec)?;
        self.ctl(0)?.run(&["app", "apply", &path.to_string_lossy()]).await.map(drop)
    }

    /// What the app says of itself on a host, with the start time of its process there.
    pub async fn testimony(&self, index: usize) -> anyhow::Result<(Info, u64)> {
        let (name, app) = &self.apps()[index];
        let answer = http::get(*app, "/info").await.with_context(|| format!("on {name}"))?;
        ensure!(answer.status == 200, "the app on {name} answers {}", answer.status);
        let info: Info = serde_json::from_str(&answer.body).context("not what /info answers")?;
        let stat = fs::read_to_string(self.all()[index].path(&format!("/proc/{}/stat", info.os_pid))?)?;
        // Field 22 of proc(5), counted from behind the command.
        let fields = stat.rsplit_once(") ").context("not a stat")?.1;
        let start_time = fields.split_whitespace().nth(19).and_then(|time| time.parse().ok());
        Ok((info, start_time.context("not a stat")?))
    }
}

/// Where it is there, releases that can fall ill do.
pub(super) fn sick_file() -> String {
    format!("/var/lib/relupd-app/{APP}/sick")
}

/// The app's spec. Its canary is promoted `auto` or `manual`, its health is asked for as often as this.
pub(super) fn spec(promote: &str, interval: &str) -> String {
    format!(
        r#"name = "{APP}"
root = "/opt/{APP}"
user = "{APP}"

[nodes]
labels = {{ role = "web" }}

[service]
kind = "systemd"
stop_grace = "5s"

[health]
interval = "{interval}"
healthy_after = 2
unhealthy_after = 3
start_grace = "30s"

[[health.check]]
name = "ready"
http = "http://{{{{node.address}}}}:{APP_PORT}/health"
status = 200
timeout = "2s"

[upgrade]
canary = 1
promote = "{promote}"
max_in_flight = {MAX_IN_FLIGHT}
bake = "2s"
permanent = "at-end"
on_failure = "revert"
"#
    )
}

/// The example of the package, with these networks. Health checks come from the host itself.
fn firewall() -> String {
    let example = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/examples/relupd.nft"));
    let text = example
        .replace("\"eth1\"", "\"host0\"")
        .replace("10.0.0.0/24", "10.77.0.0/24")
        .replace("tcp dport 80 redirect", &format!("tcp dport {PUBLIC_PORT} redirect"));
    debug_assert!(text.contains("10.77.0.0/24"), "the example has changed");
    text
}
