//! Operators: each order is a client of some daemon, which asks, waits for the answer, and asks another
//! daemon where none came. What a client was told must hold (S12).

use crate::genesis;
use crate::node::Surroundings;
use crate::random::Random;
use crate::schedule::Order;
use crate::world::{Event, World};
use relupd::format::Format;
use relupd::ids::{AppName, PlanId, RolloutId};
use relupd::rollout::plan;
use relupd::state::command::{Admission, Applied, Command};
use relupd::state::{ClusterState, Outcome};
use std::collections::BTreeMap;
use std::time::Duration;

/// Operators look at what they wait for this often.
const LOOK: Duration = Duration::from_secs(5);

/// An order is given up after so many daemons did not answer.
const TRIES: u32 = 4;

#[derive(Debug)]
struct Client {
    order: Order,
    tries: u32,
    stage: Stage,
}

#[derive(Clone, Debug, PartialEq)]
enum Stage {
    /// Wants to see everything that was acknowledged before.
    Reads,
    /// Waits for its plan's number.
    Plans,
    /// Thinks about it.
    Thinks { until: Duration, plan: PlanId },
    /// Waits for the answer to its last command.
    Asks,
    /// Asks for a token first, then comes in.
    Joins,
}

#[derive(Debug)]
pub struct Operators {
    clients: BTreeMap<u64, Client>,
    next: u64,
    random: Random,
}

impl Operators {
    pub fn new(random: Random) -> Self {
        Self { clients: BTreeMap::new(), next: 0, random }
    }
}

impl World {
    /// An operator wants something.
    pub fn order(&mut self, order: Order) {
        self.operators.next += 1;
        let client = self.operators.next;
        let stage = match &order {
            Order::Roll { .. } => Stage::Reads,
            Order::Join { .. } => Stage::Joins,
            _ => Stage::Asks,
        };
        self.operators.clients.insert(client, Client { order, tries: 0, stage });
        self.ask(client);
    }

    /// Some daemon is asked; any of them answers for the cluster.
    fn ask(&mut self, number: u64) {
        let up: Vec<usize> =
            (0..self.nodes.len()).filter(|place| self.nodes[*place].daemon.is_some()).collect();
        let Some(place) = self.operators.random.pick(&up).copied() else { return };
        let now = self.now;
        let Some(client) = self.operators.clients.get(&number) else { return };
        if let Order::Remove { host } = client.order
            && !self.can_spare(host)
        {
            // As operations.md says: what is gone is removed before what lives.
            self.operators.clients.remove(&number);
            return;
        }
        let Some(client) = self.operators.clients.get_mut(&number) else { return };
        client.tries += 1;
        if client.tries > TRIES {
            self.trace.line(now, || format!("op  gives up: {:?}", client.order));
            self.operators.clients.remove(&number);
            return;
        }
        let (stage, order) = (client.stage.clone(), client.order.clone());
        let reads: Vec<Format> = self.nodes.iter().map(|node| node.reads).collect();
        let node = &mut self.nodes[place];
        let surroundings = Surroundings {
            alone: false,
            newest: self.witness.newest(),
            coverage: &mut self.coverage,
            stopwatch: &mut self.stopwatch,
            trace: &mut self.trace,
        };
        let (daemon, mut ground) = node.ground(surroundings);
        let Some(daemon) = daemon else { return };
        let state = daemon.state();
        let command = match stage {
            Stage::Reads => {
                daemon.operator_reads(number, now, &mut ground);
                None
            }
            Stage::Plans => return,
            Stage::Thinks { until, plan } => {
                if until > now {
                    return;
                }
                Some(Command::StartRollout { plan })
            }
            Stage::Joins | Stage::Asks => match command_for(&order, &state, stage == Stage::Joins, &reads) {
                // The rest is the daemon's own caution, which answers before anything is proposed.
                Some(command) if state.refuse_newer(&command).is_ok() => Some(command),
                Some(_) | None => {
                    self.operators.clients.remove(&number);
                    return;
                }
            },
        };
        if let Some(command) = command {
            self.operate(place, number, command);
        }
        self.settle(place);
    }

    fn operate(&mut self, place: usize, number: u64, command: Command) {
        let now = self.now;
        self.trace.log(now, place, || format!("operator: {command:?}"));
        let surroundings = Surroundings {
            alone: false,
            newest: self.witness.newest(),
            coverage: &mut self.coverage,
            stopwatch: &mut self.stopwatch,
            trace: &mut self.trace,
        };
        let (daemon, mut ground) = self.nodes[place].ground(surroundings);
        if let Some(daemon) = daemon {
            daemon.operate(number, command, now, &mut ground);
        }
    }

    /// A daemon answered a linearizable read.
    pub fn operator_read(&mut self, place: usize, number: u64, holds: bool) {
        let now = self.now;
        let Some(client) = self.operators.clients.get_mut(&number) else { return };
        let Order::Roll { app, to, .. } = &client.order else { return };
        let Some(state) = self.nodes[place].daemon.as_ref().map(|daemon| daemon.state()) else { return };
        if !holds {
            return;
        }
        match plan::draft(&state, app, &genesis::version(to)) {
            Ok(draft) => {
                client.stage = Stage::Plans;
                self.operate(place, number, draft.into_command());
                self.after(Duration::ZERO, Event::Wake(place));
                self.nodes[place].wakes = Some(now);
            }
            Err(rejection) => {
                self.trace.line(now, || format!("op  no plan: {rejection}"));
                self.operators.clients.remove(&number);
            }
        }
    }

