//! `relupctl release`.

mod push;

use crate::clock;
use crate::commands::quarantine::short;
use crate::exit::Exit;
use crate::human;
use crate::output::{fields, table};
use crate::session::{Session, answer, present};
use anyhow::Context as _;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use relupd_proto::api::v1;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Check a release's archive and send the cluster what it lacks of it; may be repeated
    Push(PushArgs),
    /// Releases that the cluster has
    List {
        /// With this name only
        name: Option<String>,
    },
    /// One release
    Show {
        /// Its version
        version: String,
        /// Its name, where several releases have that version
        #[arg(long)]
        name: Option<String>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct PushArgs {
    /// The archive that `rebar3 tar` has made (.tar.gz)
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
        Command::Show { version, name } => {
            let request = v1::GetReleaseRequest { name: name.unwrap_or_default(), version };
            let found = answer(session.releases().get_release(request).await)?;
            session.format.print(&present(found.release)?, |release| release_text(release, clock::now()))?;
        }
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

fn release_text(release: &v1::Release, now: Timestamp) -> String {
    let mut lines = vec![
        ("release", format!("{} {}", release.name, release.version)),
        ("manifest", release.manifest.clone()),
        ("erts", human::or_dash(&release.erts)),
        ("hot up from", human::or_dash(&release.hot_up_from.join(", "))),
        ("hot down to", human::or_dash(&release.hot_down_to.join(", "))),
        ("size", format!("{} in {} files", human::size(release.size), release.files)),
        ("pushed", format!("{} by {}", human::ago(release.pushed_at.as_ref(), now), release.pushed_by)),
        ("applications", release.applications.join(" ")),
    ];
    if !release.quarantined.is_empty() {
        lines.push(("quarantined", release.quarantined.clone()));
    }
    fields(&lines)
}
