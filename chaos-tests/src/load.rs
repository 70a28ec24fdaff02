//! A steady load on every node, one connection per request. Every answer goes into a log, and what
//! is said about requests is said from these answers alone.

mod excuse;
mod record;

pub use excuse::Excuse;
pub use record::{Answer, Outcome, Record};

use crate::http;
use anyhow::Context as _;
use relupd::clock::{Monotonic, monotonic, wall};
use serde::Deserialize;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

/// So many clients per node: one that waits does not hide what happens meanwhile.
const CLIENTS: u32 = 3;

/// From one request of a client to its next.
const PACE: Duration = Duration::from_millis(15);

/// Clients at work.
#[derive(Debug)]
pub struct Load {
    stop: watch::Sender<bool>,
    log: JoinHandle<anyhow::Result<Record>>,
}

#[derive(Deserialize)]
struct Bumped {
    count: u64,
    version: String,
    boot: String,
}

impl Load {
    /// Begins to ask every node; answers go into a new log.
    pub fn start(apps: &[(String, SocketAddr)], log: &Path) -> anyhow::Result<Self> {
        Self::start_within(apps, log, http::PATIENCE)
    }

    /// The same. Requests that take longer have failed.
    pub fn start_within(
        apps: &[(String, SocketAddr)],
        log: &Path,
        patience: Duration,
    ) -> anyhow::Result<Self> {
        let file = File::create(log).with_context(|| format!("cannot make {}", log.display()))?;
        let (answers, answered) = mpsc::unbounded_channel();
        let (stop, stopped) = watch::channel(false);
        for (node, app) in apps {
            for client in 0..CLIENTS {
                let offset = PACE * client / CLIENTS;
                tokio::spawn(ask(node.clone(), *app, offset, patience, answers.clone(), stopped.clone()));
            }
        }
        Ok(Self { stop, log: tokio::spawn(write(answered, file)) })
    }

    /// Lets every request that is on its way have its answer, then ends.
    pub async fn stop(self) -> anyhow::Result<Record> {
        self.stop.send_replace(true);
        self.log.await?
    }
}

async fn ask(
    node: String,
    app: SocketAddr,
    offset: Duration,
    patience: Duration,
    answers: mpsc::UnboundedSender<Answer>,
    stopped: watch::Receiver<bool>,
) {
    tokio::time::sleep(offset).await;
    let mut ticks = interval(PACE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Whoever has lost interest without a word is not asked for, either.
    while !*stopped.borrow() && stopped.has_changed().is_ok() {
        ticks.tick().await;
        let asked = monotonic();
        let outcome = match http::get_within(app, "/bump", patience).await {
            Ok(answer) => outcome(&answer),
            Err(error) => Outcome::Failed(format!("{error:#}")),
        };
        if answers.send(Answer { node: node.clone(), asked, answered: monotonic(), outcome }).is_err() {
            return;
        }
    }
}

fn outcome(answer: &http::Answer) -> Outcome {
    if answer.status != 200 {
        return Outcome::Failed(format!("status {}: {}", answer.status, answer.body.trim()));
    }
    match serde_json::from_str::<Bumped>(&answer.body) {
        Ok(Bumped { count, version, boot }) => Outcome::Bumped { count, version, boot },
        Err(error) => {
            Outcome::Failed(format!("an answer that makes no sense ({error}): {}", answer.body.trim()))
        }
    }
}

/// Ends when the last client has.
async fn write(mut answered: mpsc::UnboundedReceiver<Answer>, file: File) -> anyhow::Result<Record> {
    let mut file = BufWriter::new(file);
    let begin = monotonic();
    writeln!(file, "# begun {}; ms since then, node, status, counter, version, boot or error", wall())?;
    let mut answers = Vec::new();
    while let Some(answer) = answered.recv().await {
        writeln!(file, "{}", line(&answer, begin))?;
        answers.push(answer);
    }
    file.flush()?;
    Ok(Record::new(answers))
}

fn line(answer: &Answer, begin: Monotonic) -> String {
    let ms = answer.answered.since(begin).as_secs_f64() * 1000.0;
    let node = &answer.node;
    match &answer.outcome {
        Outcome::Bumped { count, version, boot } => format!("{ms:.1} {node} ok {count} {version} {boot}"),
        Outcome::Failed(why) => format!("{ms:.1} {node} failed - - {why:?}"),
    }
}
