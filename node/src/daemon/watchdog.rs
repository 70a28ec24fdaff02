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
    use tokio::sync::mpsc;

    const INTERVAL: Duration = Duration::from_millis(1);

    /// Where nothing is to be told: many intervals.
    const SILENCE: Duration = Duration::from_millis(100);

    /// Where something is: however busy the machine is.
    const PATIENCE: Duration = Duration::from_secs(60);

    async fn is_told(times: u32, patience: Duration, look: impl AsyncFn() -> bool) -> bool {
        let (tell, mut told) = mpsc::unbounded_channel();
        let count = async {
            for _ in 0..times {
                if tokio::time::timeout(patience, told.recv()).await.is_err() {
                    return false;
                }
            }
            true
        };
        tokio::select! {
            () = feed(INTERVAL, || look(), || { let _ = tell.send(()); }) => unreachable!("it feeds for ever"),
            counted = count => counted,
        }
    }

    #[tokio::test]
    async fn a_loop_that_gets_round_is_told_again_and_again() {
        assert!(is_told(3, PATIENCE, async || true).await);
    }

    #[tokio::test]
    async fn a_stuck_loop_is_not_told() {
        assert!(!is_told(1, SILENCE, async || std::future::pending().await).await);
    }

    #[tokio::test]
    async fn a_loop_that_has_ended_is_not_told() {
        assert!(!is_told(1, SILENCE, async || false).await);
    }
}
