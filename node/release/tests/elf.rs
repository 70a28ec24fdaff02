//! What is read from ELF files, with Debian's own tools as witnesses where they are installed.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use relupd_release::elf::host::HostLibraries;
use relupd_release::elf::{ElfFile, Finding, Hardening, is_elf};
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// Binaries of the Erlang that is installed, and some of the system's own that are hardened otherwise.
fn binaries() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        ["/bin/ls", "/bin/sh", "/usr/bin/openssl", "/usr/bin/tar"].iter().map(PathBuf::from).collect();
    for erts in fs::read_dir("/usr/lib/erlang").into_iter().flatten().flatten() {
        let bin = erts.path().join("bin");
        found.extend(
            ["beam.smp", "erlexec", "epmd", "erl_child_setup", "inet_gethost"].map(|name| bin.join(name)),
        );
    }
    for library in fs::read_dir("/usr/lib/erlang/lib").into_iter().flatten().flatten() {
        found.extend(["crypto.so", "asn1rt_nif.so"].map(|name| library.path().join("priv/lib").join(name)));
    }
    found.retain(|path| path.is_file());
    assert!(!found.is_empty());
    found
}

fn parse(path: &PathBuf) -> ElfFile {
    ElfFile::parse(&fs::read(path).unwrap()).unwrap()
}

/// The first word of each of its answers, by question.
fn hardening_check(path: &PathBuf) -> Option<BTreeMap<String, String>> {
    let output = Command::new("hardening-check").arg(path).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Some(
        text.lines()
            .skip(1)
            .filter_map(|line| line.trim().split_once(": "))
            .map(|(q, a)| (q.to_owned(), a.to_owned()))
            .collect(),
    )
}

#[test]
fn agrees_with_debians_hardening_check() {
    let mut compared = 0;
    for path in binaries() {
        let Some(theirs) = hardening_check(&path) else {
            eprintln!("hardening-check is not installed (apt-get install devscripts): nothing compared");
            return;
        };
        let Hardening { pie, stack_protector, fortify, relro, immediate_binding, control_flow } =
            parse(&path).hardening;
        for (question, ours) in [
            ("Position Independent Executable", pie),
            ("Stack protected", stack_protector),
            ("Fortify Source functions", fortify),
            ("Read-only relocations", relro),
            ("Immediate binding", immediate_binding),
            ("Control flow integrity", control_flow),
        ] {
            let answer = &theirs[question];
            let expected = match answer {
                _ if answer.starts_with("yes") => Finding::Yes,
                _ if answer.contains("regular shared library") => Finding::DoesNotApply,
                _ if answer.starts_with("unknown") => Finding::Unknown,
                _ => Finding::No,
            };
            assert_eq!(ours, expected, "{}: {question}: {answer}", path.display());
            compared += 1;
        }
    }
    assert!(compared >= 6, "{compared}");
}

#[test]
fn what_a_binary_needs_is_what_readelf_says() {
    for path in binaries() {
        let Ok(output) = Command::new("readelf").args(["-dVW"]).arg(&path).output() else { return };
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let file = parse(&path);
        let needed: Vec<&str> = text
            .lines()
            .filter(|line| line.contains("(NEEDED)"))
            .filter_map(|line| line.split_once('[')?.1.strip_suffix(']'))
            .collect();
        assert_eq!(needed.len(), file.needed.len(), "{}: {needed:?}", path.display());
        for name in needed {
            assert!(file.needed.contains(name), "{}: {name}", path.display());
        }
        for version in file.required_versions.values().flatten() {
            assert!(text.contains(&format!("Name: {version} ")), "{}: {version}", path.display());
        }
        assert!(file.interpreter.is_some() || file.hardening.pie == Finding::DoesNotApply);
    }
}

#[test]
fn what_is_no_elf_file_is_an_error_and_no_panic() {
    let sound = fs::read("/bin/ls").unwrap();
    assert!(is_elf(&sound) && !is_elf(b"#!/bin/sh\n"));
    assert!(ElfFile::parse(b"#!/bin/sh\n").is_err());
    for length in (0..sound.len().min(4096)).step_by(37) {
        let _ = ElfFile::parse(&sound[..length]);
    }
    for position in (16..4096).step_by(13) {
        let mut damaged = sound.clone();
        damaged[position] ^= 0xff;
        let _ = ElfFile::parse(&damaged);
    }
}

#[test]
fn what_the_host_lacks_of_a_binarys_needs_is_named() {
    let path = PathBuf::from("/bin/ls");
    let sound = parse(&path);
    let mut host = HostLibraries::of_this_host();
    assert_eq!(host.unmet(&path, &sound), Vec::<String>::new());

    let mut other = sound.clone();
    other.needed.insert("libnowhere.so.7".to_owned());
    other.required_versions.entry("libc.so.6".to_owned()).or_default().insert("GLIBC_9.99".to_owned());
    other.interpreter = Some("/lib/ld-nowhere.so".to_owned());
    assert_eq!(
        host.unmet(&path, &other),
        [
            "libc.so.6 of this host lacks GLIBC_9.99",
            "libnowhere.so.7 is not on this host",
            "the loader /lib/ld-nowhere.so is not on this host",
        ]
    );
    let mut nothing = HostLibraries::in_directories(Vec::new());
    assert!(nothing.unmet(&path, &sound).contains(&"libc.so.6 is not on this host".to_owned()));
}
