//! What this node says to a planned upgrade: the drivers that its workers have open, and who asks them.

use super::cluster::Cluster;
use crate::agent::decide::softened;
use crate::driver::{Check, Foreseen, Outlook, ReleaseDriver, Transition};
use crate::ids::AppName;
use crate::preflight::{Answer, Question, Respondent};
use crate::spec::AppSpec;
use async_trait::async_trait;
use relupd_core::chain;
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use tokio::sync::watch;

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
        let found = driver.foresee(&transition, &question.to.manifest).await;
        let found = found.map_err(|error| format!("could not look: {}", chain(&error)))?;
        Ok(found.into_iter().map(|found| as_the_policy_takes_it(&app.spec, found)).collect())
    }
}

fn as_the_policy_takes_it(spec: &AppSpec, found: Foreseen) -> Foreseen {
    match found {
        Foreseen { name, outlook: Outlook::Known(result) } => softened(spec, &Check { name, result }).into(),
        unknown @ Foreseen { outlook: Outlook::Unknown { .. }, .. } => unknown,
    }
}
