//! `relupctl cluster upgrade`: a thin loop around the planner. Asks the nodes, takes one step, and waits until it
//! is proved, until there is none left. It keeps nothing: stopped anywhere, it is started again.

use super::planner::{self, Answer, Node, Role, Step, Target, View};
use crate::clock;
use crate::commands::upgrade::{Signer, SignerArgs};
use crate::exit::Exit;
use crate::human;
use crate::output::Format;
use crate::session::{Session, answer};
use anyhow::{Context as _, bail, ensure};
use clap::Args;
use relupd_proto::api::v1;
use relupd_release::Digest;
use relupd_release::package::{self, PackageFacts, Statement};
use serde::Serialize;
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// Bytes of the package in one message.
const CHUNK: usize = 256 << 10;
const AHEAD: usize = 8;

/// From one look to the next, while something is waited for.
const PAUSE: Duration = Duration::from_millis(500);

/// What passes by itself has passed by then. dpkg, a new daemon's proof and the way back take less.
const PATIENCE: Duration = Duration::from_secs(300);

/// A signature is for this roll, and for going on with it tomorrow.
const VALIDITY: Duration = Duration::from_secs(24 * 3600);

#[derive(Debug, Args)]
pub(crate) struct UpgradeArgs {
    /// The package, as `make deb` has made it
    package: PathBuf,
    #[command(flatten)]
    signer: SignerArgs,
    /// Say what would be done, in which order and why, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Stop after so many hosts; the same command goes on later
    #[arg(long, value_name = "HOSTS")]
    limit: Option<usize>,
}

/// One line of the account.
#[derive(Serialize)]
struct Event<'a> {
    event: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    node: &'a str,
    text: String,
}

/// A package, and what its signer says of it.
struct Package {
    content: Vec<u8>,
    digest: Digest,
    statement: String,
    signature: Vec<u8>,
    target: Target,
}

pub(super) async fn run(args: UpgradeArgs, mut session: Session) -> anyhow::Result<Exit> {
    let signer = Signer::open(&args.signer, session.target())?;
    let package = Package::read(&args, &signer)?;
    if args.dry_run {
        let steps = planner::steps(look(&session).await?, &package.target);
        for step in &steps {
            report(&session, step)?;
        }
        return match steps.last() {
            Some(Step::Refuse { reason }) => bail!("{reason}"),
            Some(_) | None => Ok(Exit::Done),
        };
    }
    let patience = session.timeout.unwrap_or(PATIENCE);
    let mut roll = Roll { package, patience, uploaded: false, limit: args.limit };
    roll.run(&mut session).await
}

impl Package {
    fn read(args: &UpgradeArgs, signer: &Signer) -> anyhow::Result<Self> {
        let path = &args.package;
        let content = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let read = package::read(content.as_slice());
        let facts = read.with_context(|| format!("{} cannot be rolled out", path.display()))?;
        let PackageFacts { name, version, architecture, format } = facts;
        ensure!(name == package::NAME, "{} is a package of {name:?}, not of relupd", path.display());
        let digest = Digest::of(&content);
        let signed_at = clock::now().as_second();
        let statement = Statement {
            version: version.clone(),
            architecture: architecture.clone(),
            digest,
            size: content.len() as u64,
            signed_at,
            expires_at: signed_at + VALIDITY.as_secs().cast_signed(),
        };
        let statement = statement.to_text();
        let signature = signer.sign(&statement)?;
        let target = Target { version, architecture, format, key: signer.fingerprint() };
        Ok(Self { content, digest, statement, signature, target })
    }
}

struct Roll {
    package: Package,
    patience: Duration,
    /// The node that is asked has the file.
    uploaded: bool,
    limit: Option<usize>,
}

