//! Waiting for conditions, never for seconds.

use anyhow::bail;
use relupd::clock::monotonic;
use std::time::Duration;

/// From one look to the next.
const LOOK: Duration = Duration::from_millis(50);

/// Waits until `look` finds something; names `what` where that takes longer than `patience`, with
/// the error that the last look met.
pub async fn until<T>(
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
        tokio::time::sleep(LOOK).await;
    }
}
