//! A verified tree against what lies below the release root. What is there must be the same to the last byte; what
//! is missing can be put there.

use super::render::SHIPPED;
use crate::driver::files::{At, Locate, exists, move_tree, read_optional, replace_durably};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

/// How a target is to what is staged. It may hold files of relupd's own beside them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Likeness {
    /// All of it is there.
    Same,
    /// What is there is the same, and not everything is there.
    Lacks,
    /// Something else is in its place.
    Differs,
}

/// A release's own directory, but for two files: its configuration may have been completed here, and its relup may
/// have been made again by the cluster, which is taken over.
pub(super) fn of_release(staged: &Path, target: &Path) -> Result<Likeness, At> {
    let (shipped, relup) = (target.join(SHIPPED), target.join("relup"));
    let as_placed = |name: &str| match name {
        "sys.config" if shipped.exists() => Some(shipped.clone()),
        "relup" => None,
        name => Some(target.join(name)),
    };
    let mut likeness = Likeness::Same;
    for entry in fs::read_dir(staged).at(staged)? {
        let entry = entry.at(staged)?;
        let Some(other) = as_placed(&entry.file_name().to_string_lossy()) else { continue };
        likeness = likeness.max(of_entry(&entry, &other)?);
    }
    let made = staged.join("relup");
    if likeness != Likeness::Differs
        && let Some(content) = read_optional(&made).at(&made)?
        && read_optional(&relup).at(&relup)?.as_ref() != Some(&content)
    {
        replace_durably(&relup, &content, 0o644).at(&relup)?;
    }
    Ok(likeness)
}

/// A directory, file by file.
pub(super) fn of_tree(staged: &Path, target: &Path) -> Result<Likeness, At> {
    let mut likeness = Likeness::Same;
    for entry in fs::read_dir(staged).at(staged)? {
        let entry = entry.at(staged)?;
        likeness = likeness.max(of_entry(&entry, &target.join(entry.file_name()))?);
    }
    Ok(likeness)
}

fn of_entry(staged: &fs::DirEntry, other: &Path) -> Result<Likeness, At> {
    let path = staged.path();
    let kind = staged.file_type().at(&path)?;
    let there = match fs::symlink_metadata(other) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Likeness::Lacks),
        there => there.at(other)?.file_type(),
    };
    // A link is compared as a link: what it leads to may be a directory, or not there.
    let is_same = if kind.is_symlink() {
        there.is_symlink() && fs::read_link(other).at(other)? == fs::read_link(&path).at(&path)?
    } else if kind.is_dir() {
        if there.is_dir() {
            return of_tree(&path, other);
        }
        false
    } else {
        there.is_file() && read_optional(other).at(other)? == Some(fs::read(&path).at(&path)?)
    };
    Ok(if is_same { Likeness::Same } else { Likeness::Differs })
}

/// Puts there what is missing; what is there stays.
pub(super) fn fill(staged: &Path, target: &Path) -> Result<(), At> {
    for entry in fs::read_dir(staged).at(staged)? {
        let entry = entry.at(staged)?;
        let (path, other) = (entry.path(), target.join(entry.file_name()));
        let kind = entry.file_type().at(&path)?;
        match (exists(&other)?, kind.is_dir()) {
            (true, true) => fill(&path, &other)?,
            (true, false) => {}
            (false, true) => move_tree(&path, &other)?,
            (false, false) if kind.is_symlink() => {
                symlink(fs::read_link(&path).at(&path)?, &other).at(&other)?;
            }
            (false, false) => {
                let mode = fs::metadata(&path).at(&path)?.permissions().mode();
                replace_durably(&other, &fs::read(&path).at(&path)?, mode & 0o7777).at(&other)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn two_trees(directory: &Path) -> [PathBuf; 2] {
        ["staged", "target"].map(|name| directory.join(name))
    }

    #[test]
    fn links_are_compared_by_where_they_lead() {
        let directory = tempfile::tempdir().unwrap();
        let [staged, target] = two_trees(directory.path());
        for tree in [&staged, &target] {
            fs::create_dir_all(tree.join("priv")).unwrap();
            symlink("priv", tree.join("static")).unwrap();
            symlink("nowhere", tree.join("dangling")).unwrap();
        }
        assert_eq!(of_tree(&staged, &target).unwrap(), Likeness::Same);

        fs::remove_file(target.join("dangling")).unwrap();
        assert_eq!(of_tree(&staged, &target).unwrap(), Likeness::Lacks);
        symlink("elsewhere", target.join("dangling")).unwrap();
        assert_eq!(of_tree(&staged, &target).unwrap(), Likeness::Differs);
        fs::remove_file(target.join("dangling")).unwrap();
        fs::create_dir(target.join("dangling")).unwrap();
        assert_eq!(of_tree(&staged, &target).unwrap(), Likeness::Differs);
    }

    #[test]
    fn a_file_is_not_the_same_as_a_directory_or_a_link_in_its_place() {
        let directory = tempfile::tempdir().unwrap();
        let [staged, target] = two_trees(directory.path());
        for tree in [&staged, &target] {
            fs::create_dir_all(tree).unwrap();
        }
        fs::write(staged.join("file"), "content").unwrap();
        fs::create_dir(target.join("file")).unwrap();
        assert_eq!(of_tree(&staged, &target).unwrap(), Likeness::Differs);
        fs::remove_dir(target.join("file")).unwrap();
        symlink(staged.join("file"), target.join("file")).unwrap();
        assert_eq!(of_tree(&staged, &target).unwrap(), Likeness::Differs);
    }

    #[test]
    fn what_was_taken_away_is_put_there_again_and_what_is_there_stays() {
        let directory = tempfile::tempdir().unwrap();
        let [staged, target] = two_trees(directory.path());
        fs::create_dir_all(staged.join("ebin/deep")).unwrap();
        fs::create_dir_all(target.join("ebin")).unwrap();
        for file in ["start.boot", "ebin/shop.beam", "ebin/deep/file"] {
            fs::write(staged.join(file), "content").unwrap();
        }
        symlink("ebin", staged.join("link")).unwrap();
        fs::write(target.join("ebin/shop.beam"), "content").unwrap();
        fs::write(target.join("own"), "relupd's").unwrap();
        assert_eq!(of_tree(&staged, &target).unwrap(), Likeness::Lacks);
        let again = directory.path().join("again");
        fs::create_dir(&again).unwrap();
        fill(&staged, &again).unwrap();
        fill(&again, &target).unwrap();
        assert_eq!(fs::read_to_string(target.join("start.boot")).unwrap(), "content");
        assert_eq!(fs::read_to_string(target.join("ebin/deep/file")).unwrap(), "content");
        assert_eq!(fs::read_link(target.join("link")).unwrap(), Path::new("ebin"));
        assert_eq!(fs::read_to_string(target.join("own")).unwrap(), "relupd's");
    }
}
