//! What the cluster is to a client: registers, each with what may be done to it and what may be seen of it.
//! Whatever the cluster does by itself (a rollout that goes on, a release that is quarantined) is a state that is
//! known only by its lower bound: the last one that was seen. Pure.

use std::collections::BTreeSet;
use todc_utils::specifications::Specification;

/// A register. Each is judged by itself: linearizable registers are linearizable together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// An operator, by name.
    Operator(String),
    /// Every plan that was made, by its id.
    Plan(String),
    /// An app's newest rollout.
    App(String),
    /// A rollout, by its id.
    Rollout(String),
    /// A release that may be refused, by its digest.
    Quarantine(String),
}

/// What was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It was done.
    Done,
    /// It was decided not to do it.
    Refused,
    /// Nobody knows.
    Unknown,
}

/// One operation on one register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// `operator add`: it must not be there.
    Add(Answer),
    /// `operator revoke`: it must be there.
    Revoke(Answer),
    /// `operator list`: whether it is there.
    SeeOperator(bool),
    /// `operator list`, as a whole: what it says of each name comes out when names are known.
    SeeOperators(BTreeSet<String>),
    /// `plan`: an id that was never given before.
    Make,
    /// `rollout start`, which a plan lets happen once; with the rollout that came of it.
    Start(Answer, Option<u64>),
    /// The rollout that came of a plan, as it was told later.
    SeeStarted(u64),
    /// A rollout of the app, as started by a client.
    Begin(u64),
    /// A rollout of the app that is on its way.
    SeeOnItsWay(u64),
    /// `rollout pause`
    Pause(Answer),
    /// `rollout resume`
    Resume(Answer),
    /// `rollout abort`
    Abort(Answer),
    /// `rollout show` and `rollout list`, and what every order answers
    SeeRollout(Seen),
    /// `quarantine lift`, with the rollout that it stems from.
    Lift(Answer, Option<u64>),
    /// `quarantine list`: the rollout that it stems from, where it is quarantined.
    SeeQuarantine(Option<u64>),
    /// `quarantine list`, as a whole.
    SeeQuarantines(Vec<(String, u64)>),
}

/// What is told of a rollout.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Seen {
    /// Counts its changes; not told in a list.
    pub revision: Option<u64>,
    /// Its phase.
    pub phase: String,
    /// Whether an operator has paused it.
    pub paused: bool,
}

/// The state of whichever register it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct State {
    /// An operator is there, a plan was made, a plan was started.
    is: bool,
    /// The newest rollout that was seen or started; a quarantine's that was lifted.
    rollout: u64,
    quarantined: Option<u64>,
    revision: u64,
    phase: Option<String>,
    paused: bool,
    aborted: bool,
}

/// What may follow on what.
#[derive(Debug)]
pub(super) struct Registers;

impl Specification for Registers {
    type State = State;
    type Operation = Operation;

    fn init() -> State {
        State::default()
    }

    /// Whether the answer is right in this state, and the state after it. An operation of which nobody knows
    /// is right in every state: it is in the history until its end, and one that never happened comes last.
    fn apply(operation: &Operation, before: &State) -> (bool, State) {
        let mut after = before.clone();
        let is_right = match operation {
            Operation::Add(answer) => after.set(*answer, true),
            Operation::Revoke(answer) => after.set(*answer, false),
            Operation::SeeOperator(there) => before.is == *there,
            Operation::Make => after.set(Answer::Done, true),
            Operation::Start(answer, rollout) => after.start(*answer, *rollout),
            Operation::SeeStarted(rollout) => {
                let is_it = before.is && (before.rollout == 0 || before.rollout == *rollout);
                after.rollout = *rollout;
                is_it
            }
            Operation::Begin(rollout) => {
                after.rollout = *rollout;
                *rollout > before.rollout
            }
            // The cluster starts some by itself.
            Operation::SeeOnItsWay(rollout) => {
                after.rollout = *rollout;
                *rollout >= before.rollout
            }
            Operation::Pause(answer) => after.order(*answer, |state| state.paused = true),
            Operation::Resume(answer) => after.order(*answer, |state| state.paused = false),
            Operation::Abort(answer) => {
                after.order(*answer, |state| (state.aborted, state.paused) = (true, false))
            }
            Operation::SeeRollout(seen) => after.see(seen),
            Operation::Lift(answer, rollout) => after.lift(*answer, *rollout),
            Operation::SeeQuarantine(None) => before.quarantined.is_none(),
            Operation::SeeQuarantine(Some(rollout)) => {
                after.quarantined = Some(*rollout);
                *rollout > before.rollout && before.quarantined.is_none_or(|known| known <= *rollout)
            }
            // They were taken apart before.
            Operation::SeeOperators(_) | Operation::SeeQuarantines(_) => true,
        };
        (is_right, after)
    }
}

