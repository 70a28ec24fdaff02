//! What can be told of a way that was planned and not prepared: what stands on this host is checked as
//! ever, with the target's description what rests on that, and the rest is unknown, which is neither good
//! nor bad.

use super::super::relup_checks::{self, Coming, Sides};
use super::super::{ErlangDriver, host_checks};
use super::{Book, Entry, Occasion, Process, Sources, WHAT, book_of, classify, names, standing};
use crate::driver::checks::check;
use crate::driver::files::{Locate as _, blocking, exists};
use crate::driver::{
    Check, CheckResult, Condition, Description, DriverError, Foreseen, Method, Outlook, Prospect, Transition,
};
use crate::ids::ReleaseVersion;
use relupd_release::rel::Rel;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

/// For all that the VM is asked about where it stands, so that one that hangs costs its own answers alone.
const VM_ANSWERS_WITHIN: Duration = Duration::from_secs(5);

const LEFT_FOR_LATER: &str = "not known until prepared: it rests on a check that does not hold now, or to ask would \
                              carry out a part of the relup";

const NOT_HERE: &str = "not known until prepared: this node fetches the release when a rollout prepares it";

impl ErlangDriver {
    pub(in super::super) async fn foreseen(&self, prospect: &Prospect) -> Result<Vec<Foreseen>, DriverError> {
        let transition = &prospect.transition;
        let sources = self.sources_within(VM_ANSWERS_WITHIN).await?;
        if self.placed(&transition.to, &prospect.manifest).await? {
            return self.of_what_is_placed(&sources, transition).await;
        }
        let book = book_of(&sources);
        let mut found = vec![unknown(names::PLACED)];
        if let Some(from) = &transition.from {
            found.push(self.boot_files(from).await?.into());
        }
        found.push(unknown(&names::boot_files(&transition.to)));
        found.extend(stands(&sources, transition));
        found.push(unknown(names::LIBRARIES));
        found.push(self.what_is_there(prospect, &book).await?);
        if !self.settings.required_hardening.is_empty() {
            found.push(unknown(names::HARDENED));
        }
        found.push(unknown(names::SMOKE_BOOT));
        if let (Method::Hot, Some(from)) = (transition.method, &transition.from) {
            let described = prospect.description.as_deref();
            let sides = described.and_then(|described| self.sides(&book, from, &transition.to, described));
            found.extend(match sides.zip(book.entry(from)) {
                Some((sides, from)) => self.hot_by_description(&sources, sides, from).await?,
                None => self.hot_without(&sources).await?,
            });
        }
        Ok(found)
    }

    /// All checks; what would carry anything out in the VM, and what rests on a check that does not hold, is
    /// left for the preparation.
    async fn of_what_is_placed(
        &self,
        sources: &Sources,
        transition: &Transition,
    ) -> Result<Vec<Foreseen>, DriverError> {
        let checks = self.checks_of(sources, transition, Occasion::Planning).await?;
        let stands = stands(sources, transition);
        let is_of_these = |check: &Check| stands.iter().any(|found| found.name == check.name);
        let others: Vec<_> = checks.into_iter().filter(|check| !is_of_these(check)).collect();
        let mut found: Vec<Foreseen> = others.into_iter().map(Foreseen::from).chain(stands).collect();
        if transition.method == Method::Hot && transition.from.is_some() {
            for name in names::HOT {
                if !found.iter().any(|known| known.name == name) {
                    found.push(unknown_because(name, LEFT_FOR_LATER));
                }
            }
        }
        Ok(found)
    }

    /// Both releases, of which the target is known by its description alone.
    fn sides(
        &self,
        book: &Book,
        from: &ReleaseVersion,
        to: &ReleaseVersion,
        described: &Description,
    ) -> Option<Sides> {
        let rel = Rel::parse(&described.rel).ok()?;
        let is_it = rel.name == self.settings.release && rel.version == *to;
        is_it.then(|| Sides {
            coming: Some(Coming { relup: described.relup.clone() }),
            ..Sides::placed(book.with(to, Entry::unpacked(&rel)), from, to)
        })
    }

