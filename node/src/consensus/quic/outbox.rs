//! Hands messages to the task of their peer, which writes them, in order, on one stream.

use super::{Link, MESSAGE_LIMIT};
use crate::ids::RaftId;
use crate::transport::{ConnectError, Connection, Protocol, SendStream, StreamError, write_frame};
use bytes::{BufMut, Bytes, BytesMut};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{self, Receiver};
use tokio::time::timeout;

/// Messages to one peer that wait to be written. Raft allows 256 appends on their way; what is beyond
/// this is stale by the time it would arrive.
const OUTBOX: usize = 1024;

/// A message above this travels on a stream of its own, so that heartbeats overtake it. Appends stay
/// below (1 MiB and one entry), snapshots may not.
const OWN_STREAM: usize = 2 << 20;

/// Messages that wait are written together up to this much.
const BATCH: usize = 256 << 10;

/// Pauses between attempts: short enough for a peer that restarts within an election timeout.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Followers have nothing to say to each other from one election to the next. To keep a connection alive for
/// that costs more than to dial again.
const QUIET: Duration = Duration::from_secs(10);

#[derive(Debug, thiserror::Error)]
enum DeliveryError {
    #[error("its address is not known here")]
    NoAddress,
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Stream(#[from] StreamError),
    #[error("the connection ended: {0}")]
    Closed(String),
}

/// Runs until the network is dropped.
pub(super) async fn hand_out(link: Arc<Link>, mut queue: Receiver<(RaftId, Bytes)>) {
    let mut outboxes: BTreeMap<RaftId, mpsc::Sender<Bytes>> = BTreeMap::new();
    while let Some((to, message)) = queue.recv().await {
        let outbox = outboxes.entry(to).or_insert_with(|| {
            let (outbox, messages) = mpsc::channel(OUTBOX);
            tokio::spawn(deliver(Arc::clone(&link), to, messages));
            outbox
        });
        if outbox.try_send(message).is_err() {
            link.report_unreachable(to);
        }
    }
}

/// Runs until nothing is handed out any more.
async fn deliver(link: Arc<Link>, to: RaftId, mut messages: Receiver<Bytes>) {
    let mut pause = FIRST_PAUSE;
    while let Some(first) = messages.recv().await {
        let mut connected = false;
        let Err(error) = write_all(&link, to, first, &mut messages, &mut connected).await else {
            pause = FIRST_PAUSE;
            continue;
        };
        pause = if connected { FIRST_PAUSE } else { (2 * pause).min(LONGEST_PAUSE) };
        tracing::debug!(%to, %error, "raft messages got lost");
        link.report_unreachable(to);
        tokio::time::sleep(pause).await;
        // They are older than the pause; raft sends what still matters again.
        while messages.try_recv().is_ok() {}
    }
}

/// Writes until the connection fails; returns without an error once there are no more messages, for now or for good.
async fn write_all(
    link: &Arc<Link>,
    to: RaftId,
    first: Bytes,
    messages: &mut Receiver<Bytes>,
    connected: &mut bool,
) -> Result<(), DeliveryError> {
    let peer = link.book.peer(to).ok_or(DeliveryError::NoAddress)?;
    let connection = link.transport.connect(peer.node, peer.address, Protocol::Raft).await?;
    let mut stream = connection.open_uni().await?;
    *connected = true;
    let mut next = Some(first);
    while let Some(message) = next {
        write_batch(link, to, &connection, &mut stream, message, messages).await?;
        next = tokio::select! {
            biased;
            message = timeout(QUIET, messages.recv()) => message.unwrap_or(None),
            // Noticed while there is nothing to lose: the next message takes a new connection.
            reason = connection.closed() => return Err(DeliveryError::Closed(reason.to_string())),
        };
    }
    Ok(())
}

async fn write_batch(
    link: &Arc<Link>,
    to: RaftId,
    connection: &Connection,
    stream: &mut SendStream,
    first: Bytes,
    messages: &mut Receiver<Bytes>,
) -> Result<(), DeliveryError> {
    let mut batch = BytesMut::new();
    let mut next = Some(first);
    while let Some(message) = next {
        if message.len() > OWN_STREAM {
            tokio::spawn(write_alone(Arc::clone(link), to, connection.clone(), message));
        } else {
            batch.put_u32(u32::try_from(message.len()).expect("it is shorter than OWN_STREAM"));
            batch.put(message);
        }
        next = if batch.len() < BATCH { messages.try_recv().ok() } else { None };
    }
    stream.write_all(&batch).await.map_err(StreamError::from)?;
    Ok(())
}

async fn write_alone(link: Arc<Link>, to: RaftId, connection: Connection, message: Bytes) {
    if message.len() > MESSAGE_LIMIT {
        tracing::error!(%to, bytes = message.len(), "a snapshot is larger than any member accepts");
        return;
    }
    let written = async {
        let mut stream = connection.open_uni().await?;
        write_frame(&mut stream, &message).await?;
        // It fails only on a stream that was reset, which is what the next message finds out.
        let _ = stream.finish();
        Ok::<_, StreamError>(())
    };
    if let Err(error) = written.await {
        tracing::debug!(%to, %error, "a snapshot got lost");
        link.report_unreachable(to);
    }
}
