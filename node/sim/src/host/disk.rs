//! What a host's disk holds of one app: the book, the pointers, the placed trees, and the trial file
//! that a boot of the host takes away. Files are replaced whole or not at all; what can be torn is what
//! stands between two of them, and what somebody else has written.

use relupd::driver::erlang::simulated::Files;
use relupd::ids::{Digest, ReleaseName, ReleaseVersion};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;

/// One small file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Paper<T> {
    #[default]
    Absent,
    Torn,
    Whole(T),
}

impl<T> Paper<T> {
    pub(super) fn whole(&self) -> Option<&T> {
        match self {
            Self::Whole(content) => Some(content),
            Self::Absent | Self::Torn => None,
        }
    }
}

/// RELEASES: which versions are registered, and which of them is permanent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Book {
    pub registered: BTreeMap<ReleaseVersion, ()>,
    pub permanent: Option<ReleaseVersion>,
}

impl Book {
    pub(super) fn has(&self, version: &ReleaseVersion) -> bool {
        self.registered.contains_key(version)
    }

    #[must_use]
    pub(super) fn with(&self, version: &ReleaseVersion) -> Self {
        let mut book = self.clone();
        book.registered.insert(version.clone(), ());
        book
    }

    #[must_use]
    pub(super) fn without(&self, version: &ReleaseVersion) -> Self {
        let mut book = self.clone();
        book.registered.remove(version);
        book.permanent.take_if(|permanent| permanent == version);
        book
    }

    #[must_use]
    pub(super) fn with_permanent(&self, version: &ReleaseVersion) -> Self {
        Self { permanent: Some(version.clone()), ..self.clone() }
    }
}

/// The files that say what is permanent.
#[derive(Clone, Debug)]
pub(super) struct Papers {
    book: Paper<Book>,
    pointer: Paper<ReleaseVersion>,
    script: Paper<ReleaseVersion>,
}

/// The disk.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    pub book: Paper<Book>,
    /// `start_erl.data`.
    pub pointer: Paper<ReleaseVersion>,
    /// `bin/REL`; absent where the release's script follows `start_erl.data`, as mix's does.
    pub script: Paper<ReleaseVersion>,
    /// In `/run`.
    pub trial: Paper<ReleaseVersion>,
    /// Whole trees, with the manifest each was placed from.
    pub placed: BTreeMap<ReleaseVersion, Digest>,
    /// Directories of no registered release.
    pub debris: Vec<String>,
    /// The release root cannot be written: disk full, or no permission.
    pub refuses: Option<io::ErrorKind>,
    /// Whether this app's releases have a script with a version compiled in.
    pub has_script: bool,
}

impl Disk {
    pub(super) fn papers(&self) -> Papers {
        Papers { book: self.book.clone(), pointer: self.pointer.clone(), script: self.script.clone() }
    }

    /// As they were before a rename that no sync has followed.
    pub(super) fn lose(&mut self, before: Papers) {
        (self.book, self.pointer, self.script) = (before.book, before.pointer, before.script);
    }

    /// What `relupd launch` boots: the trial's version, else the permanent one. A torn trial file is as
    /// good as none.
    pub(super) fn boots_into(&self) -> Option<&ReleaseVersion> {
        let target = self.trial.whole().or_else(|| self.pointer.whole())?;
        self.placed.contains_key(target).then_some(target)
    }

    /// Whether book, pointer and script say the same.
    pub(super) fn agrees(&self) -> bool {
        let pointer = match &self.pointer {
            Paper::Torn => return false,
            Paper::Absent => None,
            Paper::Whole(version) => Some(version),
        };
        let book = match &self.book {
            Paper::Torn => return false,
            Paper::Absent => None,
            Paper::Whole(book) => book.permanent.as_ref(),
        };
        let script = match &self.script {
            Paper::Torn => false,
            Paper::Absent => true,
            Paper::Whole(version) => pointer.is_none_or(|pointer| pointer == version),
        };
        pointer == book && script
    }

    /// The bytes that the daemon would read.
    pub(super) fn files(&self, name: &ReleaseName) -> Files {
        let pointer = |paper: &Paper<ReleaseVersion>| bytes(paper, |version| format!("13.1.5 {version}"));
        Files {
            book: bytes(&self.book, |book| render(name, book)),
            permanent: pointer(&self.pointer),
            script: bytes(&self.script, |version| format!("#!/bin/sh\nREL_VSN=\"{version}\"\n")),
            trial: pointer(&self.trial),
            unregistered: self.debris.clone(),
        }
    }
}

fn bytes<T>(paper: &Paper<T>, render: impl Fn(&T) -> String) -> Option<Vec<u8>> {
    match paper {
        Paper::Absent => None,
        // What OTP's own open with O_TRUNC leaves; in a script a line that names no version.
        Paper::Torn => Some(b"REL_VSN=\"".to_vec()),
        Paper::Whole(content) => Some(render(content).into_bytes()),
    }
}

fn render(name: &ReleaseName, book: &Book) -> String {
    let mut text = "%% coding: utf-8\n[".to_owned();
    for (index, version) in book.registered.keys().enumerate() {
        let comma = if index == 0 { "" } else { ",\n" };
        let status = if book.permanent.as_ref() == Some(version) { "permanent" } else { "unpacked" };
        let _written = write!(
            text,
            "{comma}{{release,\"{name}\",\"{version}\",\"13.1.5\",[{{{name},\"{version}\",\"lib/{name}-{version}\"}}],{status}}}"
        );
    }
    text.push_str("].\n");
    text
}
