//! Rollouts.

use crate::api::context::{Context, peer};
use crate::api::error::{internal, invalid};
use crate::api::follow::{Answers, Follower};
use crate::api::resolve;
use crate::api::view;
use crate::ids::RolloutId;
use crate::rollout::waiting::Waiting;
use crate::state::ClusterState;
use crate::state::command::{Actor, Applied, Command};
use crate::state::node::Role;
use crate::state::rollout::AbortMode;
use relupd_proto::api::v1;
use std::sync::Arc;
use tonic::{Request, Response, Status};

pub(crate) struct Rollouts(pub(crate) Context);

impl Rollouts {
    fn view(&self, id: RolloutId) -> Result<v1::Rollout, Status> {
        let state = self.0.local_state()?;
        Ok(view::rollout::rollout(&state, resolve::rollout(&state, &id.to_string())?))
    }

    /// Has the rollout that the text names changed by this command.
    async fn change(
        &self,
        actor: Actor,
        text: &str,
        command: impl FnOnce(RolloutId) -> Command,
    ) -> Result<v1::Rollout, Status> {
        let state = self.0.fresh_state().await?;
        let rollout = resolve::rollout_to_change(&state, text)?.id;
        self.0.propose(actor, command(rollout)).await?;
        self.view(rollout)
    }
}

#[tonic::async_trait]
impl v1::rollout_service_server::RolloutService for Rollouts {
    type WatchRolloutStream = Answers<v1::WatchRolloutResponse>;

    async fn start_rollout(
        &self,
        request: Request<v1::StartRolloutRequest>,
    ) -> Result<Response<v1::StartRolloutResponse>, Status> {
        let actor = self.0.admit(&request, Role::Operator)?;
        let plan = resolve::parse(&request.into_inner().plan_id)?;
        let Applied::Rollout(id) = self.0.propose(actor, Command::StartRollout { plan }).await? else {
            return Err(internal("the rollout was started, but its id was not told"));
        };
        Ok(Response::new(v1::StartRolloutResponse { rollout: Some(self.view(id)?) }))
    }

    async fn watch_rollout(
        &self,
        request: Request<v1::WatchRolloutRequest>,
    ) -> Result<Response<Self::WatchRolloutStream>, Status> {
        self.0.admit(&request, Role::Viewer)?;
        let peer = peer(&request)?;
        let state = self.0.fresh_state().await?;
        let rollout = resolve::rollout(&state, &request.into_inner().rollout)?.id;
        let (follower, answers) = Follower::start(self.0.clone(), peer)?;
        tokio::spawn(send_changes(follower, rollout));
        Ok(Response::new(answers))
    }

    async fn explain_rollout(
        &self,
        request: Request<v1::ExplainRolloutRequest>,
    ) -> Result<Response<v1::ExplainRolloutResponse>, Status> {
        self.0.admit(&request, Role::Viewer)?;
        let state = self.0.fresh_state().await?;
        let rollout = resolve::rollout(&state, &request.into_inner().rollout)?;
        let waiting = self.0.control().explain(rollout.id).await.map_err(|error| self.0.status(&error))?;
        Ok(Response::new(v1::ExplainRolloutResponse {
            rollout: Some(view::rollout::rollout(&state, rollout)),
            waiting_for: conditions(&state, &waiting),
        }))
    }

    async fn pause_rollout(
        &self,
        request: Request<v1::PauseRolloutRequest>,
    ) -> Result<Response<v1::PauseRolloutResponse>, Status> {
        let actor = self.0.admit(&request, Role::Operator)?;
        let text = request.into_inner().rollout;
        let rollout = self.change(actor, &text, |rollout| Command::Pause { rollout }).await?;
        Ok(Response::new(v1::PauseRolloutResponse { rollout: Some(rollout) }))
    }

    async fn resume_rollout(
        &self,
        request: Request<v1::ResumeRolloutRequest>,
    ) -> Result<Response<v1::ResumeRolloutResponse>, Status> {
        let actor = self.0.admit(&request, Role::Operator)?;
        let text = request.into_inner().rollout;
        let rollout = self.change(actor, &text, |rollout| Command::Resume { rollout }).await?;
        Ok(Response::new(v1::ResumeRolloutResponse { rollout: Some(rollout) }))
    }

