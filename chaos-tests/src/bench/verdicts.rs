//! How quickly a failed verdict stops a rollout and turns it round. Half of the time the first node
//! of the plan falls ill, half of the time the second, so that the sick node leads or follows.

use super::fake::{FakeCluster, VERSIONS};
use super::journal::Entry;
use super::statistics::{Samples, ms_between};
use crate::report::{Figure, Report};
use crate::wait;
use anyhow::Context as _;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub(super) const HALT: &str = "verdict_to_halt_p99_ms";
pub(super) const REVERT: &str = "verdict_to_revert_started_p99_ms";
const HALT_BOUND: f64 = 20.0;
const REVERT_BOUND: f64 = 50.0;

const ROLLOUTS: usize = 100;

const APP: &str = "judged";
const BAKE: &str = "300ms";

/// Longer than health needs to be judged and told.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) async fn measure(fakes: &mut FakeCluster, report: &mut Report) -> anyhow::Result<()> {
    let addresses: Vec<SocketAddr> = fakes.cluster.apps().into_iter().map(|(_, address)| address).collect();
    let mut doors = Vec::new();
    for address in &addresses {
        doors.push(Some(Door::open(*address).await?));
    }
    let port = addresses.first().context("a cluster has nodes")?.port();
    fakes.add_app(APP, &health(port), BAKE).await?;
    let (mut halts, mut reverts) = (Samples::default(), Samples::default());
    for number in 0..ROLLOUTS {
        let sick = number % 2;
        all_healthy(fakes).await?;
        let [verdict, halted, back] = one(fakes, sick, &mut doors[sick]).await?;
        halts.push(ms_between(verdict.at, halted.at));
        reverts.push(ms_between(verdict.at, back.at));
        doors[sick] = Some(Door::open(addresses[sick]).await?);
        allow_again(fakes).await?;
    }
    report.push(Figure::at_most_ms(HALT, halts.percentile(99), HALT_BOUND));
    report.push(Figure::at_most_ms(REVERT, reverts.percentile(99), REVERT_BOUND));
    report.note(format!(
        "{HALT}: from the agent's decision until `Halt` is applied at the leader; {}",
        halts.describe()
    ));
    report.note(format!(
        "{REVERT}: from the agent's decision until its driver is called for the way back; {}",
        reverts.describe()
    ));
    Ok(())
}

fn health(port: u16) -> String {
    format!(
        "[health]\ninterval = \"20ms\"\nhealthy_after = 1\nunhealthy_after = 1\nstart_grace = \"0s\"\n\n\
         [[health.check]]\nname = \"door\"\ntcp = \"{{{{node.address}}}}:{port}\"\n"
    )
}

/// Verdict, halt and way back of a rollout in which this node falls ill.
async fn one(fakes: &mut FakeCluster, sick: usize, door: &mut Option<Door>) -> anyhow::Result<[Entry; 3]> {
    let api = &fakes.apis[0];
    let plan = api.plan(APP, VERSIONS[1]).await?;
    let journal = &mut fakes.journal;
    journal.begin()?;
    let id = api.start(&plan).await?;
    let here = |entry: &Entry| entry.node == sick && entry.text("app") == APP;
    let bakes =
        |entry: &Entry| here(entry) && entry.says("attempt") && entry.text("action").contains("Baking");
    journal.until("the node bakes", bakes).await?;
    *door = None;
    let judged = |entry: &Entry| here(entry) && entry.says("the verdict on this node is: failed");
    let verdict = journal.until("a verdict", judged).await?;
    let of_rollout = |entry: &Entry| entry.text("rollout") == id;
    let halted = journal.until("a halt", |entry| of_rollout(entry) && entry.decided("Halt {")).await?;
    let turns =
        |entry: &Entry| here(entry) && entry.says("acting") && entry.text("action").starts_with("RollBack");
    let back = journal.until("the way back", turns).await?;
    journal.until("the end", |entry| of_rollout(entry) && entry.decided("FinishReverting")).await?;
    Ok([verdict, halted, back])
}

async fn all_healthy(fakes: &FakeCluster) -> anyhow::Result<()> {
    wait::until("every node is healthy on its old version", PATIENCE, async || {
        let status = fakes.cluster.ctl(0).status().await?;
        for member in fakes.cluster.members() {
            let instance = status.instance(member.name(), APP)?;
            if instance.health != "healthy" || instance.running != VERSIONS[0] {
                return Ok(None);
            }
        }
        Ok(Some(()))
    })
    .await
}

/// Lifts the quarantine that the rollout has led to.
async fn allow_again(fakes: &FakeCluster) -> anyhow::Result<()> {
    let ctl = fakes.cluster.ctl(0);
    for quarantine in ctl.status().await?.quarantines {
        let digest = quarantine["digest"].as_str().context("a quarantine has a digest")?;
        ctl.run(&["quarantine", "lift", digest]).await?;
    }
    Ok(())
}

/// What the health check knocks at: as long as it is open, the app is healthy.
struct Door(JoinHandle<()>);

impl Door {
    async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address).await.context("cannot open a door")?;
        Ok(Self(tokio::spawn(async move {
            loop {
                // A guest that has gone already is as good as one that was let in.
                let _guest = listener.accept().await;
            }
        })))
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.0.abort();
    }
}
