//! Archives as they come, and as nobody should make them.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod erlang;
mod tarball;

use proptest::prelude::*;
use relupd_release::Digest;
use relupd_release::archive::{Archive, ArchiveError, Discard, Limits, Sink, UnpackInto, read};
use relupd_release::info::{Configuration, ReleaseError};
use relupd_release::manifest::{EntryKind, MemberPath, Mode};
use std::io::{self, Read};
use tar::EntryType;
use tarball::{Tarball, gzip};

fn accept(packed: &[u8]) -> Archive {
    read(packed, Limits::default(), &mut Discard).unwrap_or_else(|error| panic!("{error:?}"))
}

fn refuse(packed: &[u8]) -> ArchiveError {
    read(packed, Limits::default(), &mut Discard).expect_err("the archive should be refused")
}

/// A sound release with one more member.
fn with(add: impl FnOnce(&mut Tarball)) -> Vec<u8> {
    let mut tarball = Tarball::release("0.2.0");
    add(&mut tarball);
    tarball.packed()
}

#[test]
fn tells_what_the_release_is() {
    let archive = accept(&Tarball::release("0.2.0").packed());
    let info = &archive.info;
    assert_eq!((info.name.as_str(), info.version.as_str(), info.erts.as_str()), ("shop", "0.2.0", "13.1.5"));
    let applications: Vec<String> = info.applications.iter().map(ToString::to_string).collect();
    assert_eq!(applications, ["kernel-8.5.3", "sasl-4.2", "shop-0.2.0"]);
    assert!(info.has_sasl);
    assert!(info.includes_erts);
    assert_eq!(info.configuration, Configuration::Ready);
    let hot: Vec<&str> = info.hot_both_ways().into_iter().map(|version| version.as_str()).collect();
    assert_eq!(hot, ["0.1.0"]);
    assert!(info.hot_up_from.contains(&"0.0.9".parse().unwrap()), "up only: no way back");
    assert_eq!(info.files as usize, archive.manifest.file_count());
    let EntryKind::File { mode, size, digest } = &archive.manifest.entry("bin/shop").unwrap().kind else {
        panic!("bin/shop is a file");
    };
    assert_eq!((mode.bits(), *size, *digest), (0o755, 10, Digest::of(b"#!/bin/sh\n")));
}

#[test]
fn the_same_tree_is_the_same_release_however_it_was_packed() {
    let plain = accept(&Tarball::release("0.2.0").packed());
    let dotted = accept(&Tarball::release("0.2.0").with_prefix("./").packed());
    assert_eq!(plain.manifest.digest(), dotted.manifest.digest());
}

#[test]
fn a_release_that_otp_packed_is_accepted() {
    let Some(packed) = erlang::systools_archive() else { return };
    let archive = accept(&packed);
    assert_eq!(archive.info.version.as_str(), "1.0.0");
    assert!(archive.info.has_sasl);
    assert!(!archive.info.includes_erts);
}

#[test]
fn long_names_of_either_kind_are_read() {
    let name = format!("lib/shop-0.2.0/priv/{}/{}", "d".repeat(120), "f".repeat(120));
    for packed in
        [with(|tarball| tarball.gnu_long(&name, b"x")), with(|tarball| tarball.pax(&[("path", &name)], b"x"))]
    {
        assert!(accept(&packed).manifest.entry(&name).is_some());
    }
}

#[test]
fn links_that_stay_inside_are_kept() {
    let packed = with(|tarball| {
        tarball.link(EntryType::Symlink, "lib/shop-0.2.0/priv/start", "../../../bin/shop");
        tarball.link(EntryType::Link, "bin/copy", "bin/shop");
    });
    let manifest = accept(&packed).manifest;
    let kind = |path: &str| manifest.entry(path).unwrap().kind.clone();
    assert_eq!(kind("bin/copy"), kind("bin/shop"));
    assert!(matches!(kind("lib/shop-0.2.0/priv/start"), EntryKind::Symlink { .. }));
}

#[test]
fn refuses_names_that_leave_the_release() {
    for name in ["/etc/passwd", "../x", "lib/../../x", "lib//x", "lib/./x", "a\nb", "././x"] {
        let error = refuse(&with(|tarball| tarball.file(name, 0o644, b"x")));
        assert!(matches!(error, ArchiveError::UnsafeName { .. }), "{name}: {error:?}");
        let pax = refuse(&with(|tarball| tarball.pax(&[("path", name)], b"x")));
        assert!(
            matches!(pax, ArchiveError::UnsafeName { .. } | ArchiveError::Damaged { .. }),
            "{name}: {pax:?}"
        );
    }
    let error = refuse(&with(|tarball| tarball.raw(EntryType::Regular, b"bin/\xff", b"", 0o644, b"x")));
    assert!(matches!(error, ArchiveError::NameNotUtf8 { .. }), "{error:?}");
}