impl Roll {
    async fn run(&mut self, session: &mut Session) -> anyhow::Result<Exit> {
        let mut upgraded = 0;
        let mut waited = Waited::default();
        loop {
            let view = match look(session).await {
                Ok(view) => view,
                Err(error) => {
                    waited.for_one_more(&format!("{error:#}"), self.patience).await?;
                    // Perhaps to another node: the one that was asked may be the one that starts anew.
                    let _again = session.reconnect().await;
                    continue;
                }
            };
            let step = planner::next_step(&view, &self.package.target);
            match &step {
                Step::Wait { reason } => {
                    waited.for_one_more(reason, self.patience).await?;
                    continue;
                }
                Step::Upgrade { .. } if self.limit.is_some_and(|limit| upgraded >= limit) => {
                    let text =
                        "the same command goes on with the rest; until then two versions run side by side";
                    tell(session, "stopped", "", text.to_owned())?;
                    return Ok(Exit::GoesOn);
                }
                Step::Upgrade { node, .. } => {
                    report(session, &step)?;
                    if let Some(exit) = self.upgrade(session, node).await? {
                        return Ok(exit);
                    }
                    upgraded += 1;
                }
                Step::HandOver { to, .. } => {
                    report(session, &step)?;
                    let request = v1::HandOverRequest { node: to.clone() };
                    // One that came too late is asked for again, if it is still needed.
                    if let Err(error) = answer(session.upgrades().hand_over(request).await) {
                        waited.for_one_more(&error.to_string(), self.patience).await?;
                        continue;
                    }
                }
                Step::Refuse { reason } => bail!("{reason}"),
                Step::Done { left } => {
                    report(session, &step)?;
                    return Ok(if left.is_empty() { Exit::Done } else { Exit::GoesOn });
                }
            }
            waited = Waited::default();
        }
    }

    /// One host; an exit code where the roll ends with it.
    async fn upgrade(&mut self, session: &mut Session, node: &str) -> anyhow::Result<Option<Exit>> {
        if !self.uploaded {
            self.upload(session).await?;
            self.uploaded = true;
        }
        let begun = clock::now();
        // Told from every earlier order: by the signature's time, the node, and when it was given.
        let order = format!("{}-{node}-{}", self.package.digest.short(), begun.as_millisecond());
        let request = v1::UpgradeNodeRequest {
            node: node.to_owned(),
            order: order.clone(),
            statement: self.package.statement.clone(),
            signature: self.package.signature.clone(),
        };
        if let Err(error) = answer(session.upgrades().upgrade_node(request).await) {
            // The daemon that was asked may have been its own host's: then the answer is lost, and the deed is not.
            if !error.is_lost() {
                return Err(error.into());
            }
        }
        let ended = self.wait_for(session, node, &order).await?;
        let took = human::span(Duration::from_secs((clock::now() - begun).get_seconds().unsigned_abs()));
        match ended.phase() {
            v1::HostUpgradePhase::Installed => {
                let text = format!("{node}: {} -> {} in {took}, well", ended.from, ended.to);
                tell(session, "upgraded", node, text)?;
                Ok(None)
            }
            v1::HostUpgradePhase::Reverted => {
                let text = format!(
                    "{node}: back on {} by itself, because {}; nobody else is touched",
                    ended.from, ended.reason
                );
                tell(session, "reverted", node, text)?;
                Ok(Some(Exit::Halted))
            }
            v1::HostUpgradePhase::Refused => {
                bail!("{node} refused, and has changed nothing: {}", ended.reason)
            }
            v1::HostUpgradePhase::Failed => {
                let text = format!("{node} needs somebody: {}", ended.reason);
                tell(session, "failed", node, text)?;
                Ok(Some(Exit::NeedsOperator))
            }
            v1::HostUpgradePhase::Unspecified
            | v1::HostUpgradePhase::Installing
            | v1::HostUpgradePhase::Checking
            | v1::HostUpgradePhase::Reverting => bail!("{node}: {:?} is no end", ended.phase()),
        }
    }

    /// Until the host's installer has ended with this order. Its daemon, and the one that is asked, may be away
    /// meanwhile.
    async fn wait_for(
        &self,
        session: &mut Session,
        node: &str,
        order: &str,
    ) -> anyhow::Result<v1::HostUpgrade> {
        let mut waited = Waited::default();
        loop {
            let request = v1::GetUpgradeRequest { nodes: vec![node.to_owned()] };
            let reason = match answer(session.upgrades().get_upgrade(request).await) {
                Err(error) => {
                    let _again = session.reconnect().await;
                    error.to_string()
                }
                Ok(got) => match got.nodes.into_iter().next() {
                    Some(found) if !found.unreachable.is_empty() => found.unreachable,
                    Some(v1::NodeUpgrade { upgrade: Some(upgrade), .. }) if upgrade.order == order => {
                        if is_end(upgrade.phase()) {
                            return Ok(upgrade);
                        }
                        format!("its installer is {}", human::label(upgrade.phase()))
                    }
                    Some(_) | None => {
                        "its installer has not begun: see `systemctl status relupd-upgrade` there".to_owned()
                    }
                },
            };
            waited.for_one_more(&format!("{node}: {reason}"), self.patience).await?;
        }
    }

