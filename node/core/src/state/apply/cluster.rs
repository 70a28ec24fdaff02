//! Nodes, tokens, certificates, operators.

use super::{About, Context, DONE};
use crate::format::Format;
use crate::ids::{NodeId, RaftId, TokenId};
use crate::state::command::{Admission, Applied};
use crate::state::node::{Certificate, Membership, OperatorRecord};
use crate::state::rejection::Rejection;
use crate::state::token::TokenRecord;
use crate::state::{ClusterState, Outcome};
use jiff::SignedDuration;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

/// So long after the end of its validity a revoked certificate is still refused by number: hosts' clocks
/// may differ, and the proposer's may be the one that is wrong.
const REVOKED_FOR: SignedDuration = SignedDuration::from_hours(30 * 24);

impl ClusterState {
    pub(super) fn issue_token(&mut self, context: Context<'_>, token: &TokenRecord) -> Outcome {
        let now = context.at;
        let tokens = &mut Arc::make_mut(&mut self.authority).tokens;
        tokens.retain(|_, token| token.expires_at > now);
        tokens.insert(token.id, token.clone());
        self.note(
            context,
            About::CLUSTER,
            format!("join token {} made, valid until {}", token.id, token.expires_at),
        );
        DONE
    }

    /// The secret was checked by whoever proposes this; here it is decided that a token works once,
    /// and only in its time.
    pub(super) fn admit_node(&mut self, context: Context<'_>, token: TokenId, node: &Admission) -> Outcome {
        let reject = |reason: &str| Err(Rejection::Token { token, reason: reason.to_owned() });
        let Some(record) = self.authority.tokens.get(&token) else {
            return reject("it is not known here: forged, of another cluster, or long expired");
        };
        if record.expires_at <= context.at {
            return reject("it has expired");
        }
        if let Some(by) = record.used_by {
            let again = self.nodes.get(&by).is_some_and(|known| by == node.id && known.key == node.key);
            return if again { self.admit_again(node) } else { reject("it has been used") };
        }
        // An id is never given twice, not even after its node was removed.
        if self.nodes.contains_key(&node.id) {
            return reject("the host's id is known already; empty its state directory and join again");
        }
        if self.present_nodes().any(|present| present.name == node.name) {
            return Err(Rejection::NodeNameTaken { name: node.name.clone() });
        }
        self.refuse_older(node.id, node.reads)?;
        let raft_id = RaftId(self.next.raft_id);
        self.next.raft_id += 1;
        if let Some(record) = Arc::make_mut(&mut self.authority).tokens.get_mut(&token) {
            record.used_by = Some(node.id);
        }
        let record = node.clone().record(raft_id, context.at);
        self.nodes.insert(node.id, Arc::new(record));
        self.place_apps();
        self.note(context, About::node(node.id), format!("node {} joined at {}", node.name, node.address));
        Ok(Applied::Admitted { raft_id })
    }

    /// A joiner whose answer was lost asks again with the same token and the same key, and gets another
    /// certificate.
    fn admit_again(&mut self, node: &Admission) -> Outcome {
        let raft_id = self.present(node.id)?.raft_id;
        if let Some(record) = self.nodes.get_mut(&node.id).map(Arc::make_mut) {
            record.certificates.push(node.certificate.clone());
        }
        Ok(Applied::Admitted { raft_id })
    }

    pub(super) fn describe_node(
        &mut self,
        node: NodeId,
        address: SocketAddr,
        labels: &BTreeMap<String, String>,
        daemon_version: &str,
        reads: Format,
    ) -> Outcome {
        self.present(node)?;
        self.refuse_older(node, reads)?;
        if let Some(record) = self.nodes.get_mut(&node).map(Arc::make_mut) {
            record.address = address;
            record.labels = labels.clone();
            daemon_version.clone_into(&mut record.daemon_version);
            record.reads = reads;
        }
        self.place_apps();
        DONE
    }

    pub(super) fn request_certificate(&mut self, node: NodeId, request: &[u8]) -> Outcome {
        self.present(node)?;
        if let Some(record) = self.nodes.get_mut(&node).map(Arc::make_mut) {
            record.renewal = Some(request.to_vec());
        }
        DONE
    }

    pub(super) fn renew_certificate(
        &mut self,
        context: Context<'_>,
        node: NodeId,
        certificate: &Certificate,
        der: &[u8],
    ) -> Outcome {
        self.present(node)?;
        if let Some(record) = self.nodes.get_mut(&node).map(Arc::make_mut) {
            record.certificates.retain(|old| old.not_after > context.at);
            record.certificates.push(certificate.clone());
            record.renewal = None;
            record.renewed = Some(der.to_vec());
        }
        self.note(context, About::node(node), format!("certificate renewed until {}", certificate.not_after));
        DONE
    }

    pub(super) fn remove_node(&mut self, context: Context<'_>, node: NodeId) -> Outcome {
        let name = self.present(node)?.name.clone();
        if self.present_nodes().count() == 1 {
            return Err(Rejection::LastNode(node));
        }
        if let Some(record) = self.nodes.get_mut(&node).map(Arc::make_mut) {
            record.membership = Membership::Removed { at: context.at };
            let certificates = record.certificates.clone();
            self.revoke(context, certificates);
        }
        Arc::make_mut(&mut self.authority).sealed_keys.remove(&node);
        self.place_apps();
        self.leave_rollouts(node);
        self.note(context, About::node(node), format!("node {name} removed; its certificates are revoked"));
        DONE
    }

    /// Also forgets what no longer has to be refused by number.
    fn revoke(&mut self, context: Context<'_>, certificates: Vec<Certificate>) {
        let revoked = certificates.into_iter().map(|certificate| (certificate.serial, certificate.not_after));
        let refused = &mut Arc::make_mut(&mut self.authority).revoked;
        refused.extend(revoked);
        refused.retain(|_, not_after| context.at.duration_since(*not_after) < REVOKED_FOR);
    }

    pub(super) fn seal_authority_key(&mut self, node: NodeId, sealed: &[u8]) -> Outcome {
        self.present(node)?;
        Arc::make_mut(&mut self.authority).sealed_keys.insert(node, sealed.to_vec());
        DONE
    }

    pub(super) fn add_operator(&mut self, context: Context<'_>, operator: &OperatorRecord) -> Outcome {
        if self.authority.operators.contains_key(&operator.name) {
            return Err(Rejection::OperatorExists(operator.name.clone()));
        }
        Arc::make_mut(&mut self.authority).operators.insert(operator.name.clone(), operator.clone());
        self.note(context, About::CLUSTER, format!("operator {} added", operator.name));
        DONE
    }

    pub(super) fn revoke_operator(&mut self, context: Context<'_>, name: &str) -> Outcome {
        let Some(operator) = Arc::make_mut(&mut self.authority).operators.remove(name) else {
            return Err(Rejection::NoSuchOperator(name.to_owned()));
        };
        self.revoke(context, vec![operator.certificate]);
        self.note(context, About::CLUSTER, format!("operator {name} revoked"));
        DONE
    }
}
