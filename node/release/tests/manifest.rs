//! A manifest has one encoding, and what comes from the network is never believed.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use proptest::prelude::*;
use relupd_release::Digest;
use relupd_release::manifest::{Entry, EntryKind, LinkTarget, Manifest, ManifestError, MemberPath, Mode};

fn path(text: &str) -> MemberPath {
    text.parse().unwrap()
}

fn file(at: &str, content: &str) -> Entry {
    let kind = EntryKind::File {
        mode: Mode::from_bits(0o644),
        size: content.len() as u64,
        digest: Digest::of(content.as_bytes()),
    };
    Entry { path: path(at), kind }
}

fn link(at: &str, target: &str) -> Entry {
    Entry { path: path(at), kind: EntryKind::Symlink { target: LinkTarget::new(&path(at), target).unwrap() } }
}

fn directory(at: &str) -> Entry {
    Entry { path: path(at), kind: EntryKind::Directory }
}

fn manifest(mut entries: Vec<Entry>) -> Result<Manifest, ManifestError> {
    entries.push(file("releases/0.2.0/shop.rel", "rel"));
    Manifest::new("shop".parse().unwrap(), "0.2.0".parse().unwrap(), entries)
}

#[test]
fn order_and_implied_directories_do_not_change_the_digest() {
    let one = manifest(vec![file("bin/shop", "x"), link("bin/start", "shop"), directory("log")]).unwrap();
    let other = manifest(vec![
        directory("log"),
        directory("bin"),
        link("bin/start", "shop"),
        directory("log"),
        file("bin/shop", "x"),
    ])
    .unwrap();
    assert_eq!(one.digest(), other.digest());
    insta::assert_snapshot!(String::from_utf8(one.to_bytes()).unwrap());
}

#[test]
fn a_changed_bit_changes_the_digest() {
    let digest = |entry| manifest(vec![entry]).unwrap().digest();
    let reference = digest(file("a", "x"));
    assert_ne!(reference, digest(file("a", "y")));
    assert_ne!(reference, digest(file("b", "x")));
    let mut executable = file("a", "x");
    if let EntryKind::File { mode, .. } = &mut executable.kind {
        *mode = Mode::from_bits(0o755);
    }
    assert_ne!(reference, digest(executable));
}

#[test]
fn paths_cannot_leave_the_release() {
    for text in
        ["", "/etc/passwd", "..", "a/../b", "a//b", "./a", "a/", "a/.", "a\nb", "a\0", &"x/".repeat(70)]
    {
        assert!(text.parse::<MemberPath>().is_err(), "{text:?}");
    }
    assert!(&"x".repeat(300).parse::<MemberPath>().is_err());
    assert_eq!(path("a/b..c/\u{fc} d").file_name(), "\u{fc} d");
}

#[test]
fn links_cannot_leave_the_release() {
    let at = path("lib/a/link");
    for target in ["/etc", "../../../x", "x/../../../../y", "..", "../..", "x/..", "", ".", "a\tb"] {
        assert!(LinkTarget::new(&at, target).is_err(), "{target:?}");
    }
    for target in ["x", "../b/c", "../../bin/x"] {
        assert!(LinkTarget::new(&at, target).is_ok(), "{target:?}");
    }
}

#[test]
fn nothing_lies_below_a_link_or_a_file() {
    for parent in [link("a", "b"), file("a", "x")] {
        let error = manifest(vec![file("b/c", "x"), parent, file("a/c/d", "x")]).unwrap_err();
        assert_eq!(error, ManifestError::BelowNonDirectory { path: path("a/c/d"), parent: path("a") });
    }
}

#[test]
fn refuses_what_cannot_be_a_release() {
    assert_eq!(
        manifest(vec![file("a", "x"), file("a", "x")]),
        Err(ManifestError::Duplicate { path: path("a") })
    );
    let huge = EntryKind::File { mode: Mode::from_bits(0o644), size: u64::MAX, digest: Digest::of(b"") };
    let entries = vec![Entry { path: path("a"), kind: huge.clone() }, Entry { path: path("b"), kind: huge }];
    assert!(matches!(manifest(entries), Err(ManifestError::TooLarge { .. })));
    let other_version = Manifest::new(
        "shop".parse().unwrap(),
        "0.3.0".parse().unwrap(),
        vec![file("releases/0.2.0/shop.rel", "rel")],
    );
    assert_eq!(other_version, Err(ManifestError::NoRelFile { path: "releases/0.3.0/shop.rel".to_owned() }));
}

#[test]
fn refuses_every_other_encoding() {
    let manifest = manifest(vec![file("a", "x"), file("b", "x")]).unwrap();
    let text = String::from_utf8(manifest.to_bytes()).unwrap();
    assert_eq!(Manifest::parse(text.as_bytes()), Ok(manifest));
    let lines: Vec<&str> = text.lines().collect();
    let mut unsorted = lines.clone();
    unsorted.swap(3, 4);
    for other in [
        text.trim_end().to_owned(),
        text.replace('\n', "\r\n"),
        text.replace("file 644", "file 0644"),
        text.replace("file 644", "file 4755"),
        text.replace("file 644", "file 666"),
        text.replace(" 1 ", " +1 "),
        unsorted.join("\n") + "\n",
        format!("{text}directory releases\n"),
        format!("{text}file 644 1\n"),
        format!("{text}\n"),
        text.replace("manifest 1", "manifest 2"),
    ] {
        assert!(Manifest::parse(other.as_bytes()).is_err(), "{other}");
    }
}

fn any_entry() -> impl Strategy<Value = Entry> {
    let path = "[a-c \u{fc}]{1,2}(/[a-d]{1,2}){0,3}".prop_map(|text| text.parse::<MemberPath>().unwrap());
    (path, 0..3u8, any::<u32>(), any::<u32>(), "(\\.\\./){0,2}[a-d]{1,2}").prop_map(
        |(path, kind, mode, size, target)| {
            let kind = match (kind, LinkTarget::new(&path, &target)) {
                (0, Ok(target)) => EntryKind::Symlink { target },
                (1, _) => EntryKind::Directory,
                _ => EntryKind::File {
                    mode: Mode::from_bits(mode),
                    size: size.into(),
                    digest: Digest::of(&size.to_le_bytes()),
                },
            };
            Entry { path, kind }
        },
    )
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(entries in proptest::collection::vec(any_entry(), 0..8)) {
        if let Ok(manifest) = manifest(entries) {
            prop_assert_eq!(Manifest::parse(&manifest.to_bytes()), Ok(manifest));
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut text = b"relupd manifest 1\nname a\nversion 1\n".to_vec();
        text.extend(bytes);
        let _ = Manifest::parse(&text);
    }
}
