//! What is in the sample app's releases, read from their archives.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod erlang_support;

use erlang_support::archive;
use relupd_release::Contents;
use relupd_release::archive::{Archive, Limits, Sink, read};
use relupd_release::contents::BinaryKind;
use relupd_release::diff::{Change, ReleaseDiff, Side};
use relupd_release::elf::Finding;
use relupd_release::manifest::{Entry, MemberPath, Mode};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};

/// An archive's files in memory.
#[derive(Default)]
struct Files(BTreeMap<MemberPath, Vec<u8>>);

impl Sink for Files {
    fn file(&mut self, path: &MemberPath, _: Mode, _: u64, content: &mut dyn Read) -> io::Result<()> {
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes)?;
        self.0.insert(path.clone(), bytes);
        Ok(())
    }
}

fn open(version: &str) -> (Archive, Files) {
    let mut files = Files::default();
    let archive = read(File::open(archive(version)).unwrap(), Limits::default(), &mut files).unwrap();
    (archive, files)
}

impl Files {
    fn get(&self, entry: &Entry) -> io::Result<Vec<u8>> {
        self.0.get(&entry.path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

fn contents(version: &str) -> Contents {
    let (archive, files) = open(version);
    Contents::read(&archive.manifest, |entry: &Entry| files.get(entry)).unwrap()
}

fn diff(from: &str, to: &str) -> ReleaseDiff {
    let ((from, from_files), (to, to_files)) = (open(from), open(to));
    let mut from = Side::open(&from.manifest, |entry: &Entry| from_files.get(entry)).unwrap();
    let mut to = Side::open(&to.manifest, |entry: &Entry| to_files.get(entry)).unwrap();
    ReleaseDiff::between(&mut from, &mut to).unwrap()
}

#[test]
fn a_diff_says_what_the_relup_does_about_each_module() {
    let up = diff("0.1.0", "0.2.0");
    let applications: Vec<_> = up.applications.iter().map(|one| (one.name.as_str(), one.change())).collect();
    assert_eq!(applications, [("shop", Change::Changed)]);
    let module = |name: &str| up.modules.iter().find(|one| one.module == name).unwrap();
    let counter = module("shop_counter");
    assert_eq!(counter.change, Change::Changed);
    assert_eq!(counter.relup, ["suspend", "load", "code_change", "resume"]);
    assert!(up.modules.iter().all(|one| !one.relup.is_empty()), "{:#?}", up.modules);
    assert_eq!(up.not_applied, Vec::<String>::new());

    let down = diff("0.2.0", "0.1.0");
    assert_eq!(down.modules.len(), up.modules.len());
    assert!(down.script.is_some(), "the relup of the version that is left leads down");
}

#[test]
fn a_diff_without_a_relup_says_that_nothing_is_applied() {
    let diff = diff("0.2.0", "0.4.0");
    assert_eq!(diff.script, None);
    assert!(diff.not_applied[0].contains("no relup leads from 0.2.0 to 0.4.0"), "{:?}", diff.not_applied);
}

#[test]
fn a_release_is_shown_with_its_ways_and_its_native_code() {
    let contents = contents("0.2.0");
    assert!(contents.info.has_sasl && contents.info.includes_erts);
    assert!(contents.config_providers.is_empty());
    let relup = contents.relup.unwrap();
    let [up] = relup.up.as_slice() else { panic!("{relup:?}") };
    assert_eq!(up.other.as_str(), "0.1.0");
    let instructions: Vec<String> = up.instructions.iter().map(ToString::to_string).collect();
    assert!(instructions.contains(&"suspend shop_counter".to_owned()), "{instructions:#?}");
    assert!(instructions.contains(&"code_change up shop_counter".to_owned()), "{instructions:#?}");

    for name in ["beam.smp", "erlexec", "epmd"] {
        let found = contents.binaries.iter().find(|binary| binary.path.ends_with(&format!("/bin/{name}")));
        let binary = found.unwrap_or_else(|| panic!("{name} in {:#?}", contents.binaries));
        assert_eq!(binary.kind, BinaryKind::Runtime);
        assert_ne!(binary.hardening().unwrap().relro, Finding::Unknown);
    }
}
