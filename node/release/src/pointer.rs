//! The two pointers on disk that decide which version a host boots: `releases/start_erl.data`, and the
//! version that relx writes into `bin/NAME` itself.

use crate::releases_file::Releases;
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

/// The places on disk that say which version boots, and do not say the same. Each `None` says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, thiserror::Error)]
#[error(
    "the boot pointers disagree: RELEASES says {}, start_erl.data says {}, the start script says {}; repair the node",
    say(.releases), say(.start_erl), say(.script)
)]
pub struct Disagreement {
    /// The permanent release in `RELEASES`; none where none or several are permanent.
    pub releases: Option<ReleaseVersion>,
    /// What `start_erl.data` says.
    pub start_erl: Option<ReleaseVersion>,
    /// What the start script says; none where it follows `start_erl.data`.
    pub script: Option<ReleaseVersion>,
}

/// The version that the host boots, if all that decides it agree. A start script without a version of its
/// own agrees with anything; the other two must say one.
///
/// # Errors
/// With what each of them says.
pub fn agreed_version(
    releases: &Releases,
    start_erl: Option<&StartErl>,
    script: Option<&ReleaseVersion>,
) -> Result<ReleaseVersion, Disagreement> {
    let said = Disagreement {
        releases: releases.permanent().map(|entry| entry.version.clone()),
        start_erl: start_erl.map(|pointer| pointer.release.clone()),
        script: script.cloned(),
    };
    match (&said.releases, &said.start_erl) {
        (Some(permanent), Some(boots))
            if permanent == boots && said.script.as_ref().is_none_or(|script| script == boots) =>
        {
            Ok(boots.clone())
        }
        _ => Err(said),
    }
}

fn say(version: &Option<ReleaseVersion>) -> &str {
    version.as_ref().map_or("nothing", ReleaseVersion::as_str)
}
