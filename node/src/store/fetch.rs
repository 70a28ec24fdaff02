//! The asking side: brings a release into this node's store from whichever peers have it. What is here
//! already is not asked for, so an interrupted fetch goes on where it was.

use super::error::{FetchError, Found, PeerFailure, StoreError, Wanted};
use super::incoming::Writer;
use super::peers::{Answer, StorePeers};
use super::{Store, wire};
use crate::ids::{Digest, NodeId};
use bytes::{Bytes, BytesMut};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use relupd_proto::peer::v1::store_reply::Outcome;
use relupd_release::manifest::{Entry, EntryKind, Manifest};
use std::collections::BTreeMap;
use std::io;
use std::ops::RangeInclusive;
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use tokio::sync::Mutex;
use tokio::time::timeout;

/// Files fetched at once: enough to hide the fsync of one behind the transfer of others.
const AT_ONCE: usize = 8;
const PIECE: usize = 64 * 1024;
/// Some 150 bytes a file: enough for hundreds of thousands of files.
const MANIFEST_LIMIT: u64 = 64 * 1024 * 1024;
/// A peer that sends nothing for so long is given up for this fetch.
const STALL: Duration = Duration::from_secs(10);

/// Brings the release of this manifest into the store, wholly, from any of `peers`; the earlier ones
/// are asked for the manifest first, the files are spread over all of them.
///
/// # Errors
/// When nobody gave a part of it, or this node cannot keep it. What was fetched so far is kept.
pub async fn fetch(
    store: &Store,
    dialer: &dyn StorePeers,
    peers: &[NodeId],
    manifest: Digest,
) -> Result<Manifest, FetchError> {
    fetch_some(store, dialer, peers, manifest, |_| true).await
}

/// The same for those of its files that are `wanted`.
///
/// # Errors
/// As [`fetch`].
pub async fn fetch_some(
    store: &Store,
    dialer: &dyn StorePeers,
    peers: &[NodeId],
    manifest: Digest,
    wanted: impl Fn(&Entry) -> bool,
) -> Result<Manifest, FetchError> {
    let fetch = Fetch { store, dialer, peers, manifest, given_up: Mutex::default() };
    let manifest = fetch.manifest().await?;
    let sizes = manifest.contents();
    let digest = |entry: &Entry| match entry.kind {
        EntryKind::File { digest, .. } => Some(digest),
        EntryKind::Symlink { .. } | EntryKind::Directory => None,
    };
    let wanted = manifest.entries().iter().filter(|entry| wanted(entry)).filter_map(digest).collect();
    let missing = store.missing(wanted).await?;
    stream::iter(missing.into_iter().enumerate())
        .map(|(index, blob)| fetch.ask_any(Wanted::Blob(blob), sizes[&blob]..=sizes[&blob], index))
        .buffer_unordered(AT_ONCE)
        .try_collect::<()>()
        .await?;
    Ok(manifest)
}

/// Brings one file of this size into the store, which belongs to no release; the earlier peers are asked first.
///
/// # Errors
/// When nobody gave it, or this node cannot keep it.
pub async fn fetch_file(
    store: &Store,
    dialer: &dyn StorePeers,
    peers: &[NodeId],
    file: Digest,
    size: u64,
) -> Result<(), FetchError> {
    if store.has(file).await? {
        return Ok(());
    }
    let fetch = Fetch { store, dialer, peers, manifest: file, given_up: Mutex::default() };
    fetch.ask_any(Wanted::Blob(file), size..=size, 0).await
}

struct Fetch<'a> {
    store: &'a Store,
    dialer: &'a dyn StorePeers,
    peers: &'a [NodeId],
    manifest: Digest,
    /// Peers that failed in a way that the next file would meet again, e.g. by a timeout.
    given_up: Mutex<BTreeMap<NodeId, PeerFailure>>,
}

