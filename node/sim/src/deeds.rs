//! How deeds are done, and how faults end.

use crate::disk::Crash;
use crate::host::{Accident, Host};
use crate::schedule::Deed;
use crate::world::{Event, Relief, World};
use relupd::consensus::{Disk as _, Owner, Storage};
use relupd::format::Format;
use relupd::ids::RaftId;
use relupd::state::node::NodeRecord;
use relupd::transport::join::KnownPeer;
use std::time::Duration;

impl World {
    pub fn carry_out(&mut self, deed: Deed) {
        self.disturb(&deed);
        let now = self.now;
        match deed {
            Deed::KillDaemon { host, down } => {
                self.nodes[host].daemon_gone(now);
                self.after(down, Event::Relief(Relief::StartDaemon(host)));
            }
            Deed::Upgrade { host, down } => {
                self.nodes[host].reads = Format::NEWEST;
                self.nodes[host].daemon_gone(now);
                self.after(down, Event::Relief(Relief::StartDaemon(host)));
            }
            Deed::DieInCommit { host, after, durable, down } => {
                self.nodes[host].disk.platter().crash = Some(Crash { after, durable, down });
            }
            Deed::PowerCut { host, down } => {
                if self.nodes[host].powered {
                    self.nodes[host].power_off(now);
                    self.after(down, Event::Relief(Relief::PowerOn(host)));
                }
            }
            Deed::PowerCutAll { down } => {
                for (host, down) in down.into_iter().enumerate() {
                    self.carry_out(Deed::PowerCut { host, down });
                }
            }
            Deed::KillAll { down } => {
                for (host, down) in down.into_iter().enumerate() {
                    self.carry_out(Deed::KillDaemon { host, down });
                }
            }
            Deed::Stranger { host, poses_as, guise } => self.intrude(host, poses_as, guise),
            Deed::Destroy { host } => self.destroy(host),
            Deed::Cut { from, to, lasts } => self.cut(vec![(from, to)], lasts),
            Deed::Partition { side, lasts } => {
                let others = (0..self.nodes.len()).filter(|place| !side.contains(place));
                let links = others
                    .flat_map(|other| side.iter().flat_map(move |one| [(*one, other), (other, *one)]))
                    .collect();
                self.cut(links, lasts);
            }
            Deed::Slow { host, by, lasts } => {
                self.network.slow(host, by);
                self.after(lasts, Event::Relief(Relief::Hurry(host)));
            }
            Deed::Storm { weather, lasts } => {
                self.network.weather = weather;
                self.after(lasts, Event::Relief(Relief::Hurry(usize::MAX)));
            }
            Deed::FullDisk { host, lasts } => {
                self.nodes[host].disk.platter().full = true;
                self.nodes[host].drawer.full = true;
                self.after(lasts, Event::Relief(Relief::FreeDisk(host)));
            }
            Deed::SlowDisk { host, fsync, lasts } => {
                self.nodes[host].disk.platter().fsync = fsync;
                self.nodes[host].drawer.fsync = fsync;
                self.after(lasts, Event::Relief(Relief::FastDisk(host)));
            }
            Deed::SlowDisks { fsync, lasts } => {
                for host in 0..self.nodes.len() {
                    self.carry_out(Deed::SlowDisk { host, fsync, lasts });
                }
            }
            Deed::Stall { host, lasts } => {
                let node = &mut self.nodes[host];
                node.busy_until = node.busy_until.max(now + lasts);
            }
            Deed::Leap { host, by } => self.nodes[host].clock.leap(now, by),
            Deed::Drift { host, ppm } => self.nodes[host].clock.drift(now, ppm),
            Deed::WallClock { host, wrong_by_ms } => self.nodes[host].clock.set_wall(wrong_by_ms),
            Deed::Accident { host, app, accident } => {
                self.coverage.accident(&accident);
                if let Accident::DiskRefuses(_) = accident {
                    self.after(Duration::from_secs(40), Event::Relief(Relief::FreeRoot(host)));
                }
                if let Accident::CannotBoot = accident {
                    self.after(Duration::from_secs(50), Event::Relief(Relief::Boot(host)));
                }
                if let Some(machine) = self.nodes[host].hosts.get_mut(&app) {
                    machine.accident(now, accident);
                }
                self.settle(host);
            }
            Deed::NoFetch { host, lasts } => {
                self.nodes[host].drawer.cannot_fetch = true;
                self.after(lasts, Event::Relief(Relief::Fetch(host)));
            }
            Deed::Together(deeds) => {
                for deed in deeds {
                    self.carry_out(deed);
                }
            }
            Deed::Apart { lasts } => {
                let places = 0..self.nodes.len();
                let links = places.clone().flat_map(|from| places.clone().map(move |to| (from, to)));
                self.cut(links.filter(|(from, to)| from != to).collect(), lasts);
            }
            Deed::Ambush(ambush) => self.ambushes.push(*ambush),
            Deed::RotLedger { host, app } => {
                let node = &mut self.nodes[host];
                node.daemon_gone(now);
                if let Some(byte) = node.drawer.ledgers.get_mut(&app).and_then(|bytes| bytes.last_mut()) {
                    *byte ^= 0x40;
                }
                self.after(Duration::from_secs(1), Event::Relief(Relief::StartDaemon(host)));
            }
            Deed::Order(order) => self.order(order),
        }
    }

