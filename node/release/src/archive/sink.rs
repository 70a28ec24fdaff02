//! Where the files of an archive go.

use crate::manifest::{LinkTarget, MemberPath, Mode};
use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{OpenOptionsExt as _, symlink};
use std::path::PathBuf;

/// Takes what an archive holds, in the archive's order. Every path is checked and new.
pub trait Sink {
    /// A file. What is left unread of `content` is read and hashed all the same.
    ///
    /// # Errors
    /// If it cannot be kept; the archive is then given up.
    fn file(&mut self, path: &MemberPath, mode: Mode, size: u64, content: &mut dyn Read) -> io::Result<()>;

    /// Another path for the same content as `original`, a file that was given before.
    ///
    /// # Errors
    /// As [`Sink::file`].
    fn hard_link(&mut self, path: &MemberPath, original: &MemberPath) -> io::Result<()> {
        let _ = (path, original);
        Ok(())
    }

    /// A symbolic link.
    ///
    /// # Errors
    /// As [`Sink::file`].
    fn symlink(&mut self, path: &MemberPath, target: &LinkTarget) -> io::Result<()> {
        let _ = (path, target);
        Ok(())
    }

    /// A directory that the archive names; most it does not.
    ///
    /// # Errors
    /// As [`Sink::file`].
    fn directory(&mut self, path: &MemberPath) -> io::Result<()> {
        let _ = path;
        Ok(())
    }
}

/// Keeps nothing: for the manifest alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct Discard;

impl Sink for Discard {
    fn file(&mut self, _: &MemberPath, _: Mode, _: u64, _: &mut dyn Read) -> io::Result<()> {
        Ok(())
    }
}

/// Unpacks into a directory that nobody else writes to. Links are made by [`UnpackInto::finish`], after
/// everything else, so that no file can be written through one.
#[derive(Debug)]
pub struct UnpackInto {
    root: PathBuf,
    links: Vec<(PathBuf, String)>,
}

impl UnpackInto {
    /// Unpacks into `root`, which should be empty.
    #[must_use]
    pub fn new(root: PathBuf) -> Self {
        Self { root, links: Vec::new() }
    }

    /// Makes the links, once the archive was read without an error.
    ///
    /// # Errors
    /// If one cannot be made.
    pub fn finish(self) -> io::Result<()> {
        for (path, target) in self.links {
            symlink(target, path)?;
        }
        Ok(())
    }

    fn place(&self, path: &MemberPath) -> io::Result<PathBuf> {
        let place = path.below(&self.root);
        if let Some(parent) = place.parent() {
            fs::create_dir_all(parent)?;
        }
        Ok(place)
    }
}

impl Sink for UnpackInto {
    fn file(&mut self, path: &MemberPath, mode: Mode, _: u64, content: &mut dyn Read) -> io::Result<()> {
        let place = self.place(path)?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode.bits()).open(place)?;
        io::copy(content, &mut file)?;
        Ok(())
    }

    fn hard_link(&mut self, path: &MemberPath, original: &MemberPath) -> io::Result<()> {
        fs::copy(original.below(&self.root), self.place(path)?)?;
        Ok(())
    }

    fn symlink(&mut self, path: &MemberPath, target: &LinkTarget) -> io::Result<()> {
        let place = self.place(path)?;
        self.links.push((place, target.as_str().to_owned()));
        Ok(())
    }

    fn directory(&mut self, path: &MemberPath) -> io::Result<()> {
        fs::create_dir_all(path.below(&self.root))
    }
}
