//! What can be told of a way that was planned and not prepared: what stands on this host is checked as
//! ever, and what needs files that are not here yet is unknown, which is neither good nor bad.

use super::super::{ErlangDriver, host_checks};
use super::{WHAT, book_of, names, standing};
use crate::driver::checks::check;
use crate::driver::files::{blocking, exists};
use crate::driver::{Check, DriverError, Foreseen, Method, Outlook, Transition};
use relupd_release::Digest;

const NOT_HERE: &str = "not known until prepared: this node fetches the release when a rollout prepares it";

impl ErlangDriver {
    pub(in super::super) async fn foreseen(
        &self,
        transition: &Transition,
        manifest: &Digest,
    ) -> Result<Vec<Foreseen>, DriverError> {
        if self.placed(&transition.to, manifest).await? {
            let checks = self.preflight_checks(transition).await?;
            return Ok(checks.into_iter().map(Foreseen::from).collect());
        }
        let sources = self.sources().await?;
        let mut found = vec![unknown(names::PLACED)];
        if let Some(from) = &transition.from {
            found.push(self.boot_files(from).await?.into());
        }
        found.push(unknown(&names::boot_files(&transition.to)));
        found.extend(standing(&sources, transition).into_iter().map(Foreseen::from));
        found.push(unknown(names::LIBRARIES));
        found.push(self.what_is_there(transition, &book_of(&sources)).await?);
        if !self.settings.required_hardening.is_empty() {
            found.push(unknown(names::HARDENED));
        }
        found.push(unknown(names::SMOKE_BOOT));
        if transition.method == Method::Hot {
            let of_both = [names::SAME_ERTS, names::RELUP_THERE, names::RELUP_BACK, names::COVERED];
            found.extend(of_both.map(unknown));
            found.push(check(names::HANDLER, self.release_handler(&sources).await?).into());
            found.extend([names::WOULD_INSTALL, names::ANSWERING, names::OLD_CODE].map(unknown));
        }
        Ok(found)
    }

    /// `P8`, without the release that is to come.
    async fn what_is_there(
        &self,
        transition: &Transition,
        book: &super::Book,
    ) -> Result<Foreseen, DriverError> {
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
