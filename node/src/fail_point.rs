//! Fail points: one before each operation on a disk, on both sides of each request to a VM and of each of
//! the agent's steps. A test has the daemon stop there for as long as it takes to break something, or has
//! the operating system say no. A point's name says what is about to be done and to what, so a recording
//! run finds all of them and nobody keeps a list. Without the feature `testing` a point is nothing at all.

#[cfg(feature = "testing")]
mod armed;

use std::io;
use std::path::Path;

/// Before an operation on the file system, where it may block.
///
/// # Errors
/// With the error that a test wants.
#[inline]
pub(crate) fn file(operation: &str, path: &Path) -> io::Result<()> {
    #[cfg(feature = "testing")]
    armed::file(operation, path)?;
    let _ = (operation, path);
    Ok(())
}

/// Before or after anything else.
#[inline]
pub(crate) async fn step(what: &str, of: &str) {
    #[cfg(feature = "testing")]
    armed::step(what, of).await;
    let _ = (what, of);
}

/// Whether the answer to this request is to be lost, and its connection with it.
#[inline]
pub(crate) fn loses(request: &str) -> bool {
    #[cfg(feature = "testing")]
    return armed::loses(request);
    #[cfg(not(feature = "testing"))]
    {
        let _ = request;
        false
    }
}

/// What stands for the boot of this host, where a test makes it boot anew.
#[inline]
pub(crate) fn boot() -> Option<String> {
    #[cfg(feature = "testing")]
    return armed::boot();
    #[cfg(not(feature = "testing"))]
    None
}
