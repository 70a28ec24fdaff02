//! Who is who: the cluster's own CA, certificates, join tokens, revocation, and what a node keeps
//! of all that on its disk. Time and random bits are passed in; only [`directory`] touches files.
//!
//! Invariants: a private key never leaves the host it was made on, but for the CA's, which leaves
//! it only sealed to a voter; no secret is ever shown by `Debug`.

mod authority;
mod directory;
mod key;
mod member;
mod peer;
pub mod pem;
mod random;
mod revocation;
mod seal;
mod serial;
pub mod token;
mod validity;

pub use authority::{
    AuthorityError, CertificateAuthority, NODE_LIFETIME, OPERATOR_LIFETIME, api_server_name,
    certificate_digest,
};
pub use directory::{DirectoryError, IdentityDirectory, Stored};
pub use key::{KeyError, PrivateKey};
pub use member::{Candidate, InvalidMembership, NodeIdentity};
pub use peer::{InvalidOperatorName, InvalidPeer, OperatorName, PeerIdentity};
pub use random::random;
pub use relupd_core::state::role::{InvalidRole, Role};
pub use relupd_core::state::token::TokenRecord;
pub use revocation::Revocations;
pub use seal::{CaKey, SealError, SealedKey, SealingPublic, SealingSecret};
pub use serial::{InvalidSerial, Serial};
pub use token::{JoinToken, PresentedToken, TokenError, TokenSecret, TokenTextError, check_token};
pub use validity::Validity;
