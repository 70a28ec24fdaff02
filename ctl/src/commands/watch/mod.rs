//! Watching a rollout until it ends. It goes on whatever becomes of the watching: through a lost
//! connection the watch comes back, and Ctrl-C ends the watch alone.

mod live;
mod plain;

use crate::clock;
use crate::commands::rollout::{rollout_text, summary};
use crate::error::ServerError;
use crate::exit::Exit;
use crate::human;
use crate::output::Format;
use crate::session::{Session, present};
use live::Live;
use plain::Plain;
use relupd_proto::api::v1;
use std::io::{self, IsTerminal};
use std::time::Duration;

/// From one attempt to reconnect to the next.
const RETRY_EVERY: Duration = Duration::from_millis(500);

/// So many attempts in a row: a daemon that restarts is back sooner than this.
const RETRIES: u32 = 120;

/// How the watching ended.
enum Ended {
    Phase(Exit),
    Interrupted,
    TimedOut(Duration),
}

/// Watches the rollout that the text names.
pub(crate) async fn run(mut session: Session, rollout: String) -> anyhow::Result<Exit> {
    let limit = session.timeout;
    let format = session.format;
    let mut watch = Watch { view: View::new(format), rollout };
    let ended = tokio::select! {
        ended = watch.until_terminal(&mut session) => Ended::Phase(ended?),
        interrupted = tokio::signal::ctrl_c() => interrupted.map(|()| Ended::Interrupted)?,
        limit = over(limit) => Ended::TimedOut(limit),
    };
    watch.view.clear();
    let why = match ended {
        Ended::Phase(exit) => return Ok(exit),
        Ended::Interrupted => "stopped watching".to_owned(),
        Ended::TimedOut(limit) => format!("not ended after {}", human::span(limit)),
    };
    let id = watch.rollout;
    format.hint(&format!(
        "{why}; the rollout goes on: watch it again with `relupctl rollout watch {id}`, end it with `relupctl rollout abort {id}`"
    ));
    Ok(Exit::GoesOn)
}

async fn over(limit: Option<Duration>) -> Duration {
    match limit {
        None => std::future::pending().await,
        Some(limit) => {
            tokio::time::sleep(limit).await;
            limit
        }
    }
}

struct Watch {
    view: View,
    /// As given at first, then the id: the watch must not move on to another rollout.
    rollout: String,
}

impl Watch {
    async fn until_terminal(&mut self, session: &mut Session) -> anyhow::Result<Exit> {
        let mut failures = 0;
        loop {
            let status = match self.stream(session, &mut failures).await? {
                Ok(exit) => return Ok(exit),
                Err(status) => status,
            };
            failures += 1;
            if !ServerError::is_transient(&status) || failures > RETRIES {
                return Err(ServerError::from(status).into());
            }
            if failures == 1 {
                self.view.note("connection lost; the rollout goes on; connecting again");
            }
            tokio::time::sleep(RETRY_EVERY).await;
            // If this fails, the next attempt on the old connection will say so.
            let _ = session.reconnect().await;
        }
    }

    /// Shows changes until the rollout is terminal, or the stream breaks.
    async fn stream(
        &mut self,
        session: &Session,
        failures: &mut u32,
    ) -> anyhow::Result<Result<Exit, tonic::Status>> {
        let request = v1::WatchRolloutRequest { rollout: self.rollout.clone() };
        let mut changes = match session.rollouts().watch_rollout(request).await {
            Ok(changes) => changes.into_inner(),
            Err(status) => return Ok(Err(status)),
        };
        loop {
            let change = match changes.message().await {
                Ok(Some(change)) => change,
                Ok(None) => return Ok(Err(tonic::Status::unavailable("the daemon ended the stream"))),
                Err(status) => return Ok(Err(status)),
            };
            *failures = 0;
            let rollout = present(change.rollout.as_ref())?;
            self.rollout.clone_from(&summary(rollout)?.id);
            self.view.show(&change)?;
            if let Some(exit) = Exit::of_phase(summary(rollout)?.phase()) {
                self.view.end(rollout, session.format)?;
                return Ok(Ok(exit));
            }
        }
    }
}

/// How changes are shown.
enum View {
    /// A terminal: one line a node, always the newest.
    Live(Live),
    /// A pipe or a log: one line a change.
    Plain(Plain),
    /// A program: every change whole.
    Json,
}

impl View {
    fn new(format: Format) -> Self {
        match format {
            Format::Json => Self::Json,
            Format::Table if io::stderr().is_terminal() && io::stdout().is_terminal() => {
                Self::Live(Live::new())
            }
            Format::Table => Self::Plain(Plain::default()),
        }
    }

    fn show(&mut self, change: &v1::WatchRolloutResponse) -> anyhow::Result<()> {
        match self {
            Self::Live(live) => {
                live.show(change);
                Ok(())
            }
            Self::Plain(plain) => plain.show(change, clock::now()),
            Self::Json => Format::Json.print_next(change, |_| String::new()),
        }
    }

    fn note(&self, text: &str) {
        match self {
            Self::Live(live) => live.note(text),
            Self::Plain(_) | Self::Json => eprintln!("{text}"),
        }
    }

    /// Takes the lines away that would be redrawn.
    fn clear(&self) {
        match self {
            Self::Live(live) => live.clear(),
            Self::Plain(_) | Self::Json => {}
        }
    }

    /// The rollout has ended: says how.
    fn end(&self, rollout: &v1::Rollout, format: Format) -> anyhow::Result<()> {
        self.clear();
        match self {
            Self::Live(_) | Self::Plain(_) => {
                format.print(rollout, |rollout| rollout_text(rollout, clock::now()))
            }
            Self::Json => Ok(()),
        }
    }
}
