//! Serial numbers of certificates: 127 random bits, so that two voters may issue at once.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

const LENGTH: usize = 16;

/// The serial number of a certificate.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Serial([u8; LENGTH]);

/// Not a serial number that this project gives out.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not a certificate serial: {0:?} (expected 32 lower-case hex digits)")]
pub struct InvalidSerial(String);

impl Serial {
    /// A serial from random bytes. The top bits are fixed, so that the DER integer is positive and
    /// always sixteen bytes long (RFC 5280, 4.1.2.2).
    #[must_use]
    pub const fn from_random(mut bytes: [u8; LENGTH]) -> Self {
        bytes[0] = bytes[0] & 0x7f | 0x40;
        Self(bytes)
    }

    /// The content of the DER integer.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; LENGTH] {
        &self.0
    }

    /// The serial in a certificate, as its DER integer's content.
    ///
    /// # Errors
    /// When it has another length: it is not of our making.
    pub fn from_der_integer(bytes: &[u8]) -> Result<Self, InvalidSerial> {
        bytes.try_into().map(Self).map_err(|_| InvalidSerial(data_encoding::HEXLOWER.encode(bytes)))
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Serial {
    type Err = InvalidSerial;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        data_encoding::HEXLOWER
            .decode(text.as_bytes())
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .map(Self)
            .ok_or_else(|| InvalidSerial(text.to_owned()))
    }
}

impl From<Serial> for String {
    fn from(serial: Serial) -> Self {
        serial.to_string()
    }
}

impl TryFrom<String> for Serial {
    type Error = InvalidSerial;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}
