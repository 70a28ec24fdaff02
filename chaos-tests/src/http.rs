//! Just enough HTTP to ask the sample app: one GET per connection.

use anyhow::{Context as _, bail};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// An app that takes longer has failed.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: String,
}

/// Asks for a page.
pub async fn get(address: SocketAddr, path: &str) -> anyhow::Result<Answer> {
    get_within(address, path, PATIENCE).await
}

/// Asks for a page that takes its time.
pub async fn get_within(address: SocketAddr, path: &str, patience: Duration) -> anyhow::Result<Answer> {
    match timeout(patience, exchange(address, path)).await {
        Ok(answer) => answer,
        Err(_) => bail!("no answer from {address} within {patience:?}"),
    }
}

async fn exchange(address: SocketAddr, path: &str) -> anyhow::Result<Answer> {
    let mut stream = TcpStream::connect(address).await.context("cannot connect")?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.context("cannot ask")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.context("the answer broke off")?;
    parse(&String::from_utf8_lossy(&answer)).context("not an answer in HTTP")
}

fn parse(text: &str) -> Option<Answer> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split_whitespace().nth(1)?.parse().ok()?;
    Some(Answer { status, body: body.to_owned() })
}