    /// The file goes to the node that is asked, once; the others fetch it from there.
    async fn upload(&self, session: &Session) -> anyhow::Result<()> {
        let (parts, receiver) = mpsc::channel(AHEAD);
        let digest = self.package.digest.to_string();
        let count = self.package.content.chunks(CHUNK).count();
        let sending = async {
            for (index, chunk) in self.package.content.chunks(CHUNK).enumerate() {
                let last = index + 1 == count;
                let part = v1::UploadFilesRequest { digest: digest.clone(), chunk: chunk.to_vec(), last };
                if parts.send(part).await.is_err() {
                    break;
                }
            }
            drop(parts);
        };
        let mut client = session.releases();
        let (uploaded, ()) = tokio::join!(client.upload_files(ReceiverStream::new(receiver)), sending);
        answer(uploaded)?;
        let size = human::size(self.package.content.len() as u64);
        tell(session, "uploaded", "", format!("relupd {}, {size}, sent", self.package.target.version))
    }
}

const fn is_end(phase: v1::HostUpgradePhase) -> bool {
    match phase {
        v1::HostUpgradePhase::Unspecified
        | v1::HostUpgradePhase::Installing
        | v1::HostUpgradePhase::Checking
        | v1::HostUpgradePhase::Reverting => false,
        v1::HostUpgradePhase::Installed
        | v1::HostUpgradePhase::Reverted
        | v1::HostUpgradePhase::Refused
        | v1::HostUpgradePhase::Failed => true,
    }
}

/// How long the same thing was waited for.
#[derive(Default)]
struct Waited {
    since: Option<jiff::Timestamp>,
}

impl Waited {
    async fn for_one_more(&mut self, reason: &str, patience: Duration) -> anyhow::Result<()> {
        let now = clock::now();
        let since = *self.since.get_or_insert(now);
        if (now - since).get_seconds().unsigned_abs() >= patience.as_secs() {
            bail!(
                "waited {} in vain: {reason}; the same command goes on where this one stopped",
                human::span(patience)
            );
        }
        tokio::time::sleep(PAUSE).await;
        Ok(())
    }
}

/// Asks every node, now.
async fn look(session: &Session) -> anyhow::Result<View> {
    let got = answer(session.upgrades().get_upgrade(v1::GetUpgradeRequest::default()).await)?;
    Ok(View {
        format: u16::try_from(got.format)?,
        rollouts: got.rollouts,
        nodes: got.nodes.into_iter().map(node).collect(),
    })
}

fn node(found: v1::NodeUpgrade) -> Node {
    let role = match found.raft_role() {
        v1::RaftRole::Voter => Role::Voter,
        v1::RaftRole::Learner | v1::RaftRole::Unspecified => Role::Learner,
    };
    let busy = found.upgrade.as_ref().is_some_and(|upgrade| !is_end(upgrade.phase()));
    let answer = if found.unreachable.is_empty() {
        Ok(Answer {
            version: found.version,
            architecture: found.architecture,
            confirmed: found.confirmed,
            trusted: found.trusted,
            busy,
        })
    } else {
        Err(found.unreachable)
    };
    Node { name: found.name, role, leads: found.leader, answer }
}

fn report(session: &Session, step: &Step) -> anyhow::Result<()> {
    match step {
        Step::Upgrade { node, because } => tell(session, "upgrade", node, format!("{node}: {because}")),
        Step::HandOver { from, to } => {
            tell(session, "hand-over", from, format!("{from} leads: it hands over to {to} first"))
        }
        Step::Wait { reason } => tell(session, "wait", "", format!("waits: {reason}")),
        // It becomes the error.
        Step::Refuse { .. } => Ok(()),
        Step::Done { left } if left.is_empty() => {
            tell(session, "done", "", "every node runs this version".to_owned())
        }
        Step::Done { left } => {
            let text = format!(
                "every node that answers runs this version; {} did not: the same command again when they are back",
                left.join(", ")
            );
            tell(session, "done", "", text)
        }
    }
}

fn tell(session: &Session, event: &str, node: &str, text: String) -> anyhow::Result<()> {
    match session.format {
        Format::Table | Format::Json => {
            session.format.print_next(&Event { event, node, text }, |event| event.text.clone())
        }
    }
}
