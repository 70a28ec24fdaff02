//! The way to a daemon: its local socket, or TLS to any node of the cluster.

use crate::contexts::{self, Remote};
use crate::operator_files::{self, Credentials};
use anyhow::{Context as _, bail};
use hyper_util::rt::TokioIo;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::UnixStream;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity, Uri};
use tower::service_fn;

/// Where the package's daemon listens.
pub(crate) const DEFAULT_SOCKET: &str = "/run/relupd/relupd.sock";

/// A node that is there answers sooner.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A watch notices so soon that its node is gone.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// Which daemon to ask.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// The one on this host.
    Socket(PathBuf),
    /// Any node of a cluster.
    Remote(Remote),
}

/// What the command line and the environment say of it.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct TargetArgs {
    /// Local socket of the daemon on this host
    #[arg(long, global = true, value_name = "PATH", env = "RELUPCTL_SOCKET", help_heading = "Connection")]
    socket: Option<PathBuf>,
    /// Named cluster from ~/.config/relupctl/contexts.toml
    #[arg(long, global = true, value_name = "NAME", env = "RELUPCTL_CONTEXT", help_heading = "Connection")]
    context: Option<String>,
    /// Node to ask, instead of those in the identity's operator.toml (needs --identity)
    #[arg(long, global = true, value_name = "HOST:PORT", help_heading = "Connection")]
    address: Option<String>,
    /// Directory that `relupctl operator add` has written
    #[arg(long, global = true, value_name = "DIR", env = "RELUPCTL_IDENTITY", help_heading = "Connection")]
    identity: Option<PathBuf>,
}

impl TargetArgs {
    /// What is meant: the more specific wins, and without anything it is the local socket.
    pub(crate) fn resolve(self) -> anyhow::Result<Target> {
        if let Some(identity) = self.identity {
            let addresses = match self.address {
                Some(address) => vec![address],
                None => operator_files::read_profile(&identity)?.addresses,
            };
            return Ok(Target::Remote(Remote { identity, addresses }));
        }
        if self.address.is_some() {
            bail!("--address needs --identity DIR: a remote node answers only to a certificate");
        }
        if let Some(name) = self.context {
            return match contexts::find(Some(&name))? {
                Some(remote) => Ok(Target::Remote(remote)),
                None => bail!("there is no context {name:?}"),
            };
        }
        if let Some(socket) = self.socket {
            return Ok(Target::Socket(socket));
        }
        let default = contexts::find(None)?;
        Ok(default.map_or_else(|| Target::Socket(DEFAULT_SOCKET.into()), Target::Remote))
    }
}

impl Target {
    /// Connects.
    pub(crate) async fn connect(&self) -> anyhow::Result<Channel> {
        match self {
            Self::Socket(path) => connect_socket(path).await,
            Self::Remote(remote) => connect_remote(remote).await,
        }
    }
}

async fn connect_socket(path: &Path) -> anyhow::Result<Channel> {
    // Tried first by hand: the error of a channel does not say what was wrong.
    if let Err(error) = UnixStream::connect(path).await {
        let remedy = match error.kind() {
            ErrorKind::PermissionDenied => "run relupctl as root or as the daemon's user",
            ErrorKind::NotFound | ErrorKind::ConnectionRefused => {
                "is relupd running there? Start it, or name its socket with --socket"
            }
            _ => "name another socket with --socket",
        };
        return Err(error).with_context(|| format!("cannot reach relupd at {} ({remedy})", path.display()));
    }
    let path = path.to_owned();
    let connector = service_fn(move |_: Uri| {
        let path = path.clone();
        async move { UnixStream::connect(path).await.map(TokioIo::new) }
    });
    // The name is never looked up; HTTP/2 wants one.
    let endpoint = Endpoint::from_static("http://relupd.local");
    Ok(endpoint.connect_with_connector(connector).await?)
}

async fn connect_remote(remote: &Remote) -> anyhow::Result<Channel> {
    let credentials = operator_files::read(&remote.identity)?;
    let mut failures = Vec::new();
    for address in &remote.addresses {
        match connect_address(address, &credentials).await {
            Ok(channel) => return Ok(channel),
            Err(error) => failures.push(format!("{address}: {}", crate::error::text(&error))),
        }
    }
    if failures.is_empty() {
        bail!("no address of a node is known; give one with --address HOST:PORT");
    }
    bail!("no node answers ({}); give another with --address HOST:PORT", failures.join("; "))
}

async fn connect_address(address: &str, credentials: &Credentials) -> anyhow::Result<Channel> {
    let tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(&credentials.authority))
        .identity(Identity::from_pem(&credentials.certificate, &credentials.key))
        .domain_name(&credentials.profile.server_name);
    let endpoint = Endpoint::from_shared(format!("https://{address}"))
        .context("not an address: expected HOST:PORT")?
        .tls_config(tls)
        .context("the identity's files do not make a certificate")?
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(CONNECT_TIMEOUT);
    Ok(endpoint.connect().await?)
}