#[test]
fn refuses_links_that_leave_the_release() {
    for target in ["/etc/passwd", "../../x", "x/../../../y", "..", ""] {
        let error = refuse(&with(|tarball| tarball.link(EntryType::Symlink, "bin/link", target)));
        assert!(matches!(error, ArchiveError::UnsafeLink { .. }), "{target}: {error:?}");
    }
    for target in ["/etc/passwd", "../x", "no/such/file", "bin/link"] {
        let error = refuse(&with(|tarball| tarball.link(EntryType::Link, "bin/link", target)));
        assert!(matches!(error, ArchiveError::HardLink { .. }), "{target}: {error:?}");
    }
}

#[test]
fn refuses_files_below_a_link() {
    let error = refuse(&with(|tarball| {
        tarball.link(EntryType::Symlink, "priv", "lib");
        tarball.file("priv/x", 0o644, b"x");
    }));
    assert!(matches!(error, ArchiveError::BelowNonDirectory { .. }), "{error:?}");
}

#[test]
fn refuses_what_is_neither_file_nor_directory_nor_link() {
    for kind in
        [EntryType::Char, EntryType::Block, EntryType::Fifo, EntryType::GNUSparse, EntryType::new(b'V')]
    {
        let error = refuse(&with(|tarball| tarball.raw(kind, b"bin/odd", b"", 0o644, b"")));
        assert!(matches!(error, ArchiveError::Special { .. }), "{kind:?}: {error:?}");
    }
    let error = refuse(&with(|tarball| tarball.pax(&[("path", "bin/odd"), ("GNU.sparse.major", "1")], b"x")));
    assert!(matches!(error, ArchiveError::Special { .. }), "{error:?}");
}

#[test]
fn refuses_privileged_files() {
    for mode in [0o4755, 0o2755] {
        let error = refuse(&with(|tarball| tarball.file("bin/su", mode, b"x")));
        assert!(matches!(error, ArchiveError::Privileged { .. }), "{error:?}");
    }
}

#[test]
fn refuses_what_two_readers_would_read_differently() {
    let damaged = |packed: &[u8]| {
        let error = refuse(packed);
        assert!(matches!(error, ArchiveError::Damaged { .. }), "{error:?}");
    };
    damaged(&with(|tarball| tarball.pax(&[("path", "bin/x"), ("size", "0")], b"content")));
    damaged(&with(|tarball| tarball.pax(&[("path", "bin/x"), ("path", "bin/y")], b"content")));
    damaged(&with(|tarball| tarball.raw(EntryType::XGlobalHeader, b"g", b"", 0o644, b"14 path=bin/y\n")));
    damaged(&with(|tarball| tarball.raw(EntryType::GNULongName, b"l", b"", 0o644, &vec![b'x'; 100_000])));
    let twice = refuse(&with(|tarball| tarball.file("bin/shop", 0o755, b"other")));
    assert!(matches!(twice, ArchiveError::Duplicate { .. }), "{twice:?}");
}

#[test]
fn refuses_bombs_before_they_are_unpacked() {
    let zeros = vec![0; 4 << 20];
    let bomb = with(|tarball| (0..40).for_each(|n| tarball.file(&format!("priv/{n}"), 0o644, &zeros)));
    assert!(bomb.len() < 1 << 20);
    assert!(matches!(refuse(&bomb), ArchiveError::Bomb { .. }));
    let check = |limits| read(bomb.as_slice(), limits, &mut Discard).unwrap_err();
    let limits = Limits::default();
    assert!(matches!(check(Limits { total_size: 1 << 20, ..limits }), ArchiveError::TooLarge { .. }));
    assert!(matches!(check(Limits { member_size: 1 << 20, ..limits }), ArchiveError::MemberTooLarge { .. }));
    assert!(matches!(check(Limits { members: 20, ..limits }), ArchiveError::TooManyMembers { .. }));
}

#[test]
fn every_truncation_is_noticed() {
    let packed = Tarball::release("0.2.0").packed();
    for length in (0..packed.len()).step_by(7) {
        let error = refuse(&packed[..length]);
        assert!(matches!(error, ArchiveError::Truncated | ArchiveError::NotARelease), "{length}: {error:?}");
    }
    let unpacked = Tarball::release("0.2.0").unpacked();
    for length in (0..unpacked.len() - 1024).step_by(256) {
        let error = refuse(&gzip(&unpacked[..length]));
        assert!(
            matches!(error, ArchiveError::Truncated | ArchiveError::Damaged { .. }),
            "{length}: {error:?}"
        );
    }
}

