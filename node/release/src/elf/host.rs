//! The shared objects of this host, as the dynamic loader would find them, and what a binary misses
//! among them. This module reads files of the host.

use super::{ElfFile, Machine, is_elf};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// Where the loader looks without being told.
const DEFAULT: [&str; 4] = ["/lib64", "/usr/lib64", "/lib", "/usr/lib"];

/// No binary is larger; what is gets looked at no further.
const MAX_BINARY: u64 = 256 << 20;

/// As much of a file as says whether it is a binary: its identification.
const BEGINNING: usize = 16;

/// `include` in `ld.so.conf` nests once in practice.
const MAX_INCLUDES: u32 = 4;

/// The shared objects of a host; each is read once.
#[derive(Debug)]
pub struct HostLibraries {
    directories: Vec<PathBuf>,
    read: BTreeMap<PathBuf, Option<ElfFile>>,
}

impl HostLibraries {
    /// Those of this host, by its `ld.so.conf`.
    #[must_use]
    pub fn of_this_host() -> Self {
        let mut directories = configured(Path::new("/etc/ld.so.conf"), 0);
        directories.extend(DEFAULT.map(PathBuf::from));
        Self::in_directories(directories)
    }

    /// Those in these directories.
    #[must_use]
    pub const fn in_directories(directories: Vec<PathBuf>) -> Self {
        Self { directories, read: BTreeMap::new() }
    }

    /// What the binary at `path` needs and this host does not have, each in a sentence.
    pub fn unmet(&mut self, path: &Path, file: &ElfFile) -> Vec<String> {
        let mut unmet = BTreeSet::new();
        if let Some(interpreter) = file.interpreter.as_deref().filter(|loader| !Path::new(loader).exists()) {
            unmet.insert(format!("the loader {interpreter} is not on this host"));
        }
        let search = search_path(path, file);
        for name in &file.needed {
            let Some(library) = self.find(name, file.machine, &search) else {
                unmet.insert(format!("{name} is not on this host"));
                continue;
            };
            let wanted = file.required_versions.get(name).into_iter().flatten();
            let missing: Vec<&str> = wanted
                .filter(|version| !library.defined_versions.contains(*version))
                .map(String::as_str)
                .collect();
            if !missing.is_empty() {
                unmet.insert(format!("{name} of this host lacks {}", missing.join(", ")));
            }
        }
        unmet.into_iter().collect()
    }

    fn find(&mut self, name: &str, machine: Machine, search: &[PathBuf]) -> Option<&ElfFile> {
        let candidates: Vec<PathBuf> = match name.contains('/') {
            true => vec![PathBuf::from(name)],
            false => search.iter().chain(&self.directories).map(|directory| directory.join(name)).collect(),
        };
        let found = candidates
            .into_iter()
            .find(|path| self.read(path).is_some_and(|library| library.machine == machine))?;
        self.read(&found)
    }

    fn read(&mut self, path: &Path) -> Option<&ElfFile> {
        let read = self.read.entry(path.to_owned()).or_insert_with(|| {
            read_binary(path).ok().flatten().and_then(|content| ElfFile::parse(&content).ok())
        });
        read.as_ref()
    }
}

/// A file that begins as a binary does, and is not larger than any; `None` for another. A release names what it
/// wants to be looked at: that may be a device, a pipe or a huge model.
///
/// # Errors
/// When the file system refuses.
pub fn read_binary(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let found = fs::metadata(path)?;
    if !found.is_file() || found.len() > MAX_BINARY {
        return Ok(None);
    }
    let mut file = fs::File::open(path)?;
    let mut content = vec![0; BEGINNING];
    if file.read_exact(&mut content).is_err() || !is_elf(&content) {
        return Ok(None);
    }
    file.read_to_end(&mut content)?;
    Ok(Some(content))
}

/// The binary's own directories, with `$ORIGIN` for where it lies.
fn search_path(path: &Path, file: &ElfFile) -> Vec<PathBuf> {
    let origin = path.parent().unwrap_or(Path::new("/")).to_string_lossy();
    let expand = |text: &String| text.replace("$ORIGIN", &origin).replace("${ORIGIN}", &origin);
    file.search.iter().map(expand).map(PathBuf::from).collect()
}

fn configured(path: &Path, depth: u32) -> Vec<PathBuf> {
    let Ok(text) = fs::read_to_string(path) else { return Vec::new() };
    let mut directories = Vec::new();
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        match line.strip_prefix("include ") {
            Some(pattern) if depth < MAX_INCLUDES => {
                for file in matching(Path::new(pattern.trim())) {
                    directories.extend(configured(&file, depth + 1));
                }
            }
            Some(_) => {}
            None if line.starts_with('/') => directories.push(PathBuf::from(line)),
            None => {}
        }
    }
    directories
}

/// The files of a pattern like `/etc/ld.so.conf.d/*.conf`, the only kind that distributions write.
fn matching(pattern: &Path) -> Vec<PathBuf> {
    let name = pattern.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let Some((before, after)) = name.split_once('*') else { return vec![pattern.to_owned()] };
    let entries = fs::read_dir(pattern.parent().unwrap_or(Path::new("/"))).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            name.starts_with(before) && name.ends_with(after)
        })
        .collect();
    files.sort();
    files
}
