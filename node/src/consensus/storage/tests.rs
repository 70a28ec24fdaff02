//! The state file alone: what survives, what is refused, and what happens when the disk fails.

use super::*;
use raft::Storage as _;
use redb::backends::InMemoryBackend;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tempfile::TempDir;

fn owner(cluster: u128, node: u128) -> Owner {
    Owner { cluster: ClusterId::from_parts(1, cluster), node: NodeId::from_parts(2, node), raft: RaftId(7) }
}

fn entries(indices: impl Iterator<Item = u64>, term: u64) -> Vec<Entry> {
    let data = |index: u64| index.to_be_bytes().to_vec().into();
    indices.map(|index| Entry { index, term, data: data(index), ..Entry::default() }).collect()
}

fn hard_state(term: u64, commit: u64) -> HardState {
    HardState { term, commit, ..HardState::default() }
}

fn terms(storage: &Storage) -> Vec<(u64, u64)> {
    let (first, last) = (storage.first_index().expect("in memory"), storage.last_index().expect("in memory"));
    let entries = storage.entries(first, last + 1, None, GetEntriesContext::empty(false)).expect("in memory");
    entries.iter().map(|entry| (entry.index, entry.term)).collect()
}

struct File {
    directory: TempDir,
}

impl File {
    fn new() -> Self {
        Self { directory: TempDir::new().expect("a directory for the test") }
    }

    fn path(&self) -> std::path::PathBuf {
        self.directory.path().join("raft.redb")
    }

    fn open(&self) -> Storage {
        let Owner { cluster, node, raft: _ } = owner(1, 1);
        Storage::open(&self.path(), cluster, node).expect("its own file")
    }
}

#[test]
fn a_new_cluster_begins_with_a_snapshot_of_its_first_voter() {
    let file = File::new();
    drop(Storage::bootstrap(&file.path(), owner(1, 1), b"genesis".to_vec()).expect("a new file"));
    let storage = file.open();
    let state = storage.initial_state().expect("in memory");
    assert_eq!(state.conf_state.get_voters(), [7]);
    assert_eq!((state.hard_state.term, state.hard_state.commit), (1, 1));
    assert_eq!((storage.first_index(), storage.last_index()), (Ok(2), Ok(1)));
    assert_eq!(storage.last_snapshot().get_data(), b"genesis");
}

#[test]
fn a_joiner_begins_with_nothing() {
    let file = File::new();
    drop(Storage::join(&file.path(), owner(1, 1)).expect("a new file"));
    let storage = file.open();
    assert!(!storage.initial_state().expect("in memory").initialized());
    assert_eq!((storage.first_index(), storage.last_index()), (Ok(1), Ok(0)));
    assert_eq!(storage.owner(), owner(1, 1));
}

#[test]
fn the_log_is_the_same_after_a_restart() {
    let file = File::new();
    let mut storage = Storage::bootstrap(&file.path(), owner(1, 1), Vec::new()).expect("a new file");
    storage.append(None, &entries(2..=6, 1), Some(hard_state(1, 4))).expect("a good disk");
    storage.append(None, &entries(5..=5, 2), Some(hard_state(2, 4))).expect("a good disk");
    let expected = vec![(2, 1), (3, 1), (4, 1), (5, 2)];
    assert_eq!(terms(&storage), expected, "a conflicting suffix is gone");
    drop(storage);
    let storage = file.open();
    assert_eq!(terms(&storage), expected);
    assert_eq!(storage.initial_state().expect("in memory").hard_state, hard_state(2, 4));
}

#[test]
fn compaction_keeps_a_tail_and_the_state() {
    let file = File::new();
    let mut storage = Storage::bootstrap(&file.path(), owner(1, 1), Vec::new()).expect("a new file");
    storage.append(None, &entries(2..=20, 3), Some(hard_state(3, 20))).expect("a good disk");
    let voters = ConfState::from((vec![7, 8], vec![9]));
    storage.compact(18, voters.clone(), Bytes::from_static(b"state"), 5).expect("a good disk");
    let check = |storage: &Storage| {
        assert_eq!(storage.first_index(), Ok(14));
        assert_eq!(storage.term(13), Ok(3), "the term before the first entry is known");
        assert!(storage.term(12).is_err());
        assert_eq!(terms(storage), (14..=20).map(|index| (index, 3)).collect::<Vec<_>>());
        let snapshot = storage.snapshot(18, 9).expect("the learner is in it");
        assert_eq!(snapshot.get_data(), b"state");
        assert_eq!(snapshot.get_metadata().get_conf_state(), &voters);
    };
    check(&storage);
    drop(storage);
    check(&file.open());
}

#[test]
fn a_snapshot_of_the_leader_replaces_the_log() {
    let file = File::new();
    let mut storage = Storage::bootstrap(&file.path(), owner(1, 1), Vec::new()).expect("a new file");
    storage.append(None, &entries(2..=9, 1), Some(hard_state(1, 5))).expect("a good disk");
    let snapshot = new_snapshot(30, 4, ConfState::from((vec![1, 7], vec![])), Bytes::from_static(b"theirs"));
    storage.append(Some(&snapshot), &[], Some(hard_state(4, 30))).expect("a good disk");
    drop(storage);
    let mut storage = file.open();
    assert_eq!((storage.first_index(), storage.last_index(), storage.term(30)), (Ok(31), Ok(30), Ok(4)));
    storage.append(None, &entries(31..=32, 4), None).expect("a good disk");
    assert_eq!(terms(&storage), [(31, 4), (32, 4)]);
}

