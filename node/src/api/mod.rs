//! What relupctl speaks: one file per noun in `service/`, each of which parses a request once into
//! domain types, checks the caller's role, asks the daemon through [`control::ControlPlane`], and
//! answers with a view of the state (`view/`, pure). Nothing is decided here: commands are decided
//! when the cluster applies them.

mod caller;
mod connection;
mod context;
pub mod control;
mod error;
mod follow;
mod resolve;
mod server;
mod service;
mod view;

pub use server::{ServeError, bind_unix, serve_tls, serve_unix};
