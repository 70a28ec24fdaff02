//! Reports and orders between daemons: one question and one answer a stream.

use super::order::Order;
use super::progress::Progress;
use super::work::{Report, Upgrades};
use crate::ids::NodeId;
use crate::membership::Roster;
use crate::transport::{Connection, Exchange, Handler, Protocol, Transport};
use async_trait::async_trait;
use prost::Message as _;
use relupd_core::chain;
use relupd_proto::peer::v1;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use v1::upgrade_answer::Outcome;
use v1::upgrade_question::Asked;

/// An order with its statement and signature, or a report, are a few kilobytes.
const MESSAGE_LIMIT: usize = 64 << 10;

/// Whoever does not answer a question about itself within this is not there.
const REPORT_PATIENCE: Duration = Duration::from_secs(5);

/// The package has to be fetched meanwhile.
const ORDER_PATIENCE: Duration = Duration::from_secs(300);

/// Asks other daemons.
#[derive(Clone)]
pub struct Asker {
    transport: Transport,
    roster: watch::Receiver<Arc<Roster>>,
}

impl Asker {
    /// Dials through `transport` where `roster` says.
    #[must_use]
    pub const fn new(transport: Transport, roster: watch::Receiver<Arc<Roster>>) -> Self {
        Self { transport, roster }
    }

    /// What a node says of itself.
    ///
    /// # Errors
    /// Why it does not answer, for an operator.
    pub async fn report(&self, node: NodeId) -> Result<Report, String> {
        let asked = Asked::Report(v1::ReportWanted {});
        let answered = tokio::time::timeout(REPORT_PATIENCE, self.ask(node, asked, REPORT_PATIENCE));
        match answered.await.map_err(|_| format!("no answer within {REPORT_PATIENCE:?}"))?? {
            Outcome::Report(report) => Ok(from_wire(report)),
            Outcome::Taken(_) | Outcome::Refused(_) => Err("it answers something else".to_owned()),
        }
    }

    /// Has a node take an order.
    ///
    /// # Errors
    /// Why it does not.
    pub async fn order(&self, node: NodeId, order: Order) -> Result<(), String> {
        let Order { order, statement, signature } = order;
        let asked = Asked::Order(v1::UpgradeOrder { order, statement, signature });
        match self.ask(node, asked, ORDER_PATIENCE).await? {
            Outcome::Taken(_) => Ok(()),
            Outcome::Refused(reason) => Err(reason),
            Outcome::Report(_) => Err("it answers something else".to_owned()),
        }
    }

    async fn ask(&self, node: NodeId, asked: Asked, patience: Duration) -> Result<Outcome, String> {
        let address = self.roster.borrow().get(&node).copied();
        let address = address.ok_or("it is no node of this cluster")?;
        let connection = self.transport.connect(node, address, Protocol::Upgrade).await;
        let connection = connection.map_err(|error| chain(&error))?;
        let question = v1::UpgradeQuestion { asked: Some(asked) }.encode_to_vec();
        let answer = connection.request(&question, MESSAGE_LIMIT, patience).await;
        let answer = answer.map_err(|error| chain(&error))?;
        let answer = v1::UpgradeAnswer::decode(answer).map_err(|error| error.to_string())?;
        answer.outcome.ok_or_else(|| "its answer is empty; is it of another version?".to_owned())
    }
}

/// Answers other daemons.
pub struct Answerer(Arc<Upgrades>);

impl Answerer {
    /// Answers for this node.
    #[must_use]
    pub const fn new(upgrades: Arc<Upgrades>) -> Self {
        Self(upgrades)
    }
}

#[async_trait]
impl Handler for Answerer {
    async fn handle(&self, peer: NodeId, connection: Connection) {
        let mut answers = JoinSet::new();
        loop {
            tokio::select! {
                Some(_done) = answers.join_next() => {}
                request = connection.next_request() => match request {
                    Ok(exchange) => {
                        answers.spawn(answer(Arc::clone(&self.0), peer, exchange));
                    }
                    Err(error) => {
                        tracing::debug!(%peer, %error, "upgrade connection ended");
                        // A daemon that has ordered its own host's upgrade is about to stop: what was begun is ended.
                        answers.detach_all();
                        return;
                    }
                },
            }
        }
    }
}

async fn answer(upgrades: Arc<Upgrades>, peer: NodeId, mut exchange: Exchange) {
    let question = match exchange.read(MESSAGE_LIMIT).await {
        Ok(question) => question,
        Err(error) => return tracing::debug!(%peer, %error, "a question broke off"),
    };
    let asked = v1::UpgradeQuestion::decode(question).ok().and_then(|question| question.asked);
    let outcome = match asked {
        Some(Asked::Report(_)) => Outcome::Report(to_wire(upgrades.report().await)),
        Some(Asked::Order(v1::UpgradeOrder { order, statement, signature })) => {
            match upgrades.take(peer, Order { order, statement, signature }).await {
                Ok(()) => Outcome::Taken(v1::Taken {}),
                Err(reason) => Outcome::Refused(reason),
            }
        }
        None => Outcome::Refused("this daemon does not know what it is asked".to_owned()),
    };
    let answer = v1::UpgradeAnswer { outcome: Some(outcome) }.encode_to_vec();
    if let Err(error) = exchange.reply(&answer).await {
        tracing::debug!(%peer, %error, "an answer did not get through");
    }
}

fn to_wire(report: Report) -> v1::UpgradeReport {
    let progress = report.progress.and_then(|progress| serde_json::to_string(&progress).ok());
    v1::UpgradeReport {
        version: report.version,
        architecture: report.architecture.unwrap_or_default(),
        reads: report.reads.into(),
        confirmed: report.confirmed,
        trusted: report.trusted,
        progress: progress.unwrap_or_default(),
    }
}

fn from_wire(report: v1::UpgradeReport) -> Report {
    Report {
        version: report.version,
        architecture: Some(report.architecture).filter(|architecture| !architecture.is_empty()),
        reads: u16::try_from(report.reads).unwrap_or_default(),
        confirmed: report.confirmed,
        trusted: report.trusted,
        // A later version may say it in other words: then nothing is known of it.
        progress: serde_json::from_str::<Progress>(&report.progress).ok(),
    }
}
