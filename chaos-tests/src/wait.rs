//! Waiting for conditions, never for seconds.

use anyhow::bail;
use relupd::clock::monotonic;
use std::time::Duration;

/// From one look to the next.
const LOOK: Duration = Duration::from_millis(50);

/// The same, where a look costs little and the next step must not be late.
const CLOSE_LOOK: Duration = Duration::from_millis(3);

/// Waits until `look` finds something; names `what` where that takes longer than `patience`, with
/// the error that the last look met.
pub async fn until<T>(
    what: &str,
    patience: Duration,
    look: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    every(LOOK, what, patience, look).await
}

/// As `until`, looking as often as makes sense.
pub async fn closely<T>(
    what: &str,
    patience: Duration,
    look: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    every(CLOSE_LOOK, what, patience, look).await
}

async fn every<T>(
    interval: Duration,
    what: &str,
    patience: Duration,
    mut look: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let start = monotonic();
    loop {
        let last = look().await;
        if let Ok(Some(found)) = last {
            return Ok(found);
        }
        if monotonic().since(start) > patience {
            match last {
                Err(error) => return Err(error.context(format!("waited {patience:?} for: {what}"))),
                Ok(_) => bail!("waited {patience:?} for: {what}"),
            }
        }
        tokio::time::sleep(interval).await;
    }
}
