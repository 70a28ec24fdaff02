//! The asking side: many nodes at once, within a budget.

use super::{Answer, PATIENCE, PreflightPeers, Question};
use crate::ids::NodeId;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
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
    let late = || Err(format!("did not answer: all nodes together had {}", text(budget.all)));
    let mut answers: BTreeMap<NodeId, Answer> = questions.iter().map(|(node, _)| (*node, late())).collect();
    let turns = Arc::new(Semaphore::new(budget.at_once));
    let mut asked = JoinSet::new();
    for (node, question) in questions {
        let (peers, turns) = (Arc::clone(&peers), Arc::clone(&turns));
        asked.spawn(async move {
            let _turn = turns.acquire_owned().await.expect("the semaphore is never closed");
            let answer = timeout(budget.each, peers.ask(node, &question)).await;
            (node, answer.unwrap_or_else(|_| Err(format!("did not answer within {}", text(budget.each)))))
        });
    }
    let collect = async {
        while let Some(ended) = asked.join_next().await {
            match ended {
                Ok((node, answer)) => {
                    answers.insert(node, answer);
                }
                Err(error) => tracing::error!(%error, "asking a node for its preflight ended in a panic"),
            }
        }
    };
    // Who is late keeps what was said of it before.
    let _ = timeout(budget.all, collect).await;
    answers
}

fn text(duration: Duration) -> impl std::fmt::Display {
    humantime::format_duration(duration)
}
