//! `relupctl cluster`.

mod planner;
mod upgrade;

use crate::clock;
use crate::commands::node::nodes_table;
use crate::commands::status::notes;
use crate::exit::Exit;
use crate::human;
use crate::output::fields;
use crate::session::{Session, answer, present};
use anyhow::{Context as _, bail, ensure};
use clap::Subcommand;
use relupd_proto::api::v1;
use serde::Serialize;
use std::fs::File;
use std::io::{self, BufRead, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Room for a backup: the state of a thousand nodes is 2 MB.
const MAX_BACKUP: usize = 64 << 20;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a cluster of this host; run it once, on the first one
    Init,
    /// Make a join token: single use, expiring. Whoever holds it can bring in one host
    Token {
        /// How long it may be used, at most 7 days
        #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = humantime::parse_duration)]
        ttl: Duration,
    },
    /// Bring this host into a cluster
    Join {
        /// What `relupctl cluster token` has printed; `-` reads it from stdin, which keeps it out of the process list
        token: String,
    },
    /// Who is in the cluster, who leads and votes, and what may be lost
    Status {
        /// Also a digest of the state as this host holds it, and the last command in it: hosts that name the same
        /// command must have the same digest
        #[arg(long)]
        digest: bool,
    },
    /// After the quorum is lost for good: go on with what this host holds, as the only voter
    Recover {
        /// Id or name of a node that never comes back; say it for each. They are removed
        #[arg(long, value_name = "NODE")]
        lost: Vec<String>,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
    /// Write this node and the cluster's state to a file. Keep it secret: it opens the CA's key
    Backup {
        /// Where to; must not exist yet
        file: PathBuf,
    },
    /// After every host is lost: begin the cluster again, on a fresh host of the same name
    Restore {
        /// What `relupctl cluster backup` has written
        file: PathBuf,
    },
    /// Roll another relupd over the hosts: learners first, the leader last; what is not well goes back by itself
    Upgrade(upgrade::UpgradeArgs),
    /// After an upgrade of relupd on every host: use what is new in it; older daemons cannot come back then
    RaiseFormat {
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
    /// Take a host out for good: its certificates are revoked, its id never comes back
    Remove {
        /// Id or name
        node: String,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

pub(crate) async fn run(command: Command, session: Session) -> anyhow::Result<Exit> {
    match command {
        Command::Upgrade(args) => return upgrade::run(args, session).await,
        Command::Init => init(&session).await?,
        Command::Token { ttl } => token(&session, ttl).await?,
        Command::Join { token } => join(&session, token).await?,
        Command::Status { digest } => status(&session, digest).await?,
        Command::Recover { lost, yes } => recover(&session, lost, yes).await?,
        Command::Backup { file } => backup(&session, &file).await?,
        Command::Restore { file } => restore(&session, &file).await?,
        Command::RaiseFormat { yes } => raise_format(&session, yes).await?,
        Command::Remove { node, yes } => remove(&session, node, yes).await?,
    }
    Ok(Exit::Done)
}

async fn init(session: &Session) -> anyhow::Result<()> {
    let made = answer(session.cluster().init_cluster(v1::InitClusterRequest {}).await)?;
    session.format.print(&made, |made| {
        format!("cluster {} is made; this host is node {}", made.cluster_id, made.node_id)
    })?;
    session
        .format
        .hint("next: `relupctl cluster token` here, `relupctl cluster join TOKEN` on the next host");
    Ok(())
}

async fn token(session: &Session, ttl: Duration) -> anyhow::Result<()> {
    let ttl = prost_types::Duration::try_from(ttl)?;
    let made = answer(session.cluster().create_token(v1::CreateTokenRequest { ttl: Some(ttl) }).await)?;
    session.format.print(&made, |made| made.token.clone())?;
    let expires = human::ago(made.expires_at.as_ref(), clock::now());
    session.format.hint(&format!("admits one host; expires {expires}"));
    Ok(())
}

async fn join(session: &Session, token: String) -> anyhow::Result<()> {
    let token = if token == "-" { read_line()? } else { token };
    let joined = answer(session.cluster().join_cluster(v1::JoinClusterRequest { token }).await)?;
    session.format.print(&joined, |joined| {
        format!("this host is node {} of cluster {}", joined.node_id, joined.cluster_id)
    })
}

async fn status(session: &Session, with_state_digest: bool) -> anyhow::Result<()> {
    let request = v1::GetStatusRequest { with_state_digest };
    let status = answer(session.cluster().get_status(request).await)?;
    let is_there = status.cluster.as_ref().is_some_and(|cluster| !cluster.state_digest.is_empty());
    ensure!(
        is_there || !with_state_digest,
        "this node gives no digest: it is in no cluster, or its relupd is older than this relupctl"
    );
    session.format.print(&present(status.cluster)?, cluster_text)
}

async fn remove(session: &Session, node: String, yes: bool) -> anyhow::Result<()> {
    if !yes && !confirmed(&format!("Remove node {node} for good? Its id never comes back. [y/N] "))? {
        bail!("nothing was removed");
    }
    let removed = answer(session.cluster().remove_node(v1::RemoveNodeRequest { node }).await)?;
    session.format.print(&removed, |removed| {
        format!("node {} ({}) is removed; its certificates are revoked", removed.name, removed.node_id)
    })
}

async fn recover(session: &Session, lost: Vec<String>, yes: bool) -> anyhow::Result<()> {
    let question = "Go on without the lost nodes? Commands that only they had are gone, and they must never come \
                    back. [y/N] ";
    if !yes && !confirmed(question)? {
        bail!("nothing was recovered");
    }
    let recovered = answer(session.cluster().recover_cluster(v1::RecoverClusterRequest { lost }).await)?;
    session.format.print(&recovered, |recovered| match recovered.removed.as_slice() {
        [] => "this node goes on as the only voter".to_owned(),
        removed => format!("this node goes on as the only voter; removed: {}", removed.join(", ")),
    })?;
    session.format.hint("its daemon starts again for that: look with `relupctl cluster status`");
    Ok(())
}

#[derive(Serialize)]
struct Written<'a> {
    file: &'a Path,
    bytes: usize,
}

async fn backup(session: &Session, path: &Path) -> anyhow::Result<()> {
    // First, so that a path that cannot be written is told before a secret is asked for.
    let file = File::options().write(true).create_new(true).mode(0o600).open(path);
    let mut file = file.with_context(|| format!("cannot make {}", path.display()))?;
    let written = async {
        let mut client = session.cluster().max_decoding_message_size(MAX_BACKUP);
        let answered = answer(client.backup_cluster(v1::BackupClusterRequest {}).await)?;
        file.write_all(&answered.backup)?;
        file.sync_all()?;
        anyhow::Ok(answered.backup.len())
    };
    match written.await {
        Ok(bytes) => {
            let written = Written { file: path, bytes };
            session.format.print(&written, |written| {
                format!("{} bytes in {}; keep them secret", written.bytes, written.file.display())
            })
        }
        Err(error) => {
            // Half a backup is none.
            std::fs::remove_file(path).with_context(|| format!("cannot remove {}", path.display()))?;
            Err(error)
        }
    }
}

async fn restore(session: &Session, path: &Path) -> anyhow::Result<()> {
    let backup = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let restored = answer(session.cluster().restore_cluster(v1::RestoreClusterRequest { backup }).await)?;
    session.format.print(&restored, |restored| {
        format!("cluster {} begins again with this node alone", restored.cluster_id)
    })?;
    session.format.hint("its daemon starts again for that: look with `relupctl cluster status`");
    Ok(())
}

async fn raise_format(session: &Session, yes: bool) -> anyhow::Result<()> {
    if !yes && !confirmed("Raise the format? The relupd of before cannot come back after that. [y/N] ")? {
        bail!("nothing was raised");
    }
    let raised = answer(session.cluster().raise_format(v1::RaiseFormatRequest {}).await)?;
    session.format.print(&raised, |raised| format!("the cluster writes format {} from now on", raised.format))
}

/// The cluster's own part of the status.
pub(super) fn cluster_text(cluster: &v1::ClusterStatus) -> String {
    if cluster.cluster_id.is_empty() {
        return notes(&cluster.notes);
    }
    let name = |id: &str| {
        let node = cluster.nodes.iter().find(|node| node.id == id);
        node.map_or_else(|| human::or_dash(id), |node| node.name.clone())
    };
    let mut rows = vec![
        ("cluster", cluster.cluster_id.clone()),
        ("asked", name(&cluster.this_node)),
        ("leader", format!("{} (term {})", name(&cluster.leader), cluster.term)),
        ("index", cluster.as_of_index.to_string()),
    ];
    if !cluster.state_digest.is_empty() {
        rows.push(("last command", cluster.last_command.clone()));
        rows.push(("state digest", cluster.state_digest.clone()));
    }
    let head = fields(&rows);
    format!("{head}\n\n{}\n\n{}", nodes_table(&cluster.nodes, clock::now()), notes(&cluster.notes))
}

fn read_line() -> anyhow::Result<String> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    Ok(line.trim().to_owned())
}

/// Whether a person says yes. Where nobody can be asked, the answer is no.
fn confirmed(question: &str) -> anyhow::Result<bool> {
    if !io::stdin().is_terminal() {
        bail!("this cannot be undone: say --yes where nobody can be asked");
    }
    eprint!("{question}");
    io::stderr().flush()?;
    Ok(matches!(read_line()?.as_str(), "y" | "Y" | "yes"))
}
