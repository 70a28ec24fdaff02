//! Identifiers. Each is its own type, so that the compiler keeps them apart.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use ulid::Ulid;

pub use relupd_release::{Digest, ReleaseName, ReleaseVersion};

/// The text is not an id of the kind that was expected.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not {what}: {text:?} (expected {expected})")]
pub struct InvalidId {
    what: &'static str,
    text: String,
    expected: &'static str,
}

macro_rules! ulid_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Ulid);

        impl $name {
            /// An id from the time in milliseconds and random bits, both passed in.
            #[must_use]
            pub const fn from_parts(unix_ms: u64, random: u128) -> Self {
                Self(Ulid::from_parts(unix_ms, random))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Ulid::from_string(text).map(Self).map_err(|_| InvalidId {
                    what: $what,
                    text: text.to_owned(),
                    expected: "26 characters of Crockford base 32",
                })
            }
        }
    };
}

macro_rules! numbered_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $prefix:literal, $expected:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.strip_prefix($prefix)
                    .and_then(|number| number.parse().ok())
                    .map(Self)
                    .ok_or_else(|| InvalidId { what: $what, text: text.to_owned(), expected: $expected })
            }
        }
    };
}

ulid_id!(
    /// A host that runs relupd. It stands in the node's certificate and is never reused.
    NodeId,
    "a node id"
);
ulid_id!(
    /// A cluster. A daemon refuses a state directory, a peer or a token of another one.
    ClusterId,
    "a cluster id"
);
ulid_id!(
    /// A proposal. The same id is applied once, however often it was sent.
    CommandId,
    "a command id"
);
ulid_id!(
    /// A join token.
    TokenId,
    "a token id"
);
numbered_id!(
    /// A plan; numbered by the cluster, written `p12`.
    PlanId,
    "a plan id",
    "p",
    "p and a number, e.g. p12"
);
numbered_id!(
    /// A rollout; numbered by the cluster, written `r7`.
    RolloutId,
    "a rollout id",
    "r",
    "r and a number, e.g. r7"
);
numbered_id!(
    /// Counts up with every assignment, cluster-wide. A node obeys the newest one and no other.
    Generation,
    "a generation",
    "g",
    "g and a number, e.g. g3"
);
numbered_id!(
    /// The node's number within raft. Never reused, not even after `cluster remove`.
    RaftId,
    "a raft id",
    "",
    "a number"
);

/// Identifies one life of a VM: new after every start and after every `init:restart`, which keeps
/// the OS pid.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BootNonce(pub String);

impl fmt::Display for BootNonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of an app. It becomes part of unit names, socket names and file names.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct AppName(String);

impl AppName {
    /// The text itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AppName {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let ok = text.len() <= 40
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_');
        if ok {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidId {
                what: "an app name",
                text: text.to_owned(),
                expected: "a letter, then up to 39 of a-z 0-9 - _",
            })
        }
    }
}

impl From<AppName> for String {
    fn from(name: AppName) -> Self {
        name.0
    }
}

impl TryFrom<String> for AppName {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl fmt::Display for AppName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for AppName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_is_named_by_up_to_forty_letters_digits_and_dashes_after_a_letter() {
        let (longest, too_long) = ("s".repeat(40), "s".repeat(41));
        for good in ["s", "shop", "shop-2_b", "z9", &longest] {
            assert_eq!(good.parse::<AppName>().map(|name| name.to_string()), Ok(good.to_owned()));
        }
        let bad = [
            "",
            "Shop",
            "2shop",
            "-shop",
            "_shop",
            "sHop",
            "shop.x",
            "sh op",
            "sh/op",
            "sh\u{f6}p",
            &too_long,
        ];
        for bad in bad {
            let refused = bad.parse::<AppName>().expect_err(bad).to_string();
            assert!(refused.starts_with(&format!("not an app name: {bad:?} (expected ")), "{refused}");
        }
    }

    /// Messages and the log show ids in either way.
    #[test]
    fn ids_are_shown_as_they_are_written() {
        let name: AppName = "shop".parse().expect("a name");
        assert_eq!((name.to_string(), format!("{name:?}")), ("shop".to_owned(), "shop".to_owned()));
        assert_eq!(BootNonce("1-2".to_owned()).to_string(), "1-2");
        assert_eq!(format!("{} {:?}", PlanId(12), RolloutId(7)), "p12 r7");
        assert_eq!(format!("{} {:?}", Generation(3), RaftId(4)), "g3 4");
        let node = NodeId::from_parts(1, 2);
        assert_eq!(node.to_string(), format!("{node:?}"));
    }

    #[test]
    fn ids_are_read_as_they_are_written_and_not_for_one_another() {
        let node = NodeId::from_parts(1_700_000_000_000, 7);
        assert_eq!(node.to_string().parse(), Ok(node));
        assert_eq!("p12".parse(), Ok(PlanId(12)));
        for bad in ["", "12", "p", "r12", "p-1", "p1x"] {
            assert!(bad.parse::<PlanId>().is_err(), "{bad:?}");
        }
        assert!("r12".parse::<NodeId>().is_err());
    }
}
