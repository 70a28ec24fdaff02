//! `relupctl status`: everything at a glance.

use crate::clock;
use crate::commands::app::apps_table;
use crate::commands::cluster::cluster_text;
use crate::commands::quarantine::quarantines_table;
use crate::commands::rollout::rollouts_table;
use crate::exit::Exit;
use crate::session::{Session, answer};
use relupd_proto::api::v1;

pub(crate) async fn run(session: &Session) -> anyhow::Result<Exit> {
    let status = answer(session.cluster().get_status(v1::GetStatusRequest::default()).await)?;
    session.format.print(&status, render)?;
    Ok(Exit::Done)
}

fn render(status: &v1::GetStatusResponse) -> String {
    let now = clock::now();
    let mut parts: Vec<String> = status.cluster.iter().map(cluster_text).collect();
    if !status.apps.is_empty() {
        parts.push(apps_table(&status.apps));
    }
    if !status.rollouts.is_empty() {
        parts.push(rollouts_table(&status.rollouts, now));
    }
    if !status.quarantines.is_empty() {
        parts.push(quarantines_table(&status.quarantines, now));
    }
    parts.join("\n\n")
}

/// What a person should know.
pub(super) fn notes(notes: &[String]) -> String {
    let lines: Vec<String> = notes.iter().map(|note| format!("note: {note}")).collect();
    lines.join("\n")
}
