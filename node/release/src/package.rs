//! relupd's own Debian package, for relupctl, which hands it out, and for the host, which installs it: what
//! the file says of itself, and what an operator signs about it. A statement is signed and not the file
//! alone: it ends, so that an old package with a known hole cannot be brought back years later.

mod deb;
mod statement;

pub use deb::{PackageError, PackageFacts, read};
pub use statement::{Statement, StatementError};

/// The only package that is ever installed this way.
pub const NAME: &str = "relupd";