    /// Who may be out of reach because of it, and until when.
    fn disturb(&mut self, deed: &Deed) {
        /// What a leader makes of silence takes a while to pass.
        const AFTERMATH: Duration = Duration::from_secs(15);
        let until = |lasts: Duration| self.now + lasts + AFTERMATH;
        match deed {
            Deed::KillDaemon { host, down }
            | Deed::Upgrade { host, down }
            | Deed::DieInCommit { host, down, .. }
            | Deed::PowerCut { host, down } => self.witness.disturb(*host, until(*down)),
            Deed::Destroy { host } => self.witness.disturb(*host, Duration::MAX),
            Deed::RotLedger { host, .. } => self.witness.disturb(*host, until(Duration::from_secs(1))),
            Deed::Cut { lasts, .. }
            | Deed::Partition { lasts, .. }
            | Deed::Apart { lasts }
            | Deed::Slow { lasts, .. }
            | Deed::Storm { lasts, .. }
            | Deed::FullDisk { lasts, .. }
            | Deed::SlowDisk { lasts, .. }
            | Deed::Stall { lasts, .. } => self.witness.disturb_all(until(*lasts)),
            Deed::PowerCutAll { down } | Deed::KillAll { down } => {
                // Who leads then has heard of nobody.
                self.witness.disturb_all(until(down.iter().copied().max().unwrap_or_default()));
            }
            Deed::Leap { .. } => self.witness.disturb_all(until(Duration::ZERO)),
            Deed::Drift { .. }
            | Deed::WallClock { .. }
            | Deed::Accident { .. }
            | Deed::NoFetch { .. }
            | Deed::Stranger { .. }
            | Deed::Ambush(_)
            | Deed::Together(_)
            | Deed::SlowDisks { .. }
            | Deed::Order(_) => {}
        }
    }

    /// A host is gone for good, as long as those that are left can still decide.
    fn destroy(&mut self, host: usize) {
        let dead = self.nodes.iter().filter(|node| node.dead).count();
        if dead > 0 || self.shape.voters < 5 || !self.can_spare(host) {
            return;
        }
        let now = self.now;
        self.nodes[host].power_off(now);
        self.nodes[host].dead = true;
    }

    /// Whether a majority of the voters is left without this host: where the others are not gone, nor removed,
    /// since nobody hears a removed node any more. A cluster that has lost its majority is not survived.
    pub fn can_spare(&self, host: usize) -> bool {
        let state = self.newest_state();
        let lives = |raft: &RaftId| {
            let place = self.place_of(*raft).filter(|place| *place != host && !self.nodes[*place].dead);
            place
                .and_then(|place| state.nodes.get(&self.nodes[place].id))
                .is_some_and(|node| node.is_present())
        };
        let statuses = self.nodes.iter().filter_map(|node| Some(node.daemon.as_ref()?.status()));
        statuses.max_by_key(|status| status.applied).is_none_or(|status| {
            [&status.membership.voters, &status.membership.outgoing].into_iter().all(|voters| {
                voters.is_empty() || 2 * voters.iter().filter(|id| lives(id)).count() > voters.len()
            })
        })
    }

