//! What goes from host to host: messages, requests, and their answers.

use super::{Event, NO_ANSWER, World};
use crate::daemon::Effect;
use crate::daemon::calls::CallId;
use crate::promises::Contact;
use bytes::Bytes;
use protobuf::Message as _;
use raft::eraftpb::Message;
use relupd::ids::RaftId;
use std::cmp::Reverse;

impl World {
    pub(super) fn is_busy(&self, place: usize) -> bool {
        self.nodes[place].busy_until > self.now
    }

    /// Lets an event wait until the node is free. As long as any does, one `Free` is on its way.
    pub(super) fn queue_up(&mut self, place: usize, event: Event) {
        let node = &mut self.nodes[place];
        let (is_first, free_at) = (node.inbox.is_empty(), node.busy_until);
        node.inbox.push_back(event);
        if is_first {
            self.at(free_at, Event::Free(place));
        }
    }

    /// What has waited for a node, in its order, until the node is busy again.
    pub(super) fn work_off(&mut self, place: usize) {
        while !self.is_busy(place) {
            let Some(event) = self.nodes[place].inbox.pop_front() else { return };
            self.handle(event);
        }
        if !self.nodes[place].inbox.is_empty() {
            let free_at = self.nodes[place].busy_until;
            self.at(free_at, Event::Free(place));
        }
    }

    pub(super) fn deliver(&mut self, to: usize, from: usize, message: Message) {
        let (now, sender) = (self.now, self.nodes[from].id);
        let node = &mut self.nodes[to];
        let Some(daemon) = &mut node.daemon else { return };
        // Whoever was removed has no certificate that would be taken here any more (S10).
        let refused = daemon.state().nodes.get(&sender).is_some_and(|record| !record.is_present());
        let contact = Contact { from: sender, to: node.id, refused, heard: !refused, answered: false };
        self.witness.contact(contact);
        if refused {
            return;
        }
        self.trace.mix(
            message.get_msg_type() as u64 ^ (to as u64) << 8 ^ (from as u64) << 16 ^ message.index << 24,
        );
        let local = daemon.monotonic(&node.clock, now);
        daemon.receive(message, local);
        if !self.more_at_once(to) {
            self.settle(to);
        }
    }

    pub(super) fn serve(
        &mut self,
        to: usize,
        from: usize,
        request: Bytes,
        call: CallId,
        number: u32,
        boot: u64,
    ) {
        let (now, sender) = (self.now, self.nodes[from].id);
        let node = &mut self.nodes[to];
        let served = node.daemon.as_mut().and_then(|daemon| {
            let refused = daemon.state().nodes.get(&sender).is_some_and(|record| !record.is_present());
            let local = daemon.monotonic(&node.clock, now);
            (!refused).then(|| daemon.serve(request, local))
        });
        let Some(reply) = served else {
            self.after(NO_ANSWER, Event::Reply { to: from, call, number, reply: None, boot });
            return;
        };
        self.settle(to);
        let [first, _] = self.network.send(to, from);
        let (after, reply) = first.map_or((NO_ANSWER, None), |after| (after, Some(reply)));
        self.after(after, Event::Reply { to: from, call, number, reply, boot });
    }

    /// Whether no daemon can be reached from here, and none reaches this one.
    pub(super) fn is_alone(&self, place: usize) -> bool {
        let meets = |other: &usize| {
            let reaches = self.network.reaches(place, *other) && self.network.reaches(*other, place);
            *other != place && self.nodes[*other].daemon.is_some() && reaches
        };
        !(0..self.nodes.len()).any(|other| meets(&other))
    }

    /// Whether the next event belongs to the same moment of the same node: what a member finds in its
    /// inbox together is taken together, and shares one commit.
    pub(super) fn more_at_once(&self, place: usize) -> bool {
        let waits = |event: &Event| matches!(event, Event::Message { .. });
        self.nodes[place].inbox.front().is_some_and(waits)
            || self.queue.peek().is_some_and(|Reverse(due)| {
                due.at <= self.now && matches!(due.event, Event::Message { to, .. } if to == place)
            })
    }

    pub(super) fn emit(&mut self, place: usize, effect: Effect) {
        match effect {
            Effect::Message { message, after } => {
                let Some(to) = self.place_of(RaftId(message.to)) else { return };
                if let Some(bytes) = &mut self.raft_bytes {
                    *bytes += u64::from(message.compute_size());
                }
                let copies = self.network.send(place, to);
                for latency in copies.into_iter().flatten() {
                    let message = Box::new(message.clone());
                    self.after(after + latency, Event::Message { to, from: place, message });
                }
            }
            Effect::Forward { to, request, call, number } => {
                let boot = self.nodes[place].daemon.as_ref().map_or(0, |daemon| daemon.boot());
                let sent = self.place_of(to).and_then(|to| Some((to, self.network.send(place, to)[0]?)));
                match sent {
                    Some((to, latency)) => {
                        self.after(latency, Event::Request { to, from: place, request, call, number, boot });
                    }
                    None => {
                        self.after(NO_ANSWER, Event::Reply { to: place, call, number, reply: None, boot });
                    }
                }
            }
            Effect::Operator { client, answer } => self.operator_answered(client, answer),
            Effect::OperatorRead { client, holds } => self.operator_read(place, client, holds),
            Effect::Begins { .. } | Effect::Says(_) | Effect::Answered { .. } | Effect::Read { .. }
                if self.setting.shared.is_some() => {}
            Effect::Begins { operation, effect } => self.witness.begins(operation, &effect),
            Effect::Says(said) => self.witness.says(&said),
            Effect::Answered { command, outcome } => self.witness.answered(command, &outcome),
            Effect::Read { applied, newest } => {
                let node = self.nodes[place].id;
                self.witness.read(node, applied, newest);
            }
        }
    }
}
