//! The asking side: many nodes at once, within a budget.

use super::{Answer, PATIENCE, PreflightPeers, Question};
use crate::ids::NodeId;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How many are asked at once, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// So many nodes at the same time.
    pub at_once: usize,
    /// Each of them.
    pub each: Duration,
    /// All of them together.
    pub all: Duration,
}

impl Default for Budget {
    /// Well below the half minute that `relupctl plan` waits.
    fn default() -> Self {
        Self { at_once: 64, each: PATIENCE + Duration::from_secs(2), all: Duration::from_secs(20) }
    }
}

/// Asks each node its question. There is an answer for every one of them.
pub async fn ask_all(
    peers: Arc<dyn PreflightPeers>,
    questions: Vec<(NodeId, Question)>,
    budget: Budget,
) -> BTreeMap<NodeId, Answer> {
    let out_of_time = |what: &str| Err(format!("{what}: all nodes together had {}", text(budget.all)));
    let mut questions = questions.into_iter();
    let mut answers = BTreeMap::new();
    let mut asked = JoinSet::new();
    let collect = async {
        loop {
            for (node, question) in questions.by_ref().take(budget.at_once - asked.len()) {
                // Who is late keeps this.
                answers.insert(node, out_of_time("did not answer"));
                let peers = Arc::clone(&peers);
                asked.spawn(async move {
                    let late = |_| Err(format!("did not answer within {}", text(budget.each)));
                    (node, timeout(budget.each, peers.ask(node, &question)).await.unwrap_or_else(late))
                });
            }
            match asked.join_next().await {
                None => return,
                Some(Ok((node, answer))) => {
                    answers.insert(node, answer);
                }
                Some(Err(error)) => {
                    tracing::error!(%error, "asking a node for its preflight ended in a panic")
                }
            }
        }
    };
    let _ = timeout(budget.all, collect).await;
    answers.extend(questions.map(|(node, _)| (node, out_of_time("was not asked any more"))));
    answers
}

fn text(duration: Duration) -> impl std::fmt::Display {
    humantime::format_duration(duration)
}
