//! What a hot upgrade does not apply: it is on disk afterwards, and waits for the next restart.

use super::{Change, Children, ReleaseDiff, Side, same, same_content};
use crate::manifest::Entry;
use crate::relup::{Instruction, Script};
use crate::terms::Term;
use std::collections::BTreeMap;
use std::io;

/// Files of a release's own directory that only a starting VM reads.
const READ_AT_START: [&str; 4] = ["vm.args", "vm.args.src", "remote.vm.args", "env.sh"];

/// Applications that read their environment while they start, and not again.
const CONFIGURED_AT_START: [&str; 2] = ["kernel", "sasl"];

pub(super) fn list<A, B>(diff: &ReleaseDiff, from: &Side<'_, A>, to: &Side<'_, B>) -> Vec<String>
where
    A: FnMut(&Entry) -> io::Result<Vec<u8>>,
    B: FnMut(&Entry) -> io::Result<Vec<u8>>,
{
    let mut sentences = Vec::new();
    if let Some((before, after)) = &diff.erts {
        sentences.push(format!("ERTS {before} -> {after}: the way is a restart"));
    }
    match &diff.script {
        None => sentences.push(format!(
            "anything: no relup leads from {} to {}; make one with `relupctl release relup --from {} --to {}`",
            diff.from, diff.to, diff.from, diff.to
        )),
        Some(script) if script.restarts_emulator() => {
            sentences.push("anything: the relup restarts the emulator".to_owned());
        }
        Some(script) => {
            sentences.extend(modules(diff));
            sentences.extend(applications(diff, script));
            sentences.extend(supervisors(diff, script));
        }
    }
    for key in diff.configuration.iter().filter(|key| CONFIGURED_AT_START.contains(&key.application.as_str()))
    {
        sentences
            .push(format!("{} {}: {} reads it when it starts", key.application, key.key, key.application));
    }
    for name in READ_AT_START {
        if !same(from.own_file(name), to.own_file(name)) {
            sentences.push(format!("{name}: read when the VM starts"));
        }
    }
    sentences.extend(native_code(from, to));
    sentences.extend(protocols(from, to));
    sentences
}

fn modules(diff: &ReleaseDiff) -> Vec<String> {
    let forgotten = diff
        .modules
        .iter()
        .filter(|module| !module.relup.iter().any(|word| word == "load" || word == "remove"));
    forgotten
        .map(|module| match module.change {
            Change::Added => format!("module {}: the relup does not load it", module.module),
            Change::Removed => format!("module {}: the relup leaves it loaded", module.module),
            Change::Changed => {
                format!("module {}: the relup does not load it, the old code stays", module.module)
            }
        })
        .collect()
}

/// Whether the script calls this function with this as its first argument.
fn applies(script: &Script, function: &[&str], application: &str) -> bool {
    script.instructions.iter().any(|instruction| match instruction {
        Instruction::Apply { module, function: name, arguments } => {
            module == "application"
                && function.contains(&name.as_str())
                && arguments.as_list().and_then(|list| list.first()).and_then(Term::as_atom)
                    == Some(application)
        }
        _ => false,
    })
}

fn applications(diff: &ReleaseDiff, script: &Script) -> Vec<String> {
    let sentence = |name: &str, change| match change {
        Change::Added if !applies(script, &["start", "ensure_started", "ensure_all_started"], name) => {
            Some(format!("application {name}: the relup does not start it"))
        }
        Change::Removed if !applies(script, &["stop"], name) => {
            Some(format!("application {name}: the relup does not stop it"))
        }
        Change::Added | Change::Removed | Change::Changed => None,
    };
    let changes = diff.applications.iter();
    changes.filter_map(|change| sentence(change.name.as_str(), change.change())).collect()
}

fn supervisors(diff: &ReleaseDiff, script: &Script) -> Vec<String> {
    let handles_children = script.instructions.iter().any(
        |instruction| matches!(instruction, Instruction::Apply { module, .. } if module == "supervisor"),
    );
    if handles_children {
        return Vec::new();
    }
    let sentence = |module: &str, children: &Children| match children {
        Children::Change { .. } => Some(format!(
            "children of {module}: OTP takes the new specification over, but starts and stops nobody; add \
             `apply` instructions with supervisor:restart_child or terminate_child"
        )),
        Children::CannotBeTold => Some(format!(
            "children of {module}, if they change (its module carries no debug information to tell): OTP \
             starts and stops nobody for a new specification"
        )),
        Children::SameInit => None,
    };
    diff.supervisors.iter().filter_map(|one| sentence(&one.module, &one.children)).collect()
}

/// Shared objects, compared by their place in the application, whatever its version.
fn native_code<A, B>(from: &Side<'_, A>, to: &Side<'_, B>) -> Vec<String>
where
    A: FnMut(&Entry) -> io::Result<Vec<u8>>,
    B: FnMut(&Entry) -> io::Result<Vec<u8>>,
{
    let (before, after) = (objects(from), objects(to));
    let changed = after
        .iter()
        .filter(|(place, entry)| before.get(*place).is_some_and(|earlier| !same_content(earlier, entry)));
    changed
        .map(|((application, file), _)| {
            format!("native code {file} of {application}: the loaded library stays where its module does not load it again")
        })
        .collect()
}

type Objects<'m> = BTreeMap<(String, String), &'m Entry>;

fn objects<'m, R: FnMut(&Entry) -> io::Result<Vec<u8>>>(side: &Side<'m, R>) -> Objects<'m> {
    let mut objects = Objects::new();
    for (name, version) in side.versions() {
        let directory = format!("lib/{name}-{version}/");
        for entry in side.manifest.entries() {
            if let Some(place) = entry.path.as_str().strip_prefix(&directory)
                && (place.ends_with(".so") || place.contains(".so."))
            {
                objects.insert((name.to_string(), place.to_owned()), entry);
            }
        }
    }
    objects
}

/// Elixir's consolidated protocols lie outside of every application, and no relup names their place.
fn protocols<A, B>(from: &Side<'_, A>, to: &Side<'_, B>) -> Option<String>
where
    A: FnMut(&Entry) -> io::Result<Vec<u8>>,
    B: FnMut(&Entry) -> io::Result<Vec<u8>>,
{
    let before = consolidated(from);
    let changed: Vec<String> = consolidated(to)
        .into_iter()
        .filter(|(name, entry)| !same(before.get(name).copied(), Some(entry)))
        .map(|(name, _)| name.trim_start_matches("Elixir.").trim_end_matches(".beam").to_owned())
        .collect();
    (!changed.is_empty()).then(|| format!("consolidated protocols: {}", changed.join(", ")))
}

fn consolidated<'m, R>(side: &Side<'m, R>) -> BTreeMap<String, &'m Entry> {
    let directory = format!("releases/{}/consolidated/", side.manifest.version());
    let below = |entry: &'m Entry| Some((entry.path.as_str().strip_prefix(&directory)?.to_owned(), entry));
    side.manifest.entries().iter().filter_map(below).collect()
}
