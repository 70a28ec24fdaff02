//! The unpacked bytes of an archive, metered: how many came out for how many that went in, and how the
//! stream ended. It keeps the first fault itself, because the layers above wrap errors beyond recognition.

use super::error::ArchiveError;
use super::limits::Limits;
use flate2::read::MultiGzDecoder;
use std::io::{self, Read};

/// A tar file ends with two blocks of zeros; one that was cut between two members does not.
const END_OF_TAR: u64 = 1024;

pub(super) struct Stream<R: Read> {
    unpacked: MultiGzDecoder<Source<R>>,
    limits: Limits,
    /// Bytes that came out so far.
    length: u64,
    /// How many of the last of them were zero.
    trailing_zeros: u64,
    fault: Option<ArchiveError>,
}

/// The packed bytes, counted.
struct Source<R> {
    inner: R,
    length: u64,
    failure: Option<io::Error>,
}

impl<R: Read> Stream<R> {
    pub(super) fn new(inner: R, limits: Limits) -> Self {
        let source = Source { inner, length: 0, failure: None };
        Self { unpacked: MultiGzDecoder::new(source), limits, length: 0, trailing_zeros: 0, fault: None }
    }

    /// Reads to the end, where the checksum is, and makes sure that this is where the tar file ends.
    pub(super) fn finish(mut self) -> Result<(), ArchiveError> {
        if let Err(error) = io::copy(&mut self, &mut io::sink()) {
            return Err(self.explain(&error));
        }
        if self.trailing_zeros < END_OF_TAR { Err(ArchiveError::Truncated) } else { Ok(()) }
    }

    /// What an error from the layers above really was.
    pub(super) fn explain(self, error: &io::Error) -> ArchiveError {
        match self.fault {
            Some(fault) => fault,
            // Nothing was wrong down here: the tar reader found its file cut or malformed.
            None if error.kind() == io::ErrorKind::UnexpectedEof => ArchiveError::Truncated,
            None => ArchiveError::Damaged { detail: error.to_string() },
        }
    }

    fn fail(&mut self, fault: ArchiveError) -> io::Error {
        self.fault.get_or_insert(fault);
        io::Error::other("the archive is refused")
    }

    fn account(&mut self, bytes: &[u8]) -> Result<(), ArchiveError> {
        let read = bytes.len() as u64;
        let zeros = bytes.iter().rev().take_while(|&&byte| byte == 0).count() as u64;
        self.trailing_zeros = if zeros == read { self.trailing_zeros + zeros } else { zeros };
        self.length += read;
        let packed = self.unpacked.get_ref().length;
        if self.length > self.limits.total_size {
            Err(ArchiveError::TooLarge { limit: self.limits.total_size })
        } else if self.length > self.limits.ratio_from
            && self.length > packed.saturating_mul(self.limits.ratio)
        {
            Err(ArchiveError::Bomb { ratio: self.limits.ratio })
        } else {
            Ok(())
        }
    }
}

impl<R: Read> Read for Stream<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.unpacked.read(buffer) {
            Ok(read) => match self.account(&buffer[..read]) {
                Ok(()) => Ok(read),
                Err(fault) => Err(self.fail(fault)),
            },
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                let fault = match self.unpacked.get_mut().failure.take() {
                    Some(failure) => ArchiveError::Read(failure),
                    None if error.kind() == io::ErrorKind::UnexpectedEof => ArchiveError::Truncated,
                    None => ArchiveError::Damaged { detail: error.to_string() },
                };
                Err(self.fail(fault))
            }
        }
    }
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.inner.read(buffer) {
            Ok(read) => {
                self.length += read as u64;
                Ok(read)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                let kind = error.kind();
                self.failure = Some(error);
                Err(kind.into())
            }
        }
    }
}
