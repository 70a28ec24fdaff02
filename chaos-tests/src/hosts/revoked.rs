//! An operator who was let go: once a host has refused the certificate, it is not taken again, whatever befalls the host
//! (S10). Asked when faults have ended: while one lasts, the host may not be reached at all.

use super::Hosts;
use super::install::PORT;
use crate::ctl::Ended;
use crate::wait;
use anyhow::ensure;
use std::path::Path;
use std::time::Duration;

/// Until a revocation that was acknowledged is applied on every host.
const PATIENCE: Duration = Duration::from_secs(30);

/// Two administrators from afar, one of them revoked.
#[derive(Debug)]
pub(super) struct Revoked {
    identity: String,
    /// Tells a refusal from a host that answers nobody.
    other: String,
}

impl Revoked {
    /// Lets both in at every host, and revokes one; until every host refuses it.
    pub(super) async fn make(hosts: &Hosts) -> anyhow::Result<Self> {
        let [identity, other] =
            ["let-go", "stays"].map(|name| hosts.directory().join(name).to_string_lossy().into_owned());
        let revoked = Self { identity, other };
        let ctl = hosts.ctl(0)?;
        for identity in [&revoked.identity, &revoked.other] {
            ctl.run(&["operator", "add", name(identity), "--role", "admin", "--out", identity]).await?;
            wait::until("every host lets an operator in", PATIENCE, async || {
                for index in 0..hosts.all().len() {
                    let ended = ask(hosts, index, identity, &["status"]).await?;
                    ensure!(ended.code == 0, "{} says {}", hosts.all()[index].name(), ended.stderr);
                }
                Ok(Some(()))
            })
            .await?;
        }
        ctl.run(&["operator", "revoke", name(&revoked.identity)]).await?;
        wait::until("every host refuses who was revoked", PATIENCE, async || {
            revoked.stays_out(hosts).await.map(Some)
        })
        .await?;
        Ok(revoked)
    }

    /// It learns nothing and changes nothing, at any host that lets the other one in.
    pub(super) async fn stays_out(&self, hosts: &Hosts) -> anyhow::Result<()> {
        for (index, host) in hosts.all().iter().enumerate() {
            let other = ask(hosts, index, &self.other, &["status"]).await?;
            ensure!(other.code == 0, "{} does not let an operator in: {}", host.name(), other.stderr);
            for what in [&["status"][..], &["cluster", "token"]] {
                self.is_refused(hosts, index, what).await?;
            }
        }
        Ok(())
    }

    /// Asks until the host says why it does not answer: who is refused may see the connection break first.
    async fn is_refused(&self, hosts: &Hosts, index: usize, what: &[&str]) -> anyhow::Result<()> {
        let name = hosts.all()[index].name();
        let answered = wait::until(&format!("{name} says who is refused"), PATIENCE, async || {
            let ended = ask(hosts, index, &self.identity, what).await?;
            let is_lost = ended.code == 1 && ended.stderr.contains("\"code\":\"error\"");
            Ok((!is_lost).then_some(ended))
        })
        .await?;
        let is_refused = answered.code == 1 && answered.stderr.contains("is revoked");
        ensure!(is_refused, "S10: {name} answers who was revoked: {answered:?}");
        Ok(())
    }
}

/// An operator is called as its directory.
fn name(identity: &str) -> &str {
    Path::new(identity).file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

/// Asks over the dedicated network.
async fn ask(hosts: &Hosts, index: usize, identity: &str, what: &[&str]) -> anyhow::Result<Ended> {
    let address = format!("{}:{PORT}", hosts.all()[index].cluster_address());
    let from_afar = ["--output", "json", "--identity", identity, "--address", &address];
    hosts.ctl(index)?.try_run(&[&from_afar, what].concat()).await
}
