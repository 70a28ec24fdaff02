//! What is done to a cluster, and when: faults and operators' orders, drawn from the seed before anything
//! runs. A schedule is a list, so that a failing one can be shortened to what it takes.

use crate::ambush::Ambush;
use crate::blackouts;
use crate::genesis::{Shape, VERSIONS};
use crate::host::Accident;
use crate::network::Weather;
use crate::random::Random;
use crate::strangers::{self, Guise};
use crate::traps::Trap;
use relupd::ids::AppName;
use relupd::state::rollout::AbortMode;
use std::time::Duration;

/// One thing that is done.
#[derive(Clone, Debug, PartialEq)]
pub enum Deed {
    /// `kill -9` of the daemon.
    KillDaemon { host: usize, down: Duration },
    /// The daemon dies in the middle of a commit of its state file.
    DieInCommit { host: usize, after: u64, durable: bool, down: Duration },
    /// The host loses power.
    PowerCut { host: usize, down: Duration },
    /// Every host loses power at this moment, and each has it again after its own time.
    PowerCutAll { down: Vec<Duration> },
    /// `kill -9` of every daemon at this moment.
    KillAll { down: Vec<Duration> },
    /// Somebody who does not belong here speaks to a host.
    Stranger { host: usize, poses_as: usize, guise: Guise },
    /// The host is gone for good.
    Destroy { host: usize },
    /// One direction carries nothing.
    Cut { from: usize, to: usize, lasts: Duration },
    /// These on one side, everybody else on the other.
    Partition { side: Vec<usize>, lasts: Duration },
    /// Everything to and from a host takes longer.
    Slow { host: usize, by: Duration, lasts: Duration },
    /// Loss, duplication, reordering.
    Storm { weather: Weather, lasts: Duration },
    /// Nothing can be written to the state directory.
    FullDisk { host: usize, lasts: Duration },
    /// Writing takes longer.
    SlowDisk { host: usize, fsync: Duration, lasts: Duration },
    /// The same for everybody.
    SlowDisks { fsync: Duration, lasts: Duration },
    /// The daemon is not scheduled.
    Stall { host: usize, lasts: Duration },
    /// The monotonic clock leaps ahead.
    Leap { host: usize, by: Duration },
    /// It gains, or loses.
    Drift { host: usize, ppm: i64 },
    /// The wall clock is wrong by so much from now on.
    WallClock { host: usize, wrong_by_ms: i64 },
    /// Something happens to an app.
    Accident { host: usize, app: AppName, accident: Accident },
    /// No release can be fetched.
    NoFetch { host: usize, lasts: Duration },
    /// Another deed, once a moment has come.
    Ambush(Box<Ambush>),
    /// Several at the same moment.
    Together(Vec<Deed>),
    /// Nobody reaches anybody.
    Apart { lasts: Duration },
    /// The ledger is damaged while its daemon is down.
    RotLedger { host: usize, app: AppName },
    /// The next relupd is installed there: the daemon ends, and when it starts again it is the newer one.
    Upgrade { host: usize, down: Duration },
    /// An operator.
    Order(Order),
}

impl Deed {
    /// The same, done to this host, where it is done to one.
    #[must_use]
    pub fn at(mut self, place: usize) -> Self {
        match &mut self {
            Self::KillDaemon { host, .. }
            | Self::DieInCommit { host, .. }
            | Self::PowerCut { host, .. }
            | Self::Stranger { host, .. }
            | Self::Destroy { host }
            | Self::Slow { host, .. }
            | Self::FullDisk { host, .. }
            | Self::SlowDisk { host, .. }
            | Self::Stall { host, .. }
            | Self::Leap { host, .. }
            | Self::Drift { host, .. }
            | Self::WallClock { host, .. }
            | Self::Accident { host, .. }
            | Self::NoFetch { host, .. }
            | Self::RotLedger { host, .. }
            | Self::Upgrade { host, .. }
            | Self::Order(Order::Repair { host, .. } | Order::Remove { host }) => *host = place,
            Self::Together(deeds) => *deeds = deeds.drain(..).map(|deed| deed.at(place)).collect(),
            Self::Partition { side, .. } if side.len() == 1 => *side = vec![place],
            Self::Partition { .. }
            | Self::Cut { .. }
            | Self::Storm { .. }
            | Self::Apart { .. }
            | Self::PowerCutAll { .. }
            | Self::KillAll { .. }
            | Self::SlowDisks { .. }
            | Self::Ambush(_)
            | Self::Order(_) => {}
        }
        self
    }
}

/// What an operator wants.
#[derive(Clone, Debug, PartialEq)]
pub enum Order {
    /// Plans, waits, and starts the plan, stale or not.
    Roll {
        app: AppName,
        to: String,
        thinks: Duration,
    },
    Pause {
        app: AppName,
    },
    Resume {
        app: AppName,
    },
    Promote {
        app: AppName,
    },
    Abort {
        app: AppName,
        mode: AbortMode,
    },
    LiftQuarantines,
    Repair {
        host: usize,
        app: AppName,
    },
    SetRunning {
        app: AppName,
        running: bool,
    },
    /// A spec with another policy.
    Apply {
        app: AppName,
    },
    /// Pushes the app's first release once more.
    Push {
        app: AppName,
    },
    /// A daemon says which one it is.
    Describe {
        host: usize,
    },
    /// Everybody is to write what the next relupd reads, whether or not everybody can read it.
    RaiseFormat,
    /// The next relupd's own command.
    Remark,
    Join {
        host: usize,
    },
    Remove {
        host: usize,
    },
}

