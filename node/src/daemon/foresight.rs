//! What this node says to a planned upgrade: the drivers that its workers have open, and who asks them.

use super::cluster::Cluster;
use super::member::Member;
use super::releases::Releases;
use crate::agent::decide::softened;
use crate::driver::{Check, Description, Foreseen, Method, Outlook, Prospect, ReleaseDriver, Transition};
use crate::ids::{AppName, NodeId};
use crate::preflight::{Answer, Budget, LONGEST_DESCRIPTION, Question, Respondent, ask_all};
use crate::spec::AppSpec;
use crate::state::plan::{Plan, PlanStep};
use crate::state::release::ReleaseId;
use async_trait::async_trait;
use relupd_core::chain;
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::watch;

/// For three small files.
const DESCRIBED_WITHIN: Duration = Duration::from_secs(5);

/// The drivers of the apps on this node. Held weakly: a worker drops its driver before it opens another.
#[derive(Clone)]
pub(super) struct OpenDrivers(watch::Sender<BTreeMap<AppName, Weak<dyn ReleaseDriver>>>);

impl OpenDrivers {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(BTreeMap::new()))
    }

    pub(super) fn opened(&self, app: &AppName, driver: &Arc<dyn ReleaseDriver>) {
        self.0.send_modify(|open| {
            open.insert(app.clone(), Arc::downgrade(driver));
        });
    }

    fn get(&self, app: &AppName) -> Option<Arc<dyn ReleaseDriver>> {
        self.0.borrow().get(app)?.upgrade()
    }
}

/// Answers for this node.
pub(super) struct Foresight {
    pub(super) cluster: Cluster,
    pub(super) open: OpenDrivers,
}

#[async_trait]
impl Respondent for Foresight {
    async fn answer(&self, question: &Question) -> Answer {
        let state = self.cluster.state();
        let app = state.apps.get(&question.app);
        let app = app.ok_or_else(|| format!("does not know the app {} yet: plan again", question.app))?;
        let driver = self.open.get(&question.app);
        let driver = driver
            .ok_or_else(|| format!("has not opened the app {}; its daemon's log says why", question.app))?;
        let transition = Transition {
            from: question.from.clone(),
            to: question.to.version.clone(),
            method: question.method,
            operation: "plan".to_owned(),
        };
        let description = question.description.clone();
        // Where nobody here knows the release, the room that is left tells enough.
        let size = state.release(&question.to.name, &question.to.version).map_or(0, |record| record.size);
        let prospect = Prospect { transition, manifest: question.to.manifest, description, size };
        let found = driver.foresee(&prospect).await;
        let found = found.map_err(|error| format!("could not look: {}", chain(&error)))?;
        Ok(found.into_iter().map(|found| as_the_policy_takes_it(&app.spec, found)).collect())
    }
}

/// Asks every node of a plan.
pub(super) async fn ask(member: &Member, plan: &Plan) -> BTreeMap<NodeId, Answer> {
    let hot = plan.steps.iter().any(|step| step.method == Method::Hot);
    let description = if hot { describe(&member.releases, &plan.to).await.map(Arc::new) } else { None };
    let question = |step: &PlanStep| Question {
        app: plan.app.clone(),
        to: plan.to.clone(),
        from: step.from.as_ref().map(|from| from.version.clone()),
        method: step.method,
        description: description.clone(),
    };
    let questions = plan.steps.iter().map(|step| (step.node, question(step))).collect();
    ask_all(Arc::clone(&member.preflights), questions, Budget::default()).await
}

/// What describes the release; without it nodes tell less, and that is all.
async fn describe(releases: &Releases, release: &ReleaseId) -> Option<Description> {
    let described = tokio::time::timeout(DESCRIBED_WITHIN, releases.describe(release)).await;
    let reason = match described {
        Ok(Ok(found)) => {
            if found.rel.len() + found.relup.as_ref().map_or(0, Vec::len) <= LONGEST_DESCRIPTION {
                return Some(found);
            }
            "its relup is too long to be sent along".to_owned()
        }
        Ok(Err(reason)) => reason,
        Err(_) => format!("it took longer than {}", humantime::format_duration(DESCRIBED_WITHIN)),
    };
    tracing::info!(%release, reason, "nodes are asked without a description of the release");
    None
}

fn as_the_policy_takes_it(spec: &AppSpec, found: Foreseen) -> Foreseen {
    match found {
        Foreseen { name, outlook: Outlook::Known(result) } => softened(spec, &Check { name, result }).into(),
        unknown @ Foreseen { outlook: Outlook::Unknown { .. }, .. } => unknown,
    }
}
