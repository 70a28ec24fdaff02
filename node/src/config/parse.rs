//! The text of relupd.toml -> `Settings`. `docs/examples/relupd.toml` shows the layout.

use super::settings::{LogFormat, LogSettings, Overrides, RaftSettings, Settings, UpgradeSettings};
use crate::toml_reader::{self, POSITIVE, Problem, Section};
use crate::upgrade::Installer;
use std::net::{IpAddr, SocketAddr};
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

/// Linux takes at most 108 bytes for the path of a Unix socket, the closing zero among them.
const MAX_SOCKET_PATH: usize = 107;

/// Sockets of apps lie below the run directory: `APP/link.sock`, and an app's name has up to 40
/// letters. It must leave room for that.
const MAX_RUN_DIR: usize = MAX_SOCKET_PATH - 56;

/// Parses and checks the config. `hostname` is the node's name where the config gives none.
pub fn parse(text: &str, hostname: &str, overrides: &Overrides) -> Result<Settings, Vec<Problem>> {
    toml_reader::read(text, |root| settings(root, hostname, overrides))
}

fn settings(root: &mut Section<'_, '_>, hostname: &str, overrides: &Overrides) -> Option<Settings> {
    let listen = listen(root);
    let interface = root.string("interface");
    if interface.as_deref().is_some_and(|name| name.is_empty() || name.contains('/')) {
        root.reject("interface", "not the name of a network interface; write e.g. \"eth1\"");
    }
    let state_dir = directory(root, "state_dir", "/var/lib/relupd", overrides.state_dir.as_deref());
    let run_dir = directory(root, "run_dir", "/run/relupd", overrides.run_dir.as_deref());
    if run_dir.as_os_str().len() > MAX_RUN_DIR {
        root.reject("run_dir", format_args!("too long for sockets below it: at most {MAX_RUN_DIR} bytes"));
    }
    let mut node = root.section("node");
    let node_name = node_name(&mut node, hostname);
    let labels = node.string_map("labels");
    node.finish();
    let settings = Settings {
        node_name,
        labels,
        listen: listen?,
        interface,
        api_socket: api_socket(root, &run_dir),
        state_dir,
        run_dir,
        metrics: metrics(root),
        log: log(root),
        raft: raft(root),
        release_roots: release_roots(root),
        upgrade: upgrade(root),
    };
    Some(settings)
}

fn listen(root: &mut Section<'_, '_>) -> Option<SocketAddr> {
    let text = root.required("listen", "\"10.0.0.7:7400\"")?;
    match text.parse::<SocketAddr>() {
        Err(_) => root.reject(
            "listen",
            format_args!("{text:?} is not an IP address with a port; write e.g. \"10.0.0.7:7400\" or \"[fd00::7]:7400\""),
        ),
        Ok(address) if address.ip().is_unspecified() => root.reject(
            "listen",
            format_args!("{text:?} would listen on every network; write the node's own address on the cluster's network"),
        ),
        Ok(address) if address.ip().is_multicast() => {
            root.reject("listen", format_args!("{text:?} is not an address of a host"));
        }
        Ok(address) if address.port() == 0 => {
            root.reject("listen", format_args!("{text:?}: the other nodes need a fixed port; write e.g. 7400"));
        }
        Ok(address) => return Some(address),
    }
    // The other mistakes are worth reporting too; this address is never used.
    Some(SocketAddr::from((IpAddr::from([127, 0, 0, 1]), 0)))
}

fn node_name(node: &mut Section<'_, '_>, hostname: &str) -> String {
    let name = node.string("name").unwrap_or_else(|| hostname.to_owned());
    let ok = (1..=63).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    if !ok {
        node.reject(
            "name",
            format_args!("{name:?} cannot be a node's name: write 1 to 63 of A-Z a-z 0-9 - _ ., beginning with a letter or digit"),
        );
    }
    name
}

fn directory(
    root: &mut Section<'_, '_>,
    key: &'static str,
    default: &str,
    override_by: Option<&Path>,
) -> PathBuf {
    let written = root.string(key).map_or_else(|| PathBuf::from(default), PathBuf::from);
    let directory = override_by.map_or(written, Path::to_owned);
    if !is_plain(&directory) {
        root.reject(key, format_args!("{directory:?} is not an absolute path without `..`"));
    }
    directory
}

