//! relupd itself is rolled, up to what needs root: this test is every host's installer.

use chaos_tests::binaries::Binaries;
use chaos_tests::cluster::Cluster;
use chaos_tests::ctl::Ctl;
use chaos_tests::wait;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;
use tokio::process::Child;

const OLD: &str = "0.1.0-1";
const NEW: &str = "0.2.0-1";
const PATIENCE: Duration = Duration::from_secs(60);

/// A cluster of programs that say of themselves that they came by a package.
struct Hosts {
    cluster: Cluster,
    directory: TempDir,
    package: PathBuf,
    key: PathBuf,
}

impl Hosts {
    async fn formed(size: u8) -> Self {
        let directory = tempfile::Builder::new().prefix("relupd-e2e-").tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        for name in ["bin", "lib/relupd", "keys"] {
            fs::create_dir_all(at(name)).unwrap();
        }
        let build = Binaries::of_this_build().unwrap();
        for program in [&build.relupd, &build.relupctl] {
            let name = program.file_name().unwrap().to_string_lossy();
            fs::copy(program, at(&format!("bin/{name}"))).unwrap();
        }
        is_of(directory.path(), OLD);
        let binaries = Binaries::in_directory(&at("bin")).unwrap();
        let cluster = Cluster::prepare(directory.path(), binaries, size).unwrap();
        for member in cluster.members() {
            let own = member.state_dir().with_file_name("installer");
            fs::create_dir_all(&own).unwrap();
            let installer = own.join("asked.sh");
            fs::write(&installer, format!("#!/bin/sh\ntouch {}\n", own.join("asked").display())).unwrap();
            fs::set_permissions(&installer, fs::Permissions::from_mode(0o755)).unwrap();
            let text = fs::read_to_string(member.config()).unwrap();
            // Whoever leads when the roll begins leads until its turn comes, on a busy machine too.
            let more = format!(
                "\n[raft]\nelection_ticks = 50\n\n[upgrade]\ninstaller = {installer:?}\nkeys = {:?}\ndirectory = {own:?}\n",
                at("keys")
            );
            fs::write(member.config(), text + &more).unwrap();
        }
        let (package, key) = (at("relupd.deb"), at("key.pem"));
        make_package(&at("tree"), &package);
        let mut hosts = Self { cluster, directory, package, key };
        hosts.cluster.form().await.unwrap();
        let ctl = hosts.ctl();
        let key = hosts.key.to_string_lossy().into_owned();
        ctl.run(&["upgrade", "new-key", &key]).await.unwrap();
        hosts
    }

    fn ctl(&self) -> Ctl {
        self.cluster.ctl(0)
    }

    async fn trust(&self) {
        let key = self.key.to_string_lossy().into_owned();
        let public = self.ctl().run(&["upgrade", "key", "--key", &key]).await.unwrap().stdout;
        fs::write(self.directory.path().join("keys/ada.pem"), public).unwrap();
    }

    fn arguments(&self) -> [String; 5] {
        let path = |path: &Path| path.to_string_lossy().into_owned();
        ["cluster".into(), "upgrade".into(), path(&self.package), "--key".into(), path(&self.key)]
    }

    fn begin(&self) -> Child {
        let arguments = self.arguments();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut command = self.ctl().command(&arguments);
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        command.spawn().unwrap()
    }

    /// The host that was given an order, and the order.
    async fn asked(&self) -> (usize, String) {
        wait::until("a host is asked", PATIENCE, async || {
            for (index, member) in self.cluster.members().iter().enumerate() {
                let own = member.state_dir().with_file_name("installer");
                if fs::remove_file(own.join("asked")).is_ok() {
                    let staged = member.state_dir().join("upgrade");
                    assert_eq!(fs::read(staged.join("relupd.deb"))?, fs::read(&self.package)?);
                    let order: Value = serde_json::from_slice(&fs::read(staged.join("order.json"))?)?;
                    return Ok(Some((index, order["order"].as_str().unwrap().to_owned())));
                }
            }
            Ok(None)
        })
        .await
        .unwrap()
    }

