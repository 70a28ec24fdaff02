//! A spec on one node: variables replaced, and every text checked again, because a label may hold
//! anything.

use super::template::{Addresses, NodeVariables, TemplateError, expand};
use super::{AppSpec, DriverKind, HealthCheck, HealthPolicy, HotPolicy, Probe, ServiceKind, check};
use crate::ids::{AppName, ReleaseName};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

/// What an app is on one node. No text in it holds a variable any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedSpec {
    /// The app's name.
    pub name: AppName,
    /// The name in its releases' `.rel` files.
    pub release: ReleaseName,
    /// The release root on this node.
    pub root: PathBuf,
    /// How its releases are changed.
    pub driver: DriverKind,
    /// Who starts and stops it.
    pub service: ServiceKind,
    /// The user that it runs as; `None` means the daemon's own.
    pub user: Option<String>,
    /// Arguments for the program.
    pub arguments: Vec<String>,
    /// Its environment.
    pub environment: BTreeMap<String, String>,
    /// How long it may take to stop before it is killed.
    pub stop_grace: Duration,
    /// What counts as healthy.
    pub health: HealthPolicy,
    /// How programs and NIFs must have been hardened.
    pub required_hardening: BTreeSet<String>,
    /// What a hot upgrade may cost its processes.
    pub hot: HotPolicy,
}

/// Why a spec does not work on a node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// A variable has no value here.
    #[error("app {app}, `{field}`")]
    Template {
        app: AppName,
        field: String,
        #[source]
        source: TemplateError,
    },
    /// With this node's values the text is not what it has to be.
    #[error("app {app}, `{field}` on node {node}: {reason}")]
    Invalid { app: AppName, field: String, node: String, reason: String },
}

/// The spec on this node.
pub fn resolve(spec: &AppSpec, node: &NodeVariables) -> Result<ResolvedSpec, ResolveError> {
    let resolver = Resolver { spec, node };
    let root = resolver.expand("root", &spec.root, Addresses::Plain)?;
    let environment = spec
        .environment
        .iter()
        .map(|(name, value)| {
            let field = format!("environment.{name}");
            Ok((name.clone(), resolver.expand(&field, value, Addresses::Plain)?))
        })
        .collect::<Result<_, ResolveError>>()?;
    let checks = spec.health.checks.iter().map(|check| resolver.check(check)).collect::<Result<_, _>>()?;
    Ok(ResolvedSpec {
        name: spec.name.clone(),
        release: spec.release.clone(),
        root: check::root(&root).map_err(|reason| resolver.invalid("root", reason))?,
        driver: spec.driver.clone(),
        service: spec.service.clone(),
        user: spec.user.clone(),
        arguments: resolver.expand_all("restart.arguments", &spec.arguments)?,
        environment,
        stop_grace: spec.stop_grace,
        health: HealthPolicy { checks, ..spec.health.clone() },
        required_hardening: spec.upgrade.preflight.require_hardening.clone(),
        hot: *spec.upgrade.hot,
    })
}

struct Resolver<'s> {
    spec: &'s AppSpec,
    node: &'s NodeVariables,
}

impl Resolver<'_> {
    fn check(&self, check: &HealthCheck) -> Result<HealthCheck, ResolveError> {
        let field = format!("health check {}", check.name);
        let probe = match &check.probe {
            Probe::Http { url, status, body } => {
                let url = self.expand(&field, url, Addresses::Bracketed)?;
                check::http_url(&url).map_err(|reason| self.invalid(&field, reason))?;
                Probe::Http { url, status: *status, body: body.clone() }
            }
            Probe::Tcp { address } => {
                let address = self.expand(&field, address, Addresses::Bracketed)?;
                check::tcp_address(&address).map_err(|reason| self.invalid(&field, reason))?;
                Probe::Tcp { address }
            }
            Probe::Exec { command } => {
                let command = self.expand_all(&field, command)?;
                check::exec_command(&command).map_err(|reason| self.invalid(&field, reason))?;
                Probe::Exec { command }
            }
        };
        Ok(HealthCheck { name: check.name.clone(), timeout: check.timeout, probe })
    }

    fn expand_all(&self, field: &str, texts: &[String]) -> Result<Vec<String>, ResolveError> {
        texts.iter().map(|text| self.expand(field, text, Addresses::Plain)).collect()
    }

    fn expand(&self, field: &str, text: &str, addresses: Addresses) -> Result<String, ResolveError> {
        expand(text, self.node, addresses).map_err(|source| ResolveError::Template {
            app: self.spec.name.clone(),
            field: field.to_owned(),
            source,
        })
    }

    fn invalid(&self, field: &str, reason: String) -> ResolveError {
        ResolveError::Invalid {
            app: self.spec.name.clone(),
            field: field.to_owned(),
            node: self.node.name.clone(),
            reason,
        }
    }
}
