//! What the checks are called: the first word is the key by which policies and documents know them.

use crate::ids::ReleaseVersion;

pub(super) const PLACED: &str = "P1 release is placed";
pub(super) const SAME_ERTS: &str = "P2 same ERTS";
pub(super) const RELUP_THERE: &str = "P3 relup leads there";
pub(super) const RELUP_BACK: &str = "P3b relup leads back";
pub(super) const PROTOCOLS: &str = "P4 consolidated protocols are the same";
pub(super) const COVERED: &str = "P4 relup covers every changed module";
pub(super) const AGREE: &str = "P6 pointers and release handler agree";
pub(super) const LIBRARIES: &str = "P7 libraries and symbol versions are on this host";
pub(super) const ARGUMENTS: &str = "P5 arguments of the VM";
pub(super) const NATIVE: &str = "P7b relup replaces no module with native code";
pub(super) const PERMISSIONS: &str = "P8 owner, permissions and space";
pub(super) const HANDLER: &str = "P9 release handler";
pub(super) const WOULD_INSTALL: &str = "P10 release handler would install it";
pub(super) const ANSWERING: &str = "P11 processes to be suspended answer";
pub(super) const OLD_CODE: &str = "P12 no process runs old code";
pub(super) const NOT_HALF: &str = "P13 nothing is half installed";
pub(super) const SMOKE_BOOT: &str = "P14 the runtime system starts on this host";
pub(super) const HARDENED: &str = "P15 programs and NIFs are hardened";

/// What every hot way is asked for.
pub(super) const HOT: [&str; 9] =
    [SAME_ERTS, RELUP_THERE, RELUP_BACK, NATIVE, COVERED, HANDLER, WOULD_INSTALL, ANSWERING, OLD_CODE];

pub(super) fn boot_files(version: &ReleaseVersion) -> String {
    format!("P5 boot files and configuration of {version}")
}

pub(super) fn completed(version: &ReleaseVersion) -> String {
    format!("P5 configuration of {version} is completed as at boot")
}
