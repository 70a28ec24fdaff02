//! Compiled modules, made by the Erlang that is installed; without one there is nothing to ask.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use relupd_release::beam::Beam;
use std::fs;
use std::process::Command;

fn compile(source: &str, options: &[&str]) -> Option<Beam> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("sample_sup.erl");
    fs::write(&file, source).unwrap();
    let erlc = Command::new("erlc").args(options).arg("-o").arg(directory.path()).arg(&file).output().ok()?;
    assert!(erlc.status.success(), "{}", String::from_utf8_lossy(&erlc.stdout));
    Some(Beam::parse(&fs::read(directory.path().join("sample_sup.beam")).unwrap()).unwrap())
}

fn supervisor(children: &str, more: &str) -> String {
    format!(
        "-module(sample_sup).\n-behaviour(supervisor).\n-export([init/1]).\n{more}\
         init([]) -> {{ok, {{#{{}}, [{children}]}}}}.\n"
    )
}

const COUNTER: &str = "#{id => counter, start => {counter, start_link, []}}";
const OLD_STYLE: &str = "{web, {web, start_link, []}, permanent, 5000, worker, [web]}";

#[test]
fn the_code_is_the_same_whatever_line_it_stands_on_and_whatever_was_stripped() {
    let Some(plain) = compile(&supervisor(COUNTER, ""), &[]) else { return };
    let with_information = compile(&supervisor(COUNTER, ""), &["+debug_info"]).unwrap();
    let compressed = compile(&supervisor(COUNTER, ""), &["+compressed"]).unwrap();
    let other = compile(&supervisor(OLD_STYLE, ""), &[]).unwrap();
    assert_eq!(plain.module, "sample_sup");
    assert_eq!(plain.code, with_information.code);
    assert_eq!(plain.code, compressed.code);
    assert_ne!(plain.code, other.code);
    assert!(plain.is_supervisor() && !plain.loads_nif);
    let nif = "-export([load/0]).\nload() -> erlang:load_nif(\"x\", 0).\n";
    assert!(compile(&supervisor("", nif), &[]).unwrap().loads_nif);
}

#[test]
fn children_of_a_supervisor_are_told_where_there_is_debug_information() {
    let Some(before) = compile(&supervisor(COUNTER, ""), &["+debug_info"]) else { return };
    let both = format!("{COUNTER}, {OLD_STYLE}");
    let after = compile(&supervisor(&both, ""), &["+debug_info"]).unwrap().init.unwrap();
    let before = before.init.unwrap();
    assert_eq!(before.children.iter().collect::<Vec<_>>(), ["counter"]);
    assert_eq!(after.children.iter().collect::<Vec<_>>(), ["counter", "web"]);
    assert_ne!(before.source, after.source);
    let moved = compile(&supervisor(COUNTER, "-export([f/0]).\nf() -> 1.\n"), &["+debug_info"]).unwrap();
    assert_eq!(before.source, moved.init.unwrap().source, "only its line is another");
    assert_eq!(compile(&supervisor(COUNTER, ""), &[]).unwrap().init, None);
}

/// A module of these chunks.
fn module(chunks: &[(&[u8; 4], Vec<u8>)]) -> Vec<u8> {
    let mut content = b"FOR1\0\0\0\0BEAM".to_vec();
    for (name, chunk) in chunks {
        content.extend_from_slice(*name);
        content.extend_from_slice(&u32::try_from(chunk.len()).unwrap().to_be_bytes());
        content.extend_from_slice(chunk);
        content.resize(content.len().next_multiple_of(4), 0);
    }
    content
}

#[test]
fn modules_that_would_cost_more_than_they_weigh_are_errors() {
    let atoms = |count: i32, names: &[u8]| (b"AtU8", [&count.to_be_bytes()[..], names].concat());
    assert_eq!(Beam::parse(&module(&[atoms(1, b"\x01a")])).unwrap().module, "a");
    for count in [i32::MAX, i32::MIN, 1 << 21] {
        let empty = vec![0; 1 << 22];
        assert!(Beam::parse(&module(&[atoms(count, &empty)])).is_err(), "{count} atoms");
    }
    let names: Vec<[u8; 4]> = (0..10_000_u32).map(u32::to_be_bytes).collect();
    let chunks: Vec<_> = names.iter().map(|name| (name, vec![])).collect();
    assert!(Beam::parse(&module(&chunks)).is_err());
    assert!(Beam::parse(&vec![b'x'; (64 << 20) + 1]).is_err());
    // What cannot be decoded is not known, and the rest is.
    let deep = [&[131][..], &b"\x68\x01".repeat(1 << 20)].concat();
    let odd = Beam::parse(&module(&[atoms(1, b"\x01a"), (b"Attr", deep)])).unwrap();
    assert!(odd.behaviours.is_empty());
}

#[test]
fn damaged_modules_are_errors_and_no_panics() {
    let Ok(output) = Command::new("erl")
        .args(["-noshell", "-eval", "io:put_chars(code:which(supervisor)), halt()."])
        .output()
    else {
        return;
    };
    let sound = fs::read(String::from_utf8(output.stdout).unwrap()).unwrap();
    assert_eq!(Beam::parse(&sound).unwrap().module, "supervisor");
    assert!(Beam::parse(b"").is_err() && Beam::parse(b"FOR1\0\0\0\0BEAM").is_err());
    for length in (0..sound.len()).step_by(97) {
        let _ = Beam::parse(&sound[..length]);
    }
    for position in (0..sound.len()).step_by(41) {
        let mut damaged = sound.clone();
        damaged[position] ^= 0xff;
        let _ = Beam::parse(&damaged);
    }
}
