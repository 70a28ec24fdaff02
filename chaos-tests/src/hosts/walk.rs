//! Random walks: legs drawn from a seed are played one after the other, and everything is held against
//! what was promised, after each act and at the end of each leg.

mod act;
mod contend;
mod end;
pub mod schedule;

use super::acknowledged::Acknowledged;
use super::faults::Fault;
use super::look::look;
use super::revoked::Revoked;
use super::{Hosts, chaos, install, settle};
use crate::cluster::APP;
use crate::ctl::Plan;
use crate::history;
use crate::load::{Excuse, Load};
use crate::report::{Figure, Report};
use crate::samples::Samples;
use crate::show::Show;
use anyhow::{Context as _, ensure};
use relupd::clock::monotonic;
use schedule::Leg;
use std::path::PathBuf;
use std::time::Duration;

/// The last of them falls ill where it finds a certain file.
const VERSIONS: [&str; 3] = ["0.1.0", "0.2.0", "0.3.0"];

/// A shorter walk tells something, and not what it is there for.
const WALKED: Duration = Duration::from_secs(120 * 60);

/// How far, and which way.
#[derive(Clone, Debug)]
pub struct Way {
    /// Which way.
    pub seed: u64,
    /// For so long.
    pub limit: Duration,
    /// This leg alone.
    pub only: Option<u64>,
    /// The version that every host runs at first.
    pub from: String,
    /// Where the history of calls goes.
    pub histories: Option<PathBuf>,
}

/// A walk on its way: the hosts, and the walker's own books.
#[derive(Debug)]
struct Walk<'a> {
    hosts: &'a mut Hosts,
    /// What every host runs between legs.
    current: &'static str,
    acknowledged: Acknowledged,
    revoked: Revoked,
    /// The oldest first.
    plans: Vec<Made>,
    /// Rollouts that earlier legs have seen.
    rollouts: Vec<String>,
    /// What is not healed, the oldest first.
    struck: Vec<(usize, Fault)>,
    excuses: Vec<Excuse>,
    /// Rollouts that an operator has ended in this leg, as was acknowledged, and whether it is known that
    /// nobody else has tried to.
    aborted: Vec<String>,
    may_be_held: bool,
    /// The newest rollout that is known.
    newest: Option<String>,
}

/// A plan, and how many rollouts there had been when it was made.
#[derive(Debug)]
struct Made {
    plan: Plan,
    after: usize,
}

/// Plays a walk on fresh hosts.
pub async fn play(hosts: &mut Hosts, samples: &Samples, way: Way, show: Show) -> anyhow::Result<Report> {
    show.say(&format!("a random walk, to be replayed with --seed {}", way.seed));
    hosts.form().await?;
    hosts.set_up_app().await?;
    hosts.install_app(samples, &VERSIONS).await?;
    let mut walk = Walk::new(hosts).await?;
    walk.start_at(&way.from).await?;
    let begin = monotonic();
    let (mut legs, mut violations) = (0, Vec::new());
    let mut report = Report::default();
    for number in way.only.unwrap_or(0).. {
        let leg = Leg::draw(way.seed, number, walk.hosts.all().len());
        let (begun, from) = (monotonic(), walk.current);
        legs += 1;
        match walk.leg(&leg).await {
            Ok(ended) => {
                let seconds = monotonic().since(begun).as_secs_f64();
                show.witnessed(&format!("leg {number}, {} acts: {ended}, in {seconds:.0} s", leg.acts.len()));
            }
            Err(error) => {
                let what = format!("leg {number} of seed {}: {error:#}", way.seed);
                show.say(&format!("  ✗ {what}"));
                let size = walk.hosts.all().len();
                show.say(&format!(
                    "    replay: chaos-hosts --hosts {size} walk --seed {} --leg {number} --from {from}",
                    way.seed
                ));
                show.block(&leg.to_string());
                show.block(&walk.hosts.testament().await);
                violations.push(what);
                if let Err(error) = walk.recover().await {
                    violations.push(format!("the walk ends here: {error:#}"));
                    break;
                }
            }
        }
        if way.only.is_some() || monotonic().since(begin) >= way.limit {
            break;
        }
    }
    let minutes = monotonic().since(begin).as_secs() / 60;
    let lost = walk.acknowledged.lost(walk.hosts).await?.len() as u64;
    let calls = walk.hosts.take_history();
    report.extend(history::figures(&calls, "_in_walk", show));
    if let Some(directory) = way.histories {
        history::write(&calls, &directory.join(format!("history-{}.jsonl", way.seed)))?;
    }
    report.note(format!("random walk: seed {}, {legs} legs", way.seed));
    report.push(match way.limit >= WALKED {
        true => Figure::at_least("random_walk_minutes", minutes, WALKED.as_secs() / 60),
        false => Figure::some("random_walk_minutes", minutes),
    });
    report.push(Figure::some("random_walk_legs", legs));
    report.push(Figure::exactly("violations", violations.len() as u64, 0));
    report.failures("violation", &violations);
    report.push(Figure::some("acknowledged_commands_in_walk", walk.acknowledged.count()));
    report.push(Figure::exactly("acknowledged_commands_lost_in_walk", lost, 0));
    Ok(report)
}

