//! Users of this host, and changing to them.

use rustix::process::geteuid;
use std::fs;

/// Whom a process runs as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// The user of this name. Users come from /etc/passwd: apps run as local system users, and a lookup that
/// depends on the network must not keep an app from starting.
pub(crate) fn lookup(name: &str) -> Result<User, String> {
    let passwd =
        fs::read_to_string("/etc/passwd").map_err(|error| format!("cannot read /etc/passwd: {error}"))?;
    find_in(&passwd, name)
        .ok_or_else(|| format!("this host has no user {name:?}; create it, or correct `user` in the spec"))
}

/// The user to change to before a program is run as `name`; `None` where that is the daemon's own.
pub(crate) fn to_change_to(name: Option<&str>) -> Result<Option<User>, String> {
    let Some(name) = name else { return Ok(None) };
    let user = lookup(name)?;
    let own = geteuid();
    if user.uid == own.as_raw() {
        return Ok(None);
    }
    if !own.is_root() {
        return Err(format!(
            "only root can start it as {name:?}; run relupd as root, or take `user` out of the spec"
        ));
    }
    Ok(Some(user))
}

fn find_in(passwd: &str, name: &str) -> Option<User> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == name).then_some(())?;
        let (uid, gid) = (fields.nth(1)?, fields.next()?);
        Some(User { uid: uid.parse().ok()?, gid: gid.parse().ok()? })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_user_by_the_whole_name() {
        let passwd =
            "root:x:0:0:root:/root:/bin/bash\nshopper:x:7:8::/:\nshop:x:990:991::/opt/shop:/bin/false\n";
        assert_eq!(find_in(passwd, "shop"), Some(User { uid: 990, gid: 991 }));
        assert_eq!(find_in(passwd, "sho"), None);
    }
}
