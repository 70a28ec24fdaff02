//! Joins without an operator: a host that was given a token as a credential comes in by itself.

use super::control::Control;
use crate::api::control::{ControlError, ControlPlane as _};
use crate::state::command::Actor;
use backon::{BackoffBuilder as _, ExponentialBuilder};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Tokens live an hour or longer; what has not worked by then needs an operator.
const LONGEST: Duration = Duration::from_secs(3600);

/// Tries until it is a member, the daemon ends, or no token can be good any more.
pub(super) async fn join(control: Arc<Control>, token: String, ending: CancellationToken) {
    let pauses = ExponentialBuilder::new()
        .with_min_delay(Duration::from_millis(200))
        .with_max_delay(Duration::from_secs(30))
        .with_total_delay(Some(LONGEST))
        .without_max_times()
        .build();
    let actor = Actor::Agent(control.me());
    for pause in pauses {
        match control.join_cluster(actor.clone(), &token).await {
            Ok(cluster) => return tracing::info!(%cluster, "joined with the token that the unit was given"),
            Err(ControlError::AlreadyMember(_)) => return,
            // A refused token and a cluster that does not answer yet look alike from here.
            Err(error) => tracing::warn!(%error, "cannot join; trying again in {pause:?}"),
        }
        if ending.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return;
        }
    }
    tracing::error!("could not join; make another token, and use `relupctl cluster join`");
}
