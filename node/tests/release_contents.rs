//! What is in the sample app's releases, read from their archives.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod erlang_support;

use erlang_support::archive;
use relupd_release::archive::{Archive, Limits, Sink, read};
use relupd_release::contents::BinaryKind;
use relupd_release::diff::{Change, Children, ReleaseDiff, Side};
use relupd_release::elf::Finding;
use relupd_release::manifest::{Entry, EntryKind, Manifest, MemberPath, Mode};
use relupd_release::{Contents, Digest};
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

/// A release as it was built, but for this file, which need not have been there.
fn with(version: &str, at: &str, content: Vec<u8>) -> (Manifest, Files) {
    let (Archive { manifest, .. }, mut files) = open(version);
    let altered = |entry: &Entry| match &entry.kind {
        EntryKind::File { mode, .. } if entry.path.as_str() == at => {
            EntryKind::File { mode: *mode, size: content.len() as u64, digest: Digest::of(&content) }
        }
        kind => kind.clone(),
    };
    let entry = |entry: &Entry| Entry { path: entry.path.clone(), kind: altered(entry) };
    let mut entries: Vec<Entry> = manifest.entries().iter().map(entry).collect();
    if manifest.entry(at).is_none() {
        let (size, digest) = (content.len() as u64, Digest::of(&content));
        let kind = EntryKind::File { mode: Mode::from_bits(0o644), size, digest };
        entries.push(Entry { path: at.parse().unwrap(), kind });
        entries.sort_by(|one, other| one.path.cmp(&other.path));
    }
    let manifest = Manifest::new(manifest.name().clone(), manifest.version().clone(), entries).unwrap();
    files.0.insert(at.parse().unwrap(), content);
    (manifest, files)
}

/// The sample's supervisor with these children, compiled with debug information.
fn supervisor(children: &str) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("shop_sup.erl");
    let child = "child(Id) -> #{id => Id, start => {Id, start_link, []}}.";
    let init = format!("init([]) -> {{ok, {{#{{}}, [{children}]}}}}.");
    let head = "-module(shop_sup).\n-behaviour(supervisor).\n-export([init/1, child/1]).";
    std::fs::write(&source, format!("{head}\n{init}\n{child}\n")).unwrap();
    let mut erlc = std::process::Command::new("erlc");
    let compiled = erlc.arg("+debug_info").arg("-o").arg(directory.path()).arg(&source).status().unwrap();
    assert!(compiled.success());
    std::fs::read(directory.path().join("shop_sup.beam")).unwrap()
}

#[test]
fn a_diff_names_parameters_that_change_and_supervisors_whose_children_do() {
    let up = diff("0.1.0", "0.2.0");
    let parameters: Vec<_> = up.configuration.iter().map(|one| (&*one.application, &*one.key)).collect();
    assert_eq!(parameters, [("shop", "greeting")]);
    assert!(up.supervisors.iter().all(|one| one.children != Children::SameInit), "{:?}", up.supervisors);

    let (one, two) = (
        "#{id => shop_counter, start => {shop_counter, start_link, []}}",
        "#{id => audit, start => {audit, start_link, []}}",
    );
    let (from, from_files) = with("0.1.0", "lib/shop-0.1.0/ebin/shop_sup.beam", supervisor(one));
    let (to, to_files) =
        with("0.2.0", "lib/shop-0.2.0/ebin/shop_sup.beam", supervisor(&format!("{one}, {two}")));
    let mut from = Side::open(&from, |entry: &Entry| from_files.get(entry)).unwrap();
    let mut to = Side::open(&to, |entry: &Entry| to_files.get(entry)).unwrap();
    let diff = ReleaseDiff::between(&mut from, &mut to).unwrap();
    let [changed] = diff.supervisors.as_slice() else { panic!("{:?}", diff.supervisors) };
    assert_eq!(changed.module, "shop_sup");
    let (added, removed) = (["audit".to_owned()].into(), [].into());
    assert_eq!(changed.children, Children::Change { added, removed });
    // OTP starts nobody for a specification that changed.
    assert!(diff.not_applied.iter().any(|what| what.contains("shop_sup")), "{:?}", diff.not_applied);
}

#[test]
fn a_diff_names_what_each_host_evaluates_for_itself() {
    let evaluated = |content: [&str; 2]| {
        let (from, from_files) = with("0.1.0", "releases/0.1.0/runtime.exs", content[0].into());
        let (to, to_files) = with("0.2.0", "releases/0.2.0/runtime.exs", content[1].into());
        let mut from = Side::open(&from, |entry: &Entry| from_files.get(entry)).unwrap();
        let mut to = Side::open(&to, |entry: &Entry| to_files.get(entry)).unwrap();
        ReleaseDiff::between(&mut from, &mut to).unwrap().evaluated
    };
    assert_eq!(evaluated(["config :shop, a: 1", "config :shop, a: 2"]), ["runtime.exs"]);
    assert_eq!(evaluated(["config :shop, a: 1"; 2]), [""; 0]);
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
