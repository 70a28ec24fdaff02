//! What daemons say to each other: one QUIC endpoint on one configured interface and address, one
//! ALPN a protocol, TLS 1.3 with certificates of the cluster's CA on both sides.
//!
//! Invariants: a peer that is foreign, revoked or expired gets no byte to a handler, and its live
//! connections end; a caller that dials node N talks to node N or to nobody. Only the join protocol
//! admits a caller without a certificate.

mod accept;
mod bind;
mod connection;
mod credentials;
mod dial;
mod endpoint;
mod error;
mod frame;
pub mod join;
mod protocol;
mod reset;
mod timers;
mod tls;
mod verify;

pub use accept::Handler;
pub use bind::{BindError, Binding};
pub use connection::{Connection, Exchange};
pub use credentials::{Credentials, CredentialsError, admitted};
pub use endpoint::Transport;
pub use error::{ConnectError, PeerRefusal, StreamError};
pub use frame::{read_frame, write_frame};
pub use protocol::Protocol;
pub use quinn::{RecvStream, SendStream};
pub use tls::{api_client_config, api_server_config, node_server_name};

#[cfg(test)]
mod tests;
