//! Questions and answers, on the wire and within a budget.

use super::*;
use crate::driver::{CheckResult, Outlook};
use crate::ids::Digest;
use std::collections::BTreeMap;
use std::sync::Arc;

fn question(method: Method) -> Question {
    let to = ReleaseId {
        name: "shop".parse().unwrap(),
        version: "0.2.0".parse().unwrap(),
        manifest: Digest::of(b"manifest"),
    };
    let from = (method != Method::First).then(|| "0.1.0".parse().unwrap());
    let relup = (method == Method::Hot).then(|| b"a relup".to_vec());
    let description =
        (method != Method::First).then(|| Arc::new(Description { rel: b"a description".to_vec(), relup }));
    Question { app: "shop".parse().unwrap(), to, from, method, description }
}

fn node(number: u128) -> NodeId {
    NodeId::from_parts(1, number)
}

fn found() -> Vec<Foreseen> {
    let (reason, remedy) = ("a reason".to_owned(), "a remedy".to_owned());
    let outlooks = [
        Outlook::Known(CheckResult::Passed),
        Outlook::Known(CheckResult::NotHot { reason: reason.clone(), remedy: remedy.clone() }),
        Outlook::Known(CheckResult::Warning { reason: reason.clone() }),
        Outlook::Known(CheckResult::Failed { reason: reason.clone(), remedy }),
        Outlook::Unknown { reason },
    ];
    outlooks.into_iter().map(|outlook| Foreseen { name: "P1 a check".to_owned(), outlook }).collect()
}

#[test]
fn questions_and_answers_arrive_as_they_were_sent() {
    for method in [Method::Hot, Method::Restart, Method::First] {
        let sent = question(method);
        assert_eq!(wire::question(&wire::request(&sent)), Ok(sent));
    }
    for sent in [Ok(found()), Err("the app is not open here".to_owned())] {
        assert_eq!(wire::answer(&wire::reply(sent.clone())), sent);
    }
}

#[test]
fn what_a_newer_daemon_says_and_nobody_here_knows_is_no_answer() {
    use relupd_proto::peer::v1::{PreflightCheck, PreflightChecks, PreflightReply, preflight_reply::Outcome};
    let check = PreflightCheck { result: 99, ..PreflightCheck::default() };
    let outcome = Some(Outcome::Checks(PreflightChecks { checks: vec![check] }));
    let reply = prost::Message::encode_to_vec(&PreflightReply { outcome });
    assert!(wire::answer(&reply).unwrap_err().contains("not known here"));
    assert!(wire::answer(b"").is_err());
    assert!(wire::question(b"\xff").is_err());
}

/// Node 1 is well, node 2 says why it cannot tell, all others are silent.
struct Three;

#[async_trait]
impl PreflightPeers for Three {
    async fn ask(&self, asked: NodeId, _question: &Question) -> Answer {
        match asked {
            well if well == node(1) => Ok(found()),
            closed if closed == node(2) => Err("the app is not open here".to_owned()),
            _ => std::future::pending().await,
        }
    }
}

/// Whoever is silent is soon given up.
fn short() -> Budget {
    Budget { at_once: 64, each: Duration::from_millis(20), all: Duration::from_secs(60) }
}

async fn asked(nodes: u128, budget: Budget) -> BTreeMap<NodeId, Answer> {
    let questions = (1..=nodes).map(|number| (node(number), question(Method::Hot))).collect();
    ask_all(Arc::new(Three), questions, budget).await
}

#[tokio::test]
async fn who_is_silent_holds_up_nobody_and_is_said_to_be_silent() {
    let answers = asked(3, short()).await;
    assert_eq!(answers[&node(1)], Ok(found()));
    assert_eq!(answers[&node(2)], Err("the app is not open here".to_owned()));
    assert_eq!(answers[&node(3)], Err("did not answer within 20ms".to_owned()));
}

#[tokio::test]
async fn asking_ends_with_its_budget_however_many_are_silent() {
    let budget = Budget { at_once: 2, each: Duration::from_secs(3600), all: Duration::from_millis(100) };
    let answers = asked(500, budget).await;
    assert_eq!(answers.len(), 500);
    assert_eq!(answers[&node(1)], Ok(found()));
    assert_eq!(answers[&node(3)], Err("did not answer: all nodes together had 100ms".to_owned()));
    assert_eq!(answers[&node(500)], Err("was not asked any more: all nodes together had 100ms".to_owned()));
}

/// Takes for ever.
struct Slow;

#[async_trait]
impl Respondent for Slow {
    async fn answer(&self, _question: &Question) -> Answer {
        std::future::pending().await
    }
}

#[tokio::test]
async fn nobody_works_on_an_answer_that_nobody_waits_for() {
    let mut server = Server::new(Arc::new(Slow));
    server.patience = Duration::from_millis(20);
    let answer = server.answer(&question(Method::Restart)).await;
    assert_eq!(answer, Err("its checks took longer than 20ms".to_owned()));
}