    fn note(&self, index: usize, order: &str, phase: &str) {
        let own = self.cluster.members()[index].state_dir().with_file_name("installer");
        let progress =
            json!({ "order": order, "from": OLD, "to": NEW, "phase": phase, "reason": "a test says so" });
        fs::write(own.join("new"), progress.to_string()).unwrap();
        fs::rename(own.join("new"), own.join("progress.json")).unwrap();
    }
}

/// From now on, whoever starts is of this version.
fn is_of(directory: &Path, version: &str) {
    fs::write(directory.join("lib/relupd/package"), format!("version {version}\narchitecture amd64\n"))
        .unwrap();
}

fn make_package(tree: &Path, package: &Path) {
    fs::create_dir_all(tree.join("DEBIAN")).unwrap();
    let control = format!(
        "Package: relupd\nVersion: {NEW}\nArchitecture: amd64\nMaintainer: a <a@b.c>\nProvides: relupd-format (= 2)\nDescription: d\n"
    );
    fs::write(tree.join("DEBIAN/control"), control).unwrap();
    let made = Command::new("dpkg-deb").args(["-Znone", "--build"]).arg(tree).arg(package).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn relupd_is_rolled_host_by_host_and_the_leader_is_the_last() {
    let mut hosts = Hosts::formed(3).await;
    let arguments = hosts.arguments();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let refused = hosts.ctl().refused(&arguments).await.unwrap();
    assert!(refused.contains("relupctl upgrade trust"), "{refused}");
    hosts.trust().await;
    let planned = hosts.ctl().run(&[&arguments[..], &["--dry-run"]].concat()).await.unwrap().stdout;
    assert!(planned.contains("hands over"), "{planned}");

    let leader = hosts.ctl().status().await.unwrap().leader().unwrap().to_owned();
    let rolling = hosts.begin();
    let mut order = Vec::new();
    for _ in 0..3 {
        let (index, name) = hosts.asked().await;
        hosts.note(index, &name, "installing");
        is_of(hosts.directory.path(), NEW);
        hosts.cluster.stop_daemon(index).await.unwrap();
        hosts.cluster.start_daemon(index).await.unwrap();
        hosts.note(index, &name, "installed");
        order.push(hosts.cluster.members()[index].name().to_owned());
    }
    let ended = rolling.wait_with_output().await.unwrap();
    let said = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success(), "{said}{}", String::from_utf8_lossy(&ended.stderr));
    assert_eq!(order.last(), Some(&leader), "the leader was not the last: {said}");
    let status = hosts.cluster.settled().await.unwrap();
    assert!(status.cluster.nodes.iter().all(|node| node.daemon_version == NEW), "{status:?}");
    // What is done is not done again.
    let again = hosts.ctl().run(&arguments).await.unwrap().stdout;
    assert_eq!(again.trim(), "every node runs this version");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_goes_back_ends_the_roll_of_relupd() {
    let hosts = Hosts::formed(3).await;
    hosts.trust().await;
    let rolling = hosts.begin();
    let (index, order) = hosts.asked().await;
    hosts.note(index, &order, "reverted");
    let ended = rolling.wait_with_output().await.unwrap();
    let said = String::from_utf8_lossy(&ended.stdout);
    assert_eq!(ended.status.code(), Some(3), "{said}");
    assert!(said.contains("a test says so"), "{said}");
    for member in hosts.cluster.members() {
        assert!(
            !member.state_dir().with_file_name("installer").join("asked").exists(),
            "another host was asked"
        );
    }
    let shown: Value =
        hosts.ctl().json(&["node", "show", hosts.cluster.members()[index].name()]).await.unwrap();
    assert_eq!(shown["upgrade"]["phase"], "reverted", "{shown}");
}
