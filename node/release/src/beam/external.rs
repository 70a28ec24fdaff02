//! Erlang's external term format, as far as compiled modules hold it. What comes here was made by
//! strangers: nothing is believed of a length, and depth and size have bounds.

use crate::terms::Term;
use flate2::read::ZlibDecoder;
use std::io::Read as _;

/// Abstract code of the largest modules of OTP unpacks to about this.
const MAX_UNPACKED: u64 = 4 << 20;

/// Abstract code nests a few dozen levels deep.
const MAX_DEPTH: u32 = 400;

/// A decoded term takes some fifty bytes where its shortest encoding takes one: so many are 50 MB.
const MAX_TERMS: u32 = 1 << 20;

/// The one term that `content` holds; `None` where it is damaged, too large, or holds what no file
/// can: processes, references and closures.
pub(super) fn decode(content: &[u8]) -> Option<Term> {
    match content.split_first()? {
        (131, [80, rest @ ..]) => {
            let mut unpacked = Vec::new();
            let packed = rest.get(4..)?;
            ZlibDecoder::new(packed).take(MAX_UNPACKED + 1).read_to_end(&mut unpacked).ok()?;
            Reader::of(&unpacked)?.term(0)
        }
        (131, rest) => Reader::of(rest)?.term(0),
        (_, _) => None,
    }
}

struct Reader<'b> {
    rest: &'b [u8],
    /// So many terms may still come.
    budget: u32,
}

impl<'b> Reader<'b> {
    fn of(rest: &'b [u8]) -> Option<Self> {
        (rest.len() as u64 <= MAX_UNPACKED).then_some(Self { rest, budget: MAX_TERMS })
    }

