//! Errors as they are printed: once, outermost first, each link of the chain once.

use serde::Serialize;
use std::error::Error as _;
use std::iter::successors;
use tonic::Status;

/// The metadata key under which a daemon says what kind of error it is.
const CODE: &str = "relupd-code";

/// What rustls puts before the name of an alert.
const ALERT: &str = "received fatal alert: ";

/// What a daemon answered.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct ServerError {
    /// For programs; `None` where no daemon answered.
    code: Option<String>,
    message: String,
}

impl ServerError {
    /// Whether the connection broke: what was asked for may happen all the same.
    pub(crate) const fn is_lost(&self) -> bool {
        self.code.is_none()
    }

    /// Whether it may be another time, or at another daemon.
    pub(crate) fn is_transient(status: &Status) -> bool {
        matches!(status.code(), tonic::Code::Unavailable | tonic::Code::Unknown | tonic::Code::Cancelled)
    }
}

impl From<Status> for ServerError {
    fn from(status: Status) -> Self {
        let code = status.metadata().get(CODE).and_then(|code| code.to_str().ok()).map(str::to_owned);
        let message = match (&code, alert(&status).as_deref()) {
            (Some(_), _) => status.message().to_owned(),
            // TLS 1.3 tells a client after its handshake that its certificate is not accepted.
            (None, Some(alert)) => refusal(alert),
            (None, None) if status.code() == tonic::Code::Cancelled => {
                "the daemon ended the connection: it stops, or this certificate is revoked or expired \
                 (ask an admin for `relupctl operator list`)"
                    .to_owned()
            }
            // The connection broke, or something that is not relupd answered.
            (None, None) => format!("no answer from the daemon ({}): {}", status.code(), status.message()),
        };
        Self { code, message }
    }
}

/// What the daemon's end of TLS has said last, where it said something. HTTP/2 hands on the text of it alone.
fn alert(status: &Status) -> Option<String> {
    let chain = successors(status.source(), |&error| error.source());
    chain.map(ToString::to_string).find_map(|text| Some(text.split_once(ALERT)?.1.trim().to_owned()))
}

fn refusal(alert: &str) -> String {
    let why = match alert {
        "CertificateRevoked" => "it is revoked",
        "CertificateExpired" => "it has expired",
        "UnknownCA" => "it is of another cluster",
        other => other,
    };
    format!("the daemon refuses this certificate: {why}; an admin makes another with `relupctl operator add`")
}

/// The chain for a person.
pub(crate) fn text(error: &anyhow::Error) -> String {
    let mut links: Vec<String> = Vec::new();
    for link in error.chain().map(ToString::to_string) {
        // Some libraries repeat their source in their own text.
        if !links.last().is_some_and(|before| before.contains(&link)) {
            links.push(link);
        }
    }
    links.join(": ")
}

/// The same for a program.
pub(crate) fn json(error: &anyhow::Error) -> String {
    #[derive(Serialize)]
    struct Printed<'a> {
        error: Body<'a>,
    }
    #[derive(Serialize)]
    struct Body<'a> {
        code: &'a str,
        message: String,
    }
    let code = error.chain().find_map(|link| link.downcast_ref::<ServerError>());
    let code = code.and_then(|error| error.code.as_deref()).unwrap_or("error");
    let printed = Printed { error: Body { code, message: text(error) } };
    serde_json::to_string(&printed).unwrap_or_else(|_| text(error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::anyhow;

    #[test]
    fn a_source_that_is_repeated_by_its_wrapper_is_printed_once() {
        let error = anyhow!("disk full").context("cannot write: disk full").context("push");
        assert_eq!(text(&error), "push: cannot write: disk full");
    }

    #[test]
    fn a_certificate_that_is_refused_by_tls_is_named_as_such() {
        let alert = std::io::Error::other("received fatal alert: CertificateRevoked");
        let broken = Status::from_error(Box::new(alert));
        let error = ServerError::from(broken).to_string();
        assert!(error.contains("this certificate: it is revoked; an admin"), "{error}");
        let other = ServerError::from(Status::unknown("reset")).to_string();
        assert!(other.starts_with("no answer from the daemon"), "{other}");
    }

    #[test]
    fn json_carries_the_code_of_the_daemon() {
        let mut status = Status::failed_precondition("plan p1 is stale");
        status.metadata_mut().insert(CODE, "rejected".parse().unwrap());
        let error = anyhow::Error::new(ServerError::from(status));
        assert_eq!(json(&error), r#"{"error":{"code":"rejected","message":"plan p1 is stale"}}"#);
    }
}