#[test]
fn every_flipped_bit_is_noticed_or_harmless() {
    let packed = Tarball::release("0.2.0").packed();
    let digest = accept(&packed).manifest.digest();
    for at in 0..packed.len() {
        let mut flipped = packed.clone();
        flipped[at] ^= 0x10;
        if let Ok(archive) = read(flipped.as_slice(), Limits::default(), &mut Discard) {
            assert_eq!(archive.manifest.digest(), digest, "byte {at}: only gzip's own header may differ");
        }
    }
}

#[test]
fn refuses_what_is_no_archive() {
    assert!(matches!(refuse(b"PK\x03\x04 a zip file"), ArchiveError::NotGzip));
    assert!(matches!(refuse(&gzip(&vec![b'x'; 4096])), ArchiveError::Damaged { .. }));
    assert!(matches!(refuse(&gzip(&[0; 1024])), ArchiveError::NotARelease));
    let mut trailing = Tarball::release("0.2.0").packed();
    trailing.extend_from_slice(b"something else");
    assert!(matches!(refuse(&trailing), ArchiveError::Damaged { .. }));
}

#[test]
fn refuses_what_is_no_release() {
    let source = Tarball::default().and_file("src/shop.erl", b"-module(shop).").packed();
    assert!(matches!(refuse(&source), ArchiveError::NotARelease));
    let below_directory = Tarball::release("0.2.0").with_prefix("shop-0.2.0/").packed();
    assert!(matches!(refuse(&below_directory), ArchiveError::NotARelease));
    let two = with(|tarball| tarball.append_release("0.3.0"));
    assert!(matches!(refuse(&two), ArchiveError::SeveralReleases { .. }));
}

#[test]
fn refuses_releases_that_would_not_run() {
    let check = |packed: Vec<u8>| match refuse(&packed) {
        ArchiveError::Release(error) => error,
        other => panic!("{other:?}"),
    };
    let without = |path: &str| check(Tarball::release("0.2.0").without(path).packed());
    let missing = without("lib/sasl-4.2/ebin/sasl.app");
    assert!(matches!(missing, ReleaseError::MissingApplication { .. }), "{missing:?}");
    let no_boot = without("releases/0.2.0/start.boot");
    assert!(matches!(no_boot, ReleaseError::NoBootFile { .. }), "{no_boot:?}");
    let relup = |content: &[u8]| {
        check(
            Tarball::release("0.2.0")
                .without("releases/0.2.0/relup")
                .and_file("releases/0.2.0/relup", content)
                .packed(),
        )
    };
    assert!(matches!(relup(b"{\"0.2.0\", [], "), ReleaseError::Format { .. }));
    assert!(matches!(relup(b"{\"0.3.0\", [], []}."), ReleaseError::Describes { .. }));
}

#[test]
fn unpacks_what_was_packed() {
    let directory = tempfile::tempdir().unwrap();
    let mut sink = UnpackInto::new(directory.path().to_owned());
    let packed = with(|tarball| tarball.link(EntryType::Symlink, "bin/start", "shop"));
    read(packed.as_slice(), Limits::default(), &mut sink).unwrap();
    sink.finish().unwrap();
    let content = std::fs::read(directory.path().join("bin/start")).unwrap();
    assert_eq!(content, b"#!/bin/sh\n");
}

/// Fails at one file, as a full disk does.
struct FullDisk;

impl Sink for FullDisk {
    fn file(&mut self, path: &MemberPath, _: Mode, _: u64, _: &mut dyn Read) -> io::Result<()> {
        if path.as_str() == "bin/shop" { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

#[test]
fn a_full_disk_is_not_blamed_on_the_archive() {
    let packed = Tarball::release("0.2.0").packed();
    let error = read(packed.as_slice(), Limits::default(), &mut FullDisk).unwrap_err();
    assert!(matches!(&error, ArchiveError::Sink { member, .. } if member == "bin/shop"), "{error:?}");
}

proptest! {
    #[test]
    fn arbitrary_members_never_panic_nor_leave_the_directory(
        names in proptest::collection::vec(("[ab./]{1,6}", 0..7usize, "[ab./]{0,6}", 0..8u32), 0..8),
    ) {
        const KINDS: &[u8; 7] = b"0125xLK";
        let packed = with(|tarball| {
            for (name, kind, target, mode) in &names {
                tarball.raw(EntryType::new(KINDS[*kind]), name.as_bytes(), target.as_bytes(), mode * 0o111, b"8 path=a\n");
            }
        });
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("root");
        std::fs::create_dir(&root).unwrap();
        let mut sink = UnpackInto::new(root);
        if read(packed.as_slice(), Limits::default(), &mut sink).is_ok() {
            let _ = sink.finish();
        }
        prop_assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let _ = read(gzip(&bytes).as_slice(), Limits::default(), &mut Discard);
        let _ = read(bytes.as_slice(), Limits::default(), &mut Discard);
    }
}