    fn take(&mut self, length: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn short(&mut self) -> Option<usize> {
        self.take(2)?.first_chunk().map(|bytes| usize::from(u16::from_be_bytes(*bytes)))
    }

    fn long(&mut self) -> Option<usize> {
        usize::try_from(u32::from_be_bytes(*self.take(4)?.first_chunk()?)).ok()
    }

    fn term(&mut self, depth: u32) -> Option<Term> {
        if depth > MAX_DEPTH {
            return None;
        }
        self.budget = self.budget.checked_sub(1)?;
        match self.byte()? {
            97 => Some(Term::Integer(self.byte()?.into())),
            98 => Some(Term::Integer(i32::from_be_bytes(*self.take(4)?.first_chunk()?).into())),
            70 => {
                let value = f64::from_be_bytes(*self.take(8)?.first_chunk()?);
                value.is_finite().then_some(Term::Float(value))
            }
            100 => self.short().and_then(|length| self.latin1(length)).map(Term::Atom),
            115 => self.byte().and_then(|length| self.latin1(length.into())).map(Term::Atom),
            118 => self.short().and_then(|length| self.utf8(length)).map(Term::Atom),
            119 => self.byte().and_then(|length| self.utf8(length.into())).map(Term::Atom),
            104 => self.byte().and_then(|count| self.terms(count.into(), depth)).map(Term::Tuple),
            105 => self.long().and_then(|count| self.terms(count, depth)).map(Term::Tuple),
            106 => Some(Term::List(Vec::new())),
            107 => self.short().and_then(|length| self.latin1(length)).map(|text| Term::string(&text)),
            108 => self.list(depth),
            109 => self.long().and_then(|length| self.take(length)).map(|bytes| Term::Binary(bytes.to_vec())),
            110 => self.byte().and_then(|length| self.big(length.into())),
            116 => {
                let count = self.long()?;
                let mut flat = self.terms(count.checked_mul(2)?, depth)?.into_iter();
                let pairs = std::iter::from_fn(|| flat.next().zip(flat.next()));
                Some(Term::Map(pairs.collect()))
            }
            _ => None,
        }
    }

    /// Each term has a byte at least, so a count beyond the rest is a lie, and nothing is set aside for it.
    fn terms(&mut self, count: usize, depth: u32) -> Option<Vec<Term>> {
        if count > self.rest.len() {
            return None;
        }
        (0..count).map(|_| self.term(depth + 1)).collect()
    }

    fn list(&mut self, depth: u32) -> Option<Term> {
        let count = self.long()?;
        let items = self.terms(count, depth)?;
        match self.term(depth + 1)? {
            Term::List(rest) if rest.is_empty() => Some(Term::List(items)),
            tail => Some(Term::ImproperList(items, Box::new(tail))),
        }
    }

    fn latin1(&mut self, length: usize) -> Option<String> {
        Some(self.take(length)?.iter().map(|&byte| char::from(byte)).collect())
    }

    fn utf8(&mut self, length: usize) -> Option<String> {
        String::from_utf8(self.take(length)?.to_vec()).ok()
    }

    /// Little endian behind its sign. The checksum in every module's attributes may need all of 128 bits
    /// and more than a number here can hold; nobody calculates with it, so its digits do.
    fn big(&mut self, length: usize) -> Option<Term> {
        let negative = self.byte()? != 0;
        let digits = self.take(length)?;
        let value = digits
            .iter()
            .rev()
            .try_fold(0i128, |value, &digit| value.checked_mul(256)?.checked_add(digit.into()));
        Some(match value {
            Some(value) => Term::Integer(if negative { -value } else { value }),
            None => Term::Binary(digits.to_vec()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::ZlibEncoder};
    use std::io::Write as _;

    fn packed(content: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(content).unwrap();
        // The length that it claims to unpack to is believed by nobody.
        [&[131, 80, 0, 0, 0, 1][..], &encoder.finish().unwrap()].concat()
    }

    #[test]
    fn what_was_packed_is_read_as_what_was_not() {
        let term = Some(Term::Tuple(vec![Term::atom("ok"), Term::Integer(7), Term::Map(vec![])]));
        let content = b"\x68\x03\x77\x02ok\x61\x07\x74\0\0\0\0";
        assert_eq!(decode(&[&[131][..], content].concat()), term);
        assert_eq!(decode(&packed(content)), term);
    }

    #[test]
    fn keys_and_values_of_a_map_stay_together() {
        let content = b"\x83\x74\0\0\0\x02\x61\x01\x61\x02\x61\x03\x61\x04";
        let pairs = [(1, 2), (3, 4)].map(|(key, value)| (Term::Integer(key), Term::Integer(value)));
        assert_eq!(decode(content), Some(Term::Map(pairs.to_vec())));
    }

    #[test]
    fn what_would_cost_more_than_it_weighs_is_refused() {
        let deep = |depth: usize| [&[131][..], &b"\x68\x01".repeat(depth), b"\x6a"].concat();
        assert!(decode(&deep(MAX_DEPTH as usize)).is_some());
        assert_eq!(decode(&deep(MAX_DEPTH as usize + 1)), None);
        assert_eq!(decode(&deep(1 << 20)), None);
        for claims in [
            &b"\x83\x6c\xff\xff\xff\xff\x6a"[..],
            b"\x83\x69\xff\xff\xff\xff\x6a",
            b"\x83\x74\xff\xff\xff\xff\x6a",
            b"\x83\x6d\xff\xff\xff\xff\x6a",
            b"\x83\x6e\xff\x00\x01",
        ] {
            assert_eq!(decode(claims), None, "{claims:?}");
        }
        let bomb = packed(&vec![0; 64 << 20]);
        assert!(bomb.len() < 1 << 20);
        assert_eq!(decode(&bomb), None);
        // Each of these bytes is a term of its own.
        let count = (MAX_TERMS as usize).to_be_bytes();
        let many = [&[131, 108][..], &count[4..], &b"\x6a".repeat(MAX_TERMS as usize + 1)].concat();
        assert_eq!(decode(&many), None);
        assert_eq!(decode(&packed(&many[1..])), None);
    }
}