    /// A daemon answered a command.
    pub fn operator_answered(&mut self, number: u64, answer: Result<Outcome, ()>) {
        let now = self.now;
        let Some(client) = self.operators.clients.get_mut(&number) else { return };
        self.trace.line(now, || format!("op  {:?}: {answer:?}", client.order));
        match (&client.stage, answer) {
            (Stage::Plans, Ok(Ok(Applied::Plan(plan)))) => {
                let thinks =
                    if let Order::Roll { thinks, .. } = client.order { thinks } else { Duration::ZERO };
                client.stage = Stage::Thinks { until: now + thinks, plan };
                client.tries = 0;
                self.after(thinks, Event::Operators);
            }
            (Stage::Joins, Ok(Ok(Applied::Done))) => {
                // The token is there; now the host comes in with it.
                client.stage = Stage::Asks;
                client.tries = 0;
                self.ask(number);
            }
            (_, Ok(Ok(Applied::Admitted { raft_id }))) => {
                let place = if let Order::Join { host } = client.order { Some(host) } else { None };
                self.operators.clients.remove(&number);
                if let Some(place) = place {
                    self.joined(place, raft_id);
                }
            }
            (_, Ok(_)) => {
                self.operators.clients.remove(&number);
            }
            (_, Err(())) => {
                if client.stage == Stage::Plans {
                    client.stage = Stage::Reads;
                }
                self.ask(number);
            }
        }
    }

    /// Operators look at what they wait for. Once all is calm they also settle what waits for them.
    pub fn operators_look(&mut self) {
        let now = self.now;
        let thinking = |client: &Client| matches!(client.stage, Stage::Thinks { until, .. } if until <= now);
        let due: Vec<u64> = self
            .operators
            .clients
            .iter()
            .filter(|(_, client)| thinking(client) && client.tries == 0)
            .map(|(id, _)| *id)
            .collect();
        for number in due {
            self.ask(number);
        }
        if self.calm {
            for order in what_waits(&self.newest_state()) {
                self.order(order);
            }
        }
        if !self.looks_again() {
            return;
        }
        self.after(LOOK, Event::Operators);
    }

    /// `Operators` events are also asked for one by one; only the regular ones follow each other.
    fn looks_again(&mut self) -> bool {
        let regular = self.operators_regular_at <= self.now;
        if regular {
            self.operators_regular_at = self.now + LOOK;
        }
        regular
    }
}

/// What rollouts wait for that only a person can give.
fn what_waits(state: &ClusterState) -> Vec<Order> {
    let mut orders = Vec::new();
    for rollout in state.rollouts.values().filter(|rollout| !rollout.phase.is_terminal()) {
        let app = rollout.plan.app.clone();
        if rollout.paused.is_some() {
            orders.push(Order::Resume { app });
        } else if !rollout.promoted {
            orders.push(Order::Promote { app });
        }
    }
    orders
}

fn command_for(order: &Order, state: &ClusterState, joins: bool, reads: &[Format]) -> Option<Command> {
    let rollout = |app: &AppName| -> Option<RolloutId> { state.apps.get(app)?.rollout };
    Some(match order {
        Order::Roll { .. } => return None,
        Order::Pause { app } => Command::Pause { rollout: rollout(app)? },
        Order::Resume { app } => Command::Resume { rollout: rollout(app)? },
        Order::Promote { app } => Command::Promote { rollout: rollout(app)? },
        Order::Abort { app, mode } => Command::Abort { rollout: rollout(app)?, mode: *mode },
        Order::LiftQuarantines => Command::LiftQuarantine { digest: *state.quarantine.keys().next()? },
        Order::Repair { host, app } => {
            Command::RepairNode { node: genesis::node_id(*host), app: Some(app.clone()) }
        }
        Order::SetRunning { app, running } => Command::SetRunning { app: app.clone(), running: *running },
        Order::Apply { app } => {
            // The basis tells how often something has changed: another draw each time.
            let basis = state.apps.get(app)?.basis;
            Command::ApplyApp { spec: genesis::spec(app.as_str(), &mut Random::new(basis, "another policy")) }
        }
        Order::Push { app } => {
            let spec = &state.apps.get(app)?.spec;
            Command::RegisterRelease {
                release: genesis::record(spec, &genesis::version(genesis::VERSIONS[0])),
            }
        }
        Order::Describe { host } => {
            let node = genesis::admission(*host);
            Command::DescribeNode {
                node: node.id,
                address: node.address,
                labels: node.labels,
                daemon_version: "0.2.0".to_owned(),
                reads: reads[*host],
            }
        }
        Order::Join { host } if joins => Command::IssueToken { token: genesis::token(*host) },
        Order::Join { host } => {
            let node = Admission { reads: reads[*host], ..genesis::admission(*host) };
            Command::AdmitNode { token: genesis::token(*host).id, node }
        }
        Order::RaiseFormat => Command::RaiseFormat { to: Format::NEWEST },
        Order::Remark => Command::Remark { text: "as agreed on the phone".to_owned() },
        Order::Remove { host } => Command::RemoveNode { node: genesis::node_id(*host) },
    })
}
