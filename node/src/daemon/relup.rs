//! Makes a relup for two releases that the cluster holds, with OTP's own `systools:make_relup/4`, run by
//! the runtime system of the release itself in a scratch directory: whoever wrote the appups needs
//! neither the old release nor the same OTP at hand.

use super::releases::Releases;
use crate::api::control::{ControlError, MadeRelup, MissingAppup};
use crate::driver::erlang::helper::Helper;
use crate::state::release::{MadeFrom, ReleaseId, ReleaseRecord};
use bytes::Bytes;
use relupd_core::chain;
use relupd_release::diff::{Change, ReleaseDiff};
use relupd_release::manifest::{Entry, EntryKind, Manifest, Mode};
use relupd_release::relup::{Instruction, Relup, Script};
use relupd_release::terms::{Term, consult_one, to_file};
use relupd_release::{ApplicationName, Digest, appup};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// It takes half a second on a slow disk.
const PATIENCE: Duration = Duration::from_secs(60);

/// The arguments are the directory of sasl, then the `.rel` files without extension, the target first.
const MAKE_RELUP: &str = r#"
    [Sasl, To | From] = init:get_plain_arguments(),
    true = code:add_patha(Sasl),
    io:setopts([{encoding, unicode}]),
    Up = fun filename:dirname/1,
    Libraries = fun(Rel) -> filename:join([Up(Up(Up(Rel))), "lib", "*", "ebin"]) end,
    Path = {path, [Libraries(Rel) || Rel <- [To | From]]},
    case systools:make_relup(To, From, From, [silent, noexec, Path]) of
        {ok, Relup, _, _} -> io:format("~tp.~n", [Relup]), halt(0);
        {error, Module, Error} -> io:put_chars(Module:format_error(Error)), halt(1)
    end."#;

/// Appups by application.
pub(crate) type Appups = BTreeMap<ApplicationName, Vec<u8>>;

impl Releases {
    /// The record of the same release with the relup in it; nothing is registered yet.
    pub(crate) async fn make_relup(
        &self,
        from: &[ReleaseId],
        present: &ReleaseRecord,
        appups: Appups,
        who: &str,
    ) -> Result<MadeRelup<ReleaseRecord>, ControlError> {
        let to = &present.id;
        let target = self.fetched(to).await.map_err(ControlError::Unavailable)?;
        let mut sources = Vec::new();
        let mut missing = Vec::new();
        for id in from {
            let diff = self.diff(id, to).await?;
            refuse_restart(&diff)?;
            missing.extend(missing_appups(&diff, &target, &appups));
            sources.push(self.fetched(id).await.map_err(ControlError::Unavailable)?);
        }
        check_appups(&target, &self.info(&target).await?.applications, &appups)?;
        if !missing.is_empty() {
            return Ok(MadeRelup::Missing(missing));
        }
        // One at a time: each fills a file system in memory with a runtime system.
        let _permit = self.relups.acquire().await;
        // One that was cut off with its caller has left its tree.
        let _ = tokio::fs::remove_dir_all(self.scratch_root()).await;
        let scratch = self.scratch();
        let made = self.run_systools(&scratch, &sources, &target, &appups).await;
        // It lies on a file system that a reboot empties.
        let _ = tokio::fs::remove_dir_all(&scratch).await;
        let versions: Vec<&str> = from.iter().map(|id| id.version.as_str()).collect();
        let relup = self.merged(&target, &made?, &versions).await?;
        let record = self.with_relup(&target, relup, from, present, who).await?;
        Ok(MadeRelup::Made(record))
    }

    async fn run_systools(
        &self,
        scratch: &Path,
        sources: &[Manifest],
        target: &Manifest,
        appups: &Appups,
    ) -> Result<String, ControlError> {
        let info = self.info(target).await?;
        let sasl = info.applications.iter().find(|application| application.name.as_str() == "sasl");
        let sasl = sasl.ok_or_else(|| {
            ControlError::Invalid(format!(
                "{} {} does not contain sasl, without which nothing is hot: add it to its applications",
                target.name(),
                target.version()
            ))
        })?;
        let tree = scratch.join("to");
        let mut rels = vec![self.partial_tree(target, &tree, true).await?];
        for (number, source) in sources.iter().enumerate() {
            rels.push(self.partial_tree(source, &scratch.join(format!("from-{number}")), false).await?);
        }
        for application in &info.applications {
            if let Some(content) = appups.get(&application.name) {
                let path = tree.join(format!("lib/{application}/ebin/{}.appup", application.name));
                tokio::fs::write(&path, content).await.map_err(|source| internal(&path, source))?;
            }
        }
        let release = tree.join("releases").join(target.version().as_str());
        let helper = Helper {
            boot: crate::driver::erlang::helper::clean_boot(&release),
            root: tree.clone(),
            erts: info.erts.to_string(),
            user: nobody(),
            environment: BTreeMap::new(),
        };
        let mut arguments: Vec<OsString> = vec![tree.join(format!("lib/{sasl}/ebin")).into()];
        arguments.extend(rels.into_iter().map(OsString::from));
        let made = helper.eval(MAKE_RELUP, &arguments, PATIENCE).await;
        made.map_err(|error| ControlError::Invalid(format!("systools makes no relup: {}", chain(&error))))
    }

