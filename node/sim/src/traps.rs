//! Ambushes that are made for one change of a node's step each: those that last for a few milliseconds, or that
//! take two misfortunes at once, and that faults drawn at random meet in one seed of many thousands.

use crate::ambush::{Ambush, Moment};
use crate::genesis::Shape;
use crate::host::Accident;
use crate::random::Random;
use crate::schedule::{Deed, Order};
use relupd::ids::AppName;
use relupd::spec::{AppSpec, MethodPolicy, Orphan, Permanent};
use relupd::state::rollout::AbortMode;
use std::time::Duration;

/// What a trap is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A node that is left alone there goes back, or finds no way back, and says so before it is told anything.
    LeftAlone(Moment),
    /// A node whose verdict is: failed, is removed before it is ordered back.
    FailedIsRemoved,
    /// A node that cannot be upgraded is removed before the rollout is refused.
    UnpreparedIsRemoved,
    /// A node that found no way back is removed while others still go back.
    StuckIsRemoved,
    /// What has halted is aborted before it turns round.
    HaltedIsAborted,
    /// The app of a node does not stay up while it is made permanent.
    FailsCommitting,
    /// The app of a node dies after its verdict was healthy, and that is told after its next order was given.
    LateWord,
}

/// Where a node may hold a trial that it takes back when it is left alone.
const HOLDS_A_TRIAL: [Moment; 9] = [
    Moment::Assigned,
    Moment::Installing,
    Moment::Baking,
    Moment::Healthy,
    Moment::Draining,
    Moment::Ready,
    Moment::Committing,
    // Twice: what the leader orders next comes before the node's own word more often than not.
    Moment::Failed,
    Moment::Failed,
];

/// The trap of some seeds.
#[derive(Debug)]
pub struct Trap {
    kind: Kind,
    random: Random,
}

impl Trap {
    pub fn of(seed: u64) -> Option<Self> {
        let mut random = Random::new(seed, "traps");
        if !random.chance(300) {
            return None;
        }
        let kind = match random.below(11) {
            0..=4 => Kind::LeftAlone(random.pick(&HOLDS_A_TRIAL).copied().expect("there are moments")),
            5 => Kind::FailedIsRemoved,
            6 => Kind::UnpreparedIsRemoved,
            7 => Kind::StuckIsRemoved,
            8 => Kind::LateWord,
            9 => Kind::FailsCommitting,
            _ => Kind::HaltedIsAborted,
        };
        Some(Self { kind, random })
    }

    /// A policy under which there is something to be caught.
    pub fn bend(&self, app: &mut AppSpec) {
        match self.kind {
            Kind::LeftAlone(moment) => {
                let (after, stagger) = (Duration::from_secs(15), Duration::from_secs(5));
                app.upgrade.orphan = Orphan::Revert { after, stagger };
                app.upgrade.permanent =
                    if moment == Moment::Committing { Permanent::PerNode } else { Permanent::AtEnd };
            }
            Kind::UnpreparedIsRemoved => app.upgrade.method = MethodPolicy::Hot,
            // A healthy node has its next order at once.
            Kind::LateWord => app.upgrade.permanent = Permanent::PerNode,
            Kind::FailedIsRemoved | Kind::StuckIsRemoved | Kind::HaltedIsAborted | Kind::FailsCommitting => {}
        }
    }