impl State {
    /// Compare and set: done only where it was otherwise, refused only where it was so.
    fn set(&mut self, answer: Answer, to: bool) -> bool {
        let was = self.is;
        match answer {
            Answer::Done => {
                self.is = to;
                was != to
            }
            Answer::Refused => was == to,
            Answer::Unknown => {
                self.is = to;
                true
            }
        }
    }

    /// A refusal may have many reasons.
    fn start(&mut self, answer: Answer, rollout: Option<u64>) -> bool {
        let was = self.is;
        match answer {
            Answer::Done => {
                (self.is, self.rollout) = (true, rollout.unwrap_or_default());
                !was
            }
            Answer::Refused => true,
            Answer::Unknown => {
                self.is = true;
                true
            }
        }
    }

    /// What has ended takes no orders. A refusal may have many reasons.
    fn order(&mut self, answer: Answer, effect: impl Fn(&mut Self)) -> bool {
        let is_over = self.phase.as_deref().is_some_and(is_over);
        match answer {
            Answer::Done => effect(self),
            Answer::Unknown if !is_over => effect(self),
            Answer::Unknown | Answer::Refused => return true,
        }
        !is_over
    }

    fn see(&mut self, seen: &Seen) -> bool {
        let revision = seen.revision.unwrap_or(self.revision);
        let is_known = seen.revision == Some(self.revision) && self.phase.is_some();
        let rank_before = self.phase.as_deref().map_or(0, rank);
        let may_follow = if is_known || self.phase.as_deref().is_some_and(is_over) {
            self.phase.as_deref() == Some(&seen.phase)
        } else {
            rank(&seen.phase) >= rank_before
        };
        // Whoever ends it also ends the pause, and from the decision on there is none.
        let pause_agrees =
            !["preparing", "rolling"].contains(&seen.phase.as_str()) || seen.paused == self.paused;
        let goes_forward = ["preparing", "rolling", "committing", "completed"].contains(&seen.phase.as_str());
        let is_right =
            revision >= self.revision && may_follow && pause_agrees && !(self.aborted && goes_forward);
        (self.revision, self.phase) = (revision, Some(seen.phase.clone()));
        is_right
    }

    fn lift(&mut self, answer: Answer, rollout: Option<u64>) -> bool {
        match answer {
            Answer::Done => {
                let rollout = rollout.unwrap_or(self.rollout + 1);
                let is_right =
                    rollout > self.rollout && self.quarantined.is_none_or(|known| known <= rollout);
                (self.rollout, self.quarantined) = (rollout, None);
                is_right
            }
            Answer::Refused => self.quarantined.is_none(),
            Answer::Unknown => {
                self.rollout = self.quarantined.take().unwrap_or(self.rollout);
                true
            }
        }
    }
}

fn is_over(phase: &str) -> bool {
    rank(phase) == 4
}

fn rank(phase: &str) -> u8 {
    match phase {
        "preparing" => 0,
        "rolling" => 1,
        "committing" => 2,
        // `abort --hold` stops a way back where it is.
        "halted" | "reverting" => 3,
        _ => 4,
    }
}
