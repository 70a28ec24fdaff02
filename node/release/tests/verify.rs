//! A tree on disk is what its manifest says, or every difference is named.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod tarball;

use relupd_release::Manifest;
use relupd_release::archive::{Limits, UnpackInto, read};
use relupd_release::verify::{What, verify_tree};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use tar::EntryType;
use tarball::Tarball;
use tempfile::TempDir;

fn unpacked() -> (TempDir, Manifest) {
    let directory = tempfile::tempdir().unwrap();
    let mut sink = UnpackInto::new(directory.path().to_owned());
    let mut tarball = Tarball::release("0.2.0");
    tarball.link(EntryType::Symlink, "bin/start", "shop");
    let archive = read(tarball.packed().as_slice(), Limits::default(), &mut sink).unwrap();
    sink.finish().unwrap();
    (directory, archive.manifest)
}

/// What is different after `change`, in `path: what` form.
fn after(change: impl FnOnce(&Path)) -> Vec<String> {
    let (directory, manifest) = unpacked();
    change(directory.path());
    let closed = ["bin".parse().unwrap(), "lib/shop-0.2.0".parse().unwrap()];
    let differences = verify_tree(directory.path(), manifest.entries(), &closed).unwrap();
    differences.iter().map(ToString::to_string).collect()
}

#[test]
fn what_was_unpacked_is_what_the_manifest_says() {
    assert_eq!(after(|_| ()), [""; 0]);
}

#[test]
fn every_difference_is_named() {
    let shop = |root: &Path| root.join("bin/shop");
    assert_eq!(after(|root| fs::remove_file(shop(root)).unwrap()), ["bin/shop is missing"]);
    assert_eq!(after(|root| fs::write(shop(root), b"#!/bin/sH\n").unwrap()), ["bin/shop has other content"]);
    assert_eq!(after(|root| fs::write(shop(root), b"").unwrap()), ["bin/shop has 0 bytes instead of 10"]);
    assert_eq!(
        after(|root| fs::set_permissions(shop(root), Permissions::from_mode(0o4755)).unwrap()),
        ["bin/shop has permissions 4755 instead of 755"]
    );
    assert_eq!(
        after(|root| {
            fs::remove_file(root.join("bin/start")).unwrap();
            symlink("/bin/sh", root.join("bin/start")).unwrap();
        }),
        ["bin/start points to /bin/sh instead"]
    );
    assert_eq!(
        after(|root| {
            fs::remove_file(shop(root)).unwrap();
            fs::create_dir(shop(root)).unwrap();
        }),
        ["bin/shop is not a file"]
    );
}

#[test]
fn strangers_are_named_in_closed_directories_only() {
    assert_eq!(
        after(|root| {
            fs::create_dir_all(root.join("lib/shop-0.2.0/priv/deep")).unwrap();
            fs::write(root.join("lib/other-1.beam"), b"another release's").unwrap();
        }),
        ["lib/shop-0.2.0/priv does not belong to the release"]
    );
}

#[test]
fn a_link_in_place_of_a_directory_is_no_disguise() {
    let found = after(|root| {
        fs::rename(root.join("bin"), root.join("elsewhere")).unwrap();
        symlink("elsewhere", root.join("bin")).unwrap();
    });
    assert_eq!(found, ["bin is not a directory"]);
}

#[test]
fn a_subset_can_be_checked_alone() {
    let (directory, manifest) = unpacked();
    fs::remove_file(directory.path().join("bin/shop")).unwrap();
    let library = "lib/shop-0.2.0".parse().unwrap();
    assert_eq!(
        verify_tree(directory.path(), manifest.within(&library), std::slice::from_ref(&library)).unwrap(),
        []
    );
    let missing = verify_tree(&directory.path().join("gone"), manifest.within(&library), &[]).unwrap();
    assert_eq!(missing[0].what, What::Missing);
}