/// A deed and its time.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    pub at: Duration,
    pub deed: Deed,
}

#[derive(Clone, Debug, Default)]
pub struct Schedule {
    pub planned: Vec<Planned>,
    /// Faults end then, and everything has to settle.
    pub calm_at: Duration,
}

/// The newest place that may join a cluster that began with so many hosts.
pub const SPARE_HOSTS: usize = 1;

impl Schedule {
    /// What this seed does.
    pub fn draw(seed: u64, shape: &Shape) -> Self {
        let mut random = Random::new(seed, "schedule");
        let random = &mut random;
        let calm_at = Duration::from_secs(random.between(120, 300));
        let mut planned = operators(random, shape, calm_at);
        // Some seeds have no fault at all, and some a great many.
        let faults = match random.below(5) {
            0 => 0,
            1 | 2 => random.between(1, 4),
            3 => random.between(4, 10),
            _ => random.between(10, 24),
        };
        for _ in 0..faults {
            let at = at(random, calm_at);
            planned.push(Planned { at, deed: fault(random, shape) });
        }
        planned.extend(upgrade(seed, shape, calm_at));
        planned.extend(blackouts::draw(seed, shape, calm_at));
        planned.extend(strangers::draw(seed, shape, calm_at));
        planned.extend(ambushes(&mut Random::new(seed, "ambushes"), shape, calm_at));
        // Set before anything is rolled out.
        let trap = Trap::of(seed).map(|trap| trap.set(shape));
        planned.extend(trap.map(|deed| Planned { at: Duration::from_secs(4), deed }));
        planned.sort_by_key(|planned| planned.at);
        Self { planned, calm_at }
    }

    /// The same without everything but these.
    pub fn only(&self, keep: &[usize]) -> Self {
        let planned = keep.iter().filter_map(|index| self.planned.get(*index).cloned()).collect();
        Self { planned, calm_at: self.calm_at }
    }
}

fn at(random: &mut Random, calm_at: Duration) -> Duration {
    let latest = u64::try_from(calm_at.as_millis()).unwrap_or(u64::MAX).saturating_sub(1000);
    Duration::from_millis(random.between(5_000, latest))
}

fn seconds(random: &mut Random, low: u64, high: u64) -> Duration {
    Duration::from_millis(random.between(low * 1000, high * 1000))
}

fn operators(random: &mut Random, shape: &Shape, calm_at: Duration) -> Vec<Planned> {
    let mut planned = Vec::new();
    for app in &shape.apps {
        let name = || app.name.clone();
        let mut begin = Duration::from_secs(random.between(6, 25));
        let mut version = 1;
        while begin < calm_at {
            let thinks = if random.chance(150) { seconds(random, 5, 60) } else { Duration::from_millis(20) };
            let to = VERSIONS[version.min(VERSIONS.len() - 1)].to_owned();
            planned.push(Planned { at: begin, deed: Deed::Order(Order::Roll { app: name(), to, thinks }) });
            for _ in 0..random.below(3) {
                let deed = Deed::Order(match random.below(6) {
                    0 | 1 => Order::Pause { app: name() },
                    2 => Order::Abort { app: name(), mode: AbortMode::Hold },
                    3 => Order::Abort { app: name(), mode: AbortMode::Revert },
                    _ => Order::Promote { app: name() },
                });
                let pause = matches!(deed, Deed::Order(Order::Pause { .. }));
                let at = begin + seconds(random, 1, 90);
                planned.push(Planned { at, deed });
                if pause {
                    let at = at + seconds(random, 1, 60);
                    planned.push(Planned { at, deed: Deed::Order(Order::Resume { app: name() }) });
                }
            }
            version = usize::try_from(random.between(1, VERSIONS.len() as u64 - 1)).unwrap_or(1);
            begin += seconds(random, 60, 200);
        }
    }
    for _ in 0..random.below(3) {
        let app = random.pick(&shape.apps).map(|app| app.name.clone());
        let Some(app) = app else { break };
        let host = host(random, shape);
        let order = match random.below(12) {
            11 => Order::Describe { host },
            0 | 1 => Order::LiftQuarantines,
            2 | 3 => Order::Repair { host, app },
            4 => Order::SetRunning { app, running: false },
            5 | 6 => Order::Remove { host },
            7 => Order::Apply { app },
            8 => Order::Push { app },
            _ => Order::Join { host: shape.hosts },
        };
        let at = at(random, calm_at);
        if let Order::SetRunning { app, .. } = &order {
            let again = Order::SetRunning { app: app.clone(), running: true };
            planned.push(Planned { at: at + seconds(random, 10, 90), deed: Deed::Order(again) });
        }
        planned.push(Planned { at, deed: Deed::Order(order) });
    }
    planned
}

