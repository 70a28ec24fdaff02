//! The store on a real disk, and between stores over streams in memory with peers that misbehave.

use super::error::Found;
use super::*;
use crate::ids::NodeId;
use async_trait::async_trait;
use relupd_release::manifest::{Entry, EntryKind, LinkTarget, Manifest, Mode};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncWriteExt as _};

async fn store() -> (Store, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("store")).await.unwrap();
    (store, folder)
}

fn blob(text: &str) -> (Digest, Bytes) {
    (Digest::of(text.as_bytes()), Bytes::copy_from_slice(text.as_bytes()))
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(files_below(&path)) } else { files.push(path) }
    }
    files
}

fn rot(store: &Store, wanted: Wanted) {
    let path = store.files.path(wanted);
    let mut content = fs::read(&path).unwrap();
    content[0] ^= 1;
    fs::write(path, content).unwrap();
}

#[tokio::test]
async fn what_was_put_is_there_after_a_restart() {
    let (store, folder) = store().await;
    let (digest, content) = blob("a beam file");
    assert!(!store.has(digest).await.unwrap());
    store.put(digest, content.clone()).await.unwrap();
    store.put(digest, content.clone()).await.unwrap();
    let again = Store::open(folder.path().join("store")).await.unwrap();
    assert_eq!(again.read(digest).await.unwrap(), content);
    assert_eq!(
        again.missing(vec![digest, Digest::of(b"x"), Digest::of(b"x")]).await.unwrap(),
        [Digest::of(b"x")]
    );
}

