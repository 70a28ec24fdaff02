//! One life of the BEAM: what code is loaded, whose environment it has, what its release handler
//! believes, and the relup that is at work in it. It belongs to no daemon: a relup that was begun goes
//! on when the daemon that asked for it is gone.

use super::OperationId;
use super::release::CodeChange;
use relupd::ids::{BootNonce, ReleaseVersion};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

#[derive(Clone, Debug)]
pub(super) struct Vm {
    pub nonce: BootNonce,
    /// What this life was booted as.
    pub booted: ReleaseVersion,
    /// What `init:restart` boots: the flags of the command line, until `init:make_permanent` is told.
    pub restarts_into: ReleaseVersion,
    /// The version of all loaded modules; `None` where they are of several.
    pub code: Option<ReleaseVersion>,
    /// The version whose environment the applications have.
    pub environment: ReleaseVersion,
    pub handler: Handler,
    /// A process was skipped, or migrated nothing, and has the state of another version than its code.
    pub unmigrated: bool,
    /// Until then processes linger in old code.
    pub old_code_until: Duration,
    /// Since when its code runs.
    pub since: Duration,
    /// Rounds of health checks that it has passed since.
    pub rounds_passed: u64,
    /// The newest rounds that it failed.
    pub rounds_failed_in_a_row: u64,
    pub job: Option<Job>,
    /// What became of relups, by operation: asked again, the answer is the same.
    pub done: BTreeMap<String, Result<(), String>>,
    /// A stop was ordered and ends then.
    pub stops_at: Option<Duration>,
    /// The release's own flaw kills it then.
    pub dies_at: Option<Duration>,
    /// A failed relup has OTP restart it then.
    pub restarts_at: Option<(Duration, OperationId)>,
}

/// What the release handler believes. `current` lives in its memory only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Handler {
    pub permanent: Option<ReleaseVersion>,
    pub current: Option<ReleaseVersion>,
    pub known: BTreeSet<ReleaseVersion>,
}

/// A relup at work.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub by: OperationId,
    pub operation: String,
    pub to: ReleaseVersion,
    pub fate: CodeChange,
    /// The environment changes first, before the point of no return.
    pub environment_at: Duration,
    /// Then the code.
    pub code_at: Duration,
    /// Then it answers, ...
    pub ends_at: Duration,
    /// ... and where it failed restarts so much later; at once, and the answer is lost.
    pub restarts_after: Duration,
}

/// What a step of a relup came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum JobStep {
    GoesOn,
    /// The code of another version runs.
    Changed,
    /// It restarts into `restarts_into`, because of this operation.
    Restarts(OperationId),
}

impl Vm {
    pub(super) fn booted(
        nonce: BootNonce,
        version: ReleaseVersion,
        handler: Handler,
        now: Duration,
        dies_at: Option<Duration>,
    ) -> Self {
        Self {
            nonce,
            booted: version.clone(),
            restarts_into: version.clone(),
            code: Some(version.clone()),
            environment: version,
            handler,
            unmigrated: false,
            old_code_until: now,
            since: now,
            rounds_passed: 0,
            rounds_failed_in_a_row: 0,
            job: None,
            done: BTreeMap::new(),
            stops_at: None,
            dies_at,
            restarts_at: None,
        }
    }

    /// When something happens in it by itself.
    pub(super) fn next_due(&self, now: Duration) -> Option<Duration> {
        let job = self.job.as_ref().map(|job| {
            if self.environment != job.to && job.environment_at > now {
                job.environment_at
            } else if self.code.as_ref() != Some(&job.to) && job.code_at > now {
                job.code_at
            } else {
                job.ends_at
            }
        });
        let restart = self.restarts_at.map(|(at, _)| at);
        [self.stops_at, self.dies_at, restart, job].into_iter().flatten().min()
    }

    /// Carries the relup on to now.
    pub(super) fn work(&mut self, now: Duration) -> JobStep {
        if let Some((_, by)) = self.restarts_at.filter(|(at, _)| *at <= now) {
            return JobStep::Restarts(by);
        }
        let Some(job) = self.job.clone() else { return JobStep::GoesOn };
        if job.environment_at <= now && job.fate != CodeChange::Missing {
            self.environment = job.to.clone();
        }
        let loads = matches!(job.fate, CodeChange::Works | CodeChange::SkipsProcess | CodeChange::Lies);
        let mut step = JobStep::GoesOn;
        if loads && job.code_at <= now && self.code.as_ref() != Some(&job.to) {
            self.code = Some(job.to.clone());
            self.handler.current = Some(job.to.clone());
            // What OTP calls permanent is not `current` as well.
            self.handler.current.take_if(|current| Some(&*current) == self.handler.permanent.as_ref());
            self.since = now;
            (self.rounds_passed, self.rounds_failed_in_a_row) = (0, 0);
            self.unmigrated |= job.fate != CodeChange::Works;
            step = JobStep::Changed;
        }
        if job.ends_at > now {
            return step;
        }
        self.job = None;
        let failed = |reason: &str| Err(reason.to_owned());
        let result = match job.fate {
            CodeChange::Works | CodeChange::SkipsProcess | CodeChange::Lies => Ok(()),
            CodeChange::Missing => failed("{error,no_matching_relup}"),
            CodeChange::FailsEarly => failed("{error,{bad_application,config_change}}"),
            CodeChange::Crashes => failed("{error,{code_change_failed,pid,server,old,crash}}"),
            CodeChange::Hangs => failed("{error,{'EXIT',{timeout,{sys,change_code}}}}"),
        };
        self.done.insert(job.operation, result);
        if matches!(job.fate, CodeChange::Crashes | CodeChange::Hangs) {
            self.restarts_at = Some((now + job.restarts_after, job.by));
            if job.restarts_after.is_zero() {
                return JobStep::Restarts(job.by);
            }
        }
        step
    }
}