/// In some seeds relupd itself is upgraded, host by host, while all else goes on. The orders that need the
/// new one come when they come, too early ones included.
fn upgrade(seed: u64, shape: &Shape, calm_at: Duration) -> Vec<Planned> {
    let mut random = Random::new(seed, "the next relupd");
    let random = &mut random;
    let mut planned = Vec::new();
    if !random.chance(300) {
        return planned;
    }
    for host in 0..shape.hosts {
        let (at, down) = (at(random, calm_at), seconds(random, 0, 20));
        planned.push(Planned { at, deed: Deed::Upgrade { host, down } });
        let at = at + down + seconds(random, 0, 10);
        planned.push(Planned { at, deed: Deed::Order(Order::Describe { host }) });
    }
    for _ in 0..4 {
        planned.push(Planned { at: at(random, calm_at), deed: Deed::Order(Order::Remark) });
        planned.push(Planned { at: at(random, calm_at), deed: Deed::Order(Order::RaiseFormat) });
    }
    planned
}

/// Some seeds wait for moments.
fn ambushes(random: &mut Random, shape: &Shape, calm_at: Duration) -> Vec<Planned> {
    let mut planned = Vec::new();
    if random.chance(500) {
        for _ in 0..random.between(1, 2) {
            let other = fault(random, shape);
            let app = random.pick(&shape.apps).map(|app| app.name.clone()).expect("there is an app");
            let host = host(random, shape);
            let ambush = Ambush::draw(random, host, &app, other);
            let at = Duration::from_millis(random.between(4_000, 60_000)).min(calm_at);
            planned.push(Planned { at, deed: Deed::Ambush(Box::new(ambush)) });
        }
    }
    planned
}

fn host(random: &mut Random, shape: &Shape) -> usize {
    usize::try_from(random.below(shape.hosts as u64)).unwrap_or_default()
}

fn fault(random: &mut Random, shape: &Shape) -> Deed {
    let host = host(random, shape);
    let other = (host + 1 + self::host(random, shape)) % shape.hosts;
    let lasts = seconds(random, 1, 60);
    let app = random.pick(&shape.apps).map(|app| app.name.clone()).expect("there is an app");
    match random.below(21) {
        20 => Deed::NoFetch { host, lasts },
        0 | 1 => Deed::KillDaemon { host, down: seconds(random, 0, 40) },
        2 | 3 => Deed::DieInCommit {
            host,
            after: random.below(12),
            durable: random.chance(500),
            down: seconds(random, 0, 20),
        },
        4 => Deed::PowerCut { host, down: seconds(random, 5, 90) },
        5 => Deed::Cut { from: host, to: other, lasts },
        6 => Deed::Partition { side: vec![host], lasts: seconds(random, 1, 150) },
        7 => Deed::Partition { side: vec![host, other], lasts },
        8 => Deed::Slow { host, by: Duration::from_millis(random.between(5, 400)), lasts },
        9 => {
            let weather = Weather {
                loss: random.below(200),
                duplication: random.below(200),
                reordering: random.below(300),
                delay: Duration::from_millis(random.between(1, 800)),
            };
            Deed::Storm { weather, lasts }
        }
        10 => Deed::FullDisk { host, lasts },
        11 => Deed::SlowDisk { host, fsync: Duration::from_millis(random.between(5, 700)), lasts },
        12 => Deed::Stall { host, lasts: seconds(random, 1, 30) },
        13 => match random.below(3) {
            0 => Deed::Leap { host, by: seconds(random, 1, 30) },
            1 => Deed::Drift { host, ppm: 200 - i64::try_from(random.below(400)).unwrap_or_default() },
            _ => Deed::WallClock {
                host,
                wrong_by_ms: 40_000_000 - i64::try_from(random.below(80_000_000)).unwrap_or(0),
            },
        },
        14 => Deed::RotLedger { host, app },
        15 if random.chance(150) => Deed::Destroy { host },
        _ => Deed::Accident { host, app, accident: accident(random) },
    }
}

fn accident(random: &mut Random) -> Accident {
    let version = |random: &mut Random| {
        let text = random.pick(&VERSIONS).expect("there are versions");
        crate::genesis::version(text)
    };
    match random.below(16) {
        15 => Accident::CannotBoot,
        13 => Accident::ScriptTorn,
        14 => Accident::TrialTorn,
        0..=3 => Accident::VmKilled,
        12 => Accident::Debris("lib/left-1.0".to_owned()),
        4 => Accident::LinkCut,
        5 => Accident::DiskRefuses(std::io::ErrorKind::StorageFull),
        6 => Accident::BookTorn,
        7 => Accident::PointerTorn,
        8 => Accident::HandlerRestarted,
        9 => Accident::HandlerLies(version(random)),
        10 => Accident::HandPatched,
        _ => Accident::HalfEnvironment(version(random)),
    }
}