    fn cut(&mut self, links: Vec<(usize, usize)>, lasts: Duration) {
        for (from, to) in &links {
            self.network.cut(*from, *to);
        }
        self.after(lasts, Event::Relief(Relief::Mend { links }));
    }

    pub fn relieve(&mut self, relief: Relief) {
        let now = self.now;
        match relief {
            Relief::StartDaemon(host) => self.start_daemon(host),
            Relief::PowerOn(host) => {
                self.nodes[host].power_on(now);
                self.start_daemon(host);
            }
            Relief::Mend { links } => {
                for (from, to) in links {
                    self.network.mend(from, to);
                }
            }
            Relief::Hurry(usize::MAX) => self.network.weather = Default::default(),
            Relief::Hurry(host) => self.network.hurry(host),
            Relief::FreeDisk(host) => {
                self.nodes[host].disk.platter().full = false;
                self.nodes[host].drawer.full = false;
            }
            Relief::FastDisk(host) => {
                self.nodes[host].disk.platter().fsync = Duration::from_micros(400);
                self.nodes[host].drawer.fsync = Duration::ZERO;
            }
            Relief::Fetch(host) => self.nodes[host].drawer.cannot_fetch = false,
            Relief::FreeRoot(host) => self.ends(host, &Accident::DiskRecovers),
            Relief::Boot(host) => self.ends(host, &Accident::CanBoot),
            Relief::Calm => self.calm_down(),
        }
    }

    /// `accident` is the one that undoes another.
    fn ends(&mut self, host: usize, accident: &Accident) {
        let now = self.now;
        self.coverage.accident(accident);
        for machine in self.nodes[host].hosts.values_mut() {
            machine.accident(now, accident.clone());
        }
        self.settle(host);
    }

    /// Every fault ends; from now on everything has to settle.
    fn calm_down(&mut self) {
        self.calm = true;
        self.ambushes.clear();
        self.network.calm();
        for host in 0..self.nodes.len() {
            self.relieve(Relief::FreeDisk(host));
            self.relieve(Relief::FastDisk(host));
            self.relieve(Relief::FreeRoot(host));
            self.relieve(Relief::Boot(host));
            self.relieve(Relief::Fetch(host));
            self.nodes[host].disk.platter().crash = None;
            if !self.nodes[host].powered {
                self.after(Duration::from_secs(5), Event::Relief(Relief::PowerOn(host)));
            } else if self.nodes[host].daemon.is_none() {
                self.after(Duration::from_secs(2), Event::Relief(Relief::StartDaemon(host)));
            }
        }
    }

    /// A host was let in: its daemon begins with an empty state file, and the leader sends the rest.
    pub fn joined(&mut self, place: usize, raft: RaftId) {
        let known = self.nodes[place].raft.is_some();
        self.admitted(place, raft);
        if known {
            return;
        }
        let told = |node: &NodeRecord| KnownPeer { node: node.id, raft: node.raft_id, address: node.address };
        self.nodes[place].peers = self.newest_state().present_nodes().map(told).collect();
        let (disk, id) = (self.nodes[place].disk.clone(), self.nodes[place].id);
        let owner = Owner { cluster: self.setting.cluster, node: id, raft };
        if disk.load().is_ok_and(|content| content.is_none())
            && let Err(error) = Storage::join_on(Box::new(disk), owner)
        {
            self.trace.log(self.now, place, || format!("cannot join: {error}"));
            self.nodes[place].raft = None;
            return;
        }
        self.start_daemon(place);
    }

    /// For checks: the host of an app at a place.
    pub fn host(&self, place: usize, app: &relupd::ids::AppName) -> Option<&Host> {
        self.nodes[place].hosts.get(app)
    }
}
