//! Who gets in.

use crate::support::{Play, assert_says};
use serde_json::Value;
use std::fs;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_refused_where_it_is_used_forged_expired_or_of_no_use() {
    let mut play = Play::prepared(2).await;
    for index in [0, 1] {
        play.cluster.start_daemon(index).await.unwrap();
    }
    let (first, second) = (play.cluster.ctl(0), play.cluster.ctl(1));
    let said = second.refused(&["cluster", "token"]).await.unwrap();
    assert_says(&said, &["relupctl cluster init"]);
    let said = second.refused(&["cluster", "join", "nonsense"]).await.unwrap();
    assert_says(&said, &["token"]);
    first.run(&["cluster", "init"]).await.unwrap();
    let said = first.refused(&["cluster", "init"]).await.unwrap();
    assert_says(&said, &["cluster"]);

    let token = first.token().await.unwrap();
    let said = second.refused(&["cluster", "join", &forged(&token)]).await.unwrap();
    assert_says(&said, &["token"]);
    let brief: Value = first.json(&["cluster", "token", "--ttl", "1s"]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let said = second.refused(&["cluster", "join", brief["token"].as_str().unwrap()]).await.unwrap();
    assert_says(&said, &["expired"]);
    // None of that used it up.
    second.run(&["cluster", "join", &token]).await.unwrap();
    play.cluster.settled().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_used_token_admits_nobody_else_and_a_member_stays_where_it_is() {
    let mut play = Play::prepared(3).await;
    for index in [0, 1, 2] {
        play.cluster.start_daemon(index).await.unwrap();
    }
    play.ctl().run(&["cluster", "init"]).await.unwrap();
    let token = play.ctl().token().await.unwrap();
    play.cluster.ctl(1).run(&["cluster", "join", &token]).await.unwrap();
    let said = play.cluster.ctl(2).refused(&["cluster", "join", &token]).await.unwrap();
    assert_says(&said, &["used", "relupctl cluster token"]);
    let fresh = play.ctl().token().await.unwrap();
    let said = play.cluster.ctl(1).refused(&["cluster", "join", &fresh]).await.unwrap();
    assert_says(&said, &["cluster"]);
    // The refusals did not cost the token.
    play.cluster.ctl(2).run(&["cluster", "join", &fresh]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_another_cluster_is_refused_by_the_one_that_answers_at_its_address() {
    let mut play = Play::prepared(2).await;
    play.cluster.start_daemon(0).await.unwrap();
    play.cluster.start_daemon(1).await.unwrap();
    play.ctl().run(&["cluster", "init"]).await.unwrap();
    let token = play.ctl().token().await.unwrap();
    play.cluster.stop_daemon(0).await.unwrap();
    fs::remove_dir_all(play.cluster.members()[0].state_dir()).unwrap();
    play.cluster.start_daemon(0).await.unwrap();
    play.ctl().run(&["cluster", "init"]).await.unwrap();
    let said = play.cluster.ctl(1).refused(&["cluster", "join", &token]).await.unwrap();
    assert_says(&said, &["token"]);
    let nodes = play.ctl().status().await.unwrap().cluster.nodes;
    assert_eq!(nodes.len(), 1);
}

/// The same token with another secret: its last letters are changed.
fn forged(token: &str) -> String {
    let (head, tail) = token.split_at(token.len() - 8);
    let tail: String = tail.chars().map(|letter| if letter == 'a' { 'b' } else { 'a' }).collect();
    format!("{head}{tail}")
}