impl<'a> Walk<'a> {
    async fn new(hosts: &'a mut Hosts) -> anyhow::Result<Self> {
        let (acknowledged, revoked) = (Acknowledged::new(hosts), Revoked::make(hosts).await?);
        Ok(Self {
            hosts,
            current: VERSIONS[0],
            acknowledged,
            revoked,
            plans: Vec::new(),
            rollouts: Vec::new(),
            struck: Vec::new(),
            excuses: Vec::new(),
            aborted: Vec::new(),
            may_be_held: false,
            newest: None,
        })
    }

    /// Goes to the version that the first leg begins at.
    async fn start_at(&mut self, version: &str) -> anyhow::Result<()> {
        let known = VERSIONS.into_iter().find(|known| *known == version);
        let version = known.with_context(|| format!("--from is one of {}", VERSIONS.join(", ")))?;
        // 0.3.0 is reached from 0.2.0 alone.
        for next in VERSIONS.into_iter().skip(1).take_while(|next| *next <= version) {
            let rollout = self.hosts.ctl(0)?.roll(APP, next).await?;
            ensure!(rollout.summary.phase == "completed", "{}", rollout.summary.reason);
            self.current = next;
        }
        Ok(())
    }

    /// One leg; how its rollouts have ended.
    async fn leg(&mut self, leg: &Leg) -> anyhow::Result<String> {
        self.begin(leg).await?;
        let load = Load::start(&self.hosts.apps(), &self.hosts.directory().join("load.log"))?;
        let to = target(self.current, leg.sick.is_some());
        for (step, act) in leg.acts.iter().enumerate() {
            self.act(*act, to).await.with_context(|| format!("{act:?}"))?;
            contend::play(self.hosts, leg.number, step as u64).await?;
            self.acknowledged.one_more(self.hosts).await?;
            let Some(ctl) = self.unharmed() else { continue };
            let newest = look(&ctl).await.with_context(|| format!("after {act:?}"))?;
            self.newest = newest.map(|rollout| rollout.id).or(self.newest.take());
        }
        while !self.struck.is_empty() {
            self.heal_oldest().await?;
        }
        let ended = self.end(leg, to).await?;
        let record = load.stop().await?;
        let failing = record.nodes_failing_unexcused(chaos::WINDOW, &self.excuses);
        ensure!(failing.len() <= install::MAX_IN_FLIGHT, "apps on {failing:?} failed at the same time");
        let lost = self.acknowledged.lost(self.hosts).await?;
        ensure!(lost.is_empty(), "acknowledged and lost: {}", lost.join(", "));
        self.revoked.stays_out(self.hosts).await?;
        settle::agreed(self.hosts).await?;
        Ok(ended)
    }

    async fn begin(&mut self, leg: &Leg) -> anyhow::Result<()> {
        self.excuses.clear();
        self.aborted.clear();
        self.may_be_held = false;
        self.hosts.settled().await?;
        self.hosts.apply_spec(if leg.promote_by_hand { "manual" } else { "auto" }).await?;
        if let Some(index) = leg.sick {
            self.hosts.all()[index].write(&install::sick_file(), "")?;
        }
        Ok(())
    }
}

/// Where a leg goes. Only 0.2.0 can go to the release that falls ill.
fn target(from: &str, is_sick: bool) -> &'static str {
    match from {
        "0.2.0" if is_sick => VERSIONS[2],
        "0.2.0" => VERSIONS[0],
        _ => VERSIONS[1],
    }
}
