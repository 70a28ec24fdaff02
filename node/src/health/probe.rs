//! Asks an app one question. A failure is a short, exact text: what was asked, what came, what was
//! expected.

mod exec;
mod http;

use crate::spec::{HealthCheck, Probe};
use regex::Regex;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;
use tokio::net::TcpStream;

/// What surrounds the programs that are run as checks: the same as what surrounds the app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Surroundings {
    /// The app's environment; nothing is inherited from the daemon.
    pub environment: BTreeMap<String, String>,
    /// Where they run.
    pub directory: PathBuf,
    /// The app's user, where it is not the daemon's own.
    pub user: Option<String>,
}

/// A check, made ready to be asked again and again.
#[derive(Debug)]
pub struct Question {
    name: String,
    timeout: Duration,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Http { client: reqwest::Client, url: String, status: u16, body: Option<Regex> },
    Tcp { address: String },
    Exec { command: Vec<String>, surroundings: Surroundings },
}

/// A check cannot be asked at all.
#[derive(Debug, thiserror::Error)]
pub enum QuestionError {
    /// The body's pattern.
    #[error("health check {check}: `body` is not a regular expression")]
    Body {
        check: String,
        #[source]
        source: regex::Error,
    },
    /// The HTTP client.
    #[error("health check {check}: no HTTP client")]
    Client {
        check: String,
        #[source]
        source: reqwest::Error,
    },
}

impl Question {
    /// Makes a check ready.
    pub fn new(check: &HealthCheck, surroundings: &Surroundings) -> Result<Self, QuestionError> {
        let kind = match &check.probe {
            Probe::Http { url, status, body } => {
                let body = body.as_deref().map(Regex::new).transpose();
                Kind::Http {
                    client: http::client()
                        .map_err(|source| QuestionError::Client { check: check.name.clone(), source })?,
                    url: url.clone(),
                    status: *status,
                    body: body.map_err(|source| QuestionError::Body { check: check.name.clone(), source })?,
                }
            }
            Probe::Tcp { address } => Kind::Tcp { address: address.clone() },
            Probe::Exec { command } => {
                Kind::Exec { command: command.clone(), surroundings: surroundings.clone() }
            }
        };
        Ok(Self { name: check.name.clone(), timeout: check.timeout, kind })
    }

    /// The check's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Asks once. Dropping the future takes back what it started.
    pub async fn ask(&self) -> Result<(), String> {
        let answer = async {
            match &self.kind {
                Kind::Http { client, url, status, body } => {
                    http::get(client, url, *status, body.as_ref()).await
                }
                Kind::Tcp { address } => match TcpStream::connect(address).await {
                    Ok(_) => Ok(()),
                    Err(error) => Err(error.to_string()),
                },
                Kind::Exec { command, surroundings } => exec::run(command, surroundings).await,
            }
        };
        let answer = tokio::time::timeout(self.timeout, answer).await.unwrap_or_else(|_| {
            Err(format!("no answer within {}", humantime::format_duration(self.timeout)))
        });
        answer.map_err(|reason| format!("{}: {reason}", self.subject()))
    }

    fn subject(&self) -> String {
        match &self.kind {
            Kind::Http { url, .. } => format!("GET {url}"),
            Kind::Tcp { address } => format!("connect to {address}"),
            Kind::Exec { command, .. } => command.join(" "),
        }
    }
}

/// The beginning of an answer, on one line, fit for a reason.
fn excerpt(bytes: &[u8]) -> String {
    const MAX_CHARS: usize = 120;
    let text = String::from_utf8_lossy(bytes);
    let mut words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    words.retain(|c| !c.is_control());
    match words.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}...", &words[..end]),
        None => words,
    }
}

#[cfg(test)]
mod tests;
