//! Frames on a stream: four bytes of length, big endian, then the content. For streams that carry
//! more than one message; a stream of one message needs none, its end is the message's end.

use super::StreamError;
use bytes::Bytes;
use quinn::{ReadExactError, RecvStream, SendStream};

/// Writes one frame.
///
/// # Errors
/// When the peer stopped reading, or the content is longer than a frame can say.
pub async fn write_frame(stream: &mut SendStream, content: &[u8]) -> Result<(), StreamError> {
    let length =
        u32::try_from(content.len()).map_err(|_| StreamError::TooLong { limit: u32::MAX as usize })?;
    stream.write_all(&length.to_be_bytes()).await?;
    stream.write_all(content).await?;
    Ok(())
}

/// Reads one frame of at most `limit` bytes; `None` where the stream ended between frames. Not
/// cancel-safe: a dropped call loses the frame's beginning.
///
/// # Errors
/// When the frame is too long or ends early, or the peer stopped writing.
pub async fn read_frame(stream: &mut RecvStream, limit: usize) -> Result<Option<Bytes>, StreamError> {
    let mut length = [0; 4];
    match stream.read_exact(&mut length).await {
        Ok(()) => {}
        Err(ReadExactError::FinishedEarly(0)) => return Ok(None),
        Err(error) => return Err(read_error(error)),
    }
    let length = u32::from_be_bytes(length) as usize;
    if length > limit {
        return Err(StreamError::TooLong { limit });
    }
    let mut content = vec![0; length];
    stream.read_exact(&mut content).await.map_err(read_error)?;
    Ok(Some(content.into()))
}

/// Reads a stream that is one message.
pub(super) async fn read_message(stream: &mut RecvStream, limit: usize) -> Result<Bytes, StreamError> {
    stream.read_to_end(limit).await.map(Bytes::from).map_err(|error| match error {
        quinn::ReadToEndError::TooLong => StreamError::TooLong { limit },
        quinn::ReadToEndError::Read(source) => StreamError::Read(source),
    })
}

fn read_error(error: ReadExactError) -> StreamError {
    match error {
        ReadExactError::FinishedEarly(_) => StreamError::Truncated,
        ReadExactError::ReadError(source) => StreamError::Read(source),
    }
}
