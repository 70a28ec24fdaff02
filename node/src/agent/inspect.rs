//! What a preparation asks of a node: the files of both versions, then the driver's own checks.
//!
//! Files are read whole, which may take longer than the agent goes without a look at the app: what was begun for
//! an attempt that was given up goes on, and the next one waits for it.

use super::act::Hands;
use crate::driver::{Check, CheckResult, DriverError, Transition};
use crate::ids::ReleaseVersion;
use crate::state::release::ReleaseId;
use relupd_core::chain;
use relupd_release::verify::{Difference, What};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

/// Looks on their way.
pub(super) type Looks = Arc<Mutex<BTreeMap<ReleaseId, JoinHandle<Found>>>>;

type Found = Result<Vec<Difference>, DriverError>;

/// So many files are named.
const NAMED: usize = 5;

const OF_WHAT_RUNS: &str = "restore these files from the release's archive: the way back boots by them; where somebody \
                            has changed them on purpose: `P1b = \"warn\"` in [upgrade.checks]";

const OF_THE_TARGET: &str = "delete these files, then plan again: preparing puts back what is missing; and look at the \
                             disk. Where somebody has changed them on purpose: `P1b = \"warn\"` in [upgrade.checks]";

/// All checks, those of files first: the way back needs what it leads to.
pub(super) async fn preflight(hands: &Hands, transition: &Transition) -> Result<Vec<Check>, DriverError> {
    let mut checks = Vec::new();
    let from = transition.from.as_ref().and_then(|from| in_catalog(hands, from));
    let to = in_catalog(hands, &transition.to);
    for (release, remedy) in [(from, OF_WHAT_RUNS), (to, OF_THE_TARGET)] {
        if let Some(release) = release {
            checks.push(of_files(&release, &mended(hands, &release).await, remedy));
        }
    }
    checks.extend(hands.driver.preflight(transition).await?);
    Ok(checks)
}

/// What is wrong with a release's files after what is missing was put back. That touches nothing that is there, so it is
/// done to the version that runs, too: the next boot needs it whole.
async fn mended(hands: &Hands, release: &ReleaseId) -> Found {
    let found = damage(hands, release).await;
    if !found.as_ref().is_ok_and(|found| lacks_only(found)) {
        return found;
    }
    match hands.mend(release).await {
        Ok(()) => damage(hands, release).await,
        Err(error) => {
            tracing::warn!(app = %hands.app, %release, %error, "cannot put files back");
            found
        }
    }
}

fn in_catalog(hands: &Hands, version: &ReleaseVersion) -> Option<ReleaseId> {
    let state = hands.context.state().borrow().clone();
    let app = state.apps.get(&hands.app)?;
    state.release(&app.spec.release, version).ok().map(|record| record.id.clone())
}

/// None is known where this host does not know what it should be.
async fn damage(hands: &Hands, release: &ReleaseId) -> Found {
    let Some(manifest) = hands.context.manifest(release).await else { return Ok(Vec::new()) };
    let mut looks = hands.looks.lock().await;
    let look = looks.entry(release.clone()).or_insert_with(|| {
        let (driver, version) = (Arc::clone(&hands.driver), release.version.clone());
        tokio::spawn(async move { driver.damage(&version, manifest).await })
    });
    let found = look.await;
    looks.remove(release);
    found.unwrap_or_else(|ended| {
        Err(DriverError::Failed { what: "look at the placed release", reason: ended.to_string() })
    })
}

fn lacks_only(found: &[Difference]) -> bool {
    !found.is_empty() && found.iter().all(|difference| matches!(difference.what, What::Missing))
}

fn of_files(release: &ReleaseId, found: &Found, remedy: &str) -> Check {
    let failed = |reason, remedy: &str| CheckResult::Failed { reason, remedy: remedy.to_owned() };
    let result = match found {
        Ok(found) if found.is_empty() => CheckResult::Passed,
        Ok(found) => {
            let mut named: Vec<String> = found.iter().take(NAMED).map(ToString::to_string).collect();
            named.extend((found.len() > NAMED).then(|| format!("and {} more", found.len() - NAMED)));
            failed(named.join(", "), remedy)
        }
        Err(error) => failed(chain(error), "look at the disk, and at who may read there"),
    };
    Check { name: format!("P1b files of {} are as they were released", release.version), result }
}
