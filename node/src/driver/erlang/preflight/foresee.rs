//! What can be told of a way that was planned and not prepared: what stands on this host is checked as
//! ever, with the target's description what rests on that, and the rest is unknown, which is neither good
//! nor bad.

use super::super::relup_checks::{self, Coming, Sides};
use super::super::{ErlangDriver, host_checks};
use super::{Book, Entry, Process, Sources, WHAT, book_of, names, standing};
use crate::driver::checks::check;
use crate::driver::files::{blocking, exists};
use crate::driver::{
    Check, CheckResult, Description, DriverError, Foreseen, Method, Outlook, Prospect, Transition,
};
use crate::ids::ReleaseVersion;
use relupd_release::rel::Rel;

const NOT_HERE: &str = "not known until prepared: this node fetches the release when a rollout prepares it";

impl ErlangDriver {
    pub(in super::super) async fn foreseen(&self, prospect: &Prospect) -> Result<Vec<Foreseen>, DriverError> {
        let transition = &prospect.transition;
        if self.placed(&transition.to, &prospect.manifest).await? {
            let checks = self.preflight_checks(transition).await?;
            return Ok(checks.into_iter().map(Foreseen::from).collect());
        }
        let sources = self.sources().await?;
        let book = book_of(&sources);
        let mut found = vec![unknown(names::PLACED)];
        if let Some(from) = &transition.from {
            found.push(self.boot_files(from).await?.into());
        }
        found.push(unknown(&names::boot_files(&transition.to)));
        found.extend(standing(&sources, transition).into_iter().map(Foreseen::from));
        found.push(unknown(names::LIBRARIES));
        found.push(self.what_is_there(transition, &book).await?);
        if !self.settings.required_hardening.is_empty() {
            found.push(unknown(names::HARDENED));
        }
        found.push(unknown(names::SMOKE_BOOT));
        if let (Method::Hot, Some(from)) = (transition.method, &transition.from) {
            let described = prospect.description.as_ref();
            let sides = described.and_then(|described| self.sides(&book, from, &transition.to, described));
            found.extend(match sides {
                Some(sides) => self.hot_by_description(&sources, sides).await?,
                None => self.hot_without(&sources).await?,
            });
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
        found.push(unknown(names::COVERED));
        found.push(check(names::HANDLER, self.release_handler(sources).await?).into());
        found.push(unknown(names::WOULD_INSTALL));
        match (&read, &sources.process) {
            (Ok(relup), Process::Answers(_)) => {
                found.push(self.answering(relup).await?.into());
                found.push(self.none_killed(relup).await?.into());
            }
            (Err(_), _) | (Ok(_), Process::None | Process::Silent { .. }) => {
                found.extend([names::ANSWERING, names::OLD_CODE].map(unknown));
            }
        }
        Ok(found)
    }

    async fn hot_without(&self, sources: &Sources) -> Result<Vec<Foreseen>, DriverError> {
        let of_both = [names::SAME_ERTS, names::RELUP_THERE, names::RELUP_BACK, names::COVERED];
        let handler = check(names::HANDLER, self.release_handler(sources).await?).into();
        let of_relup = [names::WOULD_INSTALL, names::ANSWERING, names::OLD_CODE];
        Ok(of_both.map(unknown).into_iter().chain([handler]).chain(of_relup.map(unknown)).collect())
    }

    /// `P8`, without the release that is to come.
    async fn what_is_there(&self, transition: &Transition, book: &Book) -> Result<Foreseen, DriverError> {
        let (layout, user) = (self.layout.clone(), self.settings.user.clone());
        let from = transition.from.clone().and_then(|from| Some((book.entry(&from)?.clone(), from)));
        let result = blocking(WHAT, move || {
            if !exists(layout.root())? {
                return Ok(None);
            }
            let placed = from.as_ref().map(|(entry, version)| (entry, version));
            host_checks::permissions_and_space(&layout, placed, user.as_ref()).map(Some)
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

fn unknown(name: &str) -> Foreseen {
    Foreseen { name: name.to_owned(), outlook: Outlook::Unknown { reason: NOT_HERE.to_owned() } }
}
