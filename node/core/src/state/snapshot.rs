//! How the state and the entries of the log are written down: CBOR behind a format number.

use crate::format::Format;
use crate::ids::CommandId;
use crate::state::ClusterState;
use crate::state::command::Entry;
use relupd_release::Digest;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Stored bytes cannot be read back.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Written by a newer daemon.
    #[error("{what} has format {found}, this daemon reads up to {reads}; install the newer relupd again")]
    NewerFormat { what: &'static str, found: Format, reads: Format },
    /// Not what it should be.
    #[error("{what} is damaged")]
    Damaged {
        what: &'static str,
        #[source]
        source: ciborium::de::Error<std::io::Error>,
    },
    /// Too short to be anything.
    #[error("{what} is empty")]
    Empty { what: &'static str },
}

fn encode<T: Serialize>(format: Format, value: &T) -> Vec<u8> {
    let mut bytes = format.0.to_be_bytes().to_vec();
    ciborium::into_writer(value, &mut bytes).expect("writing to a Vec cannot fail, and no type here refuses");
    bytes
}

fn decode<T: DeserializeOwned>(what: &'static str, bytes: &[u8], reads: Format) -> Result<T, DecodeError> {
    let (format, body) = bytes.split_first_chunk::<2>().ok_or(DecodeError::Empty { what })?;
    let found = Format(u16::from_be_bytes(*format));
    if found > reads {
        return Err(DecodeError::NewerFormat { what, found, reads });
    }
    ciborium::from_reader(body).map_err(|source| DecodeError::Damaged { what, source })
}

impl Entry {
    /// The bytes that stand in the log.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        encode(self.command.since(), self)
    }

    /// Reads an entry of the log, as a daemon does that reads up to this format.
    ///
    /// # Errors
    /// Where the bytes are of a newer format, or damaged.
    pub fn decode(bytes: &[u8], reads: Format) -> Result<Self, DecodeError> {
        decode("a log entry", bytes, reads)
    }
}

impl ClusterState {
    /// The bytes of a snapshot.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        encode(self.format, self)
    }

    /// Reads a snapshot, as a daemon does that reads up to this format.
    ///
    /// # Errors
    /// Where the bytes are of a newer format, or damaged.
    pub fn decode(bytes: &[u8], reads: Format) -> Result<Self, DecodeError> {
        decode("a snapshot", bytes, reads)
    }

    /// The last command that it has taken in, which tells how far it is: a command that comes twice changes nothing.
    #[must_use]
    pub fn last_command(&self) -> Option<CommandId> {
        self.recent.back().map(|(id, _)| *id)
    }

    /// Equal on every node at the same index of the log (S8).
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&self.encode())
    }
}
