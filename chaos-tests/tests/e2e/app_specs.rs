//! Specs that cannot be meant.

use crate::support::{Play, assert_says, quick};
use std::fs;

#[tokio::test(flavor = "multi_thread")]
async fn a_spec_that_cannot_be_meant_is_refused_with_the_line_that_is_wrong() {
    let play = Play::formed(1).await;
    let good = fs::read_to_string(play.cluster.write_spec(&quick()).unwrap()).unwrap();
    let path = play.path().join("bad.toml");
    let file = path.to_string_lossy().into_owned();
    for (from, to, says) in [
        ("canary = 1", "canery = 1", "canery"),
        ("bake = \"800ms\"", "bake = \"soon\"", "bake"),
        ("status = 200", "status = 200\nbody = \"(\"", "body"),
        ("http = \"http://", "http = \"ht tp://", "http"),
        ("role = \"web\"", "role = \"nobody\"", "nobody"),
    ] {
        assert!(good.contains(from), "{from}");
        fs::write(&path, good.replacen(from, to, 1)).unwrap();
        let said = play.ctl().refused(&["app", "apply", &file]).await.unwrap();
        assert_says(&said, &[&file, says]);
    }
    let apps: Vec<serde_json::Value> = play.ctl().json(&["app", "list"]).await.unwrap();
    assert!(apps.is_empty(), "{apps:?}");
}
