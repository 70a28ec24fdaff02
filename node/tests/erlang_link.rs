//! The link between daemon and VM: the daemon's end against a peer that misbehaves, the VM's end
//! against its source, and both through the life of a real VM.

mod erlang_support;

use erlang_support::Host;
use relupd::driver::erlang::link::{Link, LinkError};
use relupd::driver::{Liveness, ReleaseDriver};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Whether the daemon closes the connection rather than answers.
fn is_closed(stream: &mut UnixStream) -> bool {
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout that is not zero");
    // A reset says the same as an end of file: the daemon left without reading everything.
    match stream.read(&mut [0; 16]) {
        Ok(read) => read == 0,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_hello_is_turned_away_and_counts_as_no_vm() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("link.sock");
    let link = Link::listen(&socket, own_uid()).unwrap();
    for frame in [&b"\0\0\0\x04abcd"[..], b"\xff\xff\xff\xff", b"\0\0\0\x02\x83\x6a", b"\0\0\0\0"] {
        let mut stream = UnixStream::connect(&socket).unwrap();
        stream.write_all(frame).unwrap();
        assert!(is_closed(&mut stream), "{frame:?}");
    }
    assert_eq!(*link.liveness().borrow(), Liveness::Unknown);
    assert_eq!(link.boot_nonce(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_user_is_turned_away_unheard() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("link.sock");
    let link = Link::listen(&socket, own_uid() + 1).unwrap();
    assert!(is_closed(&mut UnixStream::connect(&socket).unwrap()));
    assert_eq!(*link.liveness().borrow(), Liveness::Unknown);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_too_long_for_a_socket_is_an_error_that_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let error = Link::listen(&directory.path().join("x".repeat(120)), own_uid()).unwrap_err();
    let LinkError::Listen { source, .. } = error else { panic!("{error}") };
    assert!(source.to_string().contains("shorter run directory"), "{source}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_death_of_a_vm_is_pushed_at_once() {
    let host = Host::running("0.1.0").await;
    let mut liveness = host.driver.liveness();
    assert!(matches!(*liveness.borrow_and_update(), Liveness::Up { .. }));
    let pid = host.info()["os_pid"].as_u64().unwrap();
    let killed = Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap();
    assert!(killed.success());
    tokio::time::timeout(Duration::from_secs(60), liveness.changed()).await.unwrap().unwrap();
    assert_eq!(*liveness.borrow(), Liveness::Down);
}

#[test]
fn the_link_module_is_what_its_source_compiles_to() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/driver/erlang");
    let otp = Command::new("erl")
        .args(["-noshell", "-eval", "io:put_chars(erlang:system_info(otp_release)), halt()."])
        .output()
        .expect("erl is installed (apt-get install erlang-nox)");
    if otp.stdout != b"25" {
        eprintln!("skipped: another compiler gives other bytes than OTP 25's");
        return;
    }
    let out = tempfile::tempdir().unwrap();
    let built = Command::new(source.join("build-link.sh")).arg(out.path()).status().unwrap();
    assert!(built.success());
    let committed = std::fs::read(source.join("relupd_link.beam")).unwrap();
    let compiled = std::fs::read(out.path().join("relupd_link.beam")).unwrap();
    assert!(committed == compiled, "run {}/build-link.sh and commit the module", source.display());
}
