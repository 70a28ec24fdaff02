//! Daemons that must not start.

use crate::support::{Play, assert_says};
use std::fs;

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_cannot_be_meant_ends_at_once_and_says_why() {
    let mut play = Play::prepared(1).await;
    let config = play.cluster.members()[0].config();
    let good = fs::read_to_string(&config).unwrap();
    let listen = play.cluster.members()[0].listen();
    for (from, to, says) in [
        ("[metrics]", "[metrix]", "metrix"),
        ("listen = \"127.0.0.1", "listen = \"0.0.0.0", "every network"),
        ("listen = \"127.0.0.1", "listen = \"192.0.2.7", "192.0.2.7"),
        ("state_dir", "interface = \"nowhere0\"\nstate_dir", "nowhere0"),
    ] {
        fs::write(&config, good.replacen(from, to, 1)).unwrap();
        play.cluster.spawn_daemon(0).unwrap();
        let (failed, said) = play.cluster.daemon_ended(0).await.unwrap();
        assert!(failed);
        assert_says(&said, &[says]);
    }
    fs::write(&config, &good).unwrap();
    let taken = std::net::TcpListener::bind(listen).unwrap();
    play.cluster.spawn_daemon(0).unwrap();
    let (failed, said) = play.cluster.daemon_ended(0).await.unwrap();
    assert!(failed);
    assert_says(&said, &[&listen.to_string()]);
    drop(taken);
    play.cluster.start_daemon(0).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_refuses_a_state_directory_that_is_in_use() {
    let mut play = Play::prepared(2).await;
    play.cluster.start_daemon(0).await.unwrap();
    let (config, mine) =
        (play.cluster.members()[1].config(), play.cluster.members()[1].state_dir().to_owned());
    let theirs = play.cluster.members()[0].state_dir().to_owned();
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace(&*mine.to_string_lossy(), &theirs.to_string_lossy())).unwrap();
    play.cluster.spawn_daemon(1).unwrap();
    let (failed, said) = play.cluster.daemon_ended(1).await.unwrap();
    assert!(failed);
    assert_says(&said, &[&*theirs.to_string_lossy()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_refuses_the_state_of_another_node_or_cluster() {
    let mut play = Play::formed(2).await;
    for index in [0, 1] {
        play.cluster.stop_daemon(index).await.unwrap();
    }
    let state = |index: usize| play.cluster.members()[index].state_dir().join("raft.redb");
    let (theirs, mine) = (state(0), state(1));
    let kept = fs::read(&mine).unwrap();
    fs::copy(&theirs, &mine).unwrap();
    play.cluster.spawn_daemon(1).unwrap();
    let (failed, said) = play.cluster.daemon_ended(1).await.unwrap();
    assert!(failed);
    assert_says(&said, &["raft.redb"]);
    fs::write(&mine, kept).unwrap();

    let other = Play::formed(1).await;
    let kept = fs::read(&theirs).unwrap();
    fs::copy(other.cluster.members()[0].state_dir().join("raft.redb"), &theirs).unwrap();
    play.cluster.spawn_daemon(0).unwrap();
    let (failed, said) = play.cluster.daemon_ended(0).await.unwrap();
    assert!(failed);
    assert_says(&said, &["raft.redb"]);
    fs::write(&theirs, kept).unwrap();

    // Nothing was lost by it.
    play.cluster.start_daemon(0).await.unwrap();
    play.cluster.start_daemon(1).await.unwrap();
    play.cluster.settled().await.unwrap();
}
