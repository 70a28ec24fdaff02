//! The giving side: answers one request a stream from this node's store. Whoever got this far holds a
//! certificate of the cluster; any member may read any release.

use super::error::{StoreError, Wanted};
use super::{Store, wire};
use relupd_proto::peer::v1::{Absent, Found, store_reply::Outcome};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Streams served at once, over all peers. Each holds a file and a buffer: 8 * 64 KiB is half a
/// megabyte, and eight readers keep any disk busy.
const AT_ONCE: usize = 8;
const BUFFER: usize = 64 * 1024;
/// A request is a few dozen bytes; who cannot send them in this time holds up others.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// A reader that takes nothing for so long is gone.
const STALL: Duration = Duration::from_secs(30);

/// Serves this node's store to peers. Cheap to clone; the bound holds over all clones.
#[derive(Clone)]
pub struct Server {
    store: Store,
    permits: Arc<Semaphore>,
}

/// A request could not be answered.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The peer went away, or does not speak the protocol.
    #[error("a peer's request for a file broke off")]
    Stream(#[from] io::Error),
    /// The peer is too slow.
    #[error("a peer moved nothing for {0:?}")]
    Stalled(Duration),
    /// The store failed.
    #[error("cannot give {wanted} to a peer")]
    Store {
        wanted: Wanted,
        #[source]
        source: StoreError,
    },
}

impl Server {
    /// Serves `store`.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { store, permits: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Answers the one request of a stream. Waits its turn when too many are being answered.
    ///
    /// # Errors
    /// When the peer goes away or stalls, or the file cannot be read. The stream is then cut off, and
    /// the peer sees less than was announced.
    pub async fn serve(
        &self,
        request: &mut (impl AsyncRead + Unpin),
        reply: &mut (impl AsyncWrite + Unpin),
    ) -> Result<(), ServeError> {
        let _permit = self.permits.acquire().await.expect("the semaphore is never closed");
        let stalled = |_| ServeError::Stalled(REQUEST_TIMEOUT);
        let wanted = timeout(REQUEST_TIMEOUT, wire::read_request(request)).await.map_err(stalled)??;
        let file = self.store.file(wanted).await;
        let Some((file, size)) = file.map_err(|source| ServeError::Store { wanted, source })? else {
            wire::write_reply(reply, Outcome::Absent(Absent {})).await?;
            return Ok(reply.shutdown().await?);
        };
        wire::write_reply(reply, Outcome::Found(Found { size })).await?;
        copy(file, reply).await?;
        Ok(reply.shutdown().await?)
    }
}

async fn copy(file: tokio::fs::File, reply: &mut (impl AsyncWrite + Unpin)) -> Result<(), ServeError> {
    use tokio::io::AsyncBufReadExt as _;
    let mut file = BufReader::with_capacity(BUFFER, file);
    loop {
        let piece = file.fill_buf().await?;
        if piece.is_empty() {
            return Ok(());
        }
        let length = piece.len();
        timeout(STALL, reply.write_all(piece)).await.map_err(|_| ServeError::Stalled(STALL))??;
        file.consume(length);
    }
}
