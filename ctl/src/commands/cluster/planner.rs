//! What to do next in an upgrade of relupd over the cluster, and why. PURE: from what the nodes say now to
//! one step. It remembers nothing: whoever is stopped in the middle asks again and goes on.
//!
//! Learners first, voters next, the leader last, after it has handed over. Nobody is stopped whose absence
//! would leave too few voters to decide.

use crate::human::or_dash;

/// The package that is rolled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) version: String,
    pub(super) architecture: String,
    /// The newest format that its daemon reads.
    pub(super) format: u16,
    /// The digest of the key that has signed it.
    pub(super) key: String,
}

/// What part a node plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    Learner,
    Voter,
}

/// A node, as it answers for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) role: Role,
    pub(super) leads: bool,
    pub(super) answer: Result<Answer, String>,
}

/// What it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) version: String,
    /// Empty where it came by no package.
    pub(super) architecture: String,
    /// A quorum has just confirmed that it has everything.
    pub(super) confirmed: bool,
    /// Keys that its host takes packages from.
    pub(super) trusted: Vec<String>,
    /// Its installer is at work.
    pub(super) busy: bool,
}

/// The cluster, as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct View {
    /// What is written to the log.
    pub(super) format: u16,
    /// Rollouts on their way.
    pub(super) rollouts: Vec<String>,
    pub(super) nodes: Vec<Node>,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Install the package there.
    Upgrade { node: String, because: String },
    /// Have another voter lead.
    HandOver { from: String, to: String },
    /// It passes by itself.
    Wait { reason: String },
    /// It does not.
    Refuse { reason: String },
    /// Every node that answers runs it; these do not answer.
    Done { left: Vec<String> },
}

/// The next step towards every node running the target.
pub(super) fn next_step(view: &View, target: &Target) -> Step {
    if let Some(reason) = unfit(view, target) {
        return Step::Refuse { reason };
    }
    if let [rollout, ..] = view.rollouts.as_slice() {
        return Step::Refuse {
            reason: format!(
                "rollout {rollout} is on its way: upgrade relupd when it has ended (`relupctl rollout why`)"
            ),
        };
    }
    let Some(next) = next_node(view, target) else { return done(view, target) };
    if let Some(reason) = not_now(view) {
        return Step::Wait { reason };
    }
    match next.role {
        Role::Learner => {
            Step::Upgrade { node: next.name.clone(), because: "a learner: no vote is missed".to_owned() }
        }
        Role::Voter => voter(view, target, next),
    }
}

/// Order: learners, voters, the leader; by name within each.
fn next_node<'v>(view: &'v View, target: &Target) -> Option<&'v Node> {
    let old = view.nodes.iter().filter(|node| runs_other(node, target));
    old.min_by_key(|node| (node.leads, node.role, &node.name))
}

fn runs_other(node: &Node, target: &Target) -> bool {
    node.answer.as_ref().is_ok_and(|answer| answer.version != target.version)
}

/// What no waiting heals.
fn unfit(view: &View, target: &Target) -> Option<String> {
    if target.format < view.format {
        return Some(format!(
            "relupd {} reads format {}, and the cluster writes {}: there is no way back to it",
            target.version, target.format, view.format
        ));
    }
    for node in view.nodes.iter().filter(|node| runs_other(node, target)) {
        let Ok(answer) = &node.answer else { continue };
        if answer.architecture.is_empty() {
            return Some(format!(
                "relupd {} on {} came by no package: upgrade it by hand",
                answer.version, node.name
            ));
        }
        if answer.architecture != target.architecture {
            return Some(format!(
                "the package is for {}, and {} is {}",
                target.architecture, node.name, answer.architecture
            ));
        }
        if !answer.trusted.contains(&target.key) {
            return Some(format!(
                "{} does not take packages signed by this key: `relupctl upgrade trust KEY.pem` there, as root (`relupctl upgrade key` prints it)",
                node.name
            ));
        }
    }
    None
}

/// What passes by itself: an election, a daemon that catches up, an installer at work.
fn not_now(view: &View) -> Option<String> {
    if !view.nodes.iter().any(|node| node.leads) {
        return Some("nobody leads yet".to_owned());
    }
    for node in &view.nodes {
        let Ok(answer) = &node.answer else { continue };
        if answer.busy {
            return Some(format!("the installer of {} is at work", node.name));
        }
        if !answer.confirmed {
            return Some(format!("{} has not caught up: no quorum has confirmed it", node.name));
        }
    }
    None
}

fn voter(view: &View, target: &Target, next: &Node) -> Step {
    let voters: Vec<&Node> = view.nodes.iter().filter(|node| node.role == Role::Voter).collect();
    let (all, answering) = (voters.len(), voters.iter().filter(|node| node.answer.is_ok()).count());
    if all == 1 {
        return Step::Upgrade {
            node: next.name.clone(),
            because: "the only voter: nothing can be changed for the seconds that it is away; apps run on"
                .to_owned(),
        };
    }
    let needed = all / 2 + 1;
    if answering - 1 < needed {
        let silent: Vec<String> = voters
            .iter()
            .filter_map(|node| Some(format!("{} ({})", node.name, node.answer.as_ref().err()?)))
            .collect();
        return Step::Refuse {
            reason: format!(
                "without {} only {} of {all} voters would answer, and {needed} are needed; silent: {}",
                next.name,
                answering - 1,
                or_dash(&silent.join(", "))
            ),
        };
    }
    let successor = voters.iter().filter(|node| !node.leads && node.answer.is_ok());
    // By preference one that is done already: it will not have to hand over again.
    let successor = successor.min_by_key(|node| (runs_other(node, target), &node.name));
    match successor {
        Some(to) if next.leads => Step::HandOver { from: next.name.clone(), to: to.name.clone() },
        Some(_) | None => Step::Upgrade {
            node: next.name.clone(),
            because: format!("a voter: {} of {all} answer without it, {needed} are needed", answering - 1),
        },
    }
}

fn done(view: &View, _target: &Target) -> Step {
    let silent = view.nodes.iter().filter(|node| node.answer.is_err());
    Step::Done { left: silent.map(|node| node.name.clone()).collect() }
}

/// The whole way, as it would be if every step went well: for `--dry-run`.
pub(super) fn steps(mut view: View, target: &Target) -> Vec<Step> {
    let mut steps = Vec::new();
    loop {
        let step = next_step(&view, target);
        match &step {
            Step::Upgrade { node, .. } => {
                let upgraded = view.nodes.iter_mut().find(|other| other.name == *node);
                if let Some(Ok(answer)) = upgraded.map(|node| &mut node.answer) {
                    answer.version.clone_from(&target.version);
                }
            }
            Step::HandOver { to, .. } => {
                for node in &mut view.nodes {
                    node.leads = node.name == *to;
                }
            }
            Step::Wait { .. } | Step::Refuse { .. } | Step::Done { .. } => {
                steps.push(step);
                return steps;
            }
        }
        steps.push(step);
    }
}

#[cfg(test)]
mod tests;
