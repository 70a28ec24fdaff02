//! `erlang/roll_back.rs` and `rebuild.rs`: the ways back, and the repair of what was cut off.

use super::super::disk::{Book, Paper};
use super::super::world::Process;
use super::{Driver, down_operation, found, refused};
use relupd::driver::{Condition, DriverError, Method, Observation, Rung, Transition};
use relupd::ids::ReleaseVersion;

impl Driver {
    pub(super) async fn take_rung(&self, transition: &Transition, rung: Rung) -> Result<(), DriverError> {
        match (rung, &transition.from) {
            (Rung::RelupDown, Some(from)) => self.relup_down(transition, from).await,
            (Rung::Restart, Some(from)) => self.restart_into("restart back", from).await,
            (Rung::Unplace, None) => self.unplace(&transition.to).await,
            (Rung::RelupDown | Rung::Restart, None) | (Rung::Unplace, Some(_)) => {
                let reason = format!("the rung `{rung}` does not lead back from {}", transition.to);
                Err(refused("roll back", reason, "take another rung"))
            }
        }
    }

    async fn relup_down(&self, transition: &Transition, from: &ReleaseVersion) -> Result<(), DriverError> {
        const WHAT: &str = "relup down";
        let observed = self.observation().await?;
        if observed.version() != Some(from) {
            if !observed.is_whole() || observed.version() != Some(&transition.to) {
                return Err(refused(WHAT, found(&observed), "go back by restart"));
            }
            self.relup(WHAT, &down_operation(transition), from).await?;
        }
        if observed.permanent.as_ref() != Some(from) || observed.condition != Condition::Clean {
            self.point_host_at(WHAT, from).await?;
            self.point_vm_at(WHAT, from).await?;
            self.forget_trial()?;
        }
        self.expect_clean(WHAT, from).await
    }

    /// Pointers first, then the restart: a cut between the two ends in the right version as well.
    async fn restart_into(&self, what: &'static str, version: &ReleaseVersion) -> Result<(), DriverError> {
        let observed = self.observation().await?;
        let there = observed.version() == Some(version) && observed.permanent.as_ref() == Some(version);
        if there && matches!(observed.condition, Condition::Clean | Condition::Debris { .. }) {
            return self.forget_trial();
        }
        if !self.with(|world| world.disk.placed.contains_key(version)) {
            return Err(refused(what, format!("{version} does not lie there whole"), "place it again"));
        }
        self.mend_book(what, version)?;
        self.point_host_at(what, version).await?;
        self.forget_trial()?;
        self.halt(true).await?;
        self.boot(what).await?;
        self.expect_clean(what, version).await
    }

    async fn unplace(&self, version: &ReleaseVersion) -> Result<(), DriverError> {
        const WHAT: &str = "unplace";
        self.halt(true).await?;
        self.forget_trial()?;
        let book = self.with(|world| match &world.disk.book {
            Paper::Whole(book) => Some(book.without(version)),
            Paper::Torn => Some(Book::default()),
            Paper::Absent => None,
        });
        let Some(book) = book else { return Ok(()) };
        let _on_disk = self.on_disk();
        let by = self.id;
        if book.registered.is_empty() {
            // The pointers first: what cannot boot must not be pointed at.
            self.write(WHAT, "releases/start_erl.data", |world| world.points(None, by))?;
            self.pause(1, 15).await;
            self.write(WHAT, "releases/RELEASES", |world| world.disk.book = Paper::Absent)?;
            self.pause(1, 15).await;
            self.write(WHAT, "bin/REL", |world| world.disk.script = Paper::Absent)?;
        } else {
            self.write(WHAT, "releases/RELEASES", |world| world.disk.book = Paper::Whole(book.clone()))?;
        }
        self.pause(5, 200).await;
        self.write(WHAT, "lib", |world| {
            world.disk.placed.retain(|placed, _| book.has(placed));
            world.disk.debris.clear();
            // Where nothing is installed nothing is down.
            world.down_by_us = false;
        })
    }

    pub(super) async fn repair(&self, decided: Option<&ReleaseVersion>) -> Result<(), DriverError> {
        const WHAT: &str = "repair";
        let mut observed = self.observation().await?;
        let Some(decided) = decided.or(observed.permanent.as_ref()).cloned() else {
            return match observed.condition {
                Condition::Absent | Condition::Debris { .. } => self.sweep(),
                _ => Err(refused(WHAT, "nobody says which version should run".to_owned(), "roll one out")),
            };
        };
        if self.mend_book(WHAT, &decided)? {
            observed = self.observation().await?;
        }
        match &observed.condition {
            Condition::Clean | Condition::Stopped | Condition::Absent => Ok(()),
            Condition::Trial => self.end_trial(&observed, &decided).await,
            Condition::Debris { .. } => self.sweep(),
            Condition::TornPointers { .. } | Condition::HandlerLies { .. } => {
                self.point_host_at(WHAT, &decided).await?;
                if observed.version() == Some(&decided) {
                    self.point_vm_at(WHAT, &decided).await?;
                    self.forget_trial()?;
                    self.expect_clean(WHAT, &decided).await
                } else if self.with(|world| matches!(world.process, Process::None)) {
                    // Pointers alone do not start what does not run.
                    Ok(())
                } else {
                    self.restart_into(WHAT, &decided).await
                }
            }
            Condition::HalfEnvironment { .. } | Condition::MixedCode { .. } | Condition::Unknown { .. } => {
                self.restart_into(WHAT, &decided).await
            }
        }
    }

    async fn end_trial(&self, observed: &Observation, decided: &ReleaseVersion) -> Result<(), DriverError> {
        let Some(running) = observed.version().filter(|running| *running != decided) else { return Ok(()) };
        let transition = Transition {
            from: Some(decided.clone()),
            to: running.clone(),
            method: Method::Hot,
            // Every repair is one of its own: an earlier one's result must not answer for it.
            operation: format!("repair-{}", self.id.0),
        };
        match self.relup_down(&transition, decided).await {
            Ok(()) => Ok(()),
            Err(_) => self.restart_into("repair", decided).await,
        }
    }

    /// Writes a readable book where there is none, of what lies there whole.
    fn mend_book(&self, what: &'static str, decided: &ReleaseVersion) -> Result<bool, DriverError> {
        let torn = match self.with(|world| world.disk.book.clone()) {
            Paper::Whole(_) => return Ok(false),
            Paper::Absent => false,
            Paper::Torn => true,
        };
        let placed = self.with(|world| world.disk.placed.keys().cloned().collect::<Vec<_>>());
        let book = placed.iter().fold(Book::default(), |book, version| book.with(version));
        let needed = torn || book.has(decided);
        if needed {
            let book = if book.has(decided) { book.with_permanent(decided) } else { book };
            self.write(what, "releases/RELEASES", |world| world.disk.book = Paper::Whole(book))?;
        }
        Ok(needed)
    }

    fn sweep(&self) -> Result<(), DriverError> {
        self.write("sweep", "lib", |world| world.disk.debris.clear())
    }
}
