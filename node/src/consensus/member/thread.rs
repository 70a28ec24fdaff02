//! The thread that a daemon's member lives on: takes what comes in, ticks in time, lets it work.

use super::{Input, Member};
use crate::clock::{Monotonic, monotonic};
use crate::consensus::error::MemberError;
use crate::consensus::machine::StateMachine;
use std::sync::mpsc::{Receiver, RecvTimeoutError};

/// At most this many inputs are taken before raft gets to write: enough to share one sync among all
/// that waits, and few enough to keep heartbeats going.
const MAX_BATCH: usize = 1024;

/// Runs a member until it is told to stop, every handle is gone, or the state file fails.
pub(in crate::consensus) fn run<S: StateMachine>(
    mut member: Member<S>,
    inbox: &Receiver<Input<S::Outcome>>,
) -> Result<(), MemberError> {
    let tick = member.options.tick;
    member.begin(monotonic())?;
    let mut next_tick = monotonic() + tick;
    loop {
        member.publish_status();
        match inbox.recv_timeout(next_tick.since(monotonic())) {
            Ok(input) => take_batch(&mut member, inbox, input, monotonic()),
            Err(RecvTimeoutError::Timeout) => {}
            // Without handles no message can come in any more.
            Err(RecvTimeoutError::Disconnected) => return member.finish(),
        }
        let now = monotonic();
        if now >= next_tick {
            next_tick = now + tick;
            member.tick(now)?;
        }
        member.work_off(now)?;
        if member.may_stop(now) {
            return member.finish();
        }
    }
}

fn take_batch<S: StateMachine>(
    member: &mut Member<S>,
    inbox: &Receiver<Input<S::Outcome>>,
    first: Input<S::Outcome>,
    now: Monotonic,
) {
    member.take(first, now);
    for _ in 1..MAX_BATCH {
        let Ok(input) = inbox.try_recv() else { break };
        member.take(input, now);
    }
}