    async fn promote_rollout(
        &self,
        request: Request<v1::PromoteRolloutRequest>,
    ) -> Result<Response<v1::PromoteRolloutResponse>, Status> {
        let actor = self.0.admit(&request, Role::Operator)?;
        let text = request.into_inner().rollout;
        let rollout = self.change(actor, &text, |rollout| Command::Promote { rollout }).await?;
        Ok(Response::new(v1::PromoteRolloutResponse { rollout: Some(rollout) }))
    }

    async fn abort_rollout(
        &self,
        request: Request<v1::AbortRolloutRequest>,
    ) -> Result<Response<v1::AbortRolloutResponse>, Status> {
        let actor = self.0.admit(&request, Role::Operator)?;
        let request = request.into_inner();
        let mode = abort_mode(request.mode())?;
        let command = |rollout| Command::Abort { rollout, mode };
        let rollout = self.change(actor, &request.rollout, command).await?;
        Ok(Response::new(v1::AbortRolloutResponse { rollout: Some(rollout) }))
    }

    async fn list_rollouts(
        &self,
        request: Request<v1::ListRolloutsRequest>,
    ) -> Result<Response<v1::ListRolloutsResponse>, Status> {
        self.0.admit(&request, Role::Viewer)?;
        let app = request.into_inner().app;
        let state = self.0.fresh_state().await?;
        let wanted = state.rollouts.values().rev();
        let wanted = wanted.filter(|rollout| app.is_empty() || rollout.plan.app.as_str() == app);
        let rollouts = wanted.map(|rollout| view::rollout::summary(&state, rollout)).collect();
        Ok(Response::new(v1::ListRolloutsResponse { rollouts }))
    }

    async fn get_rollout(
        &self,
        request: Request<v1::GetRolloutRequest>,
    ) -> Result<Response<v1::GetRolloutResponse>, Status> {
        self.0.admit(&request, Role::Viewer)?;
        let state = self.0.fresh_state().await?;
        let rollout = resolve::rollout(&state, &request.into_inner().rollout)?;
        let rollout = view::rollout::rollout(&state, rollout);
        Ok(Response::new(v1::GetRolloutResponse { rollout: Some(rollout) }))
    }
}

/// The rollout now and after each change of it, until it is terminal.
async fn send_changes(mut follower: Follower<v1::WatchRolloutResponse>, id: RolloutId) {
    let mut sent = None;
    while let Some(state) = follower.next().await {
        let Some(rollout) = state.rollouts.get(&id) else {
            let gone = format!("rollout {id} ended so long ago that the cluster no longer keeps it");
            return follower.send_error(crate::api::error::not_found(gone)).await;
        };
        // Not by its revision: what its nodes note for people does not count as a change of it.
        if sent.as_ref().is_some_and(|sent| Arc::ptr_eq(sent, rollout)) {
            continue;
        }
        sent = Some(Arc::clone(rollout));
        // The rollout itself is what is watched; what it waits for is an addition that may be missing.
        let waiting = follower.context().control().explain(id).await.unwrap_or_default();
        let answer = v1::WatchRolloutResponse {
            rollout: Some(view::rollout::rollout(&state, rollout)),
            waiting_for: conditions(&state, &waiting),
        };
        if !follower.send(answer).await || rollout.phase.is_terminal() {
            return;
        }
    }
}

fn conditions(state: &ClusterState, waiting: &[Waiting]) -> Vec<v1::Condition> {
    let condition = |waiting: &Waiting| v1::Condition {
        node_id: view::optional(waiting.node().as_ref()),
        node_name: view::optional_node_name(state, waiting.node()),
        text: view::with_names(state, waiting.to_string()),
    };
    waiting.iter().map(condition).collect()
}

fn abort_mode(mode: v1::AbortMode) -> Result<AbortMode, Status> {
    match mode {
        v1::AbortMode::Unspecified => Err(invalid("say what shall become of touched nodes: hold or revert")),
        v1::AbortMode::Hold => Ok(AbortMode::Hold),
        v1::AbortMode::Revert => Ok(AbortMode::Revert),
    }
}
