//! Tells systemd that the daemon is alive. It is told only while the consensus loop gets round: a daemon
//! whose runtime runs and whose loop is stuck is not alive.

use super::member::Member;
use sd_notify::NotifyState;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Of the time after which systemd takes the daemon for dead, one look takes a third: one may be late.
const LOOKS: u32 = 3;

/// Runs for as long as the daemon does; returns at once where nobody watches.
pub(super) async fn keep(members: watch::Receiver<Option<Arc<Member>>>) {
    let Some(limit) = sd_notify::watchdog_enabled() else { return };
    feed(limit / LOOKS, || pulse(members.borrow().clone()), told).await;
}

/// Outside of a cluster there is no loop, and a runtime that gets here is alive.
async fn pulse(member: Option<Arc<Member>>) -> bool {
    match member {
        None => true,
        Some(member) => member.cluster.consensus().pulse().await.is_ok(),
    }
}

fn told() {
    if let Err(error) = sd_notify::notify(&[NotifyState::Watchdog]) {
        tracing::warn!(%error, "cannot tell systemd that the daemon is alive");
    }
}

/// Looks once every `interval`, and tells after each look that saw life. A look that hangs is not
/// repeated: it may still end, and until then there is nothing to tell.
async fn feed<L: Future<Output = bool>>(interval: Duration, look: impl Fn() -> L, tell: impl Fn()) {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if look().await {
            tell();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    const INTERVAL: Duration = Duration::from_secs(10);

    async fn told_within(limit: Duration, look: impl AsyncFn() -> bool) -> u32 {
        let told = AtomicU32::new(0);
        let tell = || drop(told.fetch_add(1, Ordering::Relaxed));
        let _ended = tokio::time::timeout(limit, feed(INTERVAL, || look(), tell)).await;
        told.load(Ordering::Relaxed)
    }

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_gets_round_is_told_in_time() {
        assert_eq!(told_within(INTERVAL * 3 - Duration::from_secs(1), async || true).await, 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stuck_loop_is_not_told() {
        assert_eq!(told_within(INTERVAL * 10, async || std::future::pending().await).await, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_has_ended_is_not_told() {
        assert_eq!(told_within(INTERVAL * 10, async || false).await, 0);
    }
}