#[test]
fn a_peer_that_the_snapshot_does_not_know_makes_for_a_new_one() {
    let file = File::new();
    let storage = Storage::bootstrap(&file.path(), owner(1, 1), Vec::new()).expect("a new file");
    assert!(!storage.take_snapshot_wish());
    assert!(storage.snapshot(1, 99).is_err());
    assert!(storage.take_snapshot_wish());
    assert!(!storage.take_snapshot_wish(), "told once");
}

#[test]
fn the_file_of_another_node_or_cluster_is_refused_by_name() {
    let file = File::new();
    drop(Storage::join(&file.path(), owner(1, 1)).expect("a new file"));
    for other in [owner(2, 1), owner(1, 2)] {
        let refused = Storage::open(&file.path(), other.cluster, other.node).expect_err("a foreign file");
        let text = refused.to_string();
        assert!(matches!(refused, StorageError::Foreign { .. }), "{text}");
        let mine = owner(1, 1);
        for named in
            [mine.node.to_string(), mine.cluster.to_string(), other.node.to_string(), "join again".into()]
        {
            assert!(text.contains(&named), "{text} names {named}");
        }
    }
    file.open();
}

#[test]
fn a_file_in_use_is_not_begun_anew() {
    let file = File::new();
    drop(Storage::bootstrap(&file.path(), owner(1, 1), b"precious".to_vec()).expect("a new file"));
    for again in
        [Storage::join(&file.path(), owner(2, 2)), Storage::bootstrap(&file.path(), owner(1, 1), vec![])]
    {
        assert!(matches!(again, Err(StorageError::InUse { .. })));
    }
    assert_eq!(file.open().last_snapshot().get_data(), b"precious");
}

#[test]
fn an_empty_file_says_what_to_run() {
    let file = File::new();
    let Owner { cluster, node, raft: _ } = owner(1, 1);
    let empty = Storage::open(&file.path(), cluster, node).expect_err("nobody began it");
    assert!(matches!(empty, StorageError::Empty { .. }));
    assert!(empty.to_string().contains("relupctl cluster init"));
}

#[test]
fn a_file_that_is_open_elsewhere_is_refused() {
    let file = File::new();
    let _open = Storage::join(&file.path(), owner(1, 1)).expect("a new file");
    let Owner { cluster, node, raft: _ } = owner(1, 1);
    assert!(matches!(Storage::open(&file.path(), cluster, node), Err(StorageError::Open { .. })));
}

#[test]
fn a_file_that_is_no_state_file_is_refused() {
    let file = File::new();
    std::fs::write(file.path(), b"not a database, only a text of some length").expect("a file");
    let Owner { cluster, node, raft: _ } = owner(1, 1);
    assert!(matches!(Storage::open(&file.path(), cluster, node), Err(StorageError::Open { .. })));
}

/// A disk that fails from the moment it is told to.
#[derive(Debug)]
struct Failing {
    disk: InMemoryBackend,
    broken: Arc<AtomicBool>,
}

impl Failing {
    fn check(&self) -> io::Result<()> {
        if self.broken.load(Ordering::Relaxed) { Err(io::Error::other("the disk is broken")) } else { Ok(()) }
    }
}

impl redb::StorageBackend for Failing {
    fn len(&self) -> io::Result<u64> {
        self.disk.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.disk.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.check()?;
        self.disk.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.check()?;
        self.disk.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.check()?;
        self.disk.write(offset, data)
    }
}

/// The state file of a cluster of one on a disk that breaks when the flag is set.
pub(in crate::consensus) fn on_a_failing_disk(state: Vec<u8>) -> (Storage, Arc<AtomicBool>) {
    let broken = Arc::new(AtomicBool::new(false));
    let backend = Failing { disk: InMemoryBackend::new(), broken: Arc::clone(&broken) };
    let owner = owner(1, 1);
    let disk = RedbDisk::with_backend(backend).expect("it is not broken yet");
    let storage = Storage::begin(Box::new(disk), owner, Some(bootstrap_snapshot(owner.raft, state)));
    (storage.expect("it is not broken yet"), broken)
}

#[test]
fn what_could_not_be_written_is_an_error_and_stays_one() {
    let (mut storage, broken) = on_a_failing_disk(Vec::new());
    storage.append(None, &entries(2..=2, 1), None).expect("a good disk");
    broken.store(true, Ordering::Relaxed);
    assert!(matches!(storage.append(None, &entries(3..=3, 1), None), Err(StorageError::Write { .. })));
    broken.store(false, Ordering::Relaxed);
    let still = storage.append(None, &entries(3..=3, 1), None);
    assert!(still.is_err(), "nothing is known about a disk after its first error");
}
