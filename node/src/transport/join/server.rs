//! The admitting side: one request on one connection, answered and over.

use super::{Admission, JOIN_TIMEOUT, JoinError, MESSAGE_LIMIT, wire};
use crate::transport::StreamError;
use crate::transport::frame::read_message;
use prost::Message;
use quinn::{SendStream, VarInt};
use relupd_proto::peer::v1::JoinRequest;
use std::time::Duration;

/// A stranger holds a connection no longer than this without having asked.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

pub(in crate::transport) async fn serve(admission: &dyn Admission, quic: quinn::Connection) {
    let address = quic.remote_address();
    // A stranger gets room for its one request.
    quic.set_max_concurrent_uni_streams(VarInt::from_u32(0));
    quic.set_max_concurrent_bi_streams(VarInt::from_u32(1));
    let exchange = async {
        let (reply, request) = tokio::time::timeout(REQUEST_TIMEOUT, read(&quic))
            .await
            .map_err(|_| StreamError::Timeout(REQUEST_TIMEOUT))??;
        let outcome = admit(admission, request).await;
        match &outcome {
            Ok(admitted) => tracing::info!(%address, raft = %admitted.raft, "a host joined"),
            Err(error) => tracing::warn!(%address, %error, "a host was not admitted"),
        }
        write(reply, &wire::encode_reply(outcome).encode_to_vec()).await
    };
    match exchange.await {
        // The joiner closes once it has the reply; closing here could overtake it.
        Ok(()) => drop(tokio::time::timeout(REQUEST_TIMEOUT, quic.closed()).await),
        Err(error) => tracing::warn!(%address, %error, "a host broke off joining"),
    }
}

async fn read(quic: &quinn::Connection) -> Result<(SendStream, Result<JoinRequest, JoinError>), StreamError> {
    let (send, mut receive) = quic.accept_bi().await?;
    let content = read_message(&mut receive, MESSAGE_LIMIT).await?;
    let request = JoinRequest::decode(content).map_err(|_| {
        JoinError::BadRequest(
            "the request is not understood: do both sides run the same release of relupd?".to_owned(),
        )
    });
    Ok((send, request))
}

async fn admit(
    admission: &dyn Admission,
    request: Result<JoinRequest, JoinError>,
) -> Result<super::Admitted, JoinError> {
    let request = wire::decode_request(request?)?;
    tokio::time::timeout(JOIN_TIMEOUT, admission.admit(request)).await.unwrap_or_else(|_| {
        Err(JoinError::Unavailable(format!(
            "the cluster did not decide within {JOIN_TIMEOUT:?}: see `relupctl cluster status`, then join again"
        )))
    })
}

async fn write(mut stream: SendStream, content: &[u8]) -> Result<(), StreamError> {
    stream.write_all(content).await?;
    let _ = stream.finish();
    Ok(())
}
