//! What systemd hands to the daemon when it runs it as a unit.

use std::path::PathBuf;

/// The credential with the token to join by, as the unit names it.
const JOIN_TOKEN: &str = "join-token";

/// Whether this process is what a unit has started. Descendants of a unit (a shell in a terminal, a test
/// on a build machine) inherit its environment and are not meant, which the pid tells apart.
pub(super) fn is_unit() -> bool {
    is_unit_process(std::env::var("SYSTEMD_EXEC_PID").ok().as_deref(), std::process::id())
}

fn is_unit_process(exec_pid: Option<&str>, own: u32) -> bool {
    exec_pid.and_then(|pid| pid.parse().ok()) == Some(own)
}

/// What the unit puts in the place of a token that is not there: a credential cannot be missing or empty.
const NO_TOKEN: &str = "none";

/// The token that the unit was given, if it was given one.
pub(super) fn join_token() -> Option<String> {
    let directory = PathBuf::from(std::env::var_os("CREDENTIALS_DIRECTORY")?);
    let token = std::fs::read_to_string(directory.join(JOIN_TOKEN)).ok()?;
    Some(token.trim().to_owned()).filter(|token| !token.is_empty() && token != NO_TOKEN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_process_that_systemd_started_is_the_unit() {
        assert!(is_unit_process(Some("77"), 77));
        assert!(!is_unit_process(Some("77"), 78));
        assert!(!is_unit_process(Some(""), 77));
        assert!(!is_unit_process(None, 77));
    }
}
