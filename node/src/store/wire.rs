//! The messages of `store.proto` on a stream: four bytes of length, big endian, then the message.

use super::error::Wanted;
use crate::ids::Digest;
use prost::Message;
use relupd_proto::peer::v1::{StoreReply, StoreRequest, store_reply, store_request};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// A request holds one digest, a reply one number; both fit many times.
const LONGEST: u32 = 256;

pub(super) async fn write_request(stream: &mut (impl AsyncWrite + Unpin), wanted: Wanted) -> io::Result<()> {
    let wanted = match wanted {
        Wanted::Manifest(digest) => store_request::Wanted::Manifest(digest.as_bytes().to_vec()),
        Wanted::Blob(digest) => store_request::Wanted::Blob(digest.as_bytes().to_vec()),
    };
    write_message(stream, &StoreRequest { wanted: Some(wanted) }).await?;
    stream.shutdown().await
}

pub(super) async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Wanted> {
    let request: StoreRequest = read_message(stream).await?;
    match request.wanted {
        Some(store_request::Wanted::Manifest(bytes)) => digest(&bytes).map(Wanted::Manifest),
        Some(store_request::Wanted::Blob(bytes)) => digest(&bytes).map(Wanted::Blob),
        None => Err(invalid("a request for nothing")),
    }
}

pub(super) async fn write_reply(
    stream: &mut (impl AsyncWrite + Unpin),
    outcome: store_reply::Outcome,
) -> io::Result<()> {
    write_message(stream, &StoreReply { outcome: Some(outcome) }).await
}

pub(super) async fn read_reply(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<store_reply::Outcome> {
    let reply: StoreReply = read_message(stream).await?;
    reply.outcome.ok_or_else(|| invalid("a reply that says nothing"))
}

async fn write_message(stream: &mut (impl AsyncWrite + Unpin), message: &impl Message) -> io::Result<()> {
    let content = message.encode_to_vec();
    let length = u32::try_from(content.len()).expect("a message of one field is short");
    stream.write_u32(length).await?;
    stream.write_all(&content).await
}

async fn read_message<M: Message + Default>(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<M> {
    let length = stream.read_u32().await?;
    if length > LONGEST {
        return Err(invalid("a message that is too long"));
    }
    let mut content = vec![0; length as usize];
    stream.read_exact(&mut content).await?;
    M::decode(content.as_slice()).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

fn digest(bytes: &[u8]) -> io::Result<Digest> {
    bytes.try_into().map(Digest::from_bytes).map_err(|_| invalid("a digest that is not 32 bytes"))
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
