//! Everything that can be known before a transition, in the order in which an operator should read it:
//! first what is on disk, then what only the living VM knows.

mod foresee;
mod names;

use super::book::{Book, Entry};
use super::helper::Helper;
use super::host_checks;
use super::observe::{BookFile, Process, Sources, classify};
use super::protocols;
use super::relup_checks::{self, Sides};
use super::{ErlangDriver, config_check, from_link, native_modules};
use crate::driver::checks::{check, failed, not_hot, stands_on_from};
use crate::driver::files::{At, blocking};
use crate::driver::{Check, CheckResult, Condition, DriverError, Method, Observation, Transition};
use crate::ids::ReleaseVersion;
use std::collections::BTreeSet;

const WHAT: &str = "preflight";

/// What the checks are made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Occasion {
    /// A rollout prepares this node.
    Preparing,
    /// Somebody plans: nothing may come of it.
    Planning,
}

impl ErlangDriver {
    pub(super) async fn preflight_checks(&self, transition: &Transition) -> Result<Vec<Check>, DriverError> {
        let sources = self.sources().await?;
        self.checks_of(&sources, transition, Occasion::Preparing).await
    }

    async fn checks_of(
        &self,
        sources: &Sources,
        transition: &Transition,
        occasion: Occasion,
    ) -> Result<Vec<Check>, DriverError> {
        let book = book_of(sources);
        let mut checks = vec![self.check_placed(&book, &transition.to).await?];
        if checks.iter().any(|check| check.result != CheckResult::Passed) {
            // Where the book is torn nothing is registered, and that is what has to be mended.
            checks.extend(standing(sources, transition));
            return Ok(checks);
        }
        for version in transition.from.iter().chain([&transition.to]) {
            checks.push(self.boot_files(version).await?);
        }
        let target = self.layout.release(&transition.to);
        let arguments = blocking(WHAT, move || config_check::arguments(&target)).await?;
        checks.push(check(names::ARGUMENTS, arguments));
        checks.extend(standing(sources, transition));
        if let Some(entry) = book.entry(&transition.to) {
            let runs = transition.from.as_ref().and_then(|from| Some((book.entry(from)?, from)));
            checks.extend(self.host_checks((entry, &transition.to), runs).await?);
        }
        if let (Method::Hot, Some(from)) = (transition.method, &transition.from) {
            checks.extend(self.hot_checks(sources, &book, [from, &transition.to], occasion).await?);
        }
        Ok(checks)
    }

    /// `P5`: whether the version can boot, and what it is configured with can be read.
    async fn boot_files(&self, version: &ReleaseVersion) -> Result<Check, DriverError> {
        let directory = self.layout.release(version);
        let result = blocking(WHAT, move || config_check::boot_files(&directory)).await?;
        Ok(check(&names::boot_files(version), result))
    }

    /// What the target needs of this host; `runs` is what runs here now, where anything does.
    async fn host_checks(
        &self,
        (entry, version): (&Entry, &ReleaseVersion),
        runs: Option<(&Entry, &ReleaseVersion)>,
    ) -> Result<Vec<Check>, DriverError> {
        let (layout, owned, user) = (self.layout.clone(), entry.clone(), self.settings.user.clone());
        let (placed, required) = (version.clone(), self.settings.required_hardening.clone());
        let mut checks = blocking(WHAT, move || {
            let native = host_checks::native_code(&layout, &owned)?;
            let permissions =
                host_checks::permissions_and_space(&layout, Some((&owned, &placed)), user.as_ref(), 0)?;
            let mut checks = vec![
                check(names::LIBRARIES, host_checks::libraries(layout.root(), &native)),
                check(names::PERMISSIONS, permissions),
            ];
            if !required.is_empty() {
                let result = host_checks::hardening(layout.root(), &native, &required);
                checks.push(check(names::HARDENED, result));
            }
            Ok(checks)
        })
        .await?;
        // A runtime system that lacks a library would say so again, in the loader's words.
        let loads = |check: &Check| !matches!(check.result, CheckResult::Failed { .. });
        if checks.iter().all(|check| check.key() != "P7" || loads(check)) {
            checks.push(check(names::SMOKE_BOOT, self.smoke_boot((entry, version), runs).await));
        }
        Ok(checks)
    }

