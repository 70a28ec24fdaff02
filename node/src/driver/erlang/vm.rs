//! The questions that the driver asks a VM, typed. Queries change nothing; operations run under an
//! id in the VM, once, however often they are asked for.

use super::link::{Link, LinkError};
use super::term::{
    as_atom, as_bool, as_bytes, as_list, as_text, as_tuple, as_u64, atom, atoms, integer, list, member,
    string, tuple,
};
use crate::driver::Measured;
use crate::ids::BootNonce;
use eetf::Term;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// How long a query may take. The release handler answers none while it installs.
const QUERY_PATIENCE: Duration = Duration::from_secs(20);

pub(super) type Md5 = [u8; 16];

/// What the VM says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) boot_nonce: BootNonce,
    pub(super) os_pid: u32,
    /// Version of the boot script: what this life of the VM was booted as.
    pub(super) booted: String,
    pub(super) erts: String,
    /// Whether there is a release handler.
    pub(super) handler: bool,
    /// Loaded applications and the versions they claim, which a failed install may have changed.
    pub(super) applications: BTreeMap<String, String>,
    pub(super) running: Vec<String>,
    /// Whether it is on its way down, or through `init:restart`.
    pub(super) stopping: bool,
    /// The version of the last install in this life of the VM, where it has not succeeded.
    pub(super) unfinished: Option<String>,
}

impl Facts {
    pub(super) fn parse(term: &Term) -> Option<Self> {
        let booted = match as_tuple(member(term, "script")?)? {
            [_name, version] => as_text(version)?,
            _ => return None,
        };
        let applications = as_list(member(term, "loaded")?)?.iter().map(|pair| match as_tuple(pair)? {
            [name, version] => Some((as_atom(name)?.to_owned(), as_text(version)?)),
            _ => None,
        });
        let running = as_list(member(term, "running")?)?.iter().map(|name| as_atom(name).map(str::to_owned));
        Some(Self {
            boot_nonce: BootNonce(as_text(member(term, "boot")?)?),
            os_pid: u32::try_from(as_u64(member(term, "os_pid")?)?).ok()?,
            booted,
            erts: as_text(member(term, "erts")?)?,
            handler: as_bool(member(term, "handler")?)?,
            applications: applications.collect::<Option<_>>()?,
            running: running.collect::<Option<_>>()?,
            stopping: as_atom(member(term, "phase")?)? == "stopping",
            // A VM goes on with the link that it was launched with, and an older one does not say.
            unfinished: member(term, "unfinished").and_then(as_text),
        })
    }
}

/// A parameter that is not as the configuration says, in words.
fn environment_fault(term: &Term) -> Option<String> {
    let [application, key, kind] = as_tuple(term)? else { return None };
    let what = match as_atom(kind)? {
        "absent" => "is not set",
        "old" => "has the value of the other version",
        // An application's own default may be the same.
        "left" => "is set as in the other version alone",
        _ => return None,
    };
    Some(format!("{} {} {what}", as_text(application)?, as_text(key)?))
}

/// What the release handler believes of one release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HandlerRelease {
    pub(super) version: String,
    pub(super) status: HandlerStatus,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HandlerStatus {
    Permanent,
    Current,
    /// `unpacked`, `old` and `tmp_current`: neither running nor booted into.
    Other,
}

/// A module as the VM holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LoadedModule {
    pub(super) name: String,
    /// `None` where it is not loaded.
    pub(super) md5: Option<Md5>,
    /// Whether a version of it from before the last load is still there.
    pub(super) has_old_code: bool,
}

/// What the meter saw during one installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) measured: Measured,
    /// Processes that OTP did not suspend, because they did not answer in time.
    pub(super) passed_over: Vec<String>,
}

impl Reading {
    fn parse(term: &Term) -> Option<Self> {
        let number = |key| as_u64(member(term, key)?);
        let count = |key| number(key).map(|count| u32::try_from(count).unwrap_or(u32::MAX));
        let time = |key| number(key).map(Duration::from_micros);
        let measured = Measured {
            took: time("took")?,
            suspended: count("processes")?,
            longest_suspend: time("longest_suspend")?,
            code_changes: count("code_changes")?,
            code_change_time: time("code_change_time")?,
            longest_code_change: time("longest_code_change")?,
            longest_queue: count("longest_queue")?,
        };
        Some(Self { measured, passed_over: parse_list(member(term, "passed_over")?, as_text)? })
    }
}

/// Asks one VM through the link.
#[derive(Clone, Debug)]
pub(super) struct Vm {
    link: Link,
}

impl Vm {
    pub(super) const fn new(link: Link) -> Self {
        Self { link }
    }

    pub(super) async fn facts(&self) -> Result<Facts, LinkError> {
        let answer = self.query(atom("facts")).await?;
        Facts::parse(&answer).ok_or_else(|| malformed("facts", &answer))
    }

    pub(super) async fn releases(&self) -> Result<Vec<HandlerRelease>, LinkError> {
        let answer = self.query(atom("releases")).await?;
        parse_list(&answer, handler_release).ok_or_else(|| malformed("releases", &answer))
    }

