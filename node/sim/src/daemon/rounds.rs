//! A round: every part of a daemon is asked once, and told what was answered.

use super::agent::Agent;
use super::calls::{Answer, CallId, Caller};
use super::{Daemon, Died, Effect, Ground, Sent, contact_due};
use crate::host;
use relupd::ids::AppName;
use relupd::state::ClusterState;
use std::sync::Arc;
use std::time::Duration;

impl Daemon {
    /// Does everything that can be done at this moment.
    pub fn settle(&mut self, now: Duration, ground: &mut Ground<'_>) -> Result<(), Died> {
        self.disk.platter().began = now;
        let settled = self.go_on(now, ground);
        // What was handed out before a commit failed has left all the same.
        self.collect();
        settled
    }

    fn go_on(&mut self, now: Duration, ground: &mut Ground<'_>) -> Result<(), Died> {
        let local = self.monotonic(ground.clock, now);
        let died = |error: relupd::consensus::MemberError| Died(format!("{error}"));
        if local >= self.next_tick {
            // As the daemon: whoever was not scheduled for a while makes up for one tick, not for all.
            self.next_tick = local + self.setting.options.tick;
            let timeout = self.election_timeout(local);
            self.core.tick(timeout, local).map_err(died)?;
        }
        self.hear_hosts(now, ground);
        for _ in 0..1000 {
            self.core.work_off(local).map_err(died)?;
            if !self.round(now, ground) {
                break;
            }
        }
        self.core.work_off(local).map_err(died)
    }

    /// Asks every part once; whether any of them was answered.
    pub(super) fn round(&mut self, now: Duration, ground: &mut Ground<'_>) -> bool {
        let local = self.monotonic(ground.clock, now);
        let answers = self.calls.step(&mut self.core, local, self.setting.options.tick, &mut self.effects);
        let state = self.core.view();
        self.place_agents(&state, now, ground);
        let any = !answers.is_empty();
        for (id, caller, answer) in answers {
            self.dispatch(id, caller, answer, &state, now, ground);
        }
        let (mut context, parts) = self.context(now, ground);
        for agent in parts.agents.values_mut() {
            agent.step(&state, &mut context);
        }
        parts.reconciler.step(&state, &mut context);
        parts.keeper.step(&state, parts.voters, &mut context);
        let seeks = contact_due(*parts.contact_sought, &state, context.me).is_none_or(|due| local >= due);
        if parts.contact_call.is_none() && seeks {
            *parts.contact_call = Some(context.read(Caller::Contact));
        }
        // Whatever was asked in this round is answered in the next one at the earliest.
        any || self.calls.next_due().is_some_and(|due| due <= local)
    }

    pub(super) fn dispatch(
        &mut self,
        id: CallId,
        caller: Caller,
        answer: Answer,
        state: &Arc<ClusterState>,
        now: Duration,
        ground: &mut Ground<'_>,
    ) {
        let (mut context, parts) = self.context(now, ground);
        match caller {
            Caller::Agent(app) => {
                if let Some(agent) = parts.agents.get_mut(&app) {
                    agent.answered(id, answer, state, &mut context);
                }
            }
            Caller::Telling => {}
            Caller::Reconciler => parts.reconciler.answered(id, answer, &mut context),
            Caller::Keeper => parts.keeper.answered(id),
            Caller::Contact => {
                if let Answer::Read { asked } = answer {
                    context.contact.proved(asked);
                }
                *parts.contact_call = None;
                *parts.contact_sought = Some(context.now);
            }
            Caller::Operator(client) => match answer {
                Answer::Command(outcome) => {
                    context.effects.push(Effect::Operator { client, answer: Ok(outcome) });
                }
                Answer::Read { .. } => context.effects.push(Effect::OperatorRead { client, holds: true }),
                Answer::Changed | Answer::Failed => {
                    context.effects.push(Effect::Operator { client, answer: Err(()) });
                }
            },
        }
    }

    /// One agent for each app that is placed here, opened anew where its spec has changed.
    pub(super) fn place_agents(&mut self, state: &Arc<ClusterState>, now: Duration, ground: &mut Ground<'_>) {
        let same = self.placed_for.as_ref().is_some_and(|seen| Arc::ptr_eq(seen, state));
        if same && !self.agents.values().any(|agent| agent.is_outdated(state)) {
            return;
        }
        self.placed_for = Some(Arc::clone(state));
        let me = self.me;
        let mut agents = std::mem::take(&mut self.agents);
        let (mut context, _) = self.context(now, ground);
        agents.retain(|app, agent| {
            let here = state.apps.get(app).is_some_and(|app| app.instances.contains_key(&me));
            let stays = here && !agent.is_outdated(state);
            if !stays {
                agent.close(&mut context);
            }
            stays
        });
        for (name, app) in &state.apps {
            let known = context.hosts.contains_key(name);
            if known && app.instances.contains_key(&me) && !agents.contains_key(name) {
                agents.insert(name.clone(), Agent::open(me, &app.spec, state, &mut context));
            }
        }
        self.agents = agents;
    }

    pub(super) fn hear_hosts(&mut self, now: Duration, ground: &mut Ground<'_>) {
        let mut heard: Vec<(AppName, host::Event)> = Vec::new();
        for (name, host) in ground.hosts.iter_mut() {
            heard.extend(host.advance(now).into_iter().map(|event| (name.clone(), event)));
        }
        if heard.is_empty() {
            return;
        }
        let (mut context, parts) = self.context(now, ground);
        for (name, event) in heard {
            let Some(agent) = parts.agents.get_mut(&name) else { continue };
            if let host::Event::Liveness(liveness) = &event {
                context.log(|| format!("{name}: {liveness:?}"));
            }
            agent.heard(event, &mut context);
        }
    }

    pub(super) fn collect(&mut self) {
        while let Ok(Sent { after, message, unfounded }) = self.outbox.try_recv() {
            self.effects.extend(unfounded.map(Effect::Broken));
            self.effects.push(Effect::Message { message, after });
        }
    }
}
