//! Who a certificate says its holder is. The names live in one URI SAN:
//! `relupd://CLUSTER/node/NODE` or `relupd://CLUSTER/operator/NAME?role=ROLE`.

use super::{InvalidSerial, Serial, Validity};
use crate::ids::{ClusterId, InvalidId, NodeId};
use crate::state::role::Role;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::X509Certificate;

const SCHEME: &str = "relupd://";

/// The name of an operator, as it stands in certificates and in the record of commands.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct OperatorName(String);

/// The holder of a verified certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerIdentity {
    /// A daemon.
    Node {
        /// The cluster whose CA signed it.
        cluster: ClusterId,
        /// The node.
        node: NodeId,
        /// Of the certificate.
        serial: Serial,
    },
    /// A person or a program with `relupctl`.
    Operator {
        /// The cluster whose CA signed it.
        cluster: ClusterId,
        /// The operator.
        name: OperatorName,
        /// What the operator may do.
        role: Role,
        /// Of the certificate.
        serial: Serial,
    },
}

/// A certificate that names nobody we know how to treat.
#[derive(Debug, thiserror::Error)]
pub enum InvalidPeer {
    /// Not X.509.
    #[error("the certificate is not readable as X.509")]
    NotX509,
    /// None or several of our names: which one would count?
    #[error("the certificate has {0} relupd:// names and must have exactly one")]
    Names(usize),
    /// A name of ours that does not parse.
    #[error(
        "the certificate's name {0:?} is neither relupd://CLUSTER/node/NODE nor relupd://CLUSTER/operator/NAME?role=ROLE"
    )]
    Name(String),
    /// A name of ours with a part that does not parse.
    #[error("the certificate's name {name:?} is malformed")]
    Part {
        /// The whole name.
        name: String,
        /// Which part.
        #[source]
        source: InvalidId,
    },
    /// A serial that we did not give out.
    #[error(transparent)]
    Serial(#[from] InvalidSerial),
    /// A validity outside of what can be written down.
    #[error("the certificate's validity is out of range")]
    Validity,
}

impl PeerIdentity {
    /// Reads a certificate in DER. It says nothing about whether the certificate is to be believed:
    /// verify its chain first.
    ///
    /// # Errors
    /// When it does not carry exactly one name of ours.
    pub fn from_certificate(der: &[u8]) -> Result<(Self, Validity), InvalidPeer> {
        let (_, certificate) = x509_parser::parse_x509_certificate(der).map_err(|_| InvalidPeer::NotX509)?;
        let name = sole_name(&certificate)?;
        let serial = Serial::from_der_integer(certificate.raw_serial())?;
        let timestamp = |seconds| Timestamp::from_second(seconds).map_err(|_| InvalidPeer::Validity);
        let validity = Validity {
            from: timestamp(certificate.validity().not_before.timestamp())?,
            until: timestamp(certificate.validity().not_after.timestamp())?,
        };
        Ok((Self::from_name(&name, serial)?, validity))
    }

    /// The name for the certificate's URI SAN.
    #[must_use]
    pub fn to_name(&self) -> String {
        match self {
            Self::Node { cluster, node, .. } => format!("{SCHEME}{cluster}/node/{node}"),
            Self::Operator { cluster, name, role, .. } => {
                format!("{SCHEME}{cluster}/operator/{name}?role={role}")
            }
        }
    }

    /// The cluster it belongs to.
    #[must_use]
    pub const fn cluster(&self) -> ClusterId {
        match self {
            Self::Node { cluster, .. } | Self::Operator { cluster, .. } => *cluster,
        }
    }

    /// The serial of its certificate.
    #[must_use]
    pub const fn serial(&self) -> Serial {
        match self {
            Self::Node { serial, .. } | Self::Operator { serial, .. } => *serial,
        }
    }

    fn from_name(text: &str, serial: Serial) -> Result<Self, InvalidPeer> {
        let unknown = || InvalidPeer::Name(text.to_owned());
        let part = |source| InvalidPeer::Part { name: text.to_owned(), source };
        let mut parts = text.strip_prefix(SCHEME).ok_or_else(unknown)?.splitn(3, '/');
        let (Some(cluster), Some(kind), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(unknown());
        };
        let cluster = cluster.parse().map_err(part)?;
        match kind {
            "node" => Ok(Self::Node { cluster, node: rest.parse().map_err(part)?, serial }),
            "operator" => {
                let (name, role) = rest.split_once("?role=").ok_or_else(unknown)?;
                let role = role.parse().map_err(|_| unknown())?;
                Ok(Self::Operator { cluster, name: name.parse().map_err(|_| unknown())?, role, serial })
            }
            _ => Err(unknown()),
        }
    }
}

impl fmt::Display for PeerIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node { node, .. } => write!(f, "node {node}"),
            Self::Operator { name, role, .. } => write!(f, "operator {name} ({role})"),
        }
    }
}

fn sole_name(certificate: &X509Certificate<'_>) -> Result<String, InvalidPeer> {
    let extension = certificate.subject_alternative_name().map_err(|_| InvalidPeer::NotX509)?;
    let names: Vec<&str> = extension
        .into_iter()
        .flat_map(|extension| &extension.value.general_names)
        .filter_map(|name| match name {
            GeneralName::URI(uri) if uri.starts_with(SCHEME) => Some(*uri),
            _ => None,
        })
        .collect();
    match names[..] {
        [name] => Ok(name.to_owned()),
        _ => Err(InvalidPeer::Names(names.len())),
    }
}

/// Not a name for an operator.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not an operator's name: {0:?} (expected a letter, then up to 63 of a-z 0-9 . _ -)")]
pub struct InvalidOperatorName(String);

impl FromStr for OperatorName {
    type Err = InvalidOperatorName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let ok = text.len() <= 64
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b));
        if ok { Ok(Self(text.to_owned())) } else { Err(InvalidOperatorName(text.to_owned())) }
    }
}

impl TryFrom<String> for OperatorName {
    type Error = InvalidOperatorName;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<OperatorName> for String {
    fn from(name: OperatorName) -> Self {
        name.0
    }
}

impl fmt::Display for OperatorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for OperatorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
