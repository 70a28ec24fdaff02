//! The texts that daemons and the cluster are configured with.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a daemon is told.
#[derive(Clone, Debug)]
pub(super) struct NodeConfig {
    pub(super) name: String,
    pub(super) listen: SocketAddr,
    pub(super) state_dir: PathBuf,
    pub(super) run_dir: PathBuf,
    pub(super) roots: PathBuf,
}

impl NodeConfig {
    pub(super) fn socket(&self) -> PathBuf {
        self.run_dir.join("relupd.sock")
    }

    pub(super) fn text(&self) -> String {
        format!(
            "listen = \"{}\"\nstate_dir = {:?}\nrun_dir = {:?}\n\n\
             [node]\nname = {:?}\nlabels = {{ role = \"web\" }}\n\n\
             [releases]\nroots = [{:?}]\n\n\
             [metrics]\nlisten = \"off\"\n",
            self.listen, self.state_dir, self.run_dir, self.name, self.roots,
        )
    }
}

/// What the app's spec says, where it is not the same for everybody.
#[derive(Clone, Debug)]
pub struct SpecConfig {
    /// How long health must hold.
    pub bake: Duration,
    /// From one round of health checks to the next.
    pub interval: Duration,
    /// A health check that takes longer has failed.
    pub probe_timeout: Duration,
    /// After the canary: `auto` or `manual`.
    pub promote: &'static str,
    /// Nodes that cannot be reached while preparing: `refuse` or `skip`.
    pub unreachable: &'static str,
    /// No progress on a node for so long ends its turn.
    pub progress_deadline: Duration,
    /// More lines of `[upgrade]`.
    pub upgrade: &'static str,
}

impl Default for SpecConfig {
    fn default() -> Self {
        Self {
            bake: Duration::from_secs(2),
            interval: Duration::from_millis(300),
            probe_timeout: Duration::from_secs(2),
            promote: "auto",
            unreachable: "refuse",
            progress_deadline: Duration::from_secs(300),
            upgrade: "",
        }
    }
}

impl SpecConfig {
    pub(super) fn text(&self, directory: &Path, port: u16) -> String {
        format!(
            r#"name = "shop"
root = "{directory}/{{{{node.name}}}}/opt/shop"

[nodes]
labels = {{ role = "web" }}

[service]
kind = "child"
stop_grace = "5s"

[environment]
LANG = "C.UTF-8"
LISTEN_IP = "{{{{node.address}}}}"
PORT = "{port}"
SHOP_SICK_FILE = "{directory}/sick-{{{{node.name}}}}"

[health]
interval = "{interval}ms"
healthy_after = 2
unhealthy_after = 3
start_grace = "30s"

[[health.check]]
name = "ready"
http = "http://{{{{node.address}}}}:{port}/health"
status = 200
timeout = "{probe_timeout}ms"

[upgrade]
canary = 1
promote = "{promote}"
max_in_flight = 1
bake = "{bake}ms"
permanent = "at-end"
on_failure = "revert"
unreachable = "{unreachable}"
progress_deadline = "{progress}ms"
{upgrade}
"#,
            directory = directory.display(),
            interval = self.interval.as_millis(),
            bake = self.bake.as_millis(),
            probe_timeout = self.probe_timeout.as_millis(),
            promote = self.promote,
            unreachable = self.unreachable,
            progress = self.progress_deadline.as_millis(),
            upgrade = self.upgrade,
        )
    }
}
