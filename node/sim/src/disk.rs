//! A state file at the level of records: a commit is on it wholly or not at all, as redb's are
//! (`tests/disk.rs` holds the two against each other). A commit is on it when its time is over and no earlier:
//! who dies before that may find it there or not. It can be slow, full, or be cut off by a crash right before or
//! right after a commit became durable.

use raft::eraftpb::{Entry, HardState, Snapshot};
use relupd::consensus::{Batch, Content, Disk, Owner, StorageError, Truncated};
use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, MutexGuard};

/// What is on the disk, and how the disk behaves. It outlives the member that writes to it.
#[derive(Debug, Default)]
pub struct Platter {
    content: Option<Content>,
    /// Commits that the member was told of, oldest first, whose time was not over when it was last looked.
    under_way: VecDeque<Commit>,
    /// What the member was told is there.
    told: Told,
    /// When the member was last let go on, in true time.
    pub began: Duration,
    /// How long one commit takes.
    pub fsync: Duration,
    /// How long commits have taken since this was last taken.
    pub spent: Duration,
    /// Nothing can be written.
    pub full: bool,
    /// The daemon crashes in a commit to come.
    pub crash: Option<Crash>,
    /// How long the daemon that crashed stays down.
    pub stays_down: Duration,
    /// Commits so far.
    pub commits: u64,
}

/// A crash in the middle of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crash {
    /// After so many more commits.
    pub after: u64,
    /// Whether that commit is on the disk all the same.
    pub durable: bool,
    /// How long the daemon is down then.
    pub down: Duration,
}

/// How far the log goes, and the term and vote, as far as commits have ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    pub last: u64,
    pub term: u64,
    pub vote: u64,
}

/// A member's end of a disk.
#[derive(Clone, Debug, Default)]
pub struct SimulatedDisk {
    platter: Arc<Mutex<Platter>>,
}

impl SimulatedDisk {
    /// The platter itself. One thread only: nobody else ever holds it.
    pub fn platter(&self) -> MutexGuard<'_, Platter> {
        self.platter.try_lock().expect("a simulation is one thread, and no guard outlives a statement")
    }
}

/// A batch on its way to the disk.
#[derive(Debug)]
struct Commit {
    began: Duration,
    ends: Duration,
    marker: Option<Owner>,
    snapshot: Option<Snapshot>,
    hard_state: Option<HardState>,
    drop_after: Option<u64>,
    truncate: Option<Truncated>,
    entries: Vec<Entry>,
}

impl Commit {
    fn of(batch: &Batch<'_>, began: Duration, ends: Duration) -> Self {
        Self {
            began,
            ends,
            marker: batch.marker,
            snapshot: batch.snapshot.cloned(),
            hard_state: batch.hard_state.cloned(),
            drop_after: batch.drop_after,
            truncate: batch.truncate,
            entries: batch.entries.to_vec(),
        }
    }

    fn land(self, slot: &mut Option<Content>) {
        let Some(owner) = self.marker.or(slot.as_ref().map(|content| content.owner)) else { return };
        let content = slot.get_or_insert_with(|| Content {
            owner,
            hard_state: Default::default(),
            snapshot: Default::default(),
            truncated: Default::default(),
            entries: Vec::new(),
        });
        if let Some(snapshot) = self.snapshot {
            content.snapshot = snapshot;
        }
        if let Some(hard_state) = self.hard_state {
            content.hard_state = hard_state;
        }
        if let Some(last) = self.drop_after {
            cut(content, last + 1);
        }
        if let Some(truncated) = self.truncate {
            content.truncated = truncated;
            let kept = content.entries.partition_point(|entry| entry.index <= truncated.index);
            content.entries.drain(..kept);
        }
        if let Some(first) = self.entries.first() {
            cut(content, first.index);
            content.entries.extend(self.entries);
        }
    }
}

impl Told {
    fn take_in(&mut self, commit: &Commit) {
        if let Some(last) = commit.drop_after {
            self.last = self.last.min(last);
        }
        if let Some(truncated) = commit.truncate {
            self.last = self.last.max(truncated.index);
        }
        if let Some(last) = commit.entries.last() {
            self.last = last.index;
        }
        if let Some(hard_state) = &commit.hard_state {
            (self.term, self.vote) = (hard_state.term, hard_state.vote);
        }
    }
}

impl Platter {
    /// What the member was told is on the disk by now, and how long that has taken.
    pub fn told(&self) -> (Duration, Told) {
        (self.spent, self.told)
    }

    /// The member dies at this time. The commit that is under way then is there or not; what would have come
    /// behind it is not.
    pub fn cut(&mut self, now: Duration, mut is_there: impl FnMut() -> bool) {
        while let Some(commit) = self.under_way.pop_front() {
            let is_over = commit.ends <= now;
            if !is_over && (commit.began > now || !is_there()) {
                break;
            }
            commit.land(&mut self.content);
            if !is_over {
                break;
            }
        }
        self.under_way.clear();
        self.crash = None;
        self.spent = Duration::ZERO;
    }

    /// Everything that has returned is there.
    fn land_all(&mut self) {
        for commit in self.under_way.drain(..) {
            commit.land(&mut self.content);
        }
    }

    fn write(&mut self, batch: &Batch<'_>) {
        let ends = self.began + self.spent;
        let began = ends.saturating_sub(self.fsync);
        while self.under_way.front().is_some_and(|earlier| earlier.ends <= self.began) {
            let earlier = self.under_way.pop_front();
            earlier.into_iter().for_each(|commit| commit.land(&mut self.content));
        }
        let commit = Commit::of(batch, began, ends);
        self.told.take_in(&commit);
        self.under_way.push_back(commit);
    }
}

/// Drops the entries from this one on.
fn cut(content: &mut Content, from: u64) {
    // Nearly always what is written follows what is there.
    if content.entries.last().is_none_or(|last| last.index < from) {
        return;
    }
    let kept = content.entries.partition_point(|entry| entry.index < from);
    content.entries.truncate(kept);
}

impl Disk for SimulatedDisk {
    fn path(&self) -> &Path {
        Path::new("<simulated disk>")
    }

    /// Whoever reads it anew is another life than the one that wrote.
    fn load(&self) -> Result<Option<Content>, StorageError> {
        let mut guard = self.platter();
        let platter = &mut *guard;
        platter.land_all();
        if let Some(content) = &platter.content {
            platter.told = Told {
                last: content.entries.last().map_or(content.truncated.index, |last| last.index),
                term: content.hard_state.term,
                vote: content.hard_state.vote,
            };
        }
        Ok(platter.content.clone())
    }

    fn commit(&mut self, batch: &Batch<'_>) -> Result<(), StorageError> {
        let mut guard = self.platter();
        let platter = &mut *guard;
        platter.commits += 1;
        platter.spent += platter.fsync;
        if platter.full {
            platter.land_all();
            return Err(failed(io::ErrorKind::StorageFull));
        }
        match &mut platter.crash {
            None => platter.write(batch),
            Some(Crash { after, .. }) if *after > 0 => {
                *after -= 1;
                platter.write(batch);
            }
            Some(Crash { durable, down, .. }) => {
                platter.stays_down = *down;
                if *durable {
                    platter.write(batch);
                }
                platter.crash = None;
                platter.land_all();
                return Err(failed(io::ErrorKind::Interrupted));
            }
        }
        Ok(())
    }
}

fn failed(kind: io::ErrorKind) -> StorageError {
    let source = Box::new(redb::Error::Io(io::Error::from(kind)));
    StorageError::Write { path: PathBuf::from("<simulated disk>"), source }
}
