//! The book of started processes: one small file per instance, on disk before the process is
//! counted on, so that the next life of the daemon finds it again.

use crate::durable;
use crate::service::ServiceError;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::PathBuf;

/// What is known of an instance's process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// The boot that it belongs to.
    pub(super) boot_id: String,
    /// How far its start had come.
    pub(super) stage: Stage,
}

/// How far a start had come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Stage {
    /// It may have been started, or not: its environment holds the mark if it was.
    Starting { mark: String },
    /// It was started, as this process.
    Started { pid: u32, start_time: u64 },
}

/// The files of the book.
#[derive(Clone, Debug)]
pub(super) struct Book {
    directory: PathBuf,
}

impl Book {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    pub(super) fn read(&self, instance: &str) -> Result<Option<Record>, ServiceError> {
        let path = self.path(instance);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(ServiceError::Io { path, source }),
        };
        serde_json::from_slice(&text)
            .map(Some)
            .map_err(|error| ServiceError::Io { path, source: io::Error::other(error) })
    }

    pub(super) fn write(&self, instance: &str, record: &Record) -> Result<(), ServiceError> {
        let path = self.path(instance);
        let text = serde_json::to_vec(record).expect("a record has only texts and numbers");
        durable::replace(&path, &text, 0o600).map_err(|source| ServiceError::Io { path, source })
    }

    pub(super) fn remove(&self, instance: &str) -> Result<(), ServiceError> {
        let path = self.path(instance);
        durable::remove(&path).map_err(|source| ServiceError::Io { path, source })
    }

    fn path(&self, instance: &str) -> PathBuf {
        self.directory.join(format!("{instance}.process"))
    }
}
