//! Everything that can be known before a transition, in the order in which an operator should read it:
//! first what is on disk, then what only the living VM knows.

use super::book::{Book, Entry};
use super::helper::Helper;
use super::host_checks;
use super::observe::{BookFile, Process, Sources, classify};
use super::protocols;
use super::relup_checks::{self, Sides};
use super::{ErlangDriver, config_check, from_link};
use crate::driver::checks::{check, failed, not_hot, stands_on_from};
use crate::driver::files::{At, blocking};
use crate::driver::{Check, CheckResult, Condition, DriverError, Method, Observation, Transition};
use crate::ids::ReleaseVersion;
use std::collections::BTreeSet;

const WHAT: &str = "preflight";

impl ErlangDriver {
    pub(super) async fn preflight_checks(&self, transition: &Transition) -> Result<Vec<Check>, DriverError> {
        let sources = self.sources().await?;
        let book = match &sources.disk.book {
            BookFile::Read(book) => book.clone(),
            BookFile::Absent | BookFile::Torn { .. } => Book::default(),
        };
        let mut checks = vec![self.check_placed(&book, &transition.to).await?];
        if checks.iter().any(|check| check.result != CheckResult::Passed) {
            return Ok(checks);
        }
        for version in transition.from.iter().chain([&transition.to]) {
            let directory = self.layout.release(version);
            let result = blocking(WHAT, move || config_check::boot_files(&directory)).await?;
            checks.push(check(&format!("P5 boot files and configuration of {version}"), result));
        }
        let observed = classify(&sources);
        let half = half_installed(&observed);
        if half == CheckResult::Passed {
            checks
                .push(check("P6 pointers and release handler agree", stands_on_from(&observed, transition)));
        }
        checks.push(check("P13 nothing is half installed", half));
        if let Some(entry) = book.entry(&transition.to) {
            checks.extend(self.host_checks(entry, &transition.to).await?);
        }
        if let (Method::Hot, Some(from)) = (transition.method, &transition.from) {
            checks.extend(self.hot_checks(&sources, &book, from, &transition.to).await?);
        }
        Ok(checks)
    }

    /// What the target needs of this host.
    async fn host_checks(&self, entry: &Entry, version: &ReleaseVersion) -> Result<Vec<Check>, DriverError> {
        let (layout, owned, user) = (self.layout.clone(), entry.clone(), self.settings.user.clone());
        let (placed, required) = (version.clone(), self.settings.required_hardening.clone());
        let mut checks = blocking(WHAT, move || {
            let native = host_checks::native_code(&layout, &owned)?;
            let permissions = host_checks::permissions_and_space(&layout, &owned, &placed, user.as_ref())?;
            let mut checks = vec![
                check(
                    "P7 libraries and symbol versions are on this host",
                    host_checks::libraries(layout.root(), &native),
                ),
                check("P8 owner, permissions and space", permissions),
            ];
            if !required.is_empty() {
                let result = host_checks::hardening(layout.root(), &native, &required);
                checks.push(check("P15 programs and NIFs are hardened", result));
            }
            Ok(checks)
        })
        .await?;
        // A runtime system that lacks a library would say so again, in the loader's words.
        let loads = |check: &Check| !matches!(check.result, CheckResult::Failed { .. });
        if checks.iter().all(|check| check.key() != "P7" || loads(check)) {
            let helper = self.helper(entry);
            let booted = host_checks::smoke_boot(&helper, &self.layout.release(version)).await;
            // Where relupd is not root, the attempt is made in its own sandbox and not as the app.
            let booted = match booted {
                CheckResult::Failed { reason, remedy: _ } if self.settings.user.is_some() && !is_root() => {
                    CheckResult::Warning {
                        reason: format!("cannot be told in relupd's own sandbox: {reason}"),
                    }
                }
                told => told,
            };
            checks.push(check("P14 the runtime system starts on this host", booted));
        }
        Ok(checks)
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
        const NAME: &str = "P1 release is placed";
        let remedy = "plan again: the preparation of a rollout places what is missing";
        let Some(entry) = book.entry(version).cloned() else {
            return Ok(check(NAME, failed(format!("{version} is not registered in RELEASES"), remedy)));
        };
        let (layout, version) = (self.layout.clone(), version.clone());
        let missing = blocking(WHAT, move || super::place::missing(&layout, &version, &entry)).await?;
        Ok(match missing {
            None => check(NAME, CheckResult::Passed),
            Some(path) => check(NAME, failed(format!("{} is missing", path.display()), remedy)),
        })
    }

