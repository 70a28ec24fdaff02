//! Everything that can be known before a transition, in the order in which an operator should read it:
//! first what is on disk, then what only the living VM knows.

use super::book::Book;
use super::observe::{BookFile, Process, Sources, classify};
use super::relup_checks::{self, Sides};
use super::{ErlangDriver, config_check, from_link};
use crate::driver::checks::{check, failed, not_hot, stands_on_from};
use crate::driver::files::{At, blocking};
use crate::driver::{Check, CheckResult, DriverError, Method, Transition};
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
        checks.push(check(
            "P6 pointers and release handler agree",
            stands_on_from(&classify(&sources), transition),
        ));
        if let (Method::Hot, Some(from)) = (transition.method, &transition.from) {
            checks.extend(self.hot_checks(&sources, &book, from, &transition.to).await?);
        }
        Ok(checks)
    }

    async fn check_placed(&self, book: &Book, version: &ReleaseVersion) -> Result<Check, DriverError> {
        const NAME: &str = "P1 release is placed";
        let remedy = "plan again: the preparation of a rollout places what is missing";
        let Some(entry) = book.entry(version).cloned() else {
            return Ok(check(NAME, failed(format!("{version} is not registered in RELEASES"), remedy)));
        };
        let layout = self.layout.clone();
        let missing = blocking(WHAT, move || super::place::missing(&layout, &entry)).await?;
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
            let directory = self.layout.release(version);
            let result = blocking(WHAT, move || config_check::hot_configuration(&directory)).await?;
            checks.push(check(&format!("P5 configuration of {version} can be read again"), result));
        }
        let read = blocking(WHAT, move || relup_checks::read(&layout, &sides)).await?;
        let (relup, result) = match read {
            Ok(relup) => (Some(relup), CheckResult::Passed),
            Err(reason) => (None, not_hot(reason)),
        };
        checks.push(check("P3 relup both ways", result));

        let facts = match &sources.process {
            Process::Answers(_) => self.vm.facts().await.map_err(|error| from_link(WHAT, error))?,
            Process::None | Process::Silent { .. } => {
                checks.push(check("P9 release handler", not_hot("the app does not run, or does not answer")));
                return Ok(checks);
            }
        };
        let Some(relup) = relup else { return Ok(checks) };
        let changed = self.changed_modules(WHAT, from, to).await?;
        checks.push(check("P4 relup covers every changed module", relup.covers(&changed)));
        if !facts.handler {
            let reason = "the VM has no release handler: sasl is not part of the release";
            checks.push(check("P9 release handler", not_hot(reason)));
            return Ok(checks);
        }
        checks.push(check("P9 release handler", CheckResult::Passed));
        let agrees = match self.expect_relup(WHAT, from, to).await {
            Ok(()) => CheckResult::Passed,
            Err(DriverError::Refused { reason, .. }) => not_hot(reason),
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
            not_hot(format!("they would not suspend: {}", silent.join("; ")))
        };
        checks.push(check("P11 processes to be suspended answer", answering));
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

/// A file that a check could not read, as the operating system says it.
pub(super) type Read<T> = Result<Result<T, String>, At>;