fn is_plain(path: &Path) -> bool {
    path.is_absolute()
        && path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)))
}

fn api_socket(root: &mut Section<'_, '_>, run_dir: &Path) -> PathBuf {
    let mut api = root.section("api");
    let socket = api.string("socket").map_or_else(|| run_dir.join("relupd.sock"), PathBuf::from);
    if !is_plain(&socket) || socket.as_os_str().len() > MAX_SOCKET_PATH {
        api.reject(
            "socket",
            format_args!("{socket:?} is not an absolute path of at most {MAX_SOCKET_PATH} bytes"),
        );
    }
    api.finish();
    socket
}

fn metrics(root: &mut Section<'_, '_>) -> Option<SocketAddr> {
    let mut section = root.section("metrics");
    let text = section.string("listen").unwrap_or_else(|| "127.0.0.1:9464".to_owned());
    let address = text.parse().ok();
    if address.is_none() && text != "off" {
        section.reject(
            "listen",
            format_args!(
                "{text:?} is not an IP address with a port; write e.g. \"127.0.0.1:9464\", or \"off\""
            ),
        );
    }
    section.finish();
    address
}

fn log(root: &mut Section<'_, '_>) -> LogSettings {
    let mut section = root.section("log");
    let formats = [("human", LogFormat::Human), ("json", LogFormat::Json), ("journald", LogFormat::Journald)];
    let format = section.choice("format", &formats, LogFormat::Human);
    let level = section.string("level").unwrap_or_else(|| "info".to_owned());
    if let Err(error) = tracing_subscriber::EnvFilter::try_new(&level) {
        section.reject(
            "level",
            format_args!("{level:?} is not a level ({error}); write \"error\", \"warn\", \"info\", \"debug\" or e.g. \"info,relupd::agent=debug\""),
        );
    }
    section.finish();
    LogSettings { format, level }
}

fn raft(root: &mut Section<'_, '_>) -> RaftSettings {
    let mut section = root.section("raft");
    let ticks = Duration::from_millis(5)..=Duration::from_secs(10);
    let settings = RaftSettings {
        tick: section.duration("tick", ticks, Duration::from_millis(100)),
        heartbeat_ticks: section.integer("heartbeat_ticks", 1..=1000, 2),
        election_ticks: section.integer("election_ticks", 3..=10_000, 6),
        max_voters: section.integer("max_voters", 1..=7, 5),
        voter_replace_after: section.duration("voter_replace_after", POSITIVE, Duration::from_secs(600)),
    };
    if settings.max_voters.is_multiple_of(2) {
        section.reject(
            "max_voters",
            "an even number of voters survives no more than one less: write 1, 3, 5 or 7",
        );
    }
    if settings.election_ticks <= settings.heartbeat_ticks {
        section.reject(
            "election_ticks",
            "must be greater than `heartbeat_ticks`; three times that or more is usual",
        );
    }
    section.finish();
    settings
}

fn release_roots(root: &mut Section<'_, '_>) -> Vec<PathBuf> {
    let mut section = root.section("releases");
    let roots = section.strings("roots").unwrap_or_else(|| vec!["/opt".to_owned()]);
    let roots: Vec<PathBuf> = roots.into_iter().map(PathBuf::from).collect();
    for path in roots.iter().filter(|path| !is_plain(path) || path.as_os_str() == "/") {
        section.reject(
            "roots",
            format_args!(
                "{path:?} is not an absolute path below `/` and without `..`; write e.g. [\"/opt\"]"
            ),
        );
    }
    section.finish();
    roots
}

fn upgrade(root: &mut Section<'_, '_>) -> UpgradeSettings {
    let mut section = root.section("upgrade");
    let mut path = |key: &'static str| {
        let path = PathBuf::from(section.string(key)?);
        if !is_plain(&path) {
            section.reject(key, format_args!("{path:?} is not an absolute path without `..`"));
        }
        Some(path)
    };
    let settings = UpgradeSettings {
        installer: path("installer").map_or(Installer::Unit, Installer::Program),
        keys: path("keys").unwrap_or_else(|| "/etc/relupd/upgrade-keys".into()),
        directory: path("directory").unwrap_or_else(|| "/var/lib/relupd-upgrade".into()),
    };
    section.finish();
    settings
}
