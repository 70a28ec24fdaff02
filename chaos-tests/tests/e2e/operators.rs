//! Operators from afar, over mutual TLS.

use crate::support::{Play, assert_says};

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_works_from_afar_within_a_role_until_revoked() {
    let play = Play::formed(2).await;
    let ctl = play.ctl();
    let out = play.path().join("ada").to_string_lossy().into_owned();
    ctl.run(&["operator", "add", "ada", "--role", "viewer", "--out", &out]).await.unwrap();
    let address = play.cluster.members()[1].listen().to_string();
    let from_afar = |arguments: &[&'static str]| {
        let remote = ["--identity", &out, "--address", &address].map(str::to_owned);
        remote
            .into_iter()
            .chain(arguments.iter().map(|&argument| argument.to_owned()))
            .collect::<Vec<String>>()
    };
    let status = from_afar(&["status"]);
    let status: Vec<&str> = status.iter().map(String::as_str).collect();
    let seen = ctl.run(&status).await.unwrap().stdout;
    assert_says(&seen, &["n1", "n2"]);
    let token = from_afar(&["cluster", "token"]);
    let said = ctl.refused(&token.iter().map(String::as_str).collect::<Vec<_>>()).await.unwrap();
    assert_says(&said, &["viewer"]);

    // A stranger learns nothing: the certificate of another cluster's operator.
    let other = Play::formed(1).await;
    let theirs = other.path().join("eve").to_string_lossy().into_owned();
    other.ctl().run(&["operator", "add", "eve", "--role", "admin", "--out", &theirs]).await.unwrap();
    let eve = ["--identity", theirs.as_str(), "--address", address.as_str(), "status"];
    let said = ctl.refused(&eve).await.unwrap();
    assert!(!said.contains("n1"), "{said}");

    ctl.run(&["operator", "revoke", "ada"]).await.unwrap();
    chaos_tests::wait::until(
        "the revocation is applied there",
        std::time::Duration::from_secs(20),
        async || {
            let ended = ctl.try_run(&status).await?;
            Ok((ended.code == 1 && ended.stderr.contains("it is revoked")).then_some(()))
        },
    )
    .await
    .unwrap();
}