    /// What `systools` reads of a release, and where it lies what has to run; answers with the `.rel`
    /// file, without its extension.
    async fn partial_tree(
        &self,
        manifest: &Manifest,
        tree: &Path,
        runs: bool,
    ) -> Result<PathBuf, ControlError> {
        let wanted = |entry: &&Entry| is_wanted(entry.path.as_str(), runs);
        let entries: Vec<Entry> = manifest.entries().iter().filter(wanted).cloned().collect();
        let part = Manifest::new(manifest.name().clone(), manifest.version().clone(), entries)
            .map_err(|error| ControlError::Invalid(chain(&error)))?;
        let built = self.store().materialize(Arc::new(part), tree.to_owned()).await;
        built.map_err(|error| ControlError::Unavailable(chain(&error)))?;
        Ok(tree.join("releases").join(manifest.version().as_str()).join(manifest.name().as_str()))
    }

    /// The relup that was made, with the scripts of the old one for other versions.
    async fn merged(&self, target: &Manifest, made: &str, versions: &[&str]) -> Result<String, ControlError> {
        let earlier = self.file_of(target, &relup_path(target)).await?;
        let text = merge(made, earlier.as_deref(), versions).ok_or_else(|| {
            ControlError::Invalid("what systools printed cannot be read as a relup".to_owned())
        })?;
        let relup = Relup::parse(text.as_bytes()).map_err(|error| ControlError::Invalid(chain(&error)))?;
        match fault(&relup, target, versions) {
            None => Ok(text),
            Some(reason) => {
                Err(ControlError::Invalid(format!("the relup that systools made is of no use: {reason}")))
            }
        }
    }

    /// The same files with another relup: a new manifest of the same version.
    async fn with_relup(
        &self,
        target: &Manifest,
        relup: String,
        from: &[ReleaseId],
        present: &ReleaseRecord,
        who: &str,
    ) -> Result<ReleaseRecord, ControlError> {
        let path = relup_path(target);
        let content = Bytes::from(relup);
        let digest = Digest::of(&content);
        let kind = EntryKind::File { mode: Mode::from_bits(0o644), size: content.len() as u64, digest };
        self.put(digest, content).await?;
        let others = target.entries().iter().filter(|entry| entry.path.as_str() != path).cloned();
        let path = path.parse().map_err(|error| ControlError::Invalid(chain(&error)))?;
        let entries = others.chain([Entry { path, kind }]).collect();
        let manifest = Manifest::new(target.name().clone(), target.version().clone(), entries)
            .map_err(|error| ControlError::Invalid(chain(&error)))?;
        let mut record = self.seal(&manifest.to_bytes(), who).await?;
        let earlier = present.made_from.iter().flat_map(|made| made.versions.iter().cloned());
        record.made_from = Some(Box::new(MadeFrom {
            replaces: present.id.manifest,
            pushed: present.pushed_manifest(),
            versions: earlier.chain(from.iter().map(|id| id.version.clone())).collect(),
        }));
        Ok(record)
    }
}

/// What a release brings is never run as root: it comes from operators, who are not.
fn nobody() -> Option<(u32, u32)> {
    const NOBODY: u32 = 65534;
    rustix::process::geteuid().is_root().then_some((NOBODY, NOBODY))
}

fn internal(path: &Path, source: std::io::Error) -> ControlError {
    ControlError::Internal {
        what: format!("use the scratch directory {}", path.display()),
        source: Box::new(source),
    }
}

fn relup_path(manifest: &Manifest) -> String {
    format!("releases/{}/relup", manifest.version())
}

