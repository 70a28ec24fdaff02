//! What a release is, for the daemon and the command line alike: the checks on an archive, the
//! manifest, and the Erlang files that describe releases (`.rel`, `relup`, `RELEASES`,
//! `start_erl.data`). No async, no network; file access only where a function's name says so.

pub mod appup;
pub mod archive;
pub mod beam;
pub mod contents;
pub mod diff;
pub mod digest;
pub mod elf;
pub mod info;
pub mod manifest;
pub mod package;
pub mod pointer;
pub mod rel;
pub mod releases_file;
pub mod relup;
mod shape;
pub mod terms;
pub mod verify;
pub mod version;

pub use contents::Contents;
pub use digest::Digest;
pub use info::ReleaseInfo;
pub use manifest::{Manifest, MemberPath};
pub use shape::FormatError;
pub use version::{ApplicationName, ApplicationVersion, ErtsVersion, ReleaseName, ReleaseVersion};
