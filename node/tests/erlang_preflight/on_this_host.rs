//! What a release needs of the host: libraries, permissions, room, hardening, a runtime system that starts.

use crate::erlang_support::{Host, transition};
use crate::{has_remedy, reason_of, verdict};
use relupd::driver::{AppUser, CheckResult, Method, Outlook, Prospect, ReleaseDriver, Transition};
use relupd::ids::Digest;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::PathBuf;
use std::process::Command;

#[tokio::test(flavor = "multi_thread")]
async fn what_this_host_does_not_have_is_named_before_anything_runs() {
    let host = Host::new();
    host.place("0.1.0").await;
    let first = Transition { from: None, ..transition("0.1.0", "0.1.0", Method::First) };
    assert_eq!(verdict(&host.driver.preflight(&first).await.unwrap()), None);

    let erts = fs::read_dir(host.root()).unwrap().map(|entry| entry.unwrap().path());
    let erts = erts.into_iter().find(|path| path.to_string_lossy().contains("/erts-")).unwrap();
    for (from, to, expected) in [
        (&b"GLIBC_2.3"[..], &b"GLIBC_9.3"[..], "lacks GLIBC_9.3"),
        (&b"libc.so.6\0"[..], &b"libq.so.6\0"[..], "libq.so.6 is not on this host"),
    ] {
        let program = erts.join("bin/epmd");
        let sound = fs::read(&program).unwrap();
        fs::write(&program, replaced(&sound, from, to)).unwrap();
        let checks = host.driver.preflight(&first).await.unwrap();
        fs::write(&program, &sound).unwrap();
        assert_eq!(verdict(&checks), Some(("P7", false)), "{checks:#?}");
        assert!(reason_of(&checks, "P7").contains(expected), "{checks:#?}");
    }

    // Its libraries are all here, and it starts nothing.
    let vm = erts.join("bin/beam.smp");
    let sound = fs::read(&vm).unwrap();
    fs::write(&vm, "#!/bin/sh\necho broken >&2\nexit 3\n").unwrap();
    let checks = host.driver.preflight(&first).await.unwrap();
    fs::write(&vm, &sound).unwrap();
    assert_eq!(verdict(&checks), Some(("P14", false)), "{checks:#?}");
    assert!(reason_of(&checks, "P14").contains("broken"), "{checks:#?}");
    assert!(has_remedy(&checks));
}

