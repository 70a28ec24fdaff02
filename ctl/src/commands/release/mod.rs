//! `relupctl release`.

mod diff;
mod push;
mod relup;
mod show;
mod source;

use crate::clock;
use crate::commands::quarantine::short;
use crate::exit::Exit;
use crate::human;
use crate::output::table;
use crate::session::{Session, answer};
use anyhow::Context as _;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use relupd_proto::api::v1;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Check a release's archive, or its directory, and send the cluster what it lacks of it; may be repeated
    Push(PushArgs),
    /// Releases that the cluster has
    List {
        /// With this name only
        name: Option<String>,
    },
    /// What is in a release: applications, upgrade paths, native code and its hardening
    Show {
        /// Its version
        version: String,
        /// Its name, where several releases have that version
        #[arg(long)]
        name: Option<String>,
    },
    /// Make the relup between releases that the cluster holds, from their appups
    Relup(relup::RelupArgs),
    /// What changes from one release to another, and what of it a hot upgrade does not apply
    Diff {
        /// The version to come from
        from: String,
        /// The version to go to
        to: String,
        /// Their name, where several releases have these versions
        #[arg(long)]
        name: Option<String>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct PushArgs {
    /// The archive that `rebar3 tar` or `mix release` has made (.tar.gz), or the directory of a release
    file: PathBuf,
}

pub(crate) async fn run(command: Command, session: &Session) -> anyhow::Result<Exit> {
    match command {
        Command::Push(args) => push(session, args).await?,
        Command::List { name } => {
            let request = v1::ListReleasesRequest { name: name.unwrap_or_default() };
            let list = answer(session.releases().list_releases(request).await)?;
            session.format.print(&list.releases, |all| releases_table(all, clock::now()))?;
        }
        Command::Relup(args) => return relup::relup(session, args).await,
        Command::Diff { from, to, name } => diff::diff(session, name, from, to).await?,
        Command::Show { version, name } => show::show(session, name, version).await?,
    }
    Ok(Exit::Done)
}

async fn push(session: &Session, args: PushArgs) -> anyhow::Result<()> {
    let pushing = push::push(session, args.file);
    let pushed = match session.timeout {
        None => pushing.await?,
        Some(limit) => tokio::time::timeout(limit, pushing).await.with_context(|| {
            format!("not pushed within {}; push again, it goes on where it stopped", human::span(limit))
        })??,
    };
    session.format.print(&pushed.release, |release| {
        format!(
            "release {} {} is in the cluster ({})",
            release.name,
            release.version,
            short(&release.manifest)
        )
    })?;
    session.format.hint(&pushed.sent);
    Ok(())
}

fn releases_table(releases: &[v1::Release], now: Timestamp) -> String {
    if releases.is_empty() {
        return "no release yet: push one with `relupctl release push FILE`".to_owned();
    }
    let mut table = table(&["release", "version", "manifest", "erts", "hot from", "size", "pushed", ""]);
    for release in releases {
        table.add_row([
            release.name.clone(),
            release.version.clone(),
            short(&release.manifest),
            human::or_dash(&release.erts),
            human::or_dash(&release.hot_up_from.join(", ")),
            human::size(release.size),
            human::ago(release.pushed_at.as_ref(), now),
            if release.quarantined.is_empty() { "" } else { "quarantined" }.to_owned(),
        ]);
    }
    table.trim_fmt()
}
