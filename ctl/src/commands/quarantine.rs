//! `relupctl quarantine`.

use crate::clock;
use crate::exit::Exit;
use crate::human;
use crate::output::table;
use crate::session::{Session, answer, present};
use clap::Subcommand;
use jiff::Timestamp;
use relupd_proto::api::v1;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// What is refused, and why
    List,
    /// Allow a release again
    Lift {
        /// Its digest, or the first digits of it
        digest: String,
    },
}

pub(crate) async fn run(command: Command, session: &Session) -> anyhow::Result<Exit> {
    let mut client = session.quarantines();
    match command {
        Command::List => {
            let list = answer(client.list_quarantines(v1::ListQuarantinesRequest {}).await)?;
            session.format.print(&list.quarantines, |all| quarantines_table(all, clock::now()))?;
        }
        Command::Lift { digest } => {
            let lifted = answer(client.lift_quarantine(v1::LiftQuarantineRequest { digest }).await)?;
            session.format.print(&present(lifted.lifted)?, |lifted| {
                format!("{} {} may be rolled again", lifted.name, lifted.version)
            })?;
        }
    }
    Ok(Exit::Done)
}

/// Quarantines, one a line.
pub(super) fn quarantines_table(quarantines: &[v1::Quarantine], now: Timestamp) -> String {
    if quarantines.is_empty() {
        return "nothing is quarantined".to_owned();
    }
    let mut table = table(&["quarantined", "digest", "rollout", "since", "reason"]);
    for quarantine in quarantines {
        table.add_row([
            format!("{} {}", quarantine.name, quarantine.version),
            short(&quarantine.digest),
            quarantine.rollout.clone(),
            human::ago(quarantine.since.as_ref(), now),
            quarantine.reason.clone(),
        ]);
    }
    table.trim_fmt()
}

/// Enough of a digest to tell it apart, and to lift it by.
pub(super) fn short(digest: &str) -> String {
    digest.chars().take(12).collect()
}
