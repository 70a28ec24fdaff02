//! The two pointers on disk that decide which version a host boots: `releases/start_erl.data`, and the
//! version that relx writes into `bin/NAME` itself.

use crate::version::{ErtsVersion, InvalidReleaseText, ReleaseVersion};
use std::fmt;

/// A boot pointer that cannot be understood.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PointerError {
    /// Anything else than two words.
    #[error("start_erl.data: expected \"ERTS-VERSION RELEASE-VERSION\", found {found:?}; repair the node")]
    StartErl {
        /// The content, shortened.
        found: String,
    },
    /// A word that cannot be a version.
    #[error("{file} points to a version that cannot be one; repair the node")]
    Version {
        /// Which pointer.
        file: &'static str,
        /// Why.
        #[source]
        source: InvalidReleaseText,
    },
    /// `REL_VSN` is set to several versions, or to something computed.
    #[error(
        "the start script sets REL_VSN in a way that names no single version: {found:?}; repair the node"
    )]
    Script {
        /// The line or lines.
        found: String,
    },
}

/// What `start_erl.data` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartErl {
    /// The runtime system to boot.
    pub erts: ErtsVersion,
    /// The release to boot.
    pub release: ReleaseVersion,
}

impl StartErl {
    /// Reads the content of `start_erl.data`.
    ///
    /// # Errors
    /// If it is anything else than the versions of ERTS and release.
    pub fn parse(bytes: &[u8]) -> Result<Self, PointerError> {
        let text = String::from_utf8_lossy(bytes);
        let words: Vec<&str> = text.split_ascii_whitespace().take(3).collect();
        let [erts, release] = words.as_slice() else {
            return Err(PointerError::StartErl { found: text.chars().take(80).collect() });
        };
        let version = |source| PointerError::Version { file: "start_erl.data", source };
        Ok(Self { erts: erts.parse().map_err(version)?, release: release.parse().map_err(version)? })
    }
}

/// The file's content: no newline, as OTP writes it.
impl fmt::Display for StartErl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.erts, self.release)
    }
}

/// The version that a start script names in a line `REL_VSN="VERSION"`, as relx writes it. `None` where
/// there is no such line: then the script follows `start_erl.data`, as those of mix do.
///
/// # Errors
/// If the script sets `REL_VSN` to several versions, or to something that is not a version.
pub fn script_version(script: &[u8]) -> Result<Option<ReleaseVersion>, PointerError> {
    let mut found: Option<&[u8]> = None;
    for line in script.split(|&byte| byte == b'\n') {
        let Some(value) = line.strip_prefix(b"REL_VSN=") else { continue };
        let value = value.trim_ascii_end();
        if found.is_some_and(|earlier| earlier != value) {
            return Err(PointerError::Script {
                found: String::from_utf8_lossy(line).chars().take(80).collect(),
            });
        }
        found = Some(value);
    }
    let Some(value) = found else { return Ok(None) };
    let text = String::from_utf8_lossy(value);
    if text.contains('$') || text.contains('`') {
        return Err(PointerError::Script { found: text.chars().take(80).collect() });
    }
    let bare = text.trim_matches('"');
    bare.parse().map(Some).map_err(|source| PointerError::Version { file: "the start script", source })
}
