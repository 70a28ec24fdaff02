//! What a release is, for the daemon and the command line alike: the checks on an archive, the
//! manifest, and the Erlang files that describe releases (`.rel`, `relup`, `RELEASES`,
//! `start_erl.data`). No async, no network; file access only where a function's name says so.

pub mod digest;
pub mod version;

pub use digest::Digest;
pub use version::{ReleaseName, ReleaseVersion};
