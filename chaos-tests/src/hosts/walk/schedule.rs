//! What a random walk does, drawn from its seed. Pure: the same seed gives the same legs, and whom an act
//! meets follows from what is seen then.

use crate::hosts::cells::Role;
use crate::hosts::faults::Fault;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use serde::Serialize;
use std::time::Duration;

/// One rollout, what befalls it, and an end at which everything is whole again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Leg {
    /// The first is 0.
    pub number: u64,
    /// Whether the canary waits for an operator.
    pub promote_by_hand: bool,
    /// On this host the release falls ill, where there is one that can.
    pub sick: Option<usize>,
    /// In order.
    pub acts: Vec<Act>,
}

/// One step of a walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Act {
    /// A fault strikes.
    Strike(Fault, Whom),
    /// What struck first is healed.
    Heal,
    /// An operator types something, on this host.
    Order(Order, usize),
    /// Nothing is done for so long.
    Wait(Duration),
}

/// Whom a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Whom {
    /// As in the matrix.
    Role(Role),
    /// This host, whatever it is.
    Host(usize),
}

/// What an operator orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// A plan, be there one or not.
    Plan,
    /// The newest plan is started.
    Start,
    /// The oldest plan is started, on which nothing rests any more.
    StartStale,
    /// `rollout pause`
    Pause,
    /// `rollout resume`
    Resume,
    /// `rollout promote`
    Promote,
    /// `rollout abort --hold`
    Hold,
    /// `rollout abort --revert`
    Revert,
    /// `quarantine lift`, of whatever is quarantined.
    Lift,
}

/// What is seen when an act has to find whom it meets.
#[derive(Clone, Debug)]
pub struct Seen<'a> {
    /// The hosts, in the order of their numbers.
    pub hosts: &'a [String],
    /// In the order of the newest plan.
    pub order: &'a [String],
    /// As last told.
    pub leader: &'a str,
    /// Those that suffer already.
    pub struck: &'a [usize],
}

impl Whom {
    /// The host, where it does not suffer already: two faults on one host would heal each other.
    #[must_use]
    pub fn find(self, seen: &Seen<'_>) -> Option<usize> {
        let index = match self {
            Self::Host(index) => index,
            Self::Role(role) => {
                let order: Vec<&str> = seen.order.iter().map(String::as_str).collect();
                let name = role.of(&order, seen.leader)?;
                seen.hosts.iter().position(|host| host == name)?
            }
        };
        (!seen.struck.contains(&index)).then_some(index)
    }
}

/// Seldom more than a minority suffers at the same time; then the cluster stands still, and must go on after it.
const MINORITY: usize = 2;
const MAJORITY_LOST_ONE_IN: u32 = 8;

impl Leg {
    /// The leg of a walk over so many hosts. Each leg has randomness of its own: it can be played alone.
    #[must_use]
    pub fn draw(seed: u64, number: u64, hosts: usize) -> Self {
        let mut random = StdRng::seed_from_u64(seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let at_once = if random.random_ratio(1, MAJORITY_LOST_ONE_IN) {
            hosts / 2 + 1
        } else {
            MINORITY.min(hosts / 2)
        };
        let promote_by_hand = random.random_ratio(1, 4);
        let sick = random.random_ratio(1, 3).then(|| random.random_range(0..hosts));
        let mut acts = Vec::new();
        let mut struck = 0;
        if random.random_ratio(1, 5) {
            acts.push(strike(&mut random, hosts));
            struck += 1;
        }
        let at = random.random_range(0..hosts);
        acts.extend([Act::Order(Order::Plan, at), Act::Order(Order::Start, at)]);
        for _ in 0..random.random_range(6..=14) {
            let act = match random.random_range(0..100) {
                0..30 if struck < at_once => strike(&mut random, hosts),
                0..50 if struck > 0 => Act::Heal,
                0..70 => Act::Order(order(&mut random), random.random_range(0..hosts)),
                _ => Act::Wait(Duration::from_millis(random.random_range(100..4000))),
            };
            match act {
                Act::Strike(..) => struck += 1,
                Act::Heal => struck -= 1,
                Act::Order(..) | Act::Wait(_) => {}
            }
            acts.push(act);
        }
        Self { number, promote_by_hand, sick, acts }
    }
}

impl std::fmt::Display for Leg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(
            f,
            "leg {}: promoted by hand: {}, sick: {:?}",
            self.number, self.promote_by_hand, self.sick
        )?;
        self.acts.iter().try_for_each(|act| writeln!(f, "  {act:?}"))
    }
}

fn strike(random: &mut StdRng, hosts: usize) -> Act {
    let fault = *Fault::ALL.choose(random).expect("there are faults");
    let whom = match random.random_range(0..5) {
        0..3 => Whom::Role(*Role::ALL.choose(random).expect("there are roles")),
        _ => Whom::Host(random.random_range(0..hosts)),
    };
    Act::Strike(fault, whom)
}

fn order(random: &mut StdRng) -> Order {
    match random.random_range(0..100) {
        0..14 => Order::Plan,
        14..24 => Order::Start,
        24..34 => Order::StartStale,
        34..49 => Order::Pause,
        49..67 => Order::Resume,
        67..77 => Order::Promote,
        77..82 => Order::Hold,
        82..92 => Order::Revert,
        _ => Order::Lift,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_walks_the_same_way() {
        for number in 0..50 {
            assert_eq!(Leg::draw(7, number, 5), Leg::draw(7, number, 5));
            assert_ne!(Leg::draw(7, number, 5).acts, Leg::draw(8, number, 5).acts);
        }
    }

    #[test]
    fn a_long_walk_meets_every_fault_and_gives_every_order() {
        let acts: Vec<Act> = (0..300).flat_map(|number| Leg::draw(1, number, 5).acts).collect();
        for fault in Fault::ALL {
            assert!(acts.iter().any(|act| matches!(act, Act::Strike(met, _) if *met == fault)), "{fault:?}");
        }
        for order in [Order::StartStale, Order::Pause, Order::Promote, Order::Hold, Order::Lift] {
            assert!(acts.iter().any(|act| matches!(act, Act::Order(met, _) if *met == order)), "{order:?}");
        }
    }

    #[test]
    fn nothing_is_healed_that_was_not_struck_and_a_majority_is_seldom_lost() {
        let mut lost = 0;
        for number in 0..400 {
            let (mut struck, mut most) = (0usize, 0);
            for act in Leg::draw(3, number, 5).acts {
                match act {
                    Act::Strike(..) => struck += 1,
                    Act::Heal => struck = struck.checked_sub(1).expect("something to heal"),
                    Act::Order(..) | Act::Wait(_) => {}
                }
                most = most.max(struck);
            }
            lost += usize::from(most > MINORITY);
        }
        assert!((1..100).contains(&lost), "{lost} of 400 legs");
    }

    #[test]
    fn whoever_suffers_is_not_struck_again() {
        let hosts = ["n1", "n2", "n3"].map(str::to_owned);
        let seen = Seen { hosts: &hosts, order: &hosts, leader: "n2", struck: &[1] };
        assert_eq!(Whom::Role(Role::Leader).find(&seen), None);
        assert_eq!(Whom::Role(Role::AtWork).find(&seen), Some(0));
        assert_eq!(Whom::Host(1).find(&seen), None);
    }
}
