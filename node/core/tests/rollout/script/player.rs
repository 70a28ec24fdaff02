//! Plays one script, line by line.

use super::hosts::{Fault, Host, answer_all, parse, show};
use super::transcript::Transcript;
use crate::world::{World, app, node, spec, version};
use relupd_core::clock::Monotonic;
use relupd_core::rollout::plan;
use relupd_core::rollout::round::Round;
use relupd_core::rollout::timers::Timers;
use relupd_core::spec::{self, AppSpec};
use relupd_core::state::command::{Applied, Command};
use relupd_core::state::rollout::{AbortMode, NodeProgress, Phase, Rollout, Stage, Step};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub struct Player {
    world: World,
    hosts: BTreeMap<u64, Host>,
    policy: Vec<String>,
    timers: Timers,
    now: Monotonic,
    /// When the leader last heard each node that it does not hear.
    unheard: BTreeMap<u64, Monotonic>,
    transcript: Transcript,
}

impl Player {
    /// What the script's operator has seen.
    pub fn play(name: &str, script: &str) -> String {
        let mut player = Self {
            world: World::empty(1, spec()),
            hosts: BTreeMap::new(),
            policy: Vec::new(),
            timers: Timers::default(),
            now: Monotonic::default(),
            unheard: BTreeMap::new(),
            transcript: Transcript::default(),
        };
        player.transcript.forget(&player.world);
        for (number, line) in (1..).zip(script.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            player.transcript.command(line);
            if player.obey(line).is_none() {
                panic!("{name}.txt, line {number}: not understood: {line}");
            }
            player.transcript.catch_up(&player.world);
        }
        player.run_until("the end", |_| false);
        let before = player.world.state.clone();
        assert!(!player.turn(), "{name}: one more step");
        assert_eq!(before, player.world.state, "{name}: one more step changed something");
        player.transcript.end(&player.world)
    }

