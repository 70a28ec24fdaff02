//! `relupctl node`.

use crate::clock;
use crate::exit::Exit;
use crate::human;
use crate::output::{fields, table};
use crate::session::{Session, answer, present};
use clap::Subcommand;
use jiff::Timestamp;
use relupd_proto::api::v1;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Hosts, their raft roles and liveness
    List,
    /// One host and the apps on it
    Show {
        /// Id or name
        node: String,
    },
    /// Have a host put right what an interrupted step left, and try a failed catch-up again
    Repair {
        /// Id or name
        node: String,
        /// This app only
        #[arg(long)]
        app: Option<String>,
    },
}

pub(crate) async fn run(command: Command, session: &Session) -> anyhow::Result<Exit> {
    match command {
        Command::List => {
            let list = answer(session.nodes().list_nodes(v1::ListNodesRequest {}).await)?;
            session.format.print(&list.nodes, |nodes| nodes_table(nodes, clock::now()))?;
        }
        Command::Show { node } => {
            let found = answer(session.nodes().get_node(v1::GetNodeRequest { node }).await)?;
            session.format.print(&present(found.node)?, |node| node_text(node, clock::now()))?;
        }
        Command::Repair { node, app } => {
            let request = v1::RepairNodeRequest { node, app: app.unwrap_or_default() };
            let repaired = answer(session.nodes().repair_node(request).await)?;
            session.format.print(&present(repaired.node)?, |node| {
                format!("node {} has been told to repair; see `relupctl node show {}`", node.name, node.name)
            })?;
        }
    }
    Ok(Exit::Done)
}

/// Nodes, one a line.
pub(super) fn nodes_table(nodes: &[v1::Node], now: Timestamp) -> String {
    let mut table = table(&["node", "id", "address", "raft", "alive", "since", "daemon", "labels"]);
    for node in nodes {
        table.add_row([
            node.name.clone(),
            node.id.clone(),
            node.address.clone(),
            raft(node),
            human::label(node.liveness()),
            human::ago(node.liveness_since.as_ref(), now),
            human::or_dash(&node.daemon_version),
            labels(node),
        ]);
    }
    table.trim_fmt()
}

fn raft(node: &v1::Node) -> String {
    match (node.leader, node.raft_role()) {
        (true, _) => "leader".to_owned(),
        (false, v1::RaftRole::Unspecified) => human::NOTHING.to_owned(),
        (false, role @ (v1::RaftRole::Voter | v1::RaftRole::Learner)) => human::label(role),
    }
}

fn labels(node: &v1::Node) -> String {
    let labels: Vec<String> = node.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    human::or_dash(&labels.join(","))
}

fn node_text(node: &v1::Node, now: Timestamp) -> String {
    let head = fields(&[
        ("node", node.name.clone()),
        ("id", node.id.clone()),
        ("address", node.address.clone()),
        ("labels", labels(node)),
        ("raft", raft(node)),
        (
            "alive",
            format!(
                "{} (since {})",
                human::label(node.liveness()),
                human::ago(node.liveness_since.as_ref(), now)
            ),
        ),
        ("daemon", human::or_dash(&node.daemon_version)),
        ("upgrade", node.upgrade.as_ref().map_or_else(|| human::NOTHING.to_owned(), upgrade)),
        ("joined", human::ago(node.joined_at.as_ref(), now)),
        ("certificate", format!("expires {}", human::ago(node.certificate_expires_at.as_ref(), now))),
    ]);
    format!("{head}\n\n{}", instances_table(&node.instances))
}

/// What became of the newest upgrade of relupd on this host.
fn upgrade(upgrade: &v1::HostUpgrade) -> String {
    let v1::HostUpgrade { from, to, reason, .. } = upgrade;
    let head =
        format!("{} -> {}: {}", human::or_dash(from), human::or_dash(to), human::label(upgrade.phase()));
    if reason.is_empty() { head } else { format!("{head} ({reason})") }
}

/// Apps on nodes, one a line.
pub(super) fn instances_table(instances: &[v1::Instance]) -> String {
    if instances.is_empty() {
        return "no app here".to_owned();
    }
    let mut table = table(&["app", "node", "runs", "permanent", "health", "condition", "newest order"]);
    for instance in instances {
        let runs = match instance.run_state() {
            v1::RunState::Up => instance.running.clone(),
            other @ (v1::RunState::Unspecified | v1::RunState::Unknown | v1::RunState::Down) => {
                human::label(other)
            }
        };
        let condition = if instance.condition_detail.is_empty() {
            instance.condition.clone()
        } else {
            format!("{}: {}", instance.condition, instance.condition_detail)
        };
        table.add_row([
            instance.app.clone(),
            instance.node_name.clone(),
            runs,
            human::or_dash(&instance.permanent),
            human::label(instance.health()),
            condition,
            human::or_dash(&instance.assignment),
        ]);
    }
    table.trim_fmt()
}