#[tokio::test]
async fn content_that_is_not_what_was_announced_is_refused_and_leaves_nothing() {
    let (store, folder) = store().await;
    let (digest, content) = blob("the announced content");
    let other = store.put(digest, Bytes::from_static(b"some other content!!!")).await.unwrap_err();
    assert!(matches!(other, StoreError::Mismatch { found: Found::Digest(_), .. }), "{other}");
    let mut writer = store.writer(digest, 3).await.unwrap();
    let longer = writer.write(content.clone()).await.unwrap_err();
    assert!(
        matches!(longer, StoreError::Mismatch { found: Found::MoreThan { announced: 3 }, .. }),
        "{longer}"
    );
    drop(writer);
    let mut writer = store.writer(digest, 1000).await.unwrap();
    writer.write(content).await.unwrap();
    let shorter = writer.finish().await.unwrap_err();
    assert!(
        matches!(shorter, StoreError::Mismatch { found: Found::Only { bytes: 21, .. }, .. }),
        "{shorter}"
    );
    assert_eq!(files_below(folder.path()), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn an_interrupted_put_leaves_nothing() {
    let (store, folder) = store().await;
    let (digest, content) = blob("half of it");
    let mut writer = store.writer(digest, 100).await.unwrap();
    writer.write(content).await.unwrap();
    assert_eq!(files_below(folder.path()).len(), 1);
    drop(writer);
    assert_eq!(files_below(folder.path()), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn what_a_killed_daemon_left_is_removed_at_the_next_start() {
    let (store, folder) = store().await;
    let mut writer = store.writer(Digest::of(b"x"), 100).await.unwrap();
    writer.write(Bytes::from_static(b"half")).await.unwrap();
    std::mem::forget(writer);
    let again = Store::open(folder.path().join("store")).await.unwrap();
    assert_eq!(files_below(folder.path()), Vec::<PathBuf>::new());
    assert!(!again.has(Digest::of(b"x")).await.unwrap());
}

#[tokio::test]
async fn writers_of_one_digest_do_each_other_no_harm() {
    let (store, folder) = store().await;
    let (digest, content) = blob(&"twice ".repeat(1000));
    let puts = (0..8).map(|_| store.put(digest, content.clone()));
    for put in futures::future::join_all(puts).await {
        put.unwrap();
    }
    assert_eq!(store.read(digest).await.unwrap(), content);
    assert_eq!(files_below(folder.path()).len(), 1);
}

#[tokio::test]
async fn a_full_disk_is_said_with_path_and_bytes_and_leaves_nothing() {
    let (store, folder) = store().await;
    let error = store.writer(Digest::of(b"x"), u64::MAX / 2).await.err().unwrap();
    assert!(matches!(&error, StoreError::NoSpace { needed, .. } if *needed == u64::MAX / 2), "{error}");
    assert!(error.to_string().contains(folder.path().to_str().unwrap()), "{error}");
    assert_eq!(files_below(folder.path()), Vec::<PathBuf>::new());
    // A disk that fills up while it is written to says the same.
    let full = StoreError::io("write", folder.path(), 7)(std::io::ErrorKind::StorageFull.into());
    assert!(matches!(full, StoreError::NoSpace { needed: 7, .. }));
}

#[tokio::test]
async fn a_rotted_blob_is_never_used_and_counts_as_missing_afterwards() {
    let (store, _folder) = store().await;
    let (digest, content) = blob("rots");
    store.put(digest, content).await.unwrap();
    rot(&store, Wanted::Blob(digest));
    assert!(matches!(store.read(digest).await, Err(StoreError::Rotted { .. })));
    assert!(matches!(store.read(digest).await, Err(StoreError::Missing(_))));
}

/// A release of these files, named after its version.
fn release(files: &[(&str, u32, &str)]) -> Manifest {
    let file = |(path, mode, content): &(&str, u32, &str)| {
        let (size, digest) = (u64::try_from(content.len()).unwrap(), Digest::of(content.as_bytes()));
        Entry {
            path: path.parse().unwrap(),
            kind: EntryKind::File { mode: Mode::from_bits(*mode), size, digest },
        }
    };
    let link = LinkTarget::new(&"bin/start".parse().unwrap(), "shop").unwrap();
    let others = [
        Entry { path: "bin/start".parse().unwrap(), kind: EntryKind::Symlink { target: link } },
        Entry { path: "log/old".parse().unwrap(), kind: EntryKind::Directory },
    ];
    let entries = files.iter().map(file).chain(others).collect();
    Manifest::new("shop".parse().unwrap(), "0.2.0".parse().unwrap(), entries).unwrap()
}

const FILES: [(&str, u32, &str); 4] = [
    ("bin/shop", 0o755, "#!/bin/sh"),
    ("lib/shop-0.2.0/ebin/shop.beam", 0o644, "FOR1"),
    ("lib/shop-0.2.0/ebin/copy.beam", 0o644, "FOR1"),
    ("releases/0.2.0/shop.rel", 0o600, "{release, ...}."),
];

async fn push(store: &Store) -> Manifest {
    let manifest = release(&FILES);
    for (_, _, content) in FILES {
        let (digest, content) = blob(content);
        store.put(digest, content).await.unwrap();
    }
    store.put_manifest(manifest.to_bytes().into()).await.unwrap()
}

#[tokio::test]
async fn a_manifest_says_what_is_missing() {
    let (store, _folder) = store().await;
    let manifest = store.put_manifest(release(&FILES).to_bytes().into()).await.unwrap();
    assert_eq!(store.manifest(manifest.digest()).await.unwrap(), manifest);
    assert_eq!(store.missing_of(&manifest).await.unwrap().len(), 3);
    assert!(!store.is_complete(&manifest).await.unwrap());
    push(&store).await;
    assert!(store.is_complete(&manifest).await.unwrap());
    let invalid = store.put_manifest(Bytes::from_static(b"relupd manifest 1\n")).await.unwrap_err();
    assert!(matches!(invalid, StoreError::InvalidManifest { .. }), "{invalid}");
}

#[tokio::test]
async fn a_tree_is_laid_out_with_its_modes_links_and_empty_directories() {
    let (store, folder) = store().await;
    let manifest = Arc::new(push(&store).await);
    let tree = folder.path().join("staging/shop");
    for _again in 0..2 {
        store.materialize(Arc::clone(&manifest), tree.clone()).await.unwrap();
        for (path, mode, content) in FILES {
            assert_eq!(fs::read_to_string(tree.join(path)).unwrap(), content);
            assert_eq!(fs::metadata(tree.join(path)).unwrap().permissions().mode() & 0o7777, mode, "{path}");
        }
        assert_eq!(fs::read_link(tree.join("bin/start")).unwrap(), Path::new("shop"));
        assert!(tree.join("log/old").is_dir());
        fs::write(tree.join("left over"), "").unwrap();
    }
    store.materialize(manifest, tree.clone()).await.unwrap();
    assert!(!tree.join("left over").exists());
}

#[tokio::test]
async fn a_tree_with_a_rotted_file_is_not_laid_out() {
    let (store, folder) = store().await;
    let manifest = Arc::new(push(&store).await);
    let rotted = Wanted::Blob(Digest::of(b"FOR1"));
    rot(&store, rotted);
    let tree = folder.path().join("staging/shop");
    let error = store.materialize(Arc::clone(&manifest), tree.clone()).await.unwrap_err();
    assert!(matches!(error, StoreError::Rotted { wanted, .. } if wanted == rotted), "{error}");
    assert_eq!(fs::read_dir(folder.path().join("staging")).unwrap().count(), 0);
    assert_eq!(store.missing_of(&manifest).await.unwrap(), [rotted.digest()]);
}

/// How a peer in these tests behaves.
#[derive(Clone)]
enum Peer {
    Honest(Store),
    Away,
    /// Sends what it was asked for, with a bit turned over.
    Corrupt(Store),
    /// Sends this many bytes and goes.
    CutsOff(Store, usize),
    /// Says that everything is immense.
    Boasts,
}

#[derive(Default)]
struct Peers {
    peers: BTreeMap<NodeId, Peer>,
    opened: AtomicUsize,
}

#[async_trait]
impl StorePeers for Peers {
    async fn open(&self, peer: NodeId) -> Result<(Question, Answer), String> {
        self.opened.fetch_add(1, Ordering::Relaxed);
        let peer = self.peers[&peer].clone();
        if matches!(peer, Peer::Away) {
            return Err("no answer".to_owned());
        }
        let (near, far) = tokio::io::duplex(1 << 20);
        tokio::spawn(answer(peer, far));
        let (answer, question) = tokio::io::split(near);
        Ok((Box::new(question), Box::new(answer)))
    }
}

async fn honest(store: Store, request: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut reply = Vec::new();
    Server::new(store).serve(request, &mut reply).await.unwrap();
    reply
}

async fn answer(peer: Peer, stream: tokio::io::DuplexStream) {
    let (mut request, mut reply) = tokio::io::split(stream);
    let sent = match peer {
        Peer::Honest(store) => honest(store, &mut request).await,
        Peer::Corrupt(store) => {
            let mut content = honest(store, &mut request).await;
            *content.last_mut().unwrap() ^= 1;
            content
        }
        Peer::CutsOff(store, length) => honest(store, &mut request).await[..length].to_vec(),
        Peer::Boasts => {
            wire::read_request(&mut request).await.unwrap();
            let mut content = Vec::new();
            let found = relupd_proto::peer::v1::Found { size: u64::MAX };
            wire::write_reply(&mut content, relupd_proto::peer::v1::store_reply::Outcome::Found(found))
                .await
                .unwrap();
            content
        }
        Peer::Away => Vec::new(),
    };
    let _ = reply.write_all(&sent).await;
    let _ = reply.shutdown().await;
}

fn node(number: u64) -> NodeId {
    NodeId::from_parts(number, 0)
}

fn peers(peers: impl IntoIterator<Item = Peer>) -> (Peers, Vec<NodeId>) {
    let peers: BTreeMap<_, _> = (1..).map(node).zip(peers).collect();
    let ids = peers.keys().copied().collect();
    (Peers { peers, opened: AtomicUsize::new(0) }, ids)
}

#[tokio::test]
async fn a_release_is_fetched_whole_from_a_peer() {
    let (full, _full) = store().await;
    let (empty, _empty) = store().await;
    let manifest = push(&full).await;
    let (peers, ids) = peers([Peer::Honest(full)]);
    let fetched = fetch(&empty, &peers, &ids, manifest.digest()).await.unwrap();
    assert_eq!(fetched, manifest);
    assert!(empty.is_complete(&manifest).await.unwrap());
}

#[tokio::test]
async fn what_misbehaving_peers_give_is_refused_and_the_next_peer_asked() {
    let (full, _full) = store().await;
    let manifest = push(&full).await;
    let (without, _without) = store().await;
    let bad = [
        Peer::Away,
        Peer::Corrupt(full.clone()),
        Peer::CutsOff(full.clone(), 20),
        Peer::CutsOff(full.clone(), 3),
        Peer::CutsOff(full.clone(), 0),
        Peer::Boasts,
        Peer::Honest(without),
    ];
    for peer in bad {
        let (empty, folder) = store().await;
        let (alone, ids) = peers([peer.clone()]);
        let error = fetch(&empty, &alone, &ids, manifest.digest()).await.unwrap_err();
        assert!(matches!(&error, FetchError::Unavailable { asked, .. } if asked.len() == 1), "{error}");
        assert_eq!(files_below(folder.path()), Vec::<PathBuf>::new());

        let (both, ids) = peers([peer, Peer::Honest(full.clone())]);
        fetch(&empty, &both, &ids, manifest.digest()).await.unwrap();
        assert!(empty.is_complete(&manifest).await.unwrap());
    }
}

#[tokio::test]
async fn two_peers_that_have_a_part_each_give_the_whole() {
    let (one, _one) = store().await;
    let (other, _other) = store().await;
    let manifest = one.put_manifest(release(&FILES).to_bytes().into()).await.unwrap();
    for (index, (_, _, content)) in FILES.iter().enumerate() {
        let (digest, content) = blob(content);
        [&one, &other][index.min(1)].put(digest, content).await.unwrap();
    }
    let (empty, _empty) = store().await;
    let (peers, ids) = peers([Peer::Honest(one), Peer::Honest(other)]);
    fetch(&empty, &peers, &ids, manifest.digest()).await.unwrap();
    assert!(empty.is_complete(&manifest).await.unwrap());
}

#[tokio::test]
async fn an_interrupted_fetch_goes_on_where_it_was() {
    let (full, _full) = store().await;
    let manifest = push(&full).await;
    let (half, _half) = store().await;
    half.put_manifest(manifest.to_bytes().into()).await.unwrap();
    let (digest, content) = blob(FILES[0].2);
    half.put(digest, content).await.unwrap();
    let (peers, ids) = peers([Peer::Honest(full)]);
    fetch(&half, &peers, &ids, manifest.digest()).await.unwrap();
    assert_eq!(peers.opened.load(Ordering::Relaxed), 2);
    fetch(&half, &peers, &ids, manifest.digest()).await.unwrap();
    assert_eq!(peers.opened.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_release_that_nobody_has_is_said_with_who_was_asked_and_why_not() {
    let (empty, _empty) = store().await;
    let (other, _other) = store().await;
    let (peers, ids) = peers([Peer::Away, Peer::Honest(other)]);
    let error = fetch(&empty, &peers, &ids, Digest::of(b"x")).await.unwrap_err().to_string();
    for part in [&node(1).to_string(), "not reached: no answer", &node(2).to_string(), "does not have it"] {
        assert!(error.contains(part), "{error}");
    }
    let nobody = fetch(&empty, &peers, &[], Digest::of(b"x")).await.unwrap_err().to_string();
    assert!(nobody.contains("nobody to ask"), "{nobody}");
}

#[tokio::test]
async fn what_describes_a_release_is_fetched_without_the_rest_of_it() {
    let (full, _full) = store().await;
    let manifest = push(&full).await;
    let (empty, _empty) = store().await;
    let (peers, ids) = peers([Peer::Honest(full)]);
    let wanted = |entry: &Entry| entry.path.as_str().ends_with(".rel");
    fetch_some(&empty, &peers, &ids, manifest.digest(), wanted).await.unwrap();
    let missing = empty.missing_of(&manifest).await.unwrap();
    assert_eq!(missing.len(), 2, "{missing:?}");
    assert!(empty.has(Digest::of(FILES[3].2.as_bytes())).await.unwrap());
    // Which is no release yet.
    assert!(!empty.is_complete(&manifest).await.unwrap());
    fetch(&empty, &peers, &ids, manifest.digest()).await.unwrap();
    assert!(empty.is_complete(&manifest).await.unwrap());
}