/// What became of asking one peer for one thing.
enum Trouble {
    OfPeer(PeerFailure),
    OfStore(StoreError),
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Mismatch { found, wanted: _ } => Self::OfPeer(PeerFailure::Corrupt(found)),
            error @ (StoreError::NoSpace { .. }
            | StoreError::Missing(_)
            | StoreError::Rotted { .. }
            | StoreError::InvalidManifest { .. }
            | StoreError::Io { .. }) => Self::OfStore(error),
        }
    }
}

impl Fetch<'_> {
    async fn manifest(&self) -> Result<Manifest, FetchError> {
        match self.store.manifest(self.manifest).await {
            Ok(manifest) => return Ok(manifest),
            Err(StoreError::Missing(_) | StoreError::Rotted { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        self.ask_any(Wanted::Manifest(self.manifest), 0..=MANIFEST_LIMIT, 0).await?;
        Ok(self.store.manifest(self.manifest).await?)
    }

    /// Asks one peer after the other; `first` spreads the load.
    async fn ask_any(
        &self,
        wanted: Wanted,
        size: RangeInclusive<u64>,
        first: usize,
    ) -> Result<(), FetchError> {
        let mut asked = Vec::new();
        for offset in 0..self.peers.len() {
            let peer = self.peers[(first + offset) % self.peers.len()];
            if let Some(failure) = self.given_up.lock().await.get(&peer) {
                asked.push((peer, failure.clone()));
                continue;
            }
            match self.ask_one(peer, wanted, &size).await {
                Ok(()) => return Ok(()),
                Err(Trouble::OfStore(error)) => return Err(error.into()),
                Err(Trouble::OfPeer(failure)) => {
                    tracing::info!(%peer, %wanted, %failure, "peer did not give a file");
                    if failure != PeerFailure::Lacks {
                        self.given_up.lock().await.insert(peer, failure.clone());
                    }
                    asked.push((peer, failure));
                }
            }
        }
        Err(FetchError::Unavailable { wanted, manifest: self.manifest, asked })
    }

    async fn ask_one(&self, peer: NodeId, wanted: Wanted, size: &RangeInclusive<u64>) -> Result<(), Trouble> {
        let (mut question, mut answer) = in_time(self.dialer.open(peer)).await?.map_err(unreachable)?;
        in_time(wire::write_request(&mut question, wanted)).await?.map_err(broken)?;
        match in_time(wire::read_reply(&mut answer)).await?.map_err(broken)? {
            Outcome::Absent(_) => Err(Trouble::OfPeer(PeerFailure::Lacks)),
            // Else a peer could make this node believe that its disk is full.
            Outcome::Found(found) if !size.contains(&found.size) => {
                Err(Trouble::OfPeer(PeerFailure::Corrupt(Found::MoreThan { announced: *size.end() })))
            }
            Outcome::Found(found) => {
                let writer = self.store.writer_of(wanted, found.size).await?;
                receive(answer, writer).await
            }
        }
    }
}

async fn receive(mut answer: Answer, mut writer: Writer) -> Result<(), Trouble> {
    loop {
        let piece = next_piece(&mut answer).await?;
        if piece.is_empty() {
            return Ok(writer.finish().await?);
        }
        writer.write(piece).await?;
    }
}

/// A whole piece, so that the disk is not called for each packet; empty at the end.
async fn next_piece(answer: &mut Answer) -> Result<Bytes, Trouble> {
    let mut piece = BytesMut::with_capacity(PIECE);
    while piece.len() < PIECE {
        if in_time(answer.read_buf(&mut piece)).await?.map_err(broken)? == 0 {
            break;
        }
    }
    Ok(piece.freeze())
}

async fn in_time<T>(work: impl Future<Output = T>) -> Result<T, Trouble> {
    timeout(STALL, work).await.map_err(|_| Trouble::OfPeer(PeerFailure::Stalled(STALL)))
}

fn unreachable(reason: String) -> Trouble {
    Trouble::OfPeer(PeerFailure::Unreachable(reason))
}

fn broken(error: io::Error) -> Trouble {
    Trouble::OfPeer(PeerFailure::Broken(error.to_string()))
}
