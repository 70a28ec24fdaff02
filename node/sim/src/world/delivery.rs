//! What goes from host to host: messages, requests, and their answers.

use super::event::Asked;
use super::{Departure, Event, NO_ANSWER, World};
use crate::daemon::Effect;
use crate::genesis;
use crate::promises::{Contact, is_out};
use bytes::Bytes;
use protobuf::Message as _;
use raft::eraftpb::Message;
use relupd::identity::PeerIdentity;
use relupd::ids::RaftId;
use std::cmp::Reverse;
use std::net::SocketAddr;

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

    pub(super) fn deliver(&mut self, to: usize, from: usize, message: Message, left: Departure) {
        let (kind, index) = (message.get_msg_type() as u64, message.index);
        let peer = self.nodes[from].identity.clone();
        if !self.nodes[from].is_unsent(left) && self.arrives(to, &peer, genesis::address(from), message) {
            self.trace.mix(kind ^ (to as u64) << 8 ^ (from as u64) << 16 ^ index << 24);
        }
        // Also where this one does not count: those before it may have waited for it.
        if self.nodes[to].daemon.is_some() && !self.more_at_once(to) {
            self.settle(to);
        }
    }

    /// A message of a peer whose certificate says who it is; whether it was taken in (S10).
    pub fn arrives(&mut self, to: usize, peer: &PeerIdentity, address: SocketAddr, message: Message) -> bool {
        let now = self.now;
        let node = &mut self.nodes[to];
        let Some(daemon) = &mut node.daemon else { return false };
        let claimed = RaftId(message.from);
        let heard = daemon.meets(peer, claimed, address) == Some(claimed);
        if heard {
            let local = daemon.monotonic(&node.clock, now);
            daemon.receive(message, local);
        }
        self.contacts(to, peer, heard, false);
        heard
    }

    /// A request of such a peer, and the answer, where there is one.
    pub fn asks(&mut self, to: usize, peer: &PeerIdentity, request: Bytes) -> Option<Bytes> {
        let now = self.now;
        let node = &mut self.nodes[to];
        let daemon = node.daemon.as_mut()?;
        let PeerIdentity::Node { node: sender, .. } = *peer else { return None };
        let local = daemon.monotonic(&node.clock, now);
        let reply = daemon.hears(peer).map(|_| daemon.serve(sender, request, local));
        self.contacts(to, peer, reply.is_some(), reply.is_some());
        reply
    }

    /// What a daemon did with a peer, for S10.
    fn contacts(&mut self, place: usize, peer: &PeerIdentity, heard: bool, answered: bool) {
        let node = &self.nodes[place];
        let (Some(daemon), None) = (&node.daemon, &self.setting.shared) else { return };
        if let PeerIdentity::Node { node: from, .. } = *peer {
            let state = daemon.state();
            // Who is not in the state may have been admitted since; whoever is no host here never will be.
            let is_stranger =
                || !state.nodes.contains_key(&from) && !self.nodes.iter().any(|node| node.identity == *peer);
            let refused = is_out(peer, &state) || is_stranger();
            self.witness.contact(Contact { from, to: node.id, refused, heard, answered });
        }
    }

    pub(super) fn serve(&mut self, to: usize, from: usize, request: Bytes, asked: Asked) {
        let peer = self.nodes[from].identity.clone();
        let Some(reply) = self.asks(to, &peer, request) else {
            self.after(NO_ANSWER, Event::Reply { to: from, from: to, asked, reply: None });
            return;
        };
        self.settle(to);
        let copies = self.network.send(to, from);
        if copies == [None, None] {
            self.after(NO_ANSWER, Event::Reply { to: from, from: to, asked, reply: None });
        }
        for latency in copies.into_iter().flatten() {
            let reply = Some(reply.clone());
            self.after(latency, Event::Reply { to: from, from: to, asked, reply });
        }
    }

    /// An answer has come, or it is clear that none will.
    pub(super) fn replied(&mut self, to: usize, from: usize, asked: Asked, reply: Option<Bytes>) {
        let now = self.now;
        let peer = self.nodes[from].identity.clone();
        let node = &mut self.nodes[to];
        let Some(daemon) = node.daemon.as_mut().filter(|daemon| daemon.boot() == asked.boot) else { return };
        let heard = reply.is_some() && daemon.hears(&peer).is_some();
        let local = daemon.monotonic(&node.clock, now);
        daemon.replied(asked.call, asked.number, reply.filter(|_| heard), local);
        self.contacts(to, &peer, heard, false);
        self.settle(to);
    }

    /// Where what is for this member goes, if the daemon there speaks to it at all (S10).
    fn way(&mut self, place: usize, member: RaftId) -> Option<usize> {
        let to = self.place_of(member)?;
        let peer = self.nodes[to].identity.clone();
        let daemon = self.nodes[place].daemon.as_mut()?;
        let speaks = daemon.finds(member) && daemon.hears(&peer).is_some();
        self.contacts(place, &peer, false, speaks);
        speaks.then_some(to)
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
                let Some(to) = self.way(place, RaftId(message.to)) else { return };
                if let Some(bytes) = &mut self.raft_bytes {
                    *bytes += u64::from(message.compute_size());
                }
                let copies = self.network.send(place, to);
                let left = Departure { life: self.nodes[place].life(), at: self.now + after };
                for latency in copies.into_iter().flatten() {
                    let message = Box::new(message.clone());
                    self.after(after + latency, Event::Message { to, from: place, message, left });
                }
            }
            Effect::Forward { to, request, call, number } => {
                let boot = self.nodes[place].daemon.as_ref().map_or(0, |daemon| daemon.boot());
                let asked = Asked { call, number, boot };
                let way = self.way(place, to);
                let copies = way.map_or([None, None], |to| self.network.send(place, to));
                if copies == [None, None] {
                    self.after(NO_ANSWER, Event::Reply { to: place, from: place, asked, reply: None });
                }
                for (to, latency) in way.into_iter().flat_map(|to| copies.map(|copy| (to, copy))) {
                    let Some(latency) = latency else { continue };
                    let request = request.clone();
                    self.after(latency, Event::Request { to, from: place, request, asked });
                }
            }
            Effect::Broken(violation) => self.witness.say(violation.promise, violation.detail),
            Effect::Operator { client, answer } => self.operator_answered(client, answer),
            Effect::OperatorRead { client, holds } => self.operator_read(place, client, holds),
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