    /// `P14`. Where relupd is not root, the attempt is made in its own sandbox and not as the app: then it tells
    /// something where the runtime system that runs here boots there, too, and nothing else.
    async fn smoke_boot(
        &self,
        (entry, version): (&Entry, &ReleaseVersion),
        runs: Option<(&Entry, &ReleaseVersion)>,
    ) -> CheckResult {
        let booted = host_checks::smoke_boot(&self.helper(entry), &self.layout.release(version)).await;
        let CheckResult::Failed { reason, remedy } = booted else { return booted };
        if self.settings.user.is_none() || is_root() {
            return CheckResult::Failed { reason, remedy };
        }
        if let Some((entry, version)) = runs {
            let control = host_checks::smoke_boot(&self.helper(entry), &self.layout.release(version)).await;
            if control == CheckResult::Passed {
                return CheckResult::Failed { reason, remedy };
            }
        }
        CheckResult::Warning { reason: format!("cannot be told in relupd's own sandbox: {reason}") }
    }

    /// A VM of a placed release, beside the app's.
    pub(super) fn helper(&self, entry: &Entry) -> Helper {
        Helper {
            root: self.layout.root().to_owned(),
            erts: entry.erts.to_string(),
            boot: None,
            user: self.settings.user.as_ref().filter(|_| is_root()).map(|user| (user.uid, user.gid)),
            environment: self.settings.environment.clone(),
        }
    }

    async fn check_placed(&self, book: &Book, version: &ReleaseVersion) -> Result<Check, DriverError> {
        let remedy = "plan again: the preparation of a rollout places what is missing";
        let Some(entry) = book.entry(version).cloned() else {
            return Ok(check(
                names::PLACED,
                failed(format!("{version} is not registered in RELEASES"), remedy),
            ));
        };
        let (layout, version) = (self.layout.clone(), version.clone());
        let missing = blocking(WHAT, move || super::place::missing(&layout, &version, &entry)).await?;
        Ok(match missing {
            None => check(names::PLACED, CheckResult::Passed),
            Some(path) => check(names::PLACED, failed(format!("{} is missing", path.display()), remedy)),
        })
    }

    async fn hot_checks(
        &self,
        sources: &Sources,
        book: &Book,
        [from, to]: [&ReleaseVersion; 2],
        occasion: Occasion,
    ) -> Result<Vec<Check>, DriverError> {
        let sides = Sides::placed(book.clone(), from, to);
        let layout = self.layout.clone();
        let mut checks = vec![check(names::SAME_ERTS, sides.same_erts())];
        for version in [from, to] {
            let Some(rendered) = self.try_rendering(WHAT, book, version).await? else { continue };
            let result = match rendered {
                Ok(()) => CheckResult::Passed,
                Err(reason) => not_hot(reason, "correct config/runtime.exs or the app's environment"),
            };
            checks.push(check(&names::completed(version), result));
        }
        let releases = [from, to].map(|version| self.layout.release(version));
        let protocols = blocking(WHAT, move || protocols::changed(&releases)).await?;
        let (read, native) = blocking(WHAT, move || {
            let read = relup_checks::read(&layout, &sides)?;
            let native = match (&read, sides.entries()) {
                (Ok(relup), Some((from, to))) => {
                    Some(native_modules::check(&layout, &[from, to], &relup.replaced())?)
                }
                (Err(_), _) | (_, None) => None,
            };
            Ok((read, native))
        })
        .await?;
        let [there, back] = relup_checks::verdicts(&read);
        checks.push(check(names::RELUP_THERE, there));
        checks.extend(native.map(|native| check(names::NATIVE, native)));
        checks.push(check(names::RELUP_BACK, back));
        let handler = self.release_handler(sources).await?;
        let Ok(relup) = read else {
            checks.push(check(names::HANDLER, handler));
            return Ok(checks);
        };
        if !protocols.is_empty() {
            let reason =
                format!("consolidated protocols change, and no relup loads them: {}", protocols.join(", "));
            let remedy = "go by restart, or leave the protocols' implementations as they are";
            checks.push(check(names::PROTOCOLS, not_hot(reason, remedy)));
        }
        // Modules are told apart by the VM; without it P9 says that there is no hot way.
        if matches!(sources.process, Process::Answers(_)) {
            let changed = self.changed_modules(WHAT, from, to).await?;
            checks.push(check(names::COVERED, relup.covers(&changed)));
        }
        let has_handler = handler == CheckResult::Passed;
        checks.push(check(names::HANDLER, handler));
        if !has_handler {
            return Ok(checks);
        }
        if occasion == Occasion::Preparing || !relup.acts_when_checked() {
            let agrees = match self.expect_relup(WHAT, from, to).await {
                Ok(()) => CheckResult::Passed,
                Err(DriverError::Refused { reason, remedy, .. }) => not_hot(reason, &remedy),
                Err(error) => return Err(error),
            };
            checks.push(check(names::WOULD_INSTALL, agrees));
        }
        checks.push(self.answering(&relup.suspended()).await?);
        checks.push(self.none_killed(&relup.replaced()).await?);
        Ok(checks)
    }

