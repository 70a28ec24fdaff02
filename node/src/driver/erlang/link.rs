//! The daemon's end of the link: a Unix socket that the app's VM dials. One connection at a time is
//! the current one, the newest; its end is the VM's end as far as anybody here is concerned, and is
//! known the instant the kernel closes the socket.

use super::frame_check;
use super::term::{as_atom, as_text, as_tuple, as_u64, atom, integer, tagged, tuple};
use super::vm::Facts;
use crate::driver::Liveness;
use crate::fail_point;
use crate::ids::BootNonce;
use bytes::Bytes;
use eetf::Term;
use futures::{SinkExt, StreamExt};
use std::collections::HashMap;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;
use tokio_util::codec::{Framed, LengthDelimitedCodec};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{debug, info, warn};

const PROTOCOL: u64 = 1;
/// The largest answer is the digests of all modules of a big app: some 100 bytes for each.
const MAX_FRAME: usize = 8 << 20;
const HELLO_PATIENCE: Duration = Duration::from_secs(10);
const WRITE_PATIENCE: Duration = Duration::from_secs(10);
/// A path in a `sockaddr_un` ends within 108 bytes, its terminator included.
const MAX_SOCKET_PATH: usize = 107;

/// Why a request over the link has no answer.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// No VM is connected.
    #[error("no VM is connected to the link")]
    Absent,
    /// The connection ended before the answer; whether the VM did what was asked is unknown.
    #[error("the connection to the VM ended before it answered")]
    Gone,
    /// The VM did not answer in time; it may still be at it.
    #[error("the VM did not answer within {0:?}")]
    TimedOut(Duration),
    /// The VM answered that it could not do it.
    #[error("the VM answered: {0}")]
    Failed(String),
    /// The answer has another shape than the protocol says.
    #[error("the VM's answer to {request} has an unexpected shape: {answer}")]
    Malformed { request: &'static str, answer: String },
    /// The socket cannot be made.
    #[error("cannot listen on {path}")]
    Listen {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

struct Question {
    request: Term,
    answer: oneshot::Sender<Result<Term, LinkError>>,
}

/// Who waits for an answer.
struct Asker {
    request: String,
    answer: oneshot::Sender<Result<Term, LinkError>>,
}

#[derive(Clone)]
struct Connection {
    boot_nonce: BootNonce,
    questions: mpsc::Sender<Question>,
}

/// Asks the VM. Cheap to clone; the socket is closed when the last clone is gone.
#[derive(Clone, Debug)]
pub struct Link {
    current: watch::Receiver<Option<Connection>>,
    liveness: watch::Sender<Liveness>,
    _open: Arc<DropGuard>,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("boot_nonce", &self.boot_nonce).finish_non_exhaustive()
    }
}

impl Link {
    /// Listens on `path` for the VM of an app that runs as `uid`. The directory must be one that
    /// nobody but relupd can write to: whoever can put a socket there speaks for the daemon.
    pub fn listen(path: &Path, uid: u32) -> Result<Self, LinkError> {
        let listener = bind(path).map_err(|source| LinkError::Listen { path: path.to_owned(), source })?;
        let (current, watched) = watch::channel(None);
        let (liveness, _) = watch::channel(Liveness::Unknown);
        let closed = CancellationToken::new();
        let acceptor = Acceptor { uid, current, liveness: liveness.clone(), closed: closed.clone() };
        tokio::spawn(closed.clone().run_until_cancelled_owned(acceptor.accept(listener)));
        Ok(Self { current: watched, liveness, _open: Arc::new(closed.drop_guard()) })
    }

    /// The VM's liveness, pushed.
    #[must_use]
    pub fn liveness(&self) -> watch::Receiver<Liveness> {
        self.liveness.subscribe()
    }

    /// The life of the VM that is connected now.
    #[must_use]
    pub fn boot_nonce(&self) -> Option<BootNonce> {
        self.current.borrow().as_ref().map(|connection| connection.boot_nonce.clone())
    }

    /// The service manager says that there is no process: what was unknown so far is down.
    pub fn no_process(&self) {
        self.liveness.send_if_modified(|liveness| {
            let unknown = *liveness == Liveness::Unknown;
            if unknown {
                *liveness = Liveness::Down;
            }
            unknown
        });
    }

    /// Waits until a VM is connected whose life is not `before`.
    pub async fn connected(
        &self,
        before: Option<&BootNonce>,
        patience: Duration,
    ) -> Result<BootNonce, LinkError> {
        let mut current = self.current.clone();
        let another =
            current.wait_for(|connection| connection.as_ref().is_some_and(|c| Some(&c.boot_nonce) != before));
        match timeout(patience, another).await {
            Ok(Ok(connection)) => connection.as_ref().map(|c| c.boot_nonce.clone()).ok_or(LinkError::Absent),
            Ok(Err(_)) => Err(LinkError::Absent),
            Err(_) => Err(LinkError::TimedOut(patience)),
        }
    }

    /// Asks the VM that is connected now.
    pub(super) async fn ask(&self, request: Term, patience: Duration) -> Result<Term, LinkError> {
        let name = name_of(&request);
        fail_point::step("ask", &name).await;
        let connection = self.current.borrow().clone().ok_or(LinkError::Absent)?;
        let (answer, answered) = oneshot::channel();
        let asked = async {
            connection.questions.send(Question { request, answer }).await.map_err(|_| LinkError::Gone)?;
            answered.await.map_err(|_| LinkError::Gone)?
        };
        let answer = timeout(patience, asked).await.map_err(|_| LinkError::TimedOut(patience))?;
        fail_point::step("answered", &name).await;
        answer
    }
}

/// What is asked for, without its arguments.
fn name_of(request: &Term) -> String {
    let tag = as_atom(request).or_else(|| as_atom(as_tuple(request)?.first()?));
    tag.unwrap_or("something").to_owned()
}

fn bind(path: &Path) -> io::Result<UnixListener> {
    if path.as_os_str().len() > MAX_SOCKET_PATH {
        let reason =
            format!("the path is longer than {MAX_SOCKET_PATH} bytes; choose a shorter run directory");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(path)?;
    // Who may reach the socket is the directory's business; who may speak is checked by SO_PEERCRED.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666))?;
    Ok(listener)
}

#[derive(Clone)]
struct Acceptor {
    uid: u32,
    current: watch::Sender<Option<Connection>>,
    liveness: watch::Sender<Liveness>,
    closed: CancellationToken,
}

impl Acceptor {
    async fn accept(self, listener: UnixListener) {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let conversation = self.clone().converse(stream);
                    tokio::spawn(self.closed.clone().run_until_cancelled_owned(conversation));
                }
                Err(error) => {
                    // Out of file descriptors, as a rule: it passes, and must not spin until it does.
                    warn!(%error, "link: cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
        }
    }

    async fn converse(self, stream: UnixStream) {
        match stream.peer_cred() {
            Ok(peer) if peer.uid() == self.uid => {}
            Ok(peer) => {
                return warn!(uid = peer.uid(), expected = self.uid, "link: turned away a foreign user");
            }
            Err(error) => return warn!(%error, "link: cannot tell who connected"),
        }
        let codec = LengthDelimitedCodec::builder().max_frame_length(MAX_FRAME).new_codec();
        let mut frames = Framed::new(stream, codec);
        let facts = match timeout(HELLO_PATIENCE, frames.next()).await {
            Ok(Some(Ok(frame))) => match hello(&frame) {
                Some(facts) => facts,
                None => return warn!("link: the first frame is not a hello of protocol {PROTOCOL}"),
            },
            Ok(Some(Err(error))) => return warn!(%error, "link: no hello"),
            Ok(None) | Err(_) => return debug!("link: connection ended before its hello"),
        };

        let (questions, asked) = mpsc::channel(16);
        let connection = Connection { boot_nonce: facts.boot_nonce.clone(), questions: questions.clone() };
        info!(boot_nonce = %facts.boot_nonce, os_pid = facts.os_pid, "link: the VM is connected");
        self.current.send_replace(Some(connection));
        self.liveness.send_replace(Liveness::Up { boot_nonce: facts.boot_nonce.clone() });

        let end = carry(frames, asked).await;

        // A newer connection may have taken over while this one was ending.
        let mine = |connection: &Connection| connection.questions.same_channel(&questions);
        let was_current = self.current.send_if_modified(|current| {
            let ours = current.as_ref().is_some_and(mine);
            if ours {
                *current = None;
            }
            ours
        });
        if was_current {
            let (liveness, reason) = end.meaning();
            info!(boot_nonce = %facts.boot_nonce, %reason, ?liveness, "link: the connection ended");
            self.liveness.send_replace(liveness);
        }
    }
}

fn decode(frame: &[u8]) -> Option<Term> {
    if let Err(reason) = frame_check::check(frame) {
        debug!(%reason, "link: a frame was refused");
        return None;
    }
    Term::decode(frame).ok()
}

fn hello(frame: &[u8]) -> Option<Facts> {
    let term = decode(frame)?;
    match as_tuple(&term)? {
        [tag, protocol, facts] if as_atom(tag) == Some("hello") && as_u64(protocol) == Some(PROTOCOL) => {
            Facts::parse(facts)
        }
        _ => None,
    }
}

/// How a connection ended. Only the VM's own end says that the VM is gone: where the daemon hung up, the
/// VM may live on, and dials in again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    ByVm(&'static str),
    ByDaemon(&'static str),
}

impl End {
    const fn meaning(self) -> (Liveness, &'static str) {
        match self {
            Self::ByVm(reason) => (Liveness::Down, reason),
            Self::ByDaemon(reason) => (Liveness::Unknown, reason),
        }
    }

    fn of(error: &io::Error) -> Self {
        match error.kind() {
            // `Other` is the codec's word for an end of file within a frame.
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::UnexpectedEof
            | io::ErrorKind::Other => Self::ByVm("connection broken"),
            io::ErrorKind::InvalidData => Self::ByDaemon("it sent a frame that is too long"),
            _ => Self::ByDaemon("the socket failed"),
        }
    }
}

/// Carries questions and answers until the connection ends. Dropping what is still pending tells
/// the askers so.
async fn carry(
    mut frames: Framed<UnixStream, LengthDelimitedCodec>,
    mut asked: mpsc::Receiver<Question>,
) -> End {
    let mut pending: HashMap<u64, Asker> = HashMap::new();
    let mut next = 0_i32;
    loop {
        tokio::select! {
            frame = frames.next() => match frame {
                Some(Ok(frame)) => match reply(&frame) {
                    Some((number, answer)) => {
                        if let Some(asker) = pending.remove(&number) {
                            if fail_point::loses(&asker.request) {
                                return End::ByVm("its answer was lost");
                            }
                            // Whoever asked may have stopped waiting.
                            let _ = asker.answer.send(answer);
                        }
                    }
                    None => warn!(bytes = frame.len(), "link: passed over what is not a reply"),
                },
                Some(Err(error)) => return End::of(&error),
                None => return End::ByVm("end of file"),
            },
            question = asked.recv() => {
                let Some(Question { request, answer }) = question else { return End::ByDaemon("nobody asks any more") };
                next = next.wrapping_add(1) & i32::MAX;
                let mut frame = Vec::new();
                let name = name_of(&request);
                if let Err(error) = tuple(vec![atom("request"), integer(next), request]).encode(&mut frame) {
                    let _ = answer.send(Err(LinkError::Failed(format!("cannot encode the request: {error}"))));
                    continue;
                }
                pending.retain(|_, asker| !asker.answer.is_closed());
                pending.insert(u64::from(next.unsigned_abs()), Asker { request: name, answer });
                match timeout(WRITE_PATIENCE, frames.send(Bytes::from(frame))).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => return End::of(&error),
                    Err(_) => return End::ByDaemon("it does not read"),
                }
            }
        }
    }
}

/// The number of a question and its answer. An answer that cannot be decoded fails its question alone.
fn reply(frame: &[u8]) -> Option<(u64, Result<Term, LinkError>)> {
    let Some(term) = decode(frame) else {
        let answer = format!("{} bytes that cannot be decoded", frame.len());
        return Some((reply_number(frame)?, Err(LinkError::Malformed { request: "a request", answer })));
    };
    let [tag, number, result] = as_tuple(&term)? else { return None };
    if as_atom(tag) != Some("reply") {
        return None;
    }
    let answer = match (tagged(result, "ok"), tagged(result, "error")) {
        (Some(answer), _) => Ok(answer.clone()),
        (None, Some(reason)) => Err(LinkError::Failed(as_text(reason)?)),
        (None, None) => return None,
    };
    Some((as_u64(number)?, answer))
}

/// The number in the head of a reply whose rest cannot be decoded: `{reply, Number, ...`, with the atom
/// as OTP 26 and as its predecessors encode it.
fn reply_number(frame: &[u8]) -> Option<u64> {
    let heads = [&b"\x83\x68\x03\x77\x05reply"[..], b"\x83\x68\x03\x64\x00\x05reply"];
    match heads.iter().find_map(|head| frame.strip_prefix(*head))? {
        [97, number, ..] => Some(u64::from(*number)),
        [98, a, b, c, d, ..] => Some(u64::from(u32::from_be_bytes([*a, *b, *c, *d]))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_cannot_be_decoded_fails_its_question_alone() {
        for (number, head) in [(7, &b"\x61\x07"[..]), (70_000, b"\x62\x00\x01\x11\x70")] {
            let frame = [b"\x83\x68\x03\x77\x05reply", head, b"\x6c\xff\xff\xff\xff\x6a"].concat();
            let (answered, answer) = reply(&frame).unwrap();
            assert_eq!(answered, number);
            assert!(matches!(answer, Err(LinkError::Malformed { .. })));
        }
        assert!(reply(b"\x83\x6c\xff\xff\xff\xff\x6a").is_none());
    }

    #[test]
    fn only_the_vms_own_end_says_that_it_is_gone() {
        use io::ErrorKind::{BrokenPipe, ConnectionReset, InvalidData, Other, OutOfMemory, UnexpectedEof};
        for kind in [BrokenPipe, ConnectionReset, Other, UnexpectedEof] {
            assert_eq!(End::of(&kind.into()).meaning().0, Liveness::Down, "{kind}");
        }
        for kind in [InvalidData, OutOfMemory] {
            assert_eq!(End::of(&kind.into()).meaning().0, Liveness::Unknown, "{kind}");
        }
    }
}