    /// What rests on the relup and on the living VM, and not on the target's code.
    async fn hot_by_description(
        &self,
        sources: &Sources,
        sides: Sides,
        from: &Entry,
    ) -> Result<Vec<Foreseen>, DriverError> {
        let mut found: Vec<Foreseen> = vec![check(names::SAME_ERTS, sides.same_erts()).into()];
        let layout = self.layout.clone();
        let read = blocking(WHAT, move || relup_checks::read(&layout, &sides)).await?;
        let [there, back] = relup_checks::verdicts(&read);
        found.push(match there {
            // Whether every module that it loads is there, its files will tell.
            CheckResult::Passed => unknown(names::RELUP_THERE),
            fault => check(names::RELUP_THERE, fault).into(),
        });
        if read.is_ok() {
            found.push(check(names::RELUP_BACK, back).into());
        }
        found.push(unknown(names::NATIVE));
        found.push(unknown(names::COVERED));
        found.push(check(names::HANDLER, self.release_handler(sources).await?).into());
        found.push(unknown(names::WOULD_INSTALL));
        match (&read, &sources.process) {
            (Ok(relup), Process::Answers(_)) => {
                // No other module has processes here, or old code; and the VM keeps every name that it is asked
                // for, until it ends.
                let known = self.modules_of(from).await?;
                let known = |names: BTreeSet<String>| names.intersection(&known).cloned().collect();
                found.push(self.answering(&known(relup.suspended())).await?.into());
                found.push(self.none_killed(&known(relup.replaced())).await?.into());
            }
            (Err(_), _) | (Ok(_), Process::None | Process::Silent { .. }) => {
                found.extend([names::ANSWERING, names::OLD_CODE].map(unknown));
            }
        }
        Ok(found)
    }

    /// The modules of a placed release.
    async fn modules_of(&self, release: &Entry) -> Result<BTreeSet<String>, DriverError> {
        let libraries = self.layout.libraries();
        let directories: Vec<_> =
            release.directories().map(|name| libraries.join(name).join("ebin")).collect();
        blocking(WHAT, move || {
            let mut modules = BTreeSet::new();
            for directory in directories.iter().filter(|directory| directory.is_dir()) {
                for file in std::fs::read_dir(directory).at(directory)? {
                    let file = PathBuf::from(file.at(directory)?.file_name());
                    if file.extension().is_some_and(|extension| extension == "beam") {
                        modules.extend(file.file_stem().map(|name| name.to_string_lossy().into_owned()));
                    }
                }
            }
            Ok(modules)
        })
        .await
    }

    async fn hot_without(&self, sources: &Sources) -> Result<Vec<Foreseen>, DriverError> {
        let of_both =
            [names::SAME_ERTS, names::RELUP_THERE, names::RELUP_BACK, names::NATIVE, names::COVERED];
        let handler = check(names::HANDLER, self.release_handler(sources).await?).into();
        let of_relup = [names::WOULD_INSTALL, names::ANSWERING, names::OLD_CODE];
        Ok(of_both.map(unknown).into_iter().chain([handler]).chain(of_relup.map(unknown)).collect())
    }

    /// `P8`, of what is placed and of the room for what is to come.
    async fn what_is_there(&self, prospect: &Prospect, book: &Book) -> Result<Foreseen, DriverError> {
        let (layout, user, coming) = (self.layout.clone(), self.settings.user.clone(), prospect.size);
        let from = prospect.transition.from.clone().and_then(|from| Some((book.entry(&from)?.clone(), from)));
        let result = blocking(WHAT, move || {
            if !exists(layout.root())? {
                return Ok(None);
            }
            let placed = from.as_ref().map(|(entry, version)| (entry, version));
            host_checks::permissions_and_space(&layout, placed, user.as_ref(), coming).map(Some)
        })
        .await?;
        Ok(match result {
            Some(result) => Check { name: names::PERMISSIONS.to_owned(), result }.into(),
            None => {
                let root = self.layout.root().display();
                let reason = format!("{root} is not there yet; preparing makes it");
                Foreseen { name: names::PERMISSIONS.to_owned(), outlook: Outlook::Unknown { reason } }
            }
        })
    }
}

/// `P6` and `P13`. Where it cannot be told what runs, they neither hold nor fail: a rollout would look again.
fn stands(sources: &Sources, transition: &Transition) -> Vec<Foreseen> {
    match classify(sources).condition {
        Condition::Unknown { reason } => {
            [names::AGREE, names::NOT_HALF].map(|name| unknown_because(name, &reason)).into()
        }
        Condition::Absent
        | Condition::Stopped
        | Condition::Trial
        | Condition::Clean
        | Condition::HalfEnvironment { .. }
        | Condition::TornPointers { .. }
        | Condition::HandlerLies { .. }
        | Condition::MixedCode { .. }
        | Condition::Debris { .. } => standing(sources, transition).into_iter().map(Foreseen::from).collect(),
    }
}

fn unknown(name: &str) -> Foreseen {
    unknown_because(name, NOT_HERE)
}

fn unknown_because(name: &str, reason: &str) -> Foreseen {
    Foreseen { name: name.to_owned(), outlook: Outlook::Unknown { reason: reason.to_owned() } }
}