/// Descriptions and appups of every application; of what runs also the runtime system and what it boots.
fn is_wanted(path: &str, runs: bool) -> bool {
    let described = path.ends_with(".app") || path.ends_with(".appup") || path.ends_with(".rel");
    // The clean boot file of mix starts Elixir, too.
    let booted = ["lib/kernel-", "lib/stdlib-", "lib/sasl-", "lib/compiler-", "lib/elixir-"];
    let runtime = path.starts_with("erts-") || path.ends_with(".boot");
    described || (runs && (runtime || booted.iter().any(|start| path.starts_with(start))))
}

fn refuse_restart(diff: &ReleaseDiff) -> Result<(), ControlError> {
    match &diff.erts {
        None => Ok(()),
        Some((from, to)) => Err(ControlError::Invalid(format!(
            "{} runs on ERTS {from}, {} on {to}: between them the way is a restart, and no relup changes that",
            diff.from, diff.to
        ))),
    }
}

/// Applications in another version without an appup, neither in the release nor given.
fn missing_appups(diff: &ReleaseDiff, target: &Manifest, appups: &Appups) -> Vec<MissingAppup> {
    let missing = diff.applications.iter().filter_map(|change| {
        let (from, to) = (change.from.as_ref()?, change.to.as_ref()?);
        let path = format!("lib/{0}-{to}/ebin/{0}.appup", change.name);
        if change.change() != Change::Changed
            || appups.contains_key(&change.name)
            || target.entry(&path).is_some()
        {
            return None;
        }
        let modules: Vec<_> =
            diff.modules.iter().filter(|module| module.application == change.name).collect();
        Some(MissingAppup {
            application: change.name.clone(),
            from: from.clone(),
            to: to.clone(),
            template: appup::template(from, to, &modules),
        })
    });
    missing.collect()
}

fn check_appups(
    target: &Manifest,
    applications: &[relupd_release::rel::Application],
    appups: &Appups,
) -> Result<(), ControlError> {
    for (name, content) in appups {
        let Some(application) = applications.iter().find(|application| application.name == *name) else {
            let reason = format!("{} {} has no application {name}", target.name(), target.version());
            return Err(ControlError::Invalid(format!(
                "{name}.appup: {reason}; name the file after its application"
            )));
        };
        appup::check(content, &application.version)
            .map_err(|error| ControlError::Invalid(format!("{name}.appup: {}", chain(&error))))?;
    }
    Ok(())
}

/// PURE: both relups in one; a script of the new one replaces that of the old one for the same version.
fn merge(made: &str, earlier: Option<&[u8]>, versions: &[&str]) -> Option<String> {
    let made = consult_one(made.as_bytes()).ok()?;
    let [version, up, down] = made.as_tuple()? else { return None };
    let earlier = earlier.and_then(|content| consult_one(content).ok());
    let kept = |side: usize| -> Vec<Term> {
        let scripts = earlier.as_ref().and_then(Term::as_tuple).and_then(|parts| parts.get(side));
        let scripts = scripts.and_then(Term::as_list).unwrap_or_default();
        let of_another = |script: &&Term| {
            let other = script.as_tuple().and_then(|parts| parts.first()).and_then(Term::as_text);
            other.is_some_and(|other| !versions.contains(&other.as_ref()))
        };
        scripts.iter().filter(of_another).cloned().collect()
    };
    let side = |new: &Term, index| Some(Term::List([new.as_list()?.to_vec(), kept(index)].concat()));
    Some(to_file(&[Term::Tuple(vec![version.clone(), side(up, 1)?, side(down, 2)?])]))
}

/// What keeps the relup from being what was asked for.
fn fault(relup: &Relup, target: &Manifest, versions: &[&str]) -> Option<String> {
    if relup.version != *target.version() {
        return Some(format!("it is for {}", relup.version));
    }
    let known: BTreeSet<&str> = versions.iter().copied().collect();
    for version in known {
        let of = |scripts: &'_ [Script]| scripts.iter().position(|script| script.other.as_str() == version);
        for (scripts, direction) in [(&relup.up, "up from"), (&relup.down, "down to")] {
            let Some(script) = of(scripts).and_then(|index| scripts.get(index)) else {
                return Some(format!("it does not lead {direction} {version}"));
            };
            if script.restarts_emulator() {
                return Some(format!("the way {direction} {version} restarts the emulator"));
            }
            let unknown = script.instructions.iter().find(|one| matches!(one, Instruction::Unknown(_)));
            if let Some(instruction) = unknown {
                return Some(format!("the way {direction} {version} has {instruction}"));
            }
        }
    }
    None
}