    pub fn set(mut self, shape: &Shape) -> Deed {
        let apps: Vec<AppName> = shape.apps.iter().map(|app| app.name.clone()).collect();
        match self.kind {
            Kind::LeftAlone(moment) => self.left_alone(moment, &apps),
            Kind::FailedIsRemoved => self.removed(Moment::Failed, 1_500),
            Kind::UnpreparedIsRemoved => {
                // Another node's report comes in while the failure is written, so that the first refusal rests
                // on what is not so any more.
                let lasts = Duration::from_secs(self.random.between(10, 60));
                let deeds = vec![self.slow_disks(lasts), self.removed(Moment::PrepareFailed, 3_000)];
                self.ambush(Moment::Preparing, 2_000, deeds)
            }
            Kind::StuckIsRemoved => {
                let then = self.removed(Moment::RevertFailed, 1_500);
                self.ambush(Moment::Reverting, 2_000, no_way_back(&apps).chain([then]).collect())
            }
            Kind::HaltedIsAborted => {
                let mode = if self.random.chance(500) { AbortMode::Hold } else { AbortMode::Revert };
                let abort = apps.iter().map(|app| Deed::Order(Order::Abort { app: app.clone(), mode }));
                self.ambush(Moment::Halted, 500, abort.collect())
            }
            Kind::FailsCommitting => {
                let dies = hit(&apps, &Accident::CannotBoot).chain(hit(&apps, &Accident::VmKilled));
                self.ambush(Moment::Committing, 500, dies.collect())
            }
            Kind::LateWord => {
                let by = Duration::from_millis(self.random.between(1_000, 3_000));
                let dies = self.ambush(Moment::Draining, 500_000, hit(&apps, &Accident::VmKilled).collect());
                let slow = Deed::Slow { host: 0, by, lasts: Duration::from_secs(60) };
                self.ambush(Moment::Baking, 2_000, vec![slow, dies])
            }
        }
    }

    fn ambush(&mut self, moment: Moment, within_us: u64, deeds: Vec<Deed>) -> Deed {
        let after = Duration::from_micros(self.random.below(within_us));
        Deed::Ambush(Box::new(Ambush { moment, after, deed: Deed::Together(deeds) }))
    }

    fn removed(&mut self, moment: Moment, within_us: u64) -> Deed {
        self.ambush(moment, within_us, vec![Deed::Order(Order::Remove { host: 0 })])
    }

    fn slow_disks(&mut self, lasts: Duration) -> Deed {
        Deed::SlowDisks { fsync: Duration::from_millis(self.random.between(100, 500)), lasts }
    }

    /// Nobody hears of anybody, for long enough that orphans go back, or find no way back. Who was just about
    /// to be told something is told later, and its own word comes first.
    fn left_alone(&mut self, moment: Moment, apps: &[AppName]) -> Deed {
        let lasts = Duration::from_secs(self.random.between(36, 90));
        let mut deeds = vec![Deed::Apart { lasts }];
        if self.random.chance(500) {
            // What the next leader decides takes longer than what is said meanwhile.
            deeds.push(self.slow_disks(lasts + Duration::from_secs(10)));
        }
        match self.random.below(5) {
            // The way back has to make the book anew.
            0 => deeds.extend(hit(apps, &Accident::BookTorn)),
            1..=3 => deeds.extend(no_way_back(apps)),
            _ => {}
        }
        match moment {
            // An order is begun some milliseconds after it came.
            Moment::Assigned => self.ambush(moment, 12_000, deeds),
            // Its order to commit is on its way.
            Moment::Committing => self.ambush(Moment::Ready, 1_000, deeds),
            Moment::Failed => {
                let then = self.ambush(moment, 300, deeds);
                let patched = hit(apps, &Accident::HandPatched).chain([then]).collect();
                self.ambush(Moment::Baking, 2_000, patched)
            }
            _ => self.ambush(moment, 1_000, deeds),
        }
    }
}

/// No relup leads down beside a torn book, and no restart where nothing comes up.
fn no_way_back(apps: &[AppName]) -> impl Iterator<Item = Deed> {
    hit(apps, &Accident::BookTorn).chain(hit(apps, &Accident::CannotBoot))
}

/// The same to each app of whichever host the ambush finds.
fn hit(apps: &[AppName], accident: &Accident) -> impl Iterator<Item = Deed> {
    apps.iter().map(|app| Deed::Accident { host: 0, app: app.clone(), accident: accident.clone() })
}