/// Every occurrence replaced by something as long.
fn replaced(content: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut edited = content.to_vec();
    let places: Vec<usize> = (0..content.len()).filter(|at| content[*at..].starts_with(from)).collect();
    assert!(!places.is_empty());
    for at in places {
        edited[at..at + to.len()].copy_from_slice(to);
    }
    edited
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_apps_user_cannot_read_or_others_can_write_is_refused() {
    let host = Host::for_user(Some(AppUser { name: "nobody".to_owned(), uid: 65534, gid: 65534 }));
    host.place("0.1.0").await;
    let first = Transition { from: None, ..transition("0.1.0", "0.1.0", Method::First) };
    for (path, mode, expected) in [
        ("lib", 0o777, "can be written by others"),
        ("lib/shop-0.1.0", 0o700, "cannot be read by the app's user nobody"),
        ("releases/0.1.0/sys.config", 0o600, "cannot be read by the app's user nobody"),
    ] {
        let path = host.root().join(path);
        let sound = fs::metadata(&path).unwrap().permissions();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let checks = host.driver.preflight(&first).await.unwrap();
        fs::set_permissions(&path, sound).unwrap();
        assert!(reason_of(&checks, "P8").contains(expected), "{checks:#?}");
        assert!(has_remedy(&checks));
    }
    // What runs must not write itself. To give a file away takes root.
    let library = host.root().join("lib/shop-0.1.0");
    if chown(&library, Some(65534), None).is_ok() {
        let checks = host.driver.preflight(&first).await.unwrap();
        assert!(reason_of(&checks, "P8").contains("belongs to the app's own user nobody"), "{checks:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_without_room_is_refused_before_it_runs_full() {
    let host = Host::new();
    fs::create_dir(host.root()).unwrap();
    let Some(disk) = SmallDisk::mount(host.root(), "512m") else { return };
    host.place("0.1.0").await;
    let first = Transition { from: None, ..transition("0.1.0", "0.1.0", Method::First) };
    assert_eq!(verdict(&host.driver.preflight(&first).await.unwrap()), None);
    fs::write(host.root().join("filler"), vec![0; 32 << 20]).unwrap();
    disk.resize("64m");
    let checks = host.driver.preflight(&first).await.unwrap();
    assert_eq!(verdict(&checks), Some(("P8", false)), "{checks:#?}");
    assert!(reason_of(&checks, "P8").contains("left"), "{checks:#?}");
    // A plan knows it as well, of a release that nobody has fetched yet.
    let other = Transition { from: None, ..transition("0.2.0", "0.2.0", Method::First) };
    let space = async |size| {
        let (transition, manifest) = (other.clone(), Digest::of(b"0.2.0"));
        let prospect = Prospect { transition, manifest, description: None, size };
        let foreseen = host.driver.foresee(&prospect).await.unwrap();
        foreseen.into_iter().find(|found| found.name.starts_with("P8")).unwrap().outlook
    };
    assert!(matches!(space(0).await, Outlook::Known(CheckResult::Failed { .. })));
    // Of its size, too: there is room for what a running app writes, and not for another release.
    disk.resize("256m");
    assert_eq!(space(0).await, Outlook::Known(CheckResult::Passed));
    assert!(matches!(space(256 << 20).await, Outlook::Known(CheckResult::Failed { .. })));
}

/// A file system in memory. It goes with this value.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Root of a container often may not mount: then there is none.
    fn mount(path: PathBuf, size: &str) -> Option<Self> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o"]).arg(format!("size={size},mode=755")).arg("tmpfs").arg(&path);
        let mounted = mount.status().is_ok_and(|status| status.success());
        if !mounted {
            eprintln!("SKIPPED: no small file system can be mounted here; that takes root");
        }
        mounted.then_some(Self(path))
    }

    fn resize(&self, size: &str) {
        let mut mount = Command::new("mount");
        assert!(mount.arg("-o").arg(format!("remount,size={size}")).arg(&self.0).status().unwrap().success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn required_hardening_that_a_program_lacks_is_refused() {
    let host = Host::with(|settings| settings.required_hardening = BTreeSet::from(["pie".to_owned()]));
    host.place("0.1.0").await;
    let first = Transition { from: None, ..transition("0.1.0", "0.1.0", Method::First) };
    assert_eq!(verdict(&host.driver.preflight(&first).await.unwrap()), None, "Debian builds all of it PIE");

    let host =
        Host::with(|settings| settings.required_hardening = BTreeSet::from(["immediate-binding".to_owned()]));
    host.place("0.1.0").await;
    let checks = host.driver.preflight(&first).await.unwrap();
    assert_eq!(verdict(&checks), Some(("P15", false)), "{checks:#?}");
    assert!(reason_of(&checks, "P15").contains("lacks immediate-binding"), "{checks:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn native_code_for_another_processor_is_no_fault_of_a_release_that_has_its_own_beside_it() {
    let host = Host::new();
    host.place("0.1.0").await;
    let first = Transition { from: None, ..transition("0.1.0", "0.1.0", Method::First) };
    let erts = fs::read_dir(host.root()).unwrap().map(|entry| entry.unwrap().path());
    let erts = erts.into_iter().find(|path| path.to_string_lossy().contains("/erts-")).unwrap();
    let program = erts.join("bin/epmd");
    let own = fs::read(&program).unwrap();
    // The machine's number, in the byte order of this one: RISC-V.
    let mut foreign = own.clone();
    foreign[18..20].copy_from_slice(&243_u16.to_ne_bytes());

    let library = host.root().join("lib/shop-0.1.0/priv");
    fs::create_dir_all(library.join("riscv")).unwrap();
    fs::write(library.join("riscv/shop_nif.so"), &foreign).unwrap();
    let checks = host.driver.preflight(&first).await.unwrap();
    assert_eq!(verdict(&checks), None, "it may be firmware: {checks:#?}");
    let warned = checks.iter().find(|check| check.key() == "P7").unwrap();
    let CheckResult::Warning { reason } = &warned.result else { panic!("{warned:?}") };
    assert!(reason.contains("lib/shop-0.1.0/priv/riscv/shop_nif.so"), "{reason}");
    assert!(checks.iter().any(|check| check.key() == "P14"), "{checks:#?}");

    fs::write(library.join("shop_nif.so"), &own).unwrap();
    let checks = host.driver.preflight(&first).await.unwrap();
    assert!(checks.iter().all(|check| check.result == CheckResult::Passed), "{checks:#?}");

    fs::write(&program, &foreign).unwrap();
    let checks = host.driver.preflight(&first).await.unwrap();
    assert_eq!(verdict(&checks), Some(("P7", false)), "{checks:#?}");
    assert!(reason_of(&checks, "P7").contains("bin/epmd was built for another processor"), "{checks:#?}");
}
