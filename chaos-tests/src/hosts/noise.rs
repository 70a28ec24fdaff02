//! A bad time in which nobody dies: a lossy network, and no core to spare.

use super::Hosts;
use super::faults::network;
use crate::report::Figure;
use relupd::clock::monotonic;
use std::io;
use std::process::Stdio;
use std::thread::available_parallelism;
use std::time::Duration;
use tokio::process::{Child, Command};

/// The figure is of so long a time.
const HOW_LONG: Duration = Duration::from_secs(30 * 60);

/// Of so many of a hundred packets nothing arrives, on every host.
const LOSS_PERCENT: u8 = 5;

/// What gossip has taken for dead meanwhile, on all hosts together: every one of them was alive. And how many terms
/// it took raft: a leader that was there all the time was not always heard.
pub(super) async fn false_deaths(hosts: &Hosts) -> anyhow::Result<Vec<Figure>> {
    let terms = hosts.settled().await?.cluster.term;
    let before = deaths(hosts).await?;
    for host in hosts.all() {
        network::lose(host, LOSS_PERCENT).await?;
    }
    let begin = monotonic();
    let busy = busy()?;
    tokio::time::sleep(HOW_LONG).await;
    drop(busy);
    let minutes = monotonic().since(begin).as_secs() / 60;
    for host in hosts.all() {
        network::undrop(host).await?;
    }
    let terms = hosts.settled().await?.cluster.term - terms;
    let died = deaths(hosts).await?.saturating_sub(before);
    Ok(vec![
        Figure::exactly("false_deaths", died, 0),
        Figure::counted("false_deaths_terms", terms),
        Figure::at_least("false_deaths_minutes", minutes, HOW_LONG.as_secs() / 60),
    ])
}

/// One that never rests for each core. They end with this value.
fn busy() -> io::Result<Vec<Child>> {
    let restless = || {
        let mut shell = Command::new("sh");
        shell.args(["-c", "while :; do :; done"]).stdin(Stdio::null()).kill_on_drop(true);
        shell.spawn()
    };
    (0..available_parallelism()?.get()).map(|_| restless()).collect()
}

/// What the daemons' logs tell of.
async fn deaths(hosts: &Hosts) -> anyhow::Result<u64> {
    let mut deaths = 0;
    for host in hosts.all() {
        let journal = host.run(&["journalctl", "--no-pager", "--output=cat", "--unit=relupd"]).await?;
        let tells = |line: &&str| line.contains("liveness by gossip") && line.contains("Dead");
        deaths += journal.lines().filter(tells).count() as u64;
    }
    Ok(deaths)
}
