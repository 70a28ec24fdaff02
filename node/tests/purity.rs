//! The modules that decide must stay free of clocks, I/O, tasks and randomness.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, and so do its helpers")]

use std::fs;
use std::path::{Path, PathBuf};

/// Paths below `node` that hold pure code.
const PURE: &[&str] = &["core/src", "src/consensus/voters.rs", "src/consensus/voters/steps.rs"];

/// What none of them may contain outside its tests.
const FORBIDDEN: &[&str] = &[
    "async ",
    ".await",
    "tokio::",
    "std::fs",
    "std::net::Tcp",
    "std::net::Udp",
    "std::process",
    "std::thread",
    "::now()",
    "clock::monotonic",
    "clock::wall",
    "rand::",
    "std::env",
];

fn rust_files(path: &Path, found: &mut Vec<PathBuf>) {
    if path.is_file() {
        found.push(path.to_owned());
    } else if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() || path.extension().is_some_and(|extension| extension == "rs") {
                rust_files(&path, found);
            }
        }
    }
}

#[test]
fn modules_that_decide_are_pure() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for pure in PURE {
        rust_files(&root.join(pure), &mut files);
    }
    assert!(files.len() > 15, "the pure modules have moved: {files:?}");
    let mut impure = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        for (number, line) in
            code.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"))
        {
            for word in FORBIDDEN.iter().filter(|word| line.contains(**word)) {
                impure.push(format!("{}:{}: {word}", file.display(), number + 1));
            }
        }
    }
    assert!(impure.is_empty(), "{}", impure.join("\n"));
}
