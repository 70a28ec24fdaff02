//! A push onto a disk that is full: a real file system of a few megabytes below the store.

use crate::support::{Play, assert_says};
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file system in memory. It goes with this value.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Root of a container often may not mount: then there is none.
    fn mount(path: &Path, size: &str) -> Option<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(path).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o"]).arg(format!("size={size}")).arg("tmpfs").arg(path);
        mount.status().unwrap().success().then(|| Self(path.to_owned()))
    }

    fn grow(&self, size: &str) {
        run(Command::new("mount").arg("-o").arg(format!("remount,size={size}")).arg(&self.0));
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a daemon may still hold files there until it has been ended.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_onto_a_full_disk_is_refused_by_name_and_goes_on_once_there_is_space() {
    let mut play = Play::prepared(1).await;
    let store = play.cluster.members()[0].state_dir().join("store");
    let Some(disk) = SmallDisk::mount(&store, "4m") else {
        eprintln!("SKIPPED: no small file system can be mounted here; that takes root");
        return;
    };
    play.cluster.form().await.unwrap();
    let ctl = play.ctl();
    let archive = play.samples.archive("0.1.0").to_string_lossy().into_owned();

    let said = ctl.refused(&["release", "push", &archive]).await.unwrap();
    assert_says(&said, &["space", &store.to_string_lossy()]);
    let releases: Vec<serde_json::Value> = ctl.json(&["release", "list"]).await.unwrap();
    assert!(releases.is_empty(), "{releases:?}");

    disk.grow("256m");
    ctl.run(&["release", "push", &archive]).await.unwrap();
    ctl.run(&["release", "show", "0.1.0"]).await.unwrap();
}

fn run(command: &mut Command) {
    assert!(command.status().unwrap().success(), "{command:?}");
}
