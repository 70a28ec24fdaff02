//! `relupctl release diff`: what changes between two releases, and what of it a hot upgrade applies.

use crate::human;
use crate::output::table;
use crate::session::{Session, answer, present};
use relupd_proto::api::v1;

pub(super) async fn diff(
    session: &Session,
    name: Option<String>,
    from: String,
    to: String,
) -> anyhow::Result<()> {
    let request = v1::DiffReleasesRequest { name: name.unwrap_or_default(), from, to };
    let diff = present(answer(session.releases().diff_releases(request).await)?.diff)?;
    session.format.print(&diff, text)
}

fn text(diff: &v1::ReleaseDiff) -> String {
    let mut parts = vec![format!("{}: {} -> {}", diff.name, diff.from, diff.to)];
    if !diff.erts_to.is_empty() {
        parts.push(format!("ERTS {} -> {}", diff.erts_from, diff.erts_to));
    }
    parts.extend(applications(&diff.applications));
    parts.extend(modules(diff));
    parts.extend(configuration(&diff.configuration));
    parts.extend(
        diff.evaluated.iter().map(|file| format!("{file} differs: each host evaluates it for itself")),
    );
    parts.extend(supervisors(&diff.supervisors));
    parts.push(match diff.not_applied.as_slice() {
        [] => "a hot upgrade applies all of it".to_owned(),
        sentences => {
            let lines: Vec<String> = sentences.iter().map(|sentence| format!("  {sentence}")).collect();
            format!("a hot upgrade does not apply:\n{}", lines.join("\n"))
        }
    });
    parts.join("\n\n")
}

fn applications(changes: &[v1::ApplicationChange]) -> Option<String> {
    let mut table = table(&["application", "", "from", "to"]);
    for one in changes {
        let (from, to) = (human::or_dash(&one.from), human::or_dash(&one.to));
        table.add_row([one.name.clone(), human::label(one.change()), from, to]);
    }
    (!changes.is_empty()).then(|| table.trim_fmt())
}

fn modules(diff: &v1::ReleaseDiff) -> Option<String> {
    let mut table = table(&["application", "module", "", "relup"]);
    for one in &diff.modules {
        let relup = match one.relup.as_slice() {
            [] if diff.instructions.is_empty() => human::NOTHING.to_owned(),
            [] => "does nothing".to_owned(),
            words => words.join(", "),
        };
        table.add_row([one.application.clone(), one.module.clone(), human::label(one.change()), relup]);
    }
    (!diff.modules.is_empty()).then(|| table.trim_fmt())
}

fn configuration(changes: &[v1::ConfigurationChange]) -> Option<String> {
    let mut table = table(&["configuration", "parameter", ""]);
    for one in changes {
        table.add_row([one.application.clone(), one.key.clone(), human::label(one.change())]);
    }
    (!changes.is_empty()).then(|| table.trim_fmt())
}

fn supervisors(changes: &[v1::SupervisorChange]) -> Option<String> {
    let mut table = table(&["application", "supervisor", "children", "added", "removed"]);
    for one in changes {
        let [added, removed] = [&one.added, &one.removed].map(|ids| human::or_dash(&ids.join(", ")));
        table.add_row([one.application.clone(), one.module.clone(), one.children.clone(), added, removed]);
    }
    (!changes.is_empty()).then(|| table.trim_fmt())
}
