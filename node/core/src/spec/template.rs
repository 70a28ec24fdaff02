//! Node variables in an app's spec: `{{node.name}}`, `{{node.id}}`, `{{node.address}}` and
//! `{{node.labels.KEY}}`. Which variables a text uses is known when the spec is applied; whether a
//! node carries a label is known only on that node.

use crate::ids::NodeId;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// What a node puts in the place of variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeVariables {
    /// `{{node.id}}`
    pub id: NodeId,
    /// `{{node.name}}`
    pub name: String,
    /// `{{node.address}}`: the address alone, without the port.
    pub address: IpAddr,
    /// `{{node.labels.KEY}}`
    pub labels: BTreeMap<String, String>,
}

impl NodeVariables {
    /// Stands in for any node while a spec is checked. A label is a number here, because it may
    /// stand for a port.
    pub(super) fn sample() -> Self {
        Self {
            id: NodeId::from_parts(0, 0),
            name: "node".to_owned(),
            address: IpAddr::from([192, 0, 2, 1]),
            labels: BTreeMap::new(),
        }
    }
}

/// Why a text with variables cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// Two braces open and never close.
    #[error("`{{{{` without `}}}}` in {text:?}")]
    Unclosed { text: String },
    /// Nobody knows this variable.
    #[error("unknown variable `{variable}`; there are node.name, node.id, node.address and node.labels.KEY")]
    UnknownVariable { variable: String },
    /// The node does not carry the label.
    #[error(
        "node {node} has no label {label:?}, which the spec uses; set it in its relupd.toml, or select the nodes that have it by `nodes.labels`"
    )]
    NoSuchLabel { node: String, label: String },
}

/// How an IPv6 address is written where the text is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Addresses {
    /// As it is.
    Plain,
    /// In brackets, as in `[2001:db8::1]:80`, because a port may follow.
    Bracketed,
}

enum Piece<'t> {
    Text(&'t str),
    Name,
    Id,
    Address,
    Label(&'t str),
}

/// Whether every variable in the text is a known one.
pub(super) fn check(text: &str) -> Result<(), TemplateError> {
    pieces(text).map(drop)
}

/// The text for any node: what can be checked before a node is known.
pub(super) fn sample(text: &str) -> Result<String, TemplateError> {
    let sample = NodeVariables::sample();
    let pieces = pieces(text)?;
    Ok(pieces
        .iter()
        .map(|piece| match piece {
            Piece::Label(_) => "1".to_owned(),
            Piece::Text(text) => (*text).to_owned(),
            Piece::Name => sample.name.clone(),
            Piece::Id => sample.id.to_string(),
            Piece::Address => sample.address.to_string(),
        })
        .collect())
}

/// The text on this node.
pub(super) fn expand(
    text: &str,
    node: &NodeVariables,
    addresses: Addresses,
) -> Result<String, TemplateError> {
    pieces(text)?
        .iter()
        .map(|piece| match (piece, addresses, node.address) {
            (Piece::Text(text), ..) => Ok((*text).to_owned()),
            (Piece::Name, ..) => Ok(node.name.clone()),
            (Piece::Id, ..) => Ok(node.id.to_string()),
            (Piece::Address, Addresses::Bracketed, IpAddr::V6(address)) => Ok(format!("[{address}]")),
            (Piece::Address, Addresses::Bracketed | Addresses::Plain, address) => Ok(address.to_string()),
            (Piece::Label(label), ..) => node.labels.get(*label).cloned().ok_or_else(|| {
                TemplateError::NoSuchLabel { node: node.name.clone(), label: (*label).to_owned() }
            }),
        })
        .collect()
}

fn pieces(text: &str) -> Result<Vec<Piece<'_>>, TemplateError> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((variable, after)) = after.split_once("}}") else {
            return Err(TemplateError::Unclosed { text: text.to_owned() });
        };
        pieces.push(Piece::Text(before));
        pieces.push(variable_of(variable.trim())?);
        rest = after;
    }
    pieces.push(Piece::Text(rest));
    Ok(pieces)
}

fn variable_of(variable: &str) -> Result<Piece<'_>, TemplateError> {
    match variable {
        "node.name" => Ok(Piece::Name),
        "node.id" => Ok(Piece::Id),
        "node.address" => Ok(Piece::Address),
        other => match other.strip_prefix("node.labels.") {
            Some(label) if !label.is_empty() => Ok(Piece::Label(label)),
            Some(_) | None => Err(TemplateError::UnknownVariable { variable: other.to_owned() }),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(address: &str) -> NodeVariables {
        NodeVariables {
            id: NodeId::from_parts(1, 2),
            name: "web-1".to_owned(),
            address: address.parse().expect("an address"),
            labels: BTreeMap::from([("rack".to_owned(), "r7".to_owned())]),
        }
    }

    #[test]
    fn replaces_every_variable() {
        let node = node("10.0.0.7");
        let text = "{{node.name}}/{{ node.address }}/{{node.labels.rack}}/{{node.id}}/{x}";
        let expected = format!("web-1/10.0.0.7/r7/{}/{{x}}", node.id);
        assert_eq!(expand(text, &node, Addresses::Plain), Ok(expected));
    }

    #[test]
    fn writes_ipv6_in_brackets_where_a_port_may_follow() {
        let node = node("2001:db8::7");
        let text = "http://{{node.address}}:80/";
        assert_eq!(expand(text, &node, Addresses::Bracketed), Ok("http://[2001:db8::7]:80/".to_owned()));
        assert_eq!(expand("{{node.address}}", &node, Addresses::Plain), Ok("2001:db8::7".to_owned()));
    }

    #[test]
    fn names_a_label_that_the_node_lacks() {
        let error = expand("{{node.labels.zone}}", &node("10.0.0.7"), Addresses::Plain);
        assert_eq!(
            error,
            Err(TemplateError::NoSuchLabel { node: "web-1".to_owned(), label: "zone".to_owned() })
        );
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        assert!(matches!(check("{{node.port}}"), Err(TemplateError::UnknownVariable { .. })));
        assert!(matches!(check("{{node.labels.}}"), Err(TemplateError::UnknownVariable { .. })));
        assert!(matches!(check("a {{node.name"), Err(TemplateError::Unclosed { .. })));
    }
}
