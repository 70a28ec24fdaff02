//! Names and versions of releases, applications and ERTS: text that becomes part of file names, so it
//! is checked once, here.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The longest accepted name or version, in bytes. File names end at 255; paths built from both
/// (`bin/NAME-VSN`, `releases/VSN/NAME.rel`) must stay below that with room to spare.
const MAX_LEN: usize = 100;

/// The text cannot be a release name or version.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "not a valid {what}: {text:?} (expected 1 to {MAX_LEN} of A-Z a-z 0-9 . _ + ~ -, not beginning with '.' or '-')"
)]
pub struct InvalidReleaseText {
    what: &'static str,
    text: String,
}

fn check(what: &'static str, text: &str) -> Result<(), InvalidReleaseText> {
    let ok = !text.is_empty()
        && text.len() <= MAX_LEN
        && !text.starts_with(['.', '-'])
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._+~-".contains(&b));
    if ok { Ok(()) } else { Err(InvalidReleaseText { what, text: text.to_owned() }) }
}

macro_rules! release_text {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(into = "String", try_from = "String")]
        pub struct $name(String);

        impl $name {
            /// The text itself.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidReleaseText;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                check($what, text)?;
                Ok(Self(text.to_owned()))
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidReleaseText;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                check($what, &text)?;
                Ok(Self(text))
            }
        }
    };
}

release_text!(
    /// The name in the `.rel` file, e.g. `shop`. OTP compares it as a string; so do we.
    ReleaseName,
    "release name"
);
release_text!(
    /// A release's version: a name, not a number. OTP gives versions no order, and neither do we.
    ReleaseVersion,
    "release version"
);
release_text!(
    /// An application's name, e.g. `kernel`: an atom in Erlang, the first half of a directory's name here.
    ApplicationName,
    "application name"
);
release_text!(
    /// An application's version, the second half of its directory's name.
    ApplicationVersion,
    "application version"
);
release_text!(
    /// The version of the runtime system, e.g. `13.1.5`; its directory is `erts-13.1.5`.
    ErtsVersion,
    "ERTS version"
);

impl ErtsVersion {
    /// The OTP release that it is part of, from OTP 23 on: since then both count up together.
    #[must_use]
    pub fn otp(&self) -> Option<u32> {
        let major: u32 = self.0.split('.').next()?.parse().ok()?;
        (major >= 11).then_some(major.saturating_add(12))
    }
}
