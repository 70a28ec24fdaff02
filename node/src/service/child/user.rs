//! Users of this host.

use std::fs;
use std::io;

/// Whom a process runs as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// The user with this name, from /etc/passwd: apps run as local system users, and a lookup that
/// depends on the network must not keep an app from starting.
pub(crate) fn find(name: &str) -> io::Result<Option<User>> {
    fs::read_to_string("/etc/passwd").map(|text| find_in(&text, name))
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
