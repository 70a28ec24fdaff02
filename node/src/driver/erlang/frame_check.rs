//! PURE: looks through a frame before it is decoded. The decoder reserves memory for as many elements
//! as a frame claims to have, and recurses as deep as it is nested; a few bytes from an app's VM must
//! not end the daemon. What passes has every element that it claims, so decoding it costs memory in
//! proportion to its length.

const VERSION: u8 = 131;
const COMPRESSED: u8 = 80;
const MAX_DEPTH: usize = 64;
/// A decoded term is many times as large as its shortest encoding; the digests of some 100 000 modules
/// fit into this many.
const MAX_TERMS: usize = 1 << 20;

/// Why a frame is not decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FrameError {
    #[error("it does not begin like an external term")]
    NotATerm,
    #[error("it is compressed")]
    Compressed,
    #[error("it is nested deeper than {MAX_DEPTH}")]
    TooDeep,
    #[error("it has more than {MAX_TERMS} terms")]
    TooMany,
    #[error("it claims to hold more than it does")]
    CutOff,
    #[error("it holds a term of the tag {0}, which has no place in the protocol")]
    Foreign(u8),
    #[error("bytes follow its end")]
    Trailing,
}

/// Whether a frame is one term of the kinds that cross the link, wholly there.
pub(super) fn check(frame: &[u8]) -> Result<(), FrameError> {
    let mut scan = Scan { rest: frame, terms: 0 };
    if scan.byte()? != VERSION {
        return Err(FrameError::NotATerm);
    }
    scan.term(0)?;
    if scan.rest.is_empty() { Ok(()) } else { Err(FrameError::Trailing) }
}

struct Scan<'a> {
    rest: &'a [u8],
    terms: usize,
}

impl Scan<'_> {
    fn term(&mut self, depth: usize) -> Result<(), FrameError> {
        if depth > MAX_DEPTH {
            return Err(FrameError::TooDeep);
        }
        self.terms += 1;
        if self.terms > MAX_TERMS {
            return Err(FrameError::TooMany);
        }
        match self.byte()? {
            // Small integer, integer, float in both its forms, the empty list.
            97 => self.skip(1),
            98 => self.skip(4),
            70 => self.skip(8),
            99 => self.skip(31),
            106 => Ok(()),
            // Atoms and strings, by the width of their length.
            115 | 119 => self.byte().and_then(|length| self.skip(usize::from(length))),
            100 | 107 | 118 => self.short().and_then(|length| self.skip(length)),
            109 => self.long().and_then(|length| self.skip(length)),
            // Big integers have a sign beside their digits.
            110 => self.byte().and_then(|length| self.skip(usize::from(length) + 1)),
            111 => self.long().and_then(|length| self.skip(length.saturating_add(1))),
            104 => self.byte().and_then(|arity| self.terms(usize::from(arity), depth)),
            105 => self.long().and_then(|arity| self.terms(arity, depth)),
            // A list's tail is a term of its own.
            108 => self.long().and_then(|length| self.terms(length.saturating_add(1), depth)),
            116 => self.long().and_then(|pairs| self.terms(pairs.saturating_mul(2), depth)),
            COMPRESSED => Err(FrameError::Compressed),
            // Processes, ports, references, functions, bit strings.
            tag => Err(FrameError::Foreign(tag)),
        }
    }

    fn terms(&mut self, count: usize, depth: usize) -> Result<(), FrameError> {
        // Each takes a byte at least.
        if count > self.rest.len() {
            return Err(FrameError::CutOff);
        }
        (0..count).try_for_each(|_| self.term(depth + 1))
    }

    fn byte(&mut self) -> Result<u8, FrameError> {
        let (first, rest) = self.rest.split_first().ok_or(FrameError::CutOff)?;
        self.rest = rest;
        Ok(*first)
    }

    fn short(&mut self) -> Result<usize, FrameError> {
        Ok(usize::from(self.byte()?) << 8 | usize::from(self.byte()?))
    }

    fn long(&mut self) -> Result<usize, FrameError> {
        Ok(self.short()? << 16 | self.short()?)
    }

    fn skip(&mut self, count: usize) -> Result<(), FrameError> {
        self.rest = self.rest.get(count..).ok_or(FrameError::CutOff)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::term::{atom, binary, integer, list, string, tuple};
    use super::*;
    use eetf::{BigInteger, Float, Map, Term};

    fn frame(term: &Term) -> Vec<u8> {
        let mut frame = Vec::new();
        term.encode(&mut frame).unwrap();
        frame
    }

    fn nested(depth: usize) -> Term {
        (0..depth).fold(list(vec![]), |inner, _| tuple(vec![inner]))
    }

    #[test]
    fn what_crosses_the_link_passes() {
        let facts =
            Term::from(Map::from([(atom("os_pid"), integer(70_000)), (atom("handler"), atom("true"))]));
        let digests = list((0..1000).map(|_| tuple(vec![atom("shop"), binary(&[7; 16])])).collect());
        for term in [
            tuple(vec![atom("hello"), integer(1), facts]),
            tuple(vec![atom("reply"), integer(3), tuple(vec![atom("ok"), digests])]),
            tuple(vec![string("äöü"), string("0.1.0"), string(&"x".repeat(60_000))]),
            Term::from(BigInteger::from(u64::MAX)),
            Term::from(Float { value: 0.5 }),
            list(vec![]),
            nested(MAX_DEPTH),
        ] {
            assert_eq!(check(&frame(&term)), Ok(()), "{term}");
        }
    }

    #[test]
    fn what_would_cost_more_than_it_weighs_is_refused() {
        let rows: [(&[u8], FrameError); 12] = [
            (b"", FrameError::CutOff),
            (b"\x83", FrameError::CutOff),
            (b"hello", FrameError::NotATerm),
            (b"\x83\x50\x7f\xff\xff\xff", FrameError::Compressed),
            (b"\x83\x68\x01\x50\x7f\xff\xff\xff", FrameError::Compressed),
            (b"\x83\x69\xff\xff\xff\xff\x6a\x6a\x6a", FrameError::CutOff),
            (b"\x83\x6c\xff\xff\xff\xff\x6a\x6a\x6a", FrameError::CutOff),
            (b"\x83\x74\xff\xff\xff\xff\x6a\x6a\x6a", FrameError::CutOff),
            (b"\x83\x6d\xff\xff\xff\xff", FrameError::CutOff),
            (b"\x83\x6f\xff\xff\xff\xff\x00", FrameError::CutOff),
            (b"\x83\x70\xff\xff\xff\xff\x00", FrameError::Foreign(112)),
            (b"\x83\x6a\x6a", FrameError::Trailing),
        ];
        for (frame, error) in rows {
            assert_eq!(check(frame), Err(error), "{frame:?}");
        }
        assert_eq!(check(&frame(&nested(MAX_DEPTH + 1))), Err(FrameError::TooDeep));
        assert_eq!(check(&[&[131][..], &b"\x68\x01".repeat(1 << 20)].concat()), Err(FrameError::TooDeep));
        let long = list((0..MAX_TERMS).map(|_| list(vec![])).collect());
        assert_eq!(check(&frame(&long)), Err(FrameError::TooMany));
    }

    #[test]
    fn every_cut_of_a_frame_is_refused() {
        let whole =
            frame(&tuple(vec![atom("reply"), integer(300), list(vec![binary(b"shop"), string("0.1.0")])]));
        for length in 0..whole.len() {
            assert_eq!(check(&whole[..length]), Err(FrameError::CutOff), "{length}");
        }
    }
}
