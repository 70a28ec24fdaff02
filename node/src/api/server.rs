//! The two listeners: the local socket, where the kernel says who calls, and mutual TLS on the
//! cluster's network, where a certificate does.

use super::caller::Peer;
use super::connection::Connection;
use super::context::Context;
use super::control::ControlPlane;
use super::service::routes;
use rustls::ServerConfig;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;

/// A caller that has not finished its handshake by then is not one.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(3);

/// Handshakes under way at once. Each costs memory and a signature before it is known who calls; the
/// kernel keeps further callers waiting.
const HANDSHAKES: usize = 64;

/// Accepted connections that wait for the server to take them.
const PENDING: usize = 16;

/// A silent caller is asked so often whether it is still there; its watches end when it is not.
const KEEPALIVE: Duration = Duration::from_secs(20);

/// The API cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The local socket cannot be made.
    #[error("cannot listen on {path:?}")]
    Bind {
        /// Where.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The server ended with an error.
    #[error("the API server failed")]
    Transport(#[from] tonic::transport::Error),
}

/// Makes the local socket, for root and the daemon's own user only. A socket that is left over from
/// a daemon that died is replaced; the lock on the state directory has made sure that it did.
///
/// # Errors
/// When the path is taken by something that is not a socket, or the file system refuses.
pub fn bind_unix(path: &Path) -> Result<UnixListener, ServeError> {
    let bind = || {
        match fs::symlink_metadata(path) {
            Ok(found) if found.file_type().is_socket() => fs::remove_file(path)?,
            Ok(_) => {
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, "it is there and is no socket"));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let listener = UnixListener::bind(path)?;
        fs::set_permissions(path, Permissions::from_mode(0o600))?;
        Ok(listener)
    };
    bind().map_err(|source| ServeError::Bind { path: path.to_owned(), source })
}

/// Serves the local socket until `stop`.
///
/// # Errors
/// When the server fails.
pub async fn serve_unix(
    listener: UnixListener,
    control: Arc<dyn ControlPlane>,
    stop: CancellationToken,
) -> Result<(), ServeError> {
    let (sender, receiver) = mpsc::channel(PENDING);
    let accepting = accept_unix(listener, sender);
    serve(receiver, accepting, control, stop).await
}

/// Serves callers with a certificate of the cluster until `stop`. `tls` is the newest configuration:
/// connections accepted after a change use it.
///
/// # Errors
/// When the server fails.
pub async fn serve_tls(
    listener: TcpListener,
    tls: watch::Receiver<Arc<ServerConfig>>,
    control: Arc<dyn ControlPlane>,
    stop: CancellationToken,
) -> Result<(), ServeError> {
    let (sender, receiver) = mpsc::channel(PENDING);
    let accepting = accept_tls(listener, tls, sender);
    serve(receiver, accepting, control, stop).await
}

type Accepted<S> = Result<Connection<S>, io::Error>;

async fn serve<S>(
    connections: mpsc::Receiver<Accepted<S>>,
    accepting: impl Future<Output = ()>,
    control: Arc<dyn ControlPlane>,
    stop: CancellationToken,
) -> Result<(), ServeError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let own_uid = rustix::process::getuid().as_raw();
    let context = Context::new(control, own_uid, stop.clone());
    let serving = Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .add_routes(routes(&context))
        .serve_with_incoming_shutdown(ReceiverStream::new(connections), stop.clone().cancelled_owned());
    let accepting = async {
        tokio::select! {
            () = accepting => {}
            () = stop.cancelled() => {}
        }
    };
    let (served, ()) = tokio::join!(serving, accepting);
    Ok(served?)
}

async fn accept_unix(listener: UnixListener, connections: mpsc::Sender<Accepted<UnixStream>>) {
    loop {
        let accepted = listener.accept().await.and_then(|(io, _)| {
            let peer = Peer::Local { uid: io.peer_cred()?.uid() };
            Ok(Connection { io, peer })
        });
        match accepted {
            Ok(connection) => {
                if connections.send(Ok(connection)).await.is_err() {
                    return;
                }
            }
            Err(error) => pause_after(&error).await,
        }
    }
}

async fn accept_tls(
    listener: TcpListener,
    tls: watch::Receiver<Arc<ServerConfig>>,
    connections: mpsc::Sender<Accepted<TlsStream<TcpStream>>>,
) {
    let handshakes = Arc::new(Semaphore::new(HANDSHAKES));
    while !connections.is_closed() {
        let Ok(permit) = Arc::clone(&handshakes).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let acceptor = TlsAcceptor::from(tls.borrow().clone());
                let connections = connections.clone();
                tokio::spawn(async move {
                    let shaken = handshake(acceptor, stream).await;
                    drop(permit);
                    match shaken {
                        // The receiver is gone only when the daemon stops.
                        Ok(connection) => drop(connections.send(Ok(connection)).await),
                        Err(error) => tracing::debug!(%error, "refused an API connection"),
                    }
                });
            }
            Err(error) => pause_after(&error).await,
        }
    }
}

async fn handshake(acceptor: TlsAcceptor, stream: TcpStream) -> io::Result<Connection<TlsStream<TcpStream>>> {
    stream.set_nodelay(true)?;
    let io = tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await??;
    let certificate = io.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let certificate = certificate.ok_or_else(|| io::Error::other("no client certificate"))?;
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).map_err(io::Error::other)?;
    let serial = data_encoding::HEXLOWER.encode(parsed.raw_serial());
    Ok(Connection { peer: Peer::Certificate { serial: serial.into() }, io })
}

/// Most errors of accept concern the one connection. The others (too many open files) do not go away
/// by asking again at once.
async fn pause_after(error: &io::Error) {
    const PAUSE: Duration = Duration::from_millis(100);
    tracing::warn!(%error, "cannot accept an API connection");
    tokio::time::sleep(PAUSE).await;
}
