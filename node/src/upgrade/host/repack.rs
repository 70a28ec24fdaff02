//! The package of what is installed, made again of its files: the way back must not hang on somebody having
//! kept a file, and what is put back is what ran here. relupd's package makes that exact: it has no
//! configuration files, no diversions, and files that belong to root.

use super::dpkg::{output, run};
use relupd_release::package::NAME;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::symlink;
use std::path::Path;

/// As they stand in a control file, in its order.
const FIELDS: [&str; 12] = [
    "Package",
    "Source",
    "Version",
    "Section",
    "Priority",
    "Architecture",
    "Maintainer",
    "Installed-Size",
    "Provides",
    "Depends",
    "Suggests",
    "Description",
];

/// A slim host leaves them out; nothing needs them.
const DISPENSABLE: [&str; 2] = ["/usr/share/doc/", "/usr/share/man/"];

/// Makes the package.
pub(super) fn repack(to: &Path) -> Result<(), String> {
    verify()?;
    let tree = to.with_extension("tree");
    let failed = |what: &str, error: io::Error| {
        format!("cannot make the package of what is installed: {what}: {error}")
    };
    remove(&tree).map_err(|error| failed("clean up", error))?;
    files(&tree).map_err(|error| failed("copy its files", error))?;
    control(&tree)?;
    let made = to.with_extension("new");
    let (tree_path, made_path) = (tree.to_string_lossy(), made.to_string_lossy());
    run("dpkg-deb", &["-Znone", "--root-owner-group", "--build", &tree_path, &made_path])?;
    let keep = || {
        File::open(&made)?.sync_all()?;
        fs::rename(&made, to)?;
        File::open(to.parent().unwrap_or(Path::new("/")))?.sync_all()?;
        remove(&tree)
    };
    keep().map_err(|error| failed("keep it", error))
}

/// What somebody has changed by hand would be put back as if it were the package's.
fn verify() -> Result<(), String> {
    // It exits with an error where it finds something.
    let said = output("dpkg", &["--verify", NAME])?;
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    match said.lines().find(|line| !is_harmless(line)) {
        None => Ok(()),
        Some(line) => Err(format!(
            "a file of the installed package was changed ({}): install the package again first",
            line.trim()
        )),
    }
}

/// A line is `missing PATH` or nine letters of what differs, and the path.
fn is_harmless(line: &str) -> bool {
    let path = line.find(" /").map_or("", |at| &line[at + 1..]);
    line.starts_with("missing") && DISPENSABLE.iter().any(|place| path.starts_with(place))
}

fn files(tree: &Path) -> io::Result<()> {
    let list = run("dpkg-query", &["--listfiles", NAME]).map_err(io::Error::other)?;
    fs::create_dir_all(tree)?;
    for path in list.lines().map(Path::new).filter(|path| path.is_absolute()) {
        let Ok(inside) = path.strip_prefix("/") else { continue };
        let copy = tree.join(inside);
        let found = match fs::symlink_metadata(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            found => found?,
        };
        if found.is_dir() {
            fs::create_dir_all(&copy)?;
            fs::set_permissions(&copy, found.permissions())?;
        } else if found.is_symlink() {
            symlink(fs::read_link(path)?, &copy)?;
        } else {
            fs::copy(path, &copy)?;
        }
    }
    Ok(())
}

fn control(tree: &Path) -> Result<(), String> {
    let directory = tree.join("DEBIAN");
    let mut text = String::new();
    for field in FIELDS {
        let value = run("dpkg-query", &["--show", &format!("--showformat=${{{field}}}"), NAME])?;
        if !value.is_empty() {
            text += &format!("{field}: {value}\n");
        }
    }
    let write = || {
        fs::create_dir_all(&directory)?;
        fs::write(directory.join("control"), &text)?;
        let scripts = run("dpkg-query", &["--control-list", NAME]).map_err(io::Error::other)?;
        for script in scripts.lines() {
            let from = run("dpkg-query", &["--control-path", NAME, script]).map_err(io::Error::other)?;
            fs::copy(from, directory.join(script))?;
        }
        Ok(())
    };
    write().map_err(|error: io::Error| format!("cannot make the control file again: {error}"))
}

fn remove(tree: &Path) -> io::Result<()> {
    match fs::remove_dir_all(tree) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_manuals_are_harmless_and_changed_programs_are_not() {
        assert!(is_harmless("missing     /usr/share/man/man8/relupd.8.gz"));
        assert!(is_harmless("missing     /usr/share/doc/relupd/NEWS.md.gz"));
        assert!(!is_harmless("missing     /usr/bin/relupd"));
        assert!(!is_harmless("??5??????   /usr/bin/relupd"));
        assert!(!is_harmless("??5??????   /usr/share/doc/relupd/copyright"));
    }
}
