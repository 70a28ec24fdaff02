//! The state file: one redb database with log, hard state and snapshot. Every batch is one synced
//! transaction, so the three never disagree after a crash.

use super::disk::{Batch, Content, Disk, Truncated};
use super::error::StorageError;
use super::marker::{FORMAT, Marker};
use protobuf::Message as _;
use raft::eraftpb::Entry;
use redb::{Database, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};
use std::fs::File;
use std::path::{Path, PathBuf};

const LOG: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("log");
const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");

const MARKER: &str = "marker";
const HARD_STATE: &str = "hard_state";
const SNAPSHOT: &str = "snapshot";
const TRUNCATED: &str = "truncated";

/// redb's page cache. The log is mirrored in memory, so the cache only serves writing.
const CACHE_BYTES: usize = 512 << 10;

/// A state file that redb keeps.
#[derive(Debug)]
pub struct RedbDisk {
    path: PathBuf,
    database: Database,
}

impl RedbDisk {
    /// Opens the file, or makes an empty one.
    pub(super) fn open(path: &Path) -> Result<Self, StorageError> {
        let failed = |source| StorageError::Open { path: path.to_owned(), source: Box::new(source) };
        let is_new = !path.exists();
        let database = Database::builder().set_cache_size(CACHE_BYTES).create(path).map_err(failed)?;
        if is_new {
            // The file's own sync does not make its name durable.
            let directory =
                path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            File::open(directory)
                .and_then(|directory| directory.sync_all())
                .map_err(|source| StorageError::SyncDirectory { path: path.to_owned(), source })?;
        }
        Ok(Self { path: path.to_owned(), database })
    }

    /// Uses a backend of the test's own, which may fail.
    ///
    /// # Errors
    /// Where redb does not find a database there, nor room for a new one.
    #[cfg(any(test, feature = "testing"))]
    pub fn with_backend(backend: impl redb::StorageBackend) -> Result<Self, StorageError> {
        let path = PathBuf::from("<test backend>");
        let database = Database::builder()
            .create_with_backend(backend)
            .map_err(|source| StorageError::Open { path: path.clone(), source: Box::new(source) })?;
        Ok(Self { path, database })
    }

    fn write(&self, batch: &Batch<'_>) -> Result<(), redb::Error> {
        let transaction = self.database.begin_write()?;
        write_meta(&transaction, batch)?;
        write_log(&transaction, batch)?;
        transaction.commit()?;
        Ok(())
    }

    fn meta(&self, transaction: &ReadTransaction, key: &str) -> Result<Option<Vec<u8>>, StorageError> {
        let table = match transaction.open_table(META) {
            Ok(table) => table,
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
            Err(error) => return Err(self.read_error(error.into())),
        };
        let value = table.get(key).map_err(|error| self.read_error(error.into()))?;
        Ok(value.map(|value| value.value().to_vec()))
    }

    fn message<M: protobuf::Message>(
        &self,
        transaction: &ReadTransaction,
        key: &str,
    ) -> Result<M, StorageError> {
        let Some(bytes) = self.meta(transaction, key)? else { return Ok(M::new()) };
        M::parse_from_bytes(&bytes).map_err(|error| self.damaged(format!("its {key}: {error}")))
    }

    fn entries(&self, transaction: &ReadTransaction, after: u64) -> Result<Vec<Entry>, StorageError> {
        let table = match transaction.open_table(LOG) {
            Ok(table) => table,
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
            Err(error) => return Err(self.read_error(error.into())),
        };
        let mut entries = Vec::new();
        for row in table.iter().map_err(|error| self.read_error(error.into()))? {
            let (key, value) = row.map_err(|error| self.read_error(error.into()))?;
            let expected = after + entries.len() as u64 + 1;
            let entry = Entry::parse_from_bytes(value.value())
                .map_err(|error| self.damaged(format!("entry {expected} of its log: {error}")))?;
            if key.value() != expected || entry.index != expected {
                return Err(self.damaged(format!("its log has {} where {expected} belongs", key.value())));
            }
            entries.push(entry);
        }
        Ok(entries)
    }

    fn read_error(&self, source: redb::Error) -> StorageError {
        StorageError::Read { path: self.path.clone(), source: Box::new(source) }
    }

    fn damaged(&self, what: String) -> StorageError {
        StorageError::Damaged { path: self.path.clone(), what }
    }
}

impl Disk for RedbDisk {
    fn path(&self) -> &Path {
        &self.path
    }

    fn load(&self) -> Result<Option<Content>, StorageError> {
        let transaction = self.database.begin_read().map_err(|error| self.read_error(error.into()))?;
        let Some(bytes) = self.meta(&transaction, MARKER)? else { return Ok(None) };
        let marker: Marker = ciborium::from_reader(&bytes[..])
            .map_err(|error| self.damaged(format!("its marker: {error}")))?;
        if marker.format != FORMAT {
            return Err(StorageError::Format {
                path: self.path.clone(),
                found: marker.format,
                known: FORMAT,
            });
        }
        let truncated = match self.meta(&transaction, TRUNCATED)? {
            Some(bytes) => {
                Truncated::decode(&bytes).ok_or_else(|| self.damaged("where its log begins".into()))?
            }
            None => Truncated::default(),
        };
        Ok(Some(Content {
            owner: marker.owner,
            hard_state: self.message(&transaction, HARD_STATE)?,
            snapshot: self.message(&transaction, SNAPSHOT)?,
            truncated,
            entries: self.entries(&transaction, truncated.index)?,
        }))
    }

    fn commit(&mut self, batch: &Batch<'_>) -> Result<(), StorageError> {
        self.write(batch)
            .map_err(|source| StorageError::Write { path: self.path.clone(), source: Box::new(source) })
    }
}

fn write_meta(transaction: &WriteTransaction, batch: &Batch<'_>) -> Result<(), redb::Error> {
    let mut meta = transaction.open_table(META)?;
    if let Some(owner) = batch.marker {
        let mut bytes = Vec::new();
        ciborium::into_writer(&Marker { format: FORMAT, owner }, &mut bytes)
            .expect("writing plain ids to memory cannot fail");
        meta.insert(MARKER, &bytes[..])?;
    }
    if let Some(snapshot) = batch.snapshot {
        meta.insert(SNAPSHOT, &encode(snapshot)[..])?;
    }
    if let Some(hard_state) = batch.hard_state {
        meta.insert(HARD_STATE, &encode(hard_state)[..])?;
    }
    if let Some(truncated) = batch.truncate {
        meta.insert(TRUNCATED, &truncated.encode()[..])?;
    }
    Ok(())
}

fn write_log(transaction: &WriteTransaction, batch: &Batch<'_>) -> Result<(), redb::Error> {
    let mut log = transaction.open_table(LOG)?;
    if let Some(last) = batch.drop_after {
        log.retain_in(last + 1.., |_, _| false)?;
    }
    if let Some(truncated) = batch.truncate {
        log.retain_in(..=truncated.index, |_, _| false)?;
    }
    for entry in batch.entries {
        log.insert(entry.index, &encode(entry)[..])?;
    }
    Ok(())
}

fn encode(message: &impl protobuf::Message) -> Vec<u8> {
    message.write_to_bytes().expect("raft's messages have no required fields that could be missing")
}
