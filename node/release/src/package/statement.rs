//! What an operator signs: that this very file is a package of relupd, of this version, for this processor,
//! and until when that may be acted upon. Text of a few lines, signed byte for byte as it is sent.

use crate::Digest;
use std::fmt::Write as _;

/// Sets it apart from everything else that the same key signs, TLS above all.
const HEADING: &str = "relupd package statement 1";

/// A statement, as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The package's version.
    pub version: String,
    /// The processor it is for.
    pub architecture: String,
    /// The whole file.
    pub digest: Digest,
    /// Its length.
    pub size: u64,
    /// In seconds since 1970.
    pub signed_at: i64,
    /// From then on it is void, in seconds since 1970.
    pub expires_at: i64,
}

/// A text is no statement about a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a statement about a package of relupd ({0})")]
pub struct StatementError(&'static str);

impl Statement {
    /// The text that is signed.
    #[must_use]
    pub fn to_text(&self) -> String {
        let Self { version, architecture, digest, size, signed_at, expires_at } = self;
        let mut text = format!("{HEADING}\n");
        write!(
            text,
            "version {version}\narchitecture {architecture}\nblake3 {digest}\nsize {size}\nsigned {signed_at}\nexpires {expires_at}\n"
        )
        .expect("a String takes everything");
        text
    }

    /// Reads it. Only what [`Self::to_text`] would write is taken: there is one text for one statement.
    ///
    /// # Errors
    /// Where it is anything else.
    pub fn parse(text: &str) -> Result<Self, StatementError> {
        let mut lines = text.lines();
        if lines.next() != Some(HEADING) {
            return Err(StatementError("another heading"));
        }
        let mut field = |name: &'static str| {
            let line = lines.next().ok_or(StatementError(name))?;
            line.strip_prefix(name).and_then(|rest| rest.strip_prefix(' ')).ok_or(StatementError(name))
        };
        let statement = Self {
            version: field("version")?.to_owned(),
            architecture: field("architecture")?.to_owned(),
            digest: field("blake3")?.parse().map_err(|_| StatementError("blake3"))?,
            size: field("size")?.parse().map_err(|_| StatementError("size"))?,
            signed_at: field("signed")?.parse().map_err(|_| StatementError("signed"))?,
            expires_at: field("expires")?.parse().map_err(|_| StatementError("expires"))?,
        };
        if statement.to_text() == text { Ok(statement) } else { Err(StatementError("something is added")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement() -> Statement {
        Statement {
            version: "0.2.0-1".to_owned(),
            architecture: "amd64".to_owned(),
            digest: Digest::of(b"package"),
            size: 7,
            signed_at: 1_790_000_000,
            expires_at: 1_790_086_400,
        }
    }

    #[test]
    fn a_statement_survives_its_text() {
        let statement = statement();
        assert_eq!(Statement::parse(&statement.to_text()), Ok(statement));
    }

    #[test]
    fn a_text_with_anything_else_in_it_is_refused() {
        let text = statement().to_text();
        for other in [
            String::new(),
            text.replace("statement 1", "statement 2"),
            text.replace("size 7", "size 07"),
            text.replace("version ", "version\t"),
            format!("{text}size 8\n"),
            text.trim_end().to_owned(),
            text.replace('\n', "\r\n"),
        ] {
            assert!(Statement::parse(&other).is_err(), "{other:?}");
        }
    }
}
