//! The store protocol over the peers' transport: one request a stream.

use super::peers::{Answer, Question, StorePeers};
use super::serve::Server;
use crate::ids::NodeId;
use crate::membership::Roster;
use crate::transport::{Connection, Handler, Protocol, RecvStream, Transport};
use async_trait::async_trait;
use relupd_core::chain;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Reaches the stores of the nodes on the roster.
#[derive(Clone)]
pub struct QuicPeers {
    transport: Transport,
    roster: watch::Receiver<Arc<Roster>>,
}

impl QuicPeers {
    /// Dials through `transport` where `roster` says.
    #[must_use]
    pub fn new(transport: Transport, roster: watch::Receiver<Arc<Roster>>) -> Self {
        Self { transport, roster }
    }
}

#[async_trait]
impl StorePeers for QuicPeers {
    async fn open(&self, peer: NodeId) -> Result<(Question, Answer), String> {
        let address = self.roster.borrow().get(&peer).copied();
        let address = address.ok_or("it is no node of this cluster")?;
        let connection = self.transport.connect(peer, address, Protocol::Store).await;
        let connection = connection.map_err(|error| chain(&error))?;
        let (question, answer) = connection.open_bi().await.map_err(|error| chain(&error))?;
        Ok((Box::new(question), Box::new(HeldAnswer { answer, _connection: connection })))
    }
}

/// An answer that keeps its connection: that ends with its last handle.
struct HeldAnswer {
    answer: RecvStream,
    _connection: Connection,
}

impl AsyncRead for HeldAnswer {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        AsyncRead::poll_read(Pin::new(&mut self.answer), context, buffer)
    }
}

#[async_trait]
impl Handler for Server {
    async fn handle(&self, peer: NodeId, connection: Connection) {
        // When the connection ends, so do the answers under way.
        let mut answers = JoinSet::new();
        loop {
            tokio::select! {
                Some(_done) = answers.join_next() => {}
                stream = connection.accept_bi() => match stream {
                    Ok((mut reply, mut request)) => {
                        let server = self.clone();
                        answers.spawn(async move {
                            if let Err(error) = server.serve(&mut request, &mut reply).await {
                                let error = chain(&error);
                                tracing::info!(%peer, error, "a peer did not get the file it asked for");
                            }
                        });
                    }
                    Err(error) => {
                        tracing::debug!(%peer, %error, "store connection ended");
                        return;
                    }
                },
            }
        }
    }
}