    /// `P9`: whether the living VM has a release handler.
    async fn release_handler(&self, sources: &Sources) -> Result<CheckResult, DriverError> {
        let facts = match &sources.process {
            Process::Answers(_) => self.vm.facts().await.map_err(|error| from_link(WHAT, error))?,
            Process::None | Process::Silent { .. } => {
                let reason = "the app does not run, or does not answer";
                return Ok(not_hot(reason, "start it: `relupctl app start APP`"));
            }
        };
        if facts.handler {
            return Ok(CheckResult::Passed);
        }
        let reason = "the VM has no release handler: sasl is not part of the release";
        Ok(not_hot(reason, "add sasl to the release's applications, or go by restart"))
    }

    /// `P11`: whether who will be suspended answers.
    async fn answering(&self, suspended: &BTreeSet<String>) -> Result<Check, DriverError> {
        let patience = self.settings.patience.answer;
        let silent = self.vm.unanswering(suspended.iter().map(String::as_str), patience).await;
        let silent = silent.map_err(|error| from_link(WHAT, error))?;
        if silent.is_empty() {
            return Ok(check(names::ANSWERING, CheckResult::Passed));
        }
        let remedy = "see what these processes wait for; OTP would meet them with new code and old state";
        let reason = format!("they would not suspend: {}", silent.join("; "));
        Ok(check(names::ANSWERING, not_hot(reason, remedy)))
    }

    /// `P12`: whether nobody runs code that the installation would take away.
    async fn none_killed(&self, replaced: &BTreeSet<String>) -> Result<Check, DriverError> {
        let lingering = self.vm.in_old_code(replaced.iter().map(String::as_str)).await;
        let lingering = lingering.map_err(|error| from_link(WHAT, error))?;
        if lingering.is_empty() {
            return Ok(check(names::OLD_CODE, CheckResult::Passed));
        }
        let remedy = "wait until they have ended or moved on, or end them, then plan again";
        let reason = format!("they run old code and would be killed: {}", lingering.join("; "));
        Ok(check(names::OLD_CODE, not_hot(reason, remedy)))
    }

    /// Modules whose processes the relup between these versions suspends; none where there is no relup.
    pub(super) async fn suspended_modules(
        &self,
        from: &ReleaseVersion,
        to: &ReleaseVersion,
    ) -> Result<BTreeSet<String>, DriverError> {
        let sides = Sides::placed(self.book(WHAT).await?, from, to);
        let layout = self.layout.clone();
        let read = blocking(WHAT, move || relup_checks::read(&layout, &sides)).await?;
        Ok(read.map(|relup| relup.suspended()).unwrap_or_default())
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn book_of(sources: &Sources) -> Book {
    match &sources.disk.book {
        BookFile::Read(book) => book.clone(),
        BookFile::Absent | BookFile::Torn { .. } => Book::default(),
    }
}

/// `P6` and `P13`: whether the node stands cleanly where the transition comes from.
fn standing(sources: &Sources, transition: &Transition) -> Vec<Check> {
    let observed = classify(sources);
    let half = half_installed(&observed);
    let agree =
        (half == CheckResult::Passed).then(|| check(names::AGREE, stands_on_from(&observed, transition)));
    agree.into_iter().chain([check(names::NOT_HALF, half)]).collect()
}

/// What an earlier step left and nobody ended.
fn half_installed(observed: &Observation) -> CheckResult {
    match &observed.condition {
        Condition::Trial => failed(
            format!("{} runs on trial", observed.version().map_or("a version", ReleaseVersion::as_str)),
            "end the rollout that it belongs to, or run `relupctl node repair NODE --app APP`",
        ),
        Condition::HalfEnvironment { detail } | Condition::MixedCode { detail } => {
            failed(detail.clone(), "run `relupctl node repair NODE --app APP`, then plan again")
        }
        Condition::Absent
        | Condition::Clean
        | Condition::Stopped
        | Condition::TornPointers { .. }
        | Condition::HandlerLies { .. }
        | Condition::Debris { .. }
        | Condition::Unknown { .. } => CheckResult::Passed,
    }
}

/// A file that a check could not read, as the operating system says it.
pub(super) type Read<T> = Result<Result<T, String>, At>;