    fn obey(&mut self, line: &str) -> Option<()> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["policy", ..] => self.policy.push(line.strip_prefix("policy")?.trim().to_owned()),
            ["nodes", versions @ ..] => self.begin(versions)?,
            ["release", text, "by", "restart"] => self.world.push(text, &[]),
            ["release", text, "hot", "from", from @ ..] => self.world.push(text, from),
            ["start", text] => self.start(text),
            ["run"] => self.run_until(line, |_| false),
            ["at", moment] => self.reach(moment)?,
            ["time", text] => {
                self.now = self.now + humantime::parse_duration(text).ok()?;
                while self.decide() {}
            }
            ["leader", "changes"] => {
                self.timers = Timers::default();
                self.unheard.values_mut().for_each(|since| *since = self.now);
                self.look();
            }
            ["why"] => self.why(),
            ["pause"] => self.order(|rollout| Command::Pause { rollout }),
            ["resume"] => self.order(|rollout| Command::Resume { rollout }),
            ["promote"] => self.order(|rollout| Command::Promote { rollout }),
            ["abort", "hold"] => self.abort(AbortMode::Hold),
            ["abort", "revert"] => self.abort(AbortMode::Revert),
            ["remove", name] => {
                let node = node(numbered(name)?);
                self.try_to(Command::RemoveNode { node });
                self.hosts.remove(&numbered(name)?);
            }
            ["join", name] => {
                self.world.join(numbered(name)?);
                self.hosts.insert(numbered(name)?, Host::on(None));
            }
            [name, event @ ..] => self.happen(numbered(name)?, event)?,
            [] => return None,
        }
        Some(())
    }

    /// What happens on a host.
    fn happen(&mut self, number: u64, event: &[&str]) -> Option<()> {
        let now = self.now;
        let host = self.hosts.get_mut(&number)?;
        match event {
            ["dies"] => {
                host.reachable = false;
                self.unheard.insert(number, now);
            }
            ["is", "back"] => {
                host.reachable = true;
                self.unheard.remove(&number);
            }
            ["reboots"] => host.reboots(),
            ["takes", "itself", "back"] => host.takes_itself_back(),
            ["is", "sick"] => host.healthy = Some(false),
            ["is", "well"] => {
                host.healthy = Some(true);
                host.faults.clear();
            }
            ["is", "unknown"] => host.healthy = None,
            ["cannot", "fetch"] => {
                host.faults.insert("prepare".to_owned(), Fault::CannotFetch);
            }
            ["hangs", "when", "ordered", "to", verb @ ..] => {
                host.faults.insert(verb.join(" "), Fault::Hangs);
            }
            ["fails", "when", "ordered", "to", rest @ ..] => {
                let rest = rest.join(" ");
                let (verb, reason) = rest.split_once(": ")?;
                host.faults.insert(verb.to_owned(), Fault::Fails(reason.to_owned()));
            }
            _ => return None,
        }
        Some(())
    }

    /// Nodes that are settled on these versions, and the app committed to that of the first.
    fn begin(&mut self, versions: &[&str]) -> Option<()> {
        let policy = self.policy.join("\n");
        let text = format!("name = \"shop\"\nroot = \"/opt/shop\"\n[upgrade]\n{policy}\n");
        let parsed: AppSpec = spec::parse(&text).unwrap_or_else(|errors| panic!("{errors}"));
        let spec = AppSpec { upgrade: parsed.upgrade, ..spec() };
        let versions: Vec<_> = versions.iter().map(|text| parse(text)).collect();
        self.world = World::with_releases(spec, &versions);
        for (number, version) in (1..).zip(versions) {
            self.hosts.insert(number, Host::on(version));
        }
        answer_all(&mut self.world, &mut self.hosts);
        self.transcript.forget(&self.world);
        Some(())
    }

    fn start(&mut self, text: &str) {
        let draft = match plan::draft(&self.world.state, &app(), &version(text)) {
            Ok(draft) => draft,
            Err(rejection) => return self.transcript.say(&format!("refused: {rejection}")),
        };
        for step in &draft.steps {
            let from = show(step.from.as_ref().map(|from| &from.version));
            let canary = if step.canary { ", canary" } else { "" };
            self.transcript
                .say(&format!("{} from {from}, {}{canary}: {}", step.node, step.method, step.because));
        }
        let Ok(Applied::Plan(plan)) = self.world.apply(draft.into_command()) else { panic!("no plan") };
        self.try_to(Command::StartRollout { plan });
    }

    fn abort(&mut self, mode: AbortMode) {
        self.order(|rollout| Command::Abort { rollout, mode });
    }

    fn order(&mut self, command: impl FnOnce(relupd_core::ids::RolloutId) -> Command) {
        let rollout = self.rollout().id;
        self.try_to(command(rollout));
    }

    fn try_to(&mut self, command: Command) {
        if let Err(rejection) = self.world.apply(command) {
            self.transcript.say(&format!("refused: {rejection}"));
        }
        self.transcript.catch_up(&self.world);
    }

    fn rollout(&self) -> &Rollout {
        self.world.state.rollouts.values().next_back().unwrap()
    }

    /// A moment of the newest rollout.
    fn reach(&mut self, moment: &str) -> Option<()> {
        let step = |rollout: &Rollout, number: u64| rollout.nodes[&node(number)].step.clone();
        let bakes = |step: &Step| matches!(step, Step::Upgrading { stage: Stage::Baking, .. });
        match moment {
            "preparing" => self.run_until(moment, |now| matches!(step(now, 2), Step::Preparing { .. })),
            "canary" => self.run_until(moment, |now| bakes(&step(now, 1))),
            "batch" => self.run_until(moment, |now| bakes(&step(now, 2))),
            "draining" => self.run_until(moment, |now| matches!(step(now, 2), Step::Draining { .. })),
            "ready" => {
                let ready =
                    |progress: &Arc<NodeProgress>| matches!(progress.step, Step::ReadyToCommit { .. });
                self.run_until(moment, |now| now.nodes.values().all(ready));
            }
            "halted" => {
                self.run_until(moment, |now| matches!(step(now, 3), Step::Healthy { .. }));
                self.abort(AbortMode::Revert);
            }
            "decided" => {
                self.run_until(moment, |now| matches!(now.phase, Phase::Committing { decided: true }));
            }
            "reverting" => {
                self.run_until(moment, |now| matches!(step(now, 3), Step::Healthy { .. }));
                self.abort(AbortMode::Revert);
                self.run_until(moment, |now| matches!(now.phase, Phase::Reverting { .. }));
            }
            _ => return None,
        }
        Some(())
    }

    fn why(&mut self) {
        self.look();
        let silence = self.world.silence.clone();
        let waits = Round::of(&self.world.state, &silence, &self.timers).waits;
        let lines: Vec<String> = waits.values().flatten().map(ToString::to_string).collect();
        lines.iter().for_each(|line| self.transcript.say(line));
    }

    fn run_until(&mut self, what: &str, done: impl Fn(&Rollout) -> bool) {
        for _ in 0..1000 {
            if self.world.state.rollouts.values().next_back().is_some_and(|rollout| done(rollout))
                || !self.turn()
            {
                return;
            }
        }
        panic!("no end of {what}: {:?}", self.rollout());
    }

    /// Whom the leader hears, and how long things have taken.
    fn look(&mut self) {
        for number in self.hosts.keys() {
            let silent = self.unheard.get(number).map_or(Duration::ZERO, |since| self.now.since(*since));
            self.world.silence.insert(node(*number), silent);
        }
        self.timers.advance(&self.world.state, self.now);
    }

    /// The decisions that are due, or else an answer of every host. False when nothing moved.
    fn turn(&mut self) -> bool {
        let moved = self.decide() || answer_all(&mut self.world, &mut self.hosts);
        self.transcript.catch_up(&self.world);
        moved
    }

    /// What the leader decides now. False where it is nothing.
    fn decide(&mut self) -> bool {
        self.look();
        let (state, silence) = (self.world.state.clone(), self.world.silence.clone());
        let round = Round::of(&state, &silence, &self.timers);
        let mut moved = false;
        for (rollout, decisions) in round.decisions.into_iter().filter(|(_, due)| !due.is_empty()) {
            let decide = Command::Decide { rollout: rollout.id, revision: rollout.revision, decisions };
            self.world.apply(decide).unwrap();
            moved = true;
        }
        if let Some(draft) = round.catch_up.filter(|_| !moved) {
            let Ok(Applied::Plan(plan)) = self.world.apply(draft.into_command()) else { panic!("no plan") };
            self.world.apply(Command::StartRollout { plan }).unwrap();
            moved = true;
        }
        self.transcript.catch_up(&self.world);
        moved
    }
}

fn numbered(name: &str) -> Option<u64> {
    name.strip_prefix('n')?.parse().ok()
}
