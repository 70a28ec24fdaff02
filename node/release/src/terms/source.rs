//! From bytes to text: bounds on the input, and the encoding that a file names in its first two lines.

use super::error::{Problem, TermError};
use std::borrow::Cow;

/// The largest file that is read. Real relups of hundreds of modules stay below 200 kB.
pub const MAX_BYTES: usize = 2 * 1024 * 1024;

/// The tokenizer walks from the start of a quoted text to each of its escapes, so time grows with
/// length times escapes: 2 MiB times 4,096 is 8 GiB of `memchr`, below a second. Real files have
/// tens of escapes.
const MAX_ESCAPES: usize = 4096;

/// The text of `bytes`, decoded as `epp:read_encoding` would: UTF-8 unless the file says `latin-1`.
pub(super) fn decode(bytes: &[u8]) -> Result<Cow<'_, str>, TermError> {
    if bytes.len() > MAX_BYTES {
        return Err(TermError::at_start(Problem::TooLarge { bytes: bytes.len(), limit: MAX_BYTES }));
    }
    if bytes.iter().filter(|&&byte| byte == b'\\').count() > MAX_ESCAPES {
        return Err(TermError::at_start(Problem::TooManyEscapes { limit: MAX_ESCAPES }));
    }
    if says_latin1(bytes) {
        return Ok(Cow::Owned(bytes.iter().map(|&byte| char::from(byte)).collect()));
    }
    std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|error| {
        let valid = &bytes[..error.valid_up_to()];
        let line_start = valid.iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1);
        TermError {
            line: valid.iter().filter(|&&byte| byte == b'\n').count() + 1,
            column: valid.len() - line_start + 1,
            problem: Problem::NotUtf8,
        }
    })
}

/// Whether one of the first two lines is a comment that says `coding: latin-1`.
fn says_latin1(bytes: &[u8]) -> bool {
    bytes.split(|&byte| byte == b'\n').take(2).filter(|line| line.trim_ascii_start().starts_with(b"%")).any(
        |line| {
            let line = String::from_utf8_lossy(line).to_ascii_lowercase();
            line.split_once("coding").is_some_and(|(_, rest)| {
                let rest = rest.trim_start();
                rest.strip_prefix([':', '=']).is_some_and(|name| name.trim_start().starts_with("latin-1"))
            })
        },
    )
}
