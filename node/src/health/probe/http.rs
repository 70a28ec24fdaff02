//! GET over plain HTTP/1.1. No redirects, since a check names its place; no proxy, whatever the
//! daemon's environment says; a new connection each time, since accepting one belongs to the answer.

use super::excerpt;
use regex::Regex;
use reqwest::{Client, StatusCode};
use std::error::Error;

/// A body is judged by its first so many bytes.
const MAX_BODY: usize = 64 * 1024;

pub(super) fn client() -> reqwest::Result<Client> {
    Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .pool_max_idle_per_host(0)
        .user_agent(concat!("relupd/", env!("CARGO_PKG_VERSION")))
        .build()
}

pub(super) async fn get(
    client: &Client,
    url: &str,
    status: u16,
    pattern: Option<&Regex>,
) -> Result<(), String> {
    let mut response = client.get(url).send().await.map_err(|error| innermost(&error))?;
    if response.status() != status {
        return Err(format!("{}, expected {status}", describe(response.status())));
    }
    let Some(pattern) = pattern else { return Ok(()) };
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| innermost(&error))? {
        body.extend_from_slice(&chunk[..chunk.len().min(MAX_BODY - body.len())]);
        if body.len() == MAX_BODY {
            break;
        }
    }
    if pattern.is_match(&String::from_utf8_lossy(&body)) {
        Ok(())
    } else {
        Err(format!("body {:?} does not match {:?}", excerpt(&body), pattern.as_str()))
    }
}

fn describe(status: StatusCode) -> String {
    match status.canonical_reason() {
        Some(reason) => format!("{} {reason}", status.as_u16()),
        None => status.as_u16().to_string(),
    }
}

/// The client wraps its errors several times; the first cause is what happened.
fn innermost(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
