//! relupd's own upgrade on one host. The daemon takes an order, fetches the package and hands both to the
//! host's installer, which is root's: `relupd install-package`, started as relupd-upgrade.service.
//!
//! Invariants: the daemon cannot make the installer install anything that no key vouches for which root has
//! pinned on this host; what the installer verifies, nobody but root can change any more; at any instant
//! there is a package on the host that it knows to have worked, and after a crash it goes back to that one.

pub mod host;
mod installer;
mod order;
mod peers;
mod progress;
mod trust;
mod work;

pub use installer::Installer;
pub use order::{Order, StagedError};
pub use peers::{Answerer, Asker};
pub use progress::{Phase, Progress};
pub use trust::{TrustedKeys, Untrusted};
pub use work::{Report, Upgrades, staged};
