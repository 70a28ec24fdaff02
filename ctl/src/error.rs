//! Errors as they are printed: once, outermost first, each link of the chain once.

use serde::Serialize;
use std::error::Error as _;
use std::iter::successors;
use tonic::Status;

/// The metadata key under which a daemon says what kind of error it is.
const CODE: &str = "relupd-code";

/// The code of an identity that TLS has refused.
const REFUSED: &str = "certificate-refused";

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
            && alert(status).is_none()
    }
}

impl From<Status> for ServerError {
    fn from(status: Status) -> Self {
        let code = status.metadata().get(CODE).and_then(|code| code.to_str().ok()).map(str::to_owned);
        if code.is_some() {
            return Self { code, message: status.message().to_owned() };
        }
        if let Some(alert) = alert(&status) {
            return Self { code: Some(REFUSED.to_owned()), message: refusal(&alert) };
        }
        let message = match status.code() {
            // TLS 1.3 tells a client after its handshake that its certificate is not accepted.
            tonic::Code::Cancelled => {
                "the daemon ended the connection: it stops, or this certificate is revoked or expired \
                 (ask an admin for `relupctl operator list`)"
                    .to_owned()
            }
            // The connection broke, or something that is not relupd answered.
            code => format!("no answer from the daemon ({code}): {}", status.message()),
        };
        Self { code, message }
    }
}

/// What the daemon's end of TLS has said last, where it said something: it ends the handshake, or what a client takes for
/// one that has ended, before anything was asked. HTTP/2 hands on the text alone.
fn alert(status: &Status) -> Option<String> {
    let chain = successors(status.source(), |&error| error.source());
    chain.map(ToString::to_string).find_map(|text| Some(text.split_once(ALERT)?.1.trim().to_owned()))
}

fn refusal(alert: &str) -> String {
    let why = match alert {
        "CertificateRevoked" => "it is revoked; an admin makes another operator with `relupctl operator add`",
        "CertificateExpired" => {
            "by the daemon's clock it is not valid now; if it has expired, an admin revokes it and makes another one \
             (`relupctl operator revoke`, `relupctl operator add`)"
        }
        "UnknownCA" | "HandshakeFailure" | "BadCertificate" | "DecryptError" => {
            "it is not one of this cluster's; choose another with --identity or --context"
        }
        other => return format!("the daemon ended the TLS handshake: {other}"),
    };
    format!("the daemon refuses this certificate: {why}")
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
    fn a_certificate_that_tls_refuses_is_no_lost_answer() {
        let broken =
            |alert: &str| Status::from_error(Box::new(std::io::Error::other(format!("{ALERT}{alert}"))));
        for (alert, remedy) in [
            ("CertificateRevoked", "operator add"),
            ("CertificateExpired", "operator revoke"),
            ("HandshakeFailure", "--identity"),
            ("InternalError", "ended the TLS handshake"),
        ] {
            assert!(!ServerError::is_transient(&broken(alert)), "{alert}");
            let error = ServerError::from(broken(alert));
            assert!(!error.is_lost() && error.to_string().contains(remedy), "{alert}: {error}");
        }
        let reset = Status::unknown("reset");
        assert!(ServerError::is_transient(&reset) && ServerError::from(reset).is_lost());
    }

    #[test]
    fn json_carries_the_code_of_the_daemon() {
        let mut status = Status::failed_precondition("plan p1 is stale");
        status.metadata_mut().insert(CODE, "rejected".parse().unwrap());
        let error = anyhow::Error::new(ServerError::from(status));
        assert_eq!(json(&error), r#"{"error":{"code":"rejected","message":"plan p1 is stale"}}"#);
    }
}
