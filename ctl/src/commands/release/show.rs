//! `relupctl release show`: what is in a release.

use crate::clock;
use crate::human;
use crate::output::{fields, table};
use crate::session::{Session, answer, present};
use jiff::Timestamp;
use relupd_proto::api::v1;

/// The questions in the order of the columns, with the headings that fit.
const HARDENING: [(&str, &str); 6] = [
    ("pie", "PIE"),
    ("relro", "RELRO"),
    ("immediate-binding", "bind now"),
    ("stack-protector", "stack protector"),
    ("fortify", "fortify"),
    ("control-flow", "CET"),
];

pub(super) async fn show(session: &Session, name: Option<String>, version: String) -> anyhow::Result<()> {
    let request = v1::DescribeReleaseRequest { name: name.unwrap_or_default(), version };
    let described = answer(session.releases().describe_release(request).await)?;
    session.format.print(&present(described.description)?, |description| text(description, clock::now()))
}

fn text(description: &v1::ReleaseDescription, now: Timestamp) -> String {
    let mut parts = vec![fields(&facts(description, now)), paths(description)];
    if !description.binaries.is_empty() {
        parts.push(binaries(&description.binaries));
    }
    parts.join("\n\n")
}

fn facts(description: &v1::ReleaseDescription, now: Timestamp) -> Vec<(&'static str, String)> {
    let release = description.release.clone().unwrap_or_default();
    let mut facts = vec![
        ("release", format!("{} {}", release.name, release.version)),
        ("manifest", release.manifest.clone()),
        ("erts", erts(description, &release)),
        ("sasl", sasl(description).to_owned()),
        ("configuration", configuration(description)),
        ("size", format!("{} in {} files", human::size(release.size), release.files)),
        ("pushed", format!("{} by {}", human::ago(release.pushed_at.as_ref(), now), release.pushed_by)),
        ("applications", release.applications.join(" ")),
    ];
    if !release.relup_made_for.is_empty() {
        let versions = release.relup_made_for.join(", ");
        let pushed = &release.pushed_manifest;
        facts.push(("relup", format!("made by the cluster for {versions}; pushed as {pushed}")));
    }
    if !release.quarantined.is_empty() {
        facts.push(("quarantined", release.quarantined));
    }
    facts
}

fn erts(description: &v1::ReleaseDescription, release: &v1::Release) -> String {
    match (description.includes_erts, description.otp) {
        (false, _) => "not included".to_owned(),
        (true, 0) => release.erts.clone(),
        (true, otp) => format!("{} (OTP {otp})", release.erts),
    }
}

const fn sasl(description: &v1::ReleaseDescription) -> &'static str {
    if description.sasl { "included" } else { "not included: no hot upgrades, restarts only" }
}

fn configuration(description: &v1::ReleaseDescription) -> String {
    let shipped = match description.configuration.as_str() {
        "ready" => "sys.config",
        "template" => "sys.config.src only",
        _ => "none",
    };
    match description.config_providers.as_slice() {
        [] => shipped.to_owned(),
        providers => format!("{shipped}, completed at boot by {}", providers.join(", ")),
    }
}

/// The scripts of the relup, each with its instructions below it.
fn paths(description: &v1::ReleaseDescription) -> String {
    if description.up.is_empty() && description.down.is_empty() {
        return "no relup: every upgrade to and from it restarts".to_owned();
    }
    let up = description.up.iter().map(|path| path_text("up from", path));
    let down = description.down.iter().map(|path| path_text("down to", path));
    up.chain(down).collect::<Vec<_>>().join("\n\n")
}

fn path_text(direction: &str, path: &v1::UpgradePath) -> String {
    let what = if path.restarts_emulator { "restarts the emulator" } else { "hot" };
    let mut lines = vec![format!("{direction} {}: {what}", path.version)];
    lines.extend(path.instructions.iter().map(|instruction| format!("  {instruction}")));
    lines.join("\n")
}

fn binaries(binaries: &[v1::Binary]) -> String {
    let mut header = vec!["binary", "kind"];
    header.extend(HARDENING.iter().map(|(_, heading)| *heading));
    let mut table = table(&header);
    for binary in binaries {
        let mut row = vec![binary.path.clone(), human::label(binary.kind())];
        row.extend(
            HARDENING.iter().map(|(question, _)| {
                human::or_dash(binary.hardening.get(*question).map_or("", String::as_str))
            }),
        );
        table.add_row(row);
    }
    table.trim_fmt()
}
