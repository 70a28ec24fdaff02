//! The answering side. Whoever got this far holds a certificate of the cluster; any member may ask, and
//! nobody can have more than a few answers worked on at the same time.

use super::{Answer, PATIENCE, Respondent, wire};
use crate::ids::NodeId;
use crate::transport::{Connection, Exchange, Handler, StreamError};
use async_trait::async_trait;
use relupd_core::chain;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Each may start helper VMs.
const AT_ONCE: usize = 2;

/// For a question of at most a megabyte; half of one is not kept any longer.
const ASKED_WITHIN: Duration = Duration::from_secs(5);

/// Answers for this node. Cheap to clone; the bound holds over all clones.
#[derive(Clone)]
pub struct Server {
    respondent: Arc<dyn Respondent>,
    permits: Arc<Semaphore>,
    pub(super) patience: Duration,
}

impl Server {
    /// Has `respondent` answer.
    #[must_use]
    pub fn new(respondent: Arc<dyn Respondent>) -> Self {
        Self { respondent, permits: Arc::new(Semaphore::new(AT_ONCE)), patience: PATIENCE }
    }

    /// Answers one question in time, whoever asks.
    pub(super) async fn answer(&self, question: &super::Question) -> Answer {
        let answer = async {
            let _permit = self.permits.acquire().await.expect("the semaphore is never closed");
            self.respondent.answer(question).await
        };
        let took = humantime::format_duration(self.patience);
        let late = |_| Err(format!("its checks took longer than {took}"));
        timeout(self.patience, answer).await.unwrap_or_else(late)
    }

    async fn serve(&self, mut exchange: Exchange) -> Result<(), StreamError> {
        let read = timeout(ASKED_WITHIN, exchange.read(wire::LONGEST_REQUEST)).await;
        let Ok(request) = read else {
            return exchange.reply(&wire::reply(Err("the question did not arrive in time".to_owned()))).await;
        };
        let request = request?;
        let answer = match wire::question(&request) {
            Ok(question) => self.answer(&question).await,
            Err(reason) => Err(reason),
        };
        exchange.reply(&wire::reply(answer)).await
    }
}

#[async_trait]
impl Handler for Server {
    async fn handle(&self, peer: NodeId, connection: Connection) {
        // When the connection ends, so do the answers under way.
        let mut answers = JoinSet::new();
        loop {
            tokio::select! {
                Some(_done) = answers.join_next() => {}
                exchange = connection.next_request() => match exchange {
                    Ok(exchange) => {
                        let server = self.clone();
                        answers.spawn(async move {
                            if let Err(error) = server.serve(exchange).await {
                                tracing::info!(%peer, error = chain(&error), "a peer did not get the preflight it asked for");
                            }
                        });
                    }
                    Err(error) => {
                        tracing::debug!(%peer, %error, "preflight connection ended");
                        return;
                    }
                },
            }
        }
    }
}
