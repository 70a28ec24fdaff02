//! What a text in a spec must look like. Used when the spec is applied, on a sample of the text,
//! and again on each node, on the text with that node's variables in it.

use std::path::{Component, Path, PathBuf};
use url::Url;

/// A release root: absolute, below at least one directory, and not on a detour. A label must not
/// be able to lead out of where the operator meant it to be.
pub(super) fn root(text: &str) -> Result<PathBuf, String> {
    let path = Path::new(text);
    let plain = path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    if path.is_absolute() && plain && path.components().count() > 1 && !text.contains('\0') {
        Ok(path.to_owned())
    } else {
        Err(format!(
            "{text:?} is not a release root: write an absolute path without `..`, e.g. \"/opt/shop\""
        ))
    }
}

/// A program below the placed version's directory.
pub(super) fn relative_program(text: &str) -> Result<PathBuf, String> {
    let path = Path::new(text);
    if !text.is_empty() && path.components().all(|part| matches!(part, Component::Normal(_))) {
        Ok(path.to_owned())
    } else {
        Err(format!(
            "{text:?} is not a program below the version's directory: write a relative path without `..`, e.g. \"bin/server\""
        ))
    }
}

/// The address of an HTTP check. Without TLS: a check asks its own host.
pub(super) fn http_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| {
        format!("{text:?} is not a URL ({error}); write e.g. \"http://127.0.0.1:8080/health\"")
    })?;
    if url.scheme() != "http" {
        return Err(format!(
            "{text:?} is not an http URL: checks ask the node's own app in plain HTTP; use `exec` for anything else"
        ));
    }
    if url.host().is_none() {
        return Err(format!("{text:?} has no host; write e.g. \"http://127.0.0.1:8080/health\""));
    }
    Ok(url)
}

/// HOST:PORT of a TCP check.
pub(super) fn tcp_address(text: &str) -> Result<(), String> {
    let parts = text.rsplit_once(':');
    match parts {
        Some((host, port))
            if !host.is_empty()
                && port.parse::<u16>().is_ok_and(|port| port != 0)
                && (!host.contains(':') || (host.starts_with('[') && host.ends_with(']'))) =>
        {
            Ok(())
        }
        Some(_) | None => Err(format!(
            "{text:?} is not an address with a port; write e.g. \"127.0.0.1:5432\" or \"[::1]:5432\""
        )),
    }
}

/// The program of an exec check. Looked up nowhere, so that it does not depend on anybody's PATH.
pub(super) fn exec_command(command: &[String]) -> Result<(), String> {
    match command.first() {
        Some(program) if Path::new(program).is_absolute() => Ok(()),
        Some(program) => Err(format!(
            "{program:?} is not an absolute path; write e.g. [\"/usr/bin/test\", \"-e\", \"/run/shop/ready\"]"
        )),
        None => Err("empty; write the program and its arguments, e.g. [\"/usr/bin/true\"]".to_owned()),
    }
}

/// The name of an environment variable.
pub(super) fn environment_name(name: &str) -> Result<(), String> {
    let ok = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if ok {
        Ok(())
    } else {
        Err(format!("{name:?} cannot be the name of an environment variable; allowed are A-Z a-z 0-9 _"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asserts that the first texts are let through and the others are not.
    fn table<T>(check: impl Fn(&str) -> Result<T, String>, good: &[&str], bad: &[&str]) {
        for text in good {
            assert!(check(text).is_ok(), "{text:?} is good");
        }
        for text in bad {
            let error = check(text).err().unwrap_or_else(|| panic!("{text:?} is bad"));
            assert!(error.starts_with(&format!("{text:?}")), "{error}");
        }
    }

    #[test]
    fn a_root_is_absolute_and_below_a_directory() {
        let bad = ["", "/", "//", "opt/shop", "/opt/../etc", "../opt", "/opt/sh\0op"];
        table(root, &["/opt", "/opt/shop", "/opt/shop.2/"], &bad);
        assert_eq!(root("/opt/shop"), Ok(PathBuf::from("/opt/shop")));
    }

    #[test]
    fn a_program_lies_below_its_version() {
        let bad = ["", "/bin/server", "../server", "bin/../../server", "./server"];
        table(relative_program, &["server", "bin/server"], &bad);
        assert_eq!(relative_program("bin/server"), Ok(PathBuf::from("bin/server")));
    }

    #[test]
    fn an_http_check_asks_in_plain_http() {
        let good = ["http://127.0.0.1:8080/health", "http://[::1]/", "http://shop.example"];
        table(http_url, &good, &["", "127.0.0.1:80", "https://a/", "ftp://a/", "http://"]);
    }

    #[test]
    fn a_tcp_check_asks_a_host_at_a_port() {
        let good = ["127.0.0.1:5432", "db.example:1", "localhost:65535", "[::1]:5432"];
        let bad = [
            "",
            "localhost",
            ":5432",
            "db:",
            "db:0",
            "db:65536",
            "db:http",
            "db:-1",
            "::1:5432",
            "[::1:5432",
            "::1]:5432",
            "[::1]",
        ];
        table(tcp_address, &good, &bad);
    }

    #[test]
    fn a_variable_of_the_environment_has_a_name_that_a_shell_could_write() {
        let good = ["A", "z", "_", "_A", "PATH", "a1_b2"];
        table(environment_name, &good, &["", "1A", "A-B", "A B", "A=B", "A\0", "\u{c4}", "A\u{e4}"]);
    }
}
