//! The number that tells one life of this daemon's gossip from the next. It must rise with each
//! restart, or peers go on believing the facts of the life before.

use jiff::Timestamp;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// The number of this life could not be kept.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot keep the gossip generation in {path}; check that the state directory is writable and not full"
)]
pub struct GenerationError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// Raises the number kept in `path` and returns it. The wall clock gives it its size, so that a lost
/// file does no harm; the file keeps it rising where the clock was set back.
///
/// # Errors
/// When the file cannot be read or written.
pub fn raise_generation(path: &Path, wall: Timestamp) -> Result<u64, GenerationError> {
    let failed = |source| GenerationError { path: path.to_owned(), source };
    let kept = match fs::read_to_string(path) {
        // A torn or foreign file is worth no more than a lost one.
        Ok(text) => text.trim().parse().ok(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(failed(error)),
    };
    let generation = next(kept, u64::try_from(wall.as_millisecond()).unwrap_or(0));
    write(path, generation).map_err(failed)?;
    Ok(generation)
}

fn next(kept: Option<u64>, wall_ms: u64) -> u64 {
    kept.map_or(wall_ms, |kept| wall_ms.max(kept.saturating_add(1)))
}

fn write(path: &Path, generation: u64) -> io::Result<()> {
    let fresh = path.with_extension("new");
    let mut file = File::create(&fresh)?;
    writeln!(file, "{generation}")?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rises_even_when_the_clock_was_set_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gossip-generation");
        let at = |ms| Timestamp::from_millisecond(ms).unwrap();
        assert_eq!(raise_generation(&path, at(5_000)).unwrap(), 5_000);
        assert_eq!(raise_generation(&path, at(5_000)).unwrap(), 5_001);
        assert_eq!(raise_generation(&path, at(1_000)).unwrap(), 5_002);
        assert_eq!(raise_generation(&path, at(9_000)).unwrap(), 9_000);
    }

    #[test]
    fn a_torn_file_counts_as_lost() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gossip-generation");
        fs::write(&path, "12x").unwrap();
        assert_eq!(raise_generation(&path, Timestamp::from_millisecond(7).unwrap()).unwrap(), 7);
    }
}
