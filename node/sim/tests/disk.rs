//! The real state file over a disk that loses power: redb on pages that are lost or torn unless they
//! were synced, held against the simulator's disk of whole records.

use raft::eraftpb::{Entry, HardState};
use redb::StorageBackend;
use relupd::consensus::{Batch, Disk, Owner, RedbDisk, Truncated};
use relupd::ids::{ClusterId, NodeId, RaftId};
use relupd_sim::disk::SimulatedDisk;
use relupd_sim::random::Random;
use std::io;
use std::sync::Arc;
use tokio::sync::Mutex;

/// Bytes as they would be read now, and as they are after a power cut.
#[derive(Debug, Default)]
struct Pages {
    seen: Vec<u8>,
    synced: Vec<u8>,
    /// Writes since the last sync.
    unsynced: Vec<(usize, Vec<u8>)>,
    /// Syncs that are left before the power goes.
    left: Option<u64>,
}

#[derive(Clone, Debug, Default)]
struct Medium(Arc<Mutex<Pages>>);

impl Medium {
    fn with<T>(&self, look: impl FnOnce(&mut Pages) -> T) -> T {
        look(&mut self.0.try_lock().expect("one thread"))
    }

    /// The power comes back: of what was not synced some is there, some is not, and one write is torn.
    fn after_power_cut(&self, random: &mut Random) -> Self {
        let (mut bytes, unsynced, len) =
            self.with(|pages| (pages.synced.clone(), pages.unsynced.clone(), pages.seen.len()));
        bytes.resize(len.max(bytes.len()), 0);
        for (offset, data) in unsynced {
            let kept = match random.below(3) {
                0 => 0,
                1 => data.len(),
                _ => usize::try_from(random.below(data.len() as u64)).unwrap_or_default(),
            };
            bytes[offset..offset + kept].copy_from_slice(&data[..kept]);
        }
        let pages = Pages { seen: bytes.clone(), synced: bytes, ..Pages::default() };
        Self(Arc::new(Mutex::new(pages)))
    }
}

fn gone() -> io::Error {
    io::Error::other("the power is gone")
}

impl StorageBackend for Medium {
    fn len(&self) -> Result<u64, io::Error> {
        Ok(self.with(|pages| pages.seen.len() as u64))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        let at = usize::try_from(offset).map_err(io::Error::other)?;
        self.with(|pages| out.copy_from_slice(&pages.seen[at..at + out.len()]));
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        let len = usize::try_from(len).map_err(io::Error::other)?;
        self.with(|pages| pages.seen.resize(len, 0));
        Ok(())
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        self.with(|pages| {
            if pages.left == Some(0) {
                return Err(gone());
            }
            pages.left = pages.left.map(|left| left - 1);
            pages.synced.clone_from(&pages.seen);
            pages.unsynced.clear();
            Ok(())
        })
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        let at = usize::try_from(offset).map_err(io::Error::other)?;
        self.with(|pages| {
            pages.seen[at..at + data.len()].copy_from_slice(data);
            pages.unsynced.push((at, data.to_vec()));
        });
        Ok(())
    }
}

fn owner() -> Owner {
    Owner { cluster: ClusterId::from_parts(1, 1), node: NodeId::from_parts(1, 2), raft: RaftId(7) }
}

/// What a member would write next.
struct Writer {
    random: Random,
    first: u64,
    last: u64,
    term: u64,
}

impl Writer {
    fn commit(&mut self, disks: &mut [&mut dyn Disk]) -> Vec<bool> {
        self.term += self.random.below(2);
        let overwritten = self.random.below(3).min(self.last - self.first);
        let from = self.last + 1 - overwritten;
        let to = from + self.random.below(5);
        let entries: Vec<Entry> = (from..to)
            .map(|index| Entry {
                index,
                term: self.term,
                data: vec![0xab; usize::try_from(self.random.below(600)).unwrap_or_default()].into(),
                ..Entry::default()
            })
            .collect();
        let truncate = self.random.chance(200).then(|| {
            self.first = self.random.between(self.first, from - 1);
            Truncated { index: self.first, term: 1 }
        });
        self.last = to - 1;
        let hard_state = HardState { term: self.term, commit: self.first, ..HardState::default() };
        let batch = Batch {
            marker: None,
            drop_after: Some(from - 1),
            entries: &entries,
            hard_state: Some(&hard_state),
            truncate,
            ..Batch::default()
        };
        disks.iter_mut().map(|disk| disk.commit(&batch).is_ok()).collect()
    }
}

#[test]
fn a_power_cut_leaves_every_acknowledged_commit_and_nothing_by_halves() {
    for seed in 0..60 {
        let medium = Medium::default();
        let mut random = Random::new(seed, "power");
        let mut real = RedbDisk::with_backend(medium.clone()).expect("an empty disk");
        let mut model = SimulatedDisk::default();
        let begin = Batch { marker: Some(owner()), ..Batch::default() };
        real.commit(&begin).expect("there is power");
        model.clone().commit(&begin).expect("there is power");
        medium.with(|pages| pages.left = Some(random.between(1, 60)));
        let mut writer = Writer { random: Random::new(seed, "writer"), first: 0, last: 0, term: 1 };
        let mut before = model.load().expect("it is whole");
        while writer.commit(&mut [&mut real, &mut model]) == [true, true] {
            assert_eq!(real.load().expect("it is whole"), model.load().expect("it is whole"), "seed {seed}");
            before = model.load().expect("it is whole");
        }
        let whole = model.load().expect("it is whole");
        let left = RedbDisk::with_backend(medium.after_power_cut(&mut random)).expect("it opens again");
        let left = left.load().expect("it is whole");
        assert!(left == before || left == whole, "seed {seed}: something else than before or after");
    }
}
