//! `relupctl release relup`: the cluster makes the relup between releases that it holds.

use crate::commands::quarantine::short;
use crate::exit::Exit;
use crate::session::{Session, answer};
use anyhow::{Context as _, bail};
use clap::Args;
use relupd_proto::api::v1;
use std::fs;
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub(crate) struct RelupArgs {
    /// The version to come from and to go back to; may be given several times
    #[arg(long, value_name = "VERSION", required = true)]
    from: Vec<String>,
    /// The version that the relup belongs to; no app may use it yet
    #[arg(long, value_name = "VERSION")]
    to: String,
    /// An appup that is not in the release: APPLICATION.appup or APPLICATION.appup.src
    #[arg(long, value_name = "FILE")]
    appup: Vec<PathBuf>,
    /// Their name, where several releases have these versions
    #[arg(long)]
    name: Option<String>,
}

pub(super) async fn relup(session: &Session, args: RelupArgs) -> anyhow::Result<Exit> {
    let appups = args.appup.iter().map(|path| read(path)).collect::<anyhow::Result<_>>()?;
    let request = v1::MakeRelupRequest {
        name: args.name.unwrap_or_default(),
        from: args.from.clone(),
        to: args.to.clone(),
        appups,
    };
    let made = answer(session.releases().make_relup(request).await)?;
    session.format.print(&made, |made| text(made, &args.from))?;
    if made.missing.is_empty() {
        session
            .format
            .hint("what it does: `relupctl release show`; what it leaves out: `relupctl release diff`");
        return Ok(Exit::Done);
    }
    session.format.hint("no relup was made: write these appups, then give each with --appup FILE");
    Ok(Exit::Refused)
}

/// The application is named by the file, as OTP has it.
fn read(path: &Path) -> anyhow::Result<v1::Appup> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let application = name.strip_suffix(".appup").or_else(|| name.strip_suffix(".appup.src"));
    let Some(application) = application else {
        bail!("{}: name the file after its application, APPLICATION.appup", path.display());
    };
    let content = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(v1::Appup { application: application.to_owned(), content })
}

fn text(made: &v1::MakeRelupResponse, from: &[String]) -> String {
    match &made.release {
        Some(release) => format!(
            "release {} {} leads up from {} and back, hot ({}, made from {})",
            release.name,
            release.version,
            from.join(", "),
            short(&release.manifest),
            short(&release.pushed_manifest)
        ),
        None => made.missing.iter().map(missing).collect::<Vec<_>>().join("\n\n"),
    }
}

fn missing(appup: &v1::MissingAppup) -> String {
    let v1::MissingAppup { application, from, to, template } = appup;
    format!(
        "application {application} ({from} -> {to}) has no appup; {application}.appup to start from:\n\n{template}"
    )
}
