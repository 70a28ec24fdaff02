//! Stateless reset (RFC 9000, 10.3) that outlives the process: a restarted daemon recognises the
//! connections of its former life and tells its peers at once that they are gone, instead of
//! leaving them to their idle timeout.

use crate::identity::{SealingSecret, random};
use quinn::crypto::{CryptoError, HmacKey};
use quinn::{ConnectionId, ConnectionIdGenerator, EndpointConfig};
use std::sync::Arc;
use std::time::Duration;

const KEY_CONTEXT: &str = "relupd 2026-11 QUIC stateless reset key";

/// The endpoint's configuration for a node with this secret.
pub(super) fn endpoint_config(secret: &SealingSecret) -> EndpointConfig {
    let key = blake3::derive_key(KEY_CONTEXT, &secret.to_bytes());
    let mut config = EndpointConfig::new(Arc::new(ResetKey(key)));
    config.cid_generator(|| Box::new(RandomIds));
    config
}

struct ResetKey([u8; blake3::KEY_LEN]);

impl HmacKey for ResetKey {
    fn sign(&self, data: &[u8], signature: &mut [u8]) {
        signature.copy_from_slice(blake3::keyed_hash(&self.0, data).as_bytes());
    }

    fn signature_len(&self) -> usize {
        blake3::OUT_LEN
    }

    fn verify(&self, data: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        // blake3::Hash compares in constant time.
        if blake3::keyed_hash(&self.0, data) == *signature { Ok(()) } else { Err(CryptoError) }
    }
}

/// Connection ids that every life of the daemon takes for its own. quinn's default marks them with
/// a key of the process, and leaves packets of a former life unanswered.
struct RandomIds;

impl RandomIds {
    const LENGTH: usize = 8;
}

impl ConnectionIdGenerator for RandomIds {
    fn generate_cid(&mut self) -> ConnectionId {
        ConnectionId::new(&random::<{ Self::LENGTH }>())
    }

    fn cid_len(&self) -> usize {
        Self::LENGTH
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}
