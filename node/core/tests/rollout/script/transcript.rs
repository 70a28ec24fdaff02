//! What an operator would have seen, line by line.

use crate::world::{World, app, node};
use relupd_core::state::rollout::{Phase, Step, Turn};

#[derive(Default)]
pub struct Transcript {
    lines: Vec<String>,
    events: u64,
    phase: Option<String>,
}

impl Transcript {
    pub fn command(&mut self, line: &str) {
        self.lines.push(format!("> {line}"));
    }

    pub fn say(&mut self, line: &str) {
        self.lines.push(format!("    {}", by_name(line)));
    }

    /// The events and changes of phase since it was last asked.
    pub fn catch_up(&mut self, world: &World) {
        let new: Vec<String> = world
            .state
            .events
            .iter()
            .filter(|event| event.number > self.events)
            .map(|event| match event.node {
                Some(node) => format!("{node} {}", event.text),
                None => event.text.clone(),
            })
            .collect();
        self.events = world.state.next.event - 1;
        new.iter().for_each(|line| self.say(line));
        let newest = world.state.rollouts.values().next_back();
        let phase = newest.map(|rollout| format!("{}: {}", rollout.id, phase(&rollout.phase)));
        if phase != self.phase {
            self.phase.clone_from(&phase);
            self.lines.extend(phase.map(|phase| format!("== {phase}")));
        }
    }

    pub fn forget(&mut self, world: &World) {
        self.events = world.state.next.event - 1;
    }

    pub fn end(mut self, world: &World) -> String {
        for rollout in world.state.rollouts.values() {
            self.lines.push(format!("== at the end {}: {}", rollout.id, by_name(&ending(&rollout.phase))));
            for (node, progress) in rollout.in_order() {
                self.say(&format!("{node} {}", step(&progress.step)));
            }
        }
        let app = &world.state.apps[&app()];
        let current = app.current.as_ref().map_or("nothing".to_owned(), |to| to.version.to_string());
        self.lines.push(format!("== the app is committed to {current}"));
        for (node, instance) in &app.instances {
            let settled = instance.settled.as_ref().map_or("nothing".to_owned(), |to| to.version.to_string());
            let order =
                instance.assignment.as_ref().map(|order| format!(", ordered to {}", order.order.verb()));
            self.say(&format!("{node} is settled on {settled}{}", order.unwrap_or_default()));
        }
        for quarantine in world.state.quarantine.values() {
            self.say(&format!("{} is quarantined: {}", quarantine.version, quarantine.reason));
        }
        self.lines.join("\n")
    }
}

fn phase(phase: &Phase) -> String {
    match phase {
        Phase::Committing { decided: true } => "committing, decided".to_owned(),
        other => other.name().to_owned(),
    }
}

fn ending(phase: &Phase) -> String {
    let why = phase.reason().map(|reason| format!(", because {reason}")).unwrap_or_default();
    let details: Vec<String> = match phase {
        Phase::Refused { reasons } => reasons
            .iter()
            .map(|refusal| {
                let node = refusal.node.map(|node| format!("{node} ")).unwrap_or_default();
                format!("{node}{}: {}; {}", refusal.check, refusal.reason, refusal.remedy)
            })
            .collect(),
        Phase::NeedsOperator { nodes, .. } => {
            nodes.iter().map(|node| format!("{}: {}; {}", node.node, node.reason, node.remedy)).collect()
        }
        Phase::Held { elsewhere, .. } => {
            elsewhere.iter().map(|node| format!("{node} is elsewhere")).collect()
        }
        _ => Vec::new(),
    };
    let lines: Vec<String> = details.iter().map(|line| format!("\n    {line}")).collect();
    format!("{}{why}{}", phase.name(), lines.concat())
}

fn step(step: &Step) -> String {
    match step {
        Step::Skipped { reason } => format!("left out: {reason}"),
        Step::Failed { failure } => format!("failed: {failure}"),
        Step::Reverted { by: Some(rung) } => format!("back by {rung}"),
        Step::Reverted { by: None } => "back".to_owned(),
        other => {
            let text = format!("{other:?}");
            let name = text.split([' ', '{']).next().unwrap_or_default().to_lowercase();
            match other.turn() {
                Some(Turn::NotAsked) | None => name,
                Some(Turn::Asked) => format!("{name}, waits for its turn"),
                Some(Turn::Given) => format!("{name}, has its turn"),
            }
        }
    }
}

fn by_name(text: &str) -> String {
    (1..10)
        .fold(text.to_owned(), |text, number| text.replace(&node(number).to_string(), &format!("n{number}")))
}