    async fn hot_checks(
        &self,
        sources: &Sources,
        book: &Book,
        from: &ReleaseVersion,
        to: &ReleaseVersion,
    ) -> Result<Vec<Check>, DriverError> {
        let sides = Sides { book: book.clone(), from: from.clone(), to: to.clone() };
        let layout = self.layout.clone();
        let mut checks = vec![check("P2 same ERTS", sides.same_erts())];
        for version in [from, to] {
            let Some(rendered) = self.try_rendering(WHAT, book, version).await? else { continue };
            let result = match rendered {
                Ok(()) => CheckResult::Passed,
                Err(reason) => not_hot(reason, "correct config/runtime.exs or the app's environment"),
            };
            checks.push(check(&format!("P5 configuration of {version} is completed as at boot"), result));
        }
        let releases = [from, to].map(|version| self.layout.release(version));
        let protocols = blocking(WHAT, move || protocols::changed(&releases)).await?;
        let read = blocking(WHAT, move || relup_checks::read(&layout, &sides)).await?;
        let [there, back] = relup_checks::verdicts(&read);
        checks.push(check("P3 relup leads there", there));
        checks.push(check("P3b relup leads back", back));
        let relup = read.ok();

        let facts = match &sources.process {
            Process::Answers(_) => self.vm.facts().await.map_err(|error| from_link(WHAT, error))?,
            Process::None | Process::Silent { .. } => {
                checks.push(check(
                    "P9 release handler",
                    not_hot("the app does not run, or does not answer", "start it: `relupctl app start APP`"),
                ));
                return Ok(checks);
            }
        };
        let Some(relup) = relup else { return Ok(checks) };
        if !protocols.is_empty() {
            let reason =
                format!("consolidated protocols change, and no relup loads them: {}", protocols.join(", "));
            let remedy = "go by restart, or leave the protocols' implementations as they are";
            checks.push(check("P4 consolidated protocols are the same", not_hot(reason, remedy)));
        }
        let changed = self.changed_modules(WHAT, from, to).await?;
        checks.push(check("P4 relup covers every changed module", relup.covers(&changed)));
        if !facts.handler {
            let reason = "the VM has no release handler: sasl is not part of the release";
            let remedy = "add sasl to the release's applications, or go by restart";
            checks.push(check("P9 release handler", not_hot(reason, remedy)));
            return Ok(checks);
        }
        checks.push(check("P9 release handler", CheckResult::Passed));
        let agrees = match self.expect_relup(WHAT, from, to).await {
            Ok(()) => CheckResult::Passed,
            Err(DriverError::Refused { reason, remedy, .. }) => not_hot(reason, &remedy),
            Err(error) => return Err(error),
        };
        checks.push(check("P10 release handler would install it", agrees));
        let suspended = relup.suspended();
        let silent = self
            .vm
            .unanswering(suspended.iter().map(String::as_str), self.settings.patience.answer)
            .await
            .map_err(|error| from_link(WHAT, error))?;
        let answering = if silent.is_empty() {
            CheckResult::Passed
        } else {
            let remedy = "see what these processes wait for; OTP would meet them with new code and old state";
            not_hot(format!("they would not suspend: {}", silent.join("; ")), remedy)
        };
        checks.push(check("P11 processes to be suspended answer", answering));
        let replaced = relup.replaced();
        let lingering = self.vm.in_old_code(replaced.iter().map(String::as_str)).await;
        let lingering = lingering.map_err(|error| from_link(WHAT, error))?;
        let none_killed = if lingering.is_empty() {
            CheckResult::Passed
        } else {
            let remedy = "wait until they have ended or moved on, or end them, then plan again";
            not_hot(format!("they run old code and would be killed: {}", lingering.join("; ")), remedy)
        };
        checks.push(check("P12 no process runs old code", none_killed));
        Ok(checks)
    }

    /// Modules whose processes the relup between these versions suspends; none where there is no relup.
    pub(super) async fn suspended_modules(
        &self,
        from: &ReleaseVersion,
        to: &ReleaseVersion,
    ) -> Result<BTreeSet<String>, DriverError> {
        let sides = Sides { book: self.book(WHAT).await?, from: from.clone(), to: to.clone() };
        let layout = self.layout.clone();
        let read = blocking(WHAT, move || relup_checks::read(&layout, &sides)).await?;
        Ok(read.map(|relup| relup.suspended()).unwrap_or_default())
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
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
