//! Asks a real Erlang, where one is installed. Tests that need it pass without it: it is the witness,
//! not the subject.

#![allow(dead_code, reason = "each test binary asks its own questions")]

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

fn eval(code: &str, arguments: &[&OsStr]) -> Option<String> {
    let output = Command::new("erl")
        .args(["-noshell", "-noinput", "-eval", code, "-extra"])
        .args(arguments)
        .env("HOME", "/")
        .output()
        .ok()?;
    assert!(output.status.success(), "erl: {}", String::from_utf8_lossy(&output.stdout));
    Some(String::from_utf8(output.stdout).expect("the script prints UTF-8"))
}

/// Every file of terms below an OTP installation; `None` where Erlang is not installed.
pub(crate) fn term_files(root: &str) -> Option<Vec<PathBuf>> {
    Command::new("erl").arg("-version").output().ok()?;
    let mut files = Vec::new();
    let mut directories = vec![PathBuf::from(root)];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(&directory).ok()? {
            let path = entry.ok()?.path();
            if path.is_dir() && !path.is_symlink() {
                directories.push(path);
            } else if is_term_file(&path) && path.is_file() {
                files.push(path);
            }
        }
    }
    files.sort();
    Some(files)
}

fn is_term_file(path: &Path) -> bool {
    let extension = path.extension().and_then(OsStr::to_str);
    let name = path.file_name().and_then(OsStr::to_str);
    matches!(extension, Some("app" | "appup" | "rel" | "config" | "script"))
        || matches!(name, Some("relup" | "RELEASES"))
}

/// For each file, whether `file:consult/1` reads it.
pub(crate) fn consult_verdicts(files: &[PathBuf]) -> Vec<bool> {
    let code = "[io:put_chars(case file:consult(F) of {ok,_} -> \"y\"; _ -> \"n\" end) || F <- init:get_plain_arguments()], halt().";
    let arguments: Vec<&OsStr> = files.iter().map(|file| file.as_os_str()).collect();
    let verdicts = eval(code, &arguments).expect("Erlang was there a moment ago");
    assert_eq!(verdicts.len(), files.len());
    verdicts.bytes().map(|verdict| verdict == b'y').collect()
}

/// Reads `content` with `file:consult/1` and prints the terms again; `None` where Erlang is not installed.
pub(crate) fn reprint(content: &str) -> Option<String> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("terms");
    std::fs::write(&file, content).expect("writable");
    let code = "io:setopts([{encoding,utf8}]), {ok,Ts} = file:consult(hd(init:get_plain_arguments())), [io:format(\"~tp.~n\",[T]) || T <- Ts], halt().";
    eval(code, &[file.as_os_str()])
}

/// A release archive that `systools:make_tar/2` made; `None` where Erlang is not installed.
pub(crate) fn systools_archive() -> Option<Vec<u8>> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let code = r#"
        [Dir] = init:get_plain_arguments(), ok = file:set_cwd(Dir),
        [application:load(A) || A <- [kernel, stdlib, sasl]],
        Vsn = fun(A) -> {ok, V} = application:get_key(A, vsn), {A, V} end,
        Rel = {release, {"tiny", "1.0.0"}, {erts, erlang:system_info(version)},
               [Vsn(A) || A <- [kernel, stdlib, sasl]]},
        ok = file:write_file("tiny.rel", io_lib:format("~p.~n", [Rel])),
        ok = systools:make_script("tiny", [no_warn_sasl, {script_name, "start"}]),
        ok = file:write_file("sys.config", "[]."),
        {ok, _} = file:copy("start.boot", "tiny.boot"),
        ok = systools:make_tar("tiny", []),
        halt()."#;
    eval(code, &[directory.path().as_os_str()])?;
    Some(std::fs::read(directory.path().join("tiny.tar.gz")).expect("systools wrote it"))
}
