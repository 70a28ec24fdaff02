//! What came of it: the host and consensus answer.

use super::super::calls::{Answer, CallId};
use super::super::context::Context;
use super::words::{brief, name};
use super::{Agent, Doing, Step};
use crate::host;
use crate::host::{Operation, OperationId, Reply};
use relupd::agent::ContextError;
use relupd::agent::decide::Action;
use relupd::agent::outcome::{Ended, Follow, PlaceError};
use relupd::clock::Monotonic;
use relupd::state::ClusterState;
use relupd::state::release::ReleaseId;
use std::sync::Arc;

impl Agent {
    /// The host has something to say.
    pub fn heard(&mut self, event: host::Event, context: &mut Context<'_>) {
        match event {
            host::Event::Liveness(liveness) => {
                self.probe_answers = None;
                self.monitor.lives(context.now, &liveness);
            }
            host::Event::Ended { id, reply } => self.ended(id, reply, context),
        }
    }

    pub(super) fn ended(&mut self, id: OperationId, reply: Reply, context: &mut Context<'_>) {
        let waited_for = match &self.doing {
            Doing::Effect { operation, .. } => *operation == id,
            Doing::Attempt { step: Step::Operation(operation), .. } => *operation == id,
            Doing::Rest { .. }
            | Doing::Fence { .. }
            | Doing::Note { .. }
            | Doing::Attempt { .. }
            | Doing::Store { .. } => false,
        };
        if !waited_for {
            return;
        }
        match std::mem::replace(&mut self.doing, Doing::Rest { until: Some(context.now) }) {
            Doing::Effect { action, began, .. } => {
                self.core.acted();
                self.take_in(&action, ended_of(&action, reply), began, context);
            }
            Doing::Attempt { action, began, .. } => {
                self.take_in(&action, ended_of(&action, reply), began, context);
            }
            Doing::Rest { .. } | Doing::Fence { .. } | Doing::Note { .. } | Doing::Store { .. } => {}
        }
    }

    /// Consensus answered.
    pub fn answered(
        &mut self,
        id: CallId,
        answer: Answer,
        state: &Arc<ClusterState>,
        context: &mut Context<'_>,
    ) {
        let now = context.now;
        match std::mem::replace(&mut self.doing, Doing::Rest { until: Some(now) }) {
            Doing::Fence { action, call, .. } if call == id => match answer {
                Answer::Read { asked } => {
                    context.contact.proved(asked);
                    self.core.fence_held();
                    let snapshot = self.refresh(state, context);
                    if self.core.next(&snapshot).as_ref() == Some(&action) {
                        self.begin(action, state, context);
                    }
                }
                Answer::Command(_) | Answer::Changed | Answer::Failed => {
                    self.doing = Doing::Rest { until: self.core.fence_failed(now) };
                }
            },
            Doing::Attempt { action, began, step: Step::Call(call), .. } if call == id => {
                let answer = match answer {
                    Answer::Command(outcome) => Ok(outcome),
                    Answer::Changed | Answer::Read { .. } | Answer::Failed => {
                        Err(ContextError::NoQuorum { reason: "simulated".to_owned() })
                    }
                };
                self.take_in(&action, Ended::Answered(answer), began, context);
            }
            other => self.doing = other,
        }
    }

    pub(super) fn fetched(&mut self, release: ReleaseId, context: &mut Context<'_>) {
        let Doing::Attempt { action, began, redecide, .. } =
            std::mem::replace(&mut self.doing, Doing::Rest { until: Some(context.now) })
        else {
            return;
        };
        if context.can_fetch() {
            context.fetched.insert(release.manifest);
            let operation = Operation::Place { version: release.version, manifest: release.manifest };
            let id = self.operate(operation, context);
            self.doing = Doing::Attempt { action, began, step: Step::Operation(id), redecide };
        } else {
            let error = ContextError::Fetch { release, reason: "no peer has it".to_owned() };
            self.take_in(&action, Ended::Placed(Err(PlaceError::Fetch(error))), began, context);
        }
    }

    pub(super) fn take_in(
        &mut self,
        action: &Action,
        ended: Ended,
        began: Monotonic,
        context: &mut Context<'_>,
    ) {
        if let Ended::Observed(Ok(seen)) = &ended {
            context.coverage.saw(seen);
        }
        context.log(|| format!("{}: {} -> {}", self.app, name(action), brief(&ended)));
        let Follow { store, prompt_health } = self.core.take_in(action, ended, began, context.now);
        if prompt_health {
            self.monitor.prompt(context.now);
        }
        self.doing = if store {
            Doing::Store { until: context.now + context.fsync() }
        } else {
            Doing::Rest { until: Some(context.now) }
        };
    }
}

fn ended_of(action: &Action, reply: Reply) -> Ended {
    match (action, reply) {
        (_, Reply::Observed(seen)) => Ended::Observed(seen),
        (_, Reply::Checked(checks)) => Ended::Checked(checks),
        (_, Reply::Drained(drained)) => Ended::Drained(drained),
        // How long processes are suspended is nothing that a simulator could tell.
        (Action::Verify { .. }, Reply::Done(proved)) => Ended::Proved(proved.map(|()| None)),
        (Action::Place { .. }, Reply::Done(placed)) => Ended::Placed(placed.map_err(PlaceError::Driver)),
        (_, Reply::Done(done)) => Ended::Done(done),
    }
}