    /// Asks the handler whether `to` could be installed; answers from which version it would.
    /// For a missing relup OTP answers with `to` itself, and for every way down.
    /// OTP carries out what the relup has before its point of no return, to see whether it works.
    pub(super) async fn check_install(&self, to: &str) -> Result<String, LinkError> {
        let answer = self.query(tuple(vec![atom("check_install"), string(to)])).await?;
        as_text(&answer).ok_or_else(|| malformed("check_install", &answer))
    }

    pub(super) async fn loaded<'a>(
        &self,
        modules: impl IntoIterator<Item = &'a str>,
    ) -> Result<Vec<LoadedModule>, LinkError> {
        let answer = self.query(tuple(vec![atom("loaded"), atoms(modules)])).await?;
        parse_list(&answer, loaded_module).ok_or_else(|| malformed("loaded", &answer))
    }

    /// The digests of the modules in an `ebin` directory, computed as OTP does for loaded code.
    pub(super) async fn beams(&self, ebin: &Path) -> Result<BTreeMap<String, Md5>, LinkError> {
        let answer = self.query(tuple(vec![atom("beams"), string(&ebin.to_string_lossy())])).await?;
        let beams = as_list(&answer).ok_or_else(|| malformed("beams", &answer))?;
        beams
            .iter()
            .map(|beam| match as_tuple(beam) {
                Some([module, md5]) => Some((as_atom(module)?.to_owned(), as_bytes(md5)?.try_into().ok()?)),
                _ => None,
            })
            .collect::<Option<_>>()
            .ok_or_else(|| {
                LinkError::Failed(format!("a module in {} cannot be read: {answer}", ebin.display()))
            })
    }

    /// Supervised processes of these modules that do not answer or do not run.
    pub(super) async fn unanswering<'a>(
        &self,
        modules: impl IntoIterator<Item = &'a str>,
        patience: Duration,
    ) -> Result<Vec<String>, LinkError> {
        let millis = integer(i32::try_from(patience.as_millis()).unwrap_or(i32::MAX));
        let request = tuple(vec![atom("unanswering"), atoms(modules), millis]);
        let answer = self.link.ask(request, patience + QUERY_PATIENCE).await?;
        let parsed = match as_tuple(&answer) {
            Some([_asked, silent]) => parse_list(silent, |pair| match as_tuple(pair)? {
                [name, state] => Some(format!("{}: {}", as_text(name)?, as_text(state)?)),
                _ => None,
            }),
            _ => None,
        };
        parsed.ok_or_else(|| malformed("unanswering", &answer))
    }

    /// The environment of the VM's process. It may hold secrets.
    pub(super) async fn process_environment(&self) -> Result<BTreeMap<String, String>, LinkError> {
        let answer = self.query(atom("process_environment")).await?;
        let variables = parse_list(&answer, as_text).ok_or(LinkError::Malformed {
            request: "process_environment",
            answer: "(not shown: it may hold secrets)".to_owned(),
        })?;
        let pairs = variables.iter().filter_map(|variable| variable.split_once('='));
        Ok(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    /// Processes that run old code of these modules, which the next load would kill.
    pub(super) async fn in_old_code<'a>(
        &self,
        modules: impl IntoIterator<Item = &'a str>,
    ) -> Result<Vec<String>, LinkError> {
        let answer = self.query(tuple(vec![atom("in_old_code"), atoms(modules)])).await?;
        parse_list(&answer, |pair| match as_tuple(pair)? {
            [process, module] => Some(format!("{} in {}", as_text(process)?, as_text(module)?)),
            _ => None,
        })
        .ok_or_else(|| malformed("in_old_code", &answer))
    }

    /// How the application environment differs from a configuration file, where it is as the file of
    /// another version says, or lacks something.
    pub(super) async fn environment_faults(
        &self,
        config: &Path,
        other: Option<&Path>,
    ) -> Result<Vec<String>, LinkError> {
        self.parameters("environment_faults", config, other).await
    }

    /// The same, with what only the other version has. A link of a VM that was launched before there was
    /// this question does not know it, and tells of no install that it could be asked for.
    pub(super) async fn foreign_parameters(
        &self,
        config: &Path,
        other: Option<&Path>,
    ) -> Result<Vec<String>, LinkError> {
        self.parameters("foreign_parameters", config, other).await
    }

    async fn parameters(
        &self,
        question: &'static str,
        config: &Path,
        other: Option<&Path>,
    ) -> Result<Vec<String>, LinkError> {
        let path = |path: &Path| string(&path.to_string_lossy());
        let other = other.map_or_else(|| atom("none"), path);
        let answer = self.query(tuple(vec![atom(question), path(config), other])).await?;
        parse_list(&answer, environment_fault).ok_or_else(|| malformed(question, &answer))
    }

    /// Whether this life of the VM has begun the operation, and perhaps ended it.
    pub(super) async fn knows(&self, operation: &str) -> Result<bool, LinkError> {
        let request = tuple(vec![atom("result"), super::term::binary(operation.as_bytes())]);
        let answer = self.query(request).await?;
        match as_atom(&answer) {
            Some("unknown") => Ok(false),
            Some("running" | "done") => Ok(true),
            Some(_) | None => Err(malformed("result", &answer)),
        }
    }

    /// Installs `to`; answers from which version.
    pub(super) async fn install(
        &self,
        operation: &str,
        to: &str,
        otp_patience: Duration,
        patience: Duration,
    ) -> Result<String, LinkError> {
        let millis = i32::try_from(otp_patience.as_millis()).unwrap_or(i32::MAX);
        let option = |name, value| tuple(vec![atom(name), value]);
        // A process that does not suspend in time is skipped by OTP without a word and meets the new
        // code with its old state: hence a long time for it.
        let options = list(vec![
            option("update_paths", atom("true")),
            option("suspend_timeout", integer(millis)),
            option("code_change_timeout", integer(millis)),
            option("error_action", atom("restart")),
        ]);
        let work = tuple(vec![atom("install"), string(to), options]);
        let answer = self.run(operation, work, patience).await?;
        as_text(&answer).ok_or_else(|| malformed("install", &answer))
    }

    /// Purges old code of these modules where no process runs in it; answers where one does.
    pub(super) async fn purge_softly<'a>(
        &self,
        modules: impl IntoIterator<Item = &'a str>,
    ) -> Result<Vec<String>, LinkError> {
        let answer = self.query(tuple(vec![atom("purge_softly"), atoms(modules)])).await?;
        parse_list(&answer, |module| as_atom(module).map(str::to_owned))
            .ok_or_else(|| malformed("purge_softly", &answer))
    }

    /// Purges old code of these modules, and kills who runs it; answers where somebody did.
    pub(super) async fn purge_brutally<'a>(
        &self,
        modules: impl IntoIterator<Item = &'a str>,
    ) -> Result<Vec<String>, LinkError> {
        let answer = self.query(tuple(vec![atom("purge_brutally"), atoms(modules)])).await?;
        parse_list(&answer, |module| as_atom(module).map(str::to_owned))
            .ok_or_else(|| malformed("purge_brutally", &answer))
    }

    /// What an installation under this id did to processes; `None` where that was not measured.
    pub(super) async fn measured(&self, operation: &str) -> Result<Option<Reading>, LinkError> {
        let request = tuple(vec![atom("measured"), super::term::binary(operation.as_bytes())]);
        match self.query(request).await {
            Ok(answer) if matches!(as_atom(&answer), Some("unknown" | "unmeasured")) => Ok(None),
            Ok(answer) => Reading::parse(&answer).map(Some).ok_or_else(|| malformed("measured", &answer)),
            // The link of a VM that an older relupd has started does not know the question.
            Err(LinkError::Failed(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What `init:restart` boots from now on.
    pub(super) async fn make_permanent(&self, boot: &Path, config: &Path) -> Result<(), LinkError> {
        let paths = [boot, config].map(|path| string(&path.to_string_lossy()));
        let [boot, config] = paths;
        let answer = self.query(tuple(vec![atom("make_permanent"), boot, config])).await?;
        expect_ok("make_permanent", &answer)
    }

    /// Makes the handler read RELEASES again. A `current` is forgotten by that.
    pub(super) async fn reload_handler(&self) -> Result<(), LinkError> {
        let answer = self.query(atom("reload_handler")).await?;
        expect_ok("reload_handler", &answer)
    }

    async fn query(&self, request: Term) -> Result<Term, LinkError> {
        self.link.ask(request, QUERY_PATIENCE).await
    }

    async fn run(&self, operation: &str, work: Term, patience: Duration) -> Result<Term, LinkError> {
        let request = tuple(vec![atom("run"), super::term::binary(operation.as_bytes()), work]);
        self.link.ask(request, patience).await
    }
}

fn malformed(request: &'static str, answer: &Term) -> LinkError {
    LinkError::Malformed { request, answer: answer.to_string().chars().take(200).collect() }
}

fn parse_list<T>(term: &Term, parse: impl Fn(&Term) -> Option<T>) -> Option<Vec<T>> {
    as_list(term)?.iter().map(parse).collect()
}

fn handler_release(term: &Term) -> Option<HandlerRelease> {
    let [_name, version, _libraries, status] = as_tuple(term)? else { return None };
    let status = match as_atom(status)? {
        "permanent" => HandlerStatus::Permanent,
        "current" => HandlerStatus::Current,
        _ => HandlerStatus::Other,
    };
    Some(HandlerRelease { version: as_text(version)?, status })
}

fn loaded_module(term: &Term) -> Option<LoadedModule> {
    let [name, md5, old] = as_tuple(term)? else { return None };
    let md5 = match as_bytes(md5) {
        Some(bytes) => Some(bytes.try_into().ok()?),
        None => None,
    };
    Some(LoadedModule { name: as_atom(name)?.to_owned(), md5, has_old_code: as_bool(old)? })
}

fn expect_ok(request: &'static str, answer: &Term) -> Result<(), LinkError> {
    if as_atom(answer) == Some("ok") { Ok(()) } else { Err(malformed(request, answer)) }
}
