//! `relupctl app`.

pub(crate) mod setup;

use crate::commands::node::instances_table;
use crate::exit::Exit;
use crate::human;
use crate::output::{fields, table};
use crate::session::{Session, answer, present};
use anyhow::Context as _;
use clap::Subcommand;
use relupd_proto::api::v1;
use std::fs;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make an app known, or change how it wants to be run
    Apply {
        /// Its spec, TOML
        file: PathBuf,
    },
    /// Apps and what they are committed to
    List,
    /// An app, its instances and its spec
    Show {
        /// Its name
        app: String,
    },
    /// As root on a host of the app: its user, its release root and its unit. Asks no daemon
    Setup(setup::SetupArgs),
    /// Have its instances run
    Start {
        /// Its name
        app: String,
    },
    /// Have its instances stopped
    Stop {
        /// Its name
        app: String,
    },
}

pub(crate) async fn run(command: Command, session: &Session) -> anyhow::Result<Exit> {
    let mut apps = session.apps();
    match command {
        Command::Apply { file } => {
            let spec =
                fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
            let applied = apps.apply_app(v1::ApplyAppRequest { spec }).await;
            let app = present(answer(applied).with_context(|| file.display().to_string())?.app)?;
            session.format.print(&app, |app| {
                let nodes = app.instances.len();
                format!(
                    "app {} is applied; {nodes} node{} it",
                    app.name,
                    if nodes == 1 { " runs" } else { "s run" }
                )
            })?;
        }
        Command::Setup(args) => return setup::run(args, session.format),
        Command::List => {
            let list = answer(apps.list_apps(v1::ListAppsRequest {}).await)?;
            session.format.print(&list.apps, |apps| apps_table(apps))?;
        }
        Command::Show { app } => {
            let found = answer(apps.get_app(v1::GetAppRequest { name: app }).await)?;
            session.format.print(&present(found.app)?, app_text)?;
        }
        Command::Start { app } => {
            let started = answer(apps.start_app(v1::StartAppRequest { name: app }).await)?;
            session.format.print(&present(started.app)?, |app| format!("app {} is to run", app.name))?;
        }
        Command::Stop { app } => {
            let stopped = answer(apps.stop_app(v1::StopAppRequest { name: app }).await)?;
            session.format.print(&present(stopped.app)?, |app| format!("app {} is to stop", app.name))?;
        }
    }
    Ok(Exit::Done)
}

/// Apps, one a line.
pub(super) fn apps_table(apps: &[v1::App]) -> String {
    if apps.is_empty() {
        return "no app yet: apply a spec with `relupctl app apply FILE`".to_owned();
    }
    let mut table = table(&["app", "committed to", "should run", "nodes", "healthy", "rollout"]);
    for app in apps {
        let healthy =
            app.instances.iter().filter(|instance| instance.health() == v1::Health::Healthy).count();
        table.add_row([
            app.name.clone(),
            human::or_dash(&app.current),
            if app.running { "yes" } else { "no" }.to_owned(),
            versions(&app.instances),
            format!("{healthy}/{}", app.instances.len()),
            human::or_dash(&app.rollout),
        ]);
    }
    table.trim_fmt()
}

/// How many nodes run what, e.g. `2 x 0.1.0, 1 x 0.2.0`.
fn versions(instances: &[v1::Instance]) -> String {
    let mut counts: Vec<(String, usize)> = Vec::new();
    for instance in instances {
        let runs = match instance.run_state() {
            v1::RunState::Up => instance.running.clone(),
            other @ (v1::RunState::Unspecified | v1::RunState::Unknown | v1::RunState::Down) => {
                human::label(other)
            }
        };
        match counts.iter_mut().find(|(known, _)| *known == runs) {
            Some((_, count)) => *count += 1,
            None => counts.push((runs, 1)),
        }
    }
    let texts: Vec<String> = counts.iter().map(|(runs, count)| format!("{count} x {runs}")).collect();
    human::or_dash(&texts.join(", "))
}

fn app_text(app: &v1::App) -> String {
    let head = fields(&[
        ("app", app.name.clone()),
        ("release", app.release.clone()),
        ("committed to", human::or_dash(&app.current)),
        ("should run", if app.running { "yes" } else { "no" }.to_owned()),
        ("rollout", human::or_dash(&app.rollout)),
    ]);
    format!("{head}\n\n{}\n\n{}", instances_table(&app.instances), app.spec.trim())
}
