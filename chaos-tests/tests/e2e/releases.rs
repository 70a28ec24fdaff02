//! What cannot be pushed.

use crate::support::{Play, assert_says, quick};
use chaos_tests::cluster::APP;
use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;
use tokio::time::timeout;

#[tokio::test(flavor = "multi_thread")]
async fn archives_that_are_no_release_are_refused_by_name_and_change_nothing() {
    let play = Play::formed(1).await;
    let ctl = play.ctl();
    let whole = fs::read(play.samples.archive("0.1.0")).unwrap();
    let truncated = play.path().join("truncated.tar.gz");
    fs::write(&truncated, &whole[..whole.len() / 2]).unwrap();
    let corrupt = play.path().join("corrupt.tar.gz");
    let mut bytes = whole.clone();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 64].fill(0);
    fs::write(&corrupt, bytes).unwrap();
    let text = play.path().join("text.tar.gz");
    fs::write(&text, "not an archive").unwrap();
    let missing = play.path().join("missing.tar.gz");
    let empty = archive(&play, "empty", &[]);
    let traversal = archive(&play, "traversal", &["--transform", "s|^|../../|", "-P"]);
    for path in [truncated, corrupt, text, missing, empty, traversal] {
        let path = path.to_string_lossy().into_owned();
        let said = ctl.refused(&["release", "push", &path]).await.unwrap();
        assert_says(&said, &[&path]);
    }
    let releases: Vec<serde_json::Value> = ctl.json(&["release", "list"]).await.unwrap();
    assert!(releases.is_empty(), "{releases:?}");
    ctl.run(&["release", "push", &play.samples.archive("0.1.0").to_string_lossy()]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_release_may_be_pushed_again_but_a_version_never_changes_its_content() {
    let play = Play::formed(1).await;
    let ctl = play.ctl();
    let archive = play.samples.archive("0.1.0");
    for _ in 0..2 {
        ctl.run(&["release", "push", &archive.to_string_lossy()]).await.unwrap();
    }
    // Another build of the same version: one file more.
    let tree = play.path().join("other");
    fs::create_dir(&tree).unwrap();
    run(Command::new("tar").arg("-xzf").arg(&archive).arg("-C").arg(&tree));
    fs::write(tree.join("releases/0.1.0/extra"), "other").unwrap();
    let other = play.path().join("other.tar.gz");
    run(Command::new("tar").arg("-czf").arg(&other).arg("-C").arg(&tree).arg("."));
    let said = ctl.refused(&["release", "push", &other.to_string_lossy()]).await.unwrap();
    assert_says(&said, &["0.1.0"]);
}

/// In the layout of Distillery, whose boot file has the release's name.
#[tokio::test(flavor = "multi_thread")]
async fn a_directory_is_pushed_like_the_archive_that_it_would_be() {
    let play = Play::formed(1).await;
    let tree = play.path().join("shop");
    fs::create_dir(&tree).unwrap();
    run(Command::new("tar").arg("-xzf").arg(play.samples.archive("0.1.0")).arg("-C").arg(&tree));
    let release = tree.join("releases/0.1.0");
    fs::rename(release.join("start.boot"), release.join("shop.boot")).unwrap();
    let ctl = play.ctl();
    for _ in 0..2 {
        ctl.run(&["release", "push", &tree.to_string_lossy()]).await.unwrap();
    }
    let path = play.cluster.write_spec(&quick()).unwrap();
    ctl.run(&["app", "apply", &path.to_string_lossy()]).await.unwrap();
    let rolled = ctl.roll(APP, "0.1.0").await.unwrap();
    assert_eq!(rolled.summary.phase, "completed", "{}", rolled.summary.reason);
    play.healthy(0).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_that_is_cut_off_leaves_no_release_and_is_simply_repeated() {
    let play = Play::formed(1).await;
    let ctl = play.ctl();
    let archive = play.samples.archive("0.1.0").to_string_lossy().into_owned();
    let arguments = ["release", "push", archive.as_str()];
    // Cut off at whatever point it has come to.
    for reached in [10, 50, 150, 300].map(Duration::from_millis) {
        let mut push = ctl.command(&arguments).stdout(Stdio::null()).spawn().unwrap();
        if timeout(reached, push.wait()).await.is_err() {
            push.kill().await.unwrap();
        }
        let releases: Vec<serde_json::Value> = ctl.json(&["release", "list"]).await.unwrap();
        assert!(releases.iter().all(|release| release["files"].as_u64() > Some(100)), "{releases:?}");
    }
    ctl.run(&arguments).await.unwrap();
    ctl.run(&["release", "show", "0.1.0"]).await.unwrap();
}

/// An archive of one small file.
fn archive(play: &Play, name: &str, options: &[&str]) -> std::path::PathBuf {
    let tree = play.path().join(name);
    fs::create_dir(&tree).unwrap();
    fs::write(tree.join("file"), "").unwrap();
    let path = play.path().join(format!("{name}.tar.gz"));
    run(Command::new("tar").args(options).arg("-czf").arg(&path).arg("-C").arg(&tree).arg("file"));
    path
}

fn run(command: &mut Command) {
    assert!(command.status().unwrap().success(), "{command:?}");
}
