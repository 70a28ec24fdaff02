//! Compiled modules, as far as an upgrade depends on what is in them: which code they hold, which
//! behaviours they have, and what a supervisor's `init/1` says. They are read and never run.

mod external;
mod supervisor;

pub use supervisor::Init;

use crate::digest::Digest;
use crate::terms::Term;
use flate2::read::GzDecoder;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;

/// The largest module that is looked into. Generated tables reach a few megabytes.
const MAX_BYTES: u64 = 64 << 20;

/// A module has some fifteen chunks, and a VM holds so many atoms at most.
const MAX_CHUNKS: usize = 256;
const MAX_ATOMS: u32 = 1 << 20;

/// The chunks that make up the code: those that `beam_lib:md5/1` takes, so that compile time, paths and
/// debug information make no difference.
const CODE_CHUNKS: [&[u8; 4]; 8] = [b"Atom", b"AtU8", b"Code", b"StrT", b"ImpT", b"ExpT", b"FunT", b"LitT"];

/// A compiled module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beam {
    /// Its name.
    pub module: String,
    /// The digest of its code: two modules with the same one behave the same.
    pub code: Digest,
    /// The behaviours that it declares.
    pub behaviours: BTreeSet<String>,
    /// Whether it loads native code.
    pub loads_nif: bool,
    /// A supervisor's `init/1`; `None` where the module holds no debug information of Erlang.
    pub init: Option<Init>,
}

/// The file is no compiled module.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("no readable BEAM file ({0}); build the release again")]
pub struct BeamError(&'static str);

impl Beam {
    /// Reads the content of a `.beam` file, compressed or not.
    ///
    /// # Errors
    /// If it is none.
    pub fn parse(content: &[u8]) -> Result<Self, BeamError> {
        let unpacked = unpack(content)?;
        let chunks = chunks(&unpacked)?;
        let atoms = atoms(&chunks)?;
        let module = atoms.first().ok_or(BeamError("it has no name"))?.clone();
        let behaviours = behaviours(&chunks);
        let init = is_supervisor(&behaviours).then(|| supervisor::init(&chunks)).flatten();
        Ok(Self { module, code: code(&chunks), loads_nif: loads_nif(&chunks, &atoms), behaviours, init })
    }

    /// Whether it is a supervisor, in Erlang or in Elixir.
    #[must_use]
    pub fn is_supervisor(&self) -> bool {
        is_supervisor(&self.behaviours)
    }
}

fn is_supervisor(behaviours: &BTreeSet<String>) -> bool {
    ["supervisor", "Elixir.Supervisor"].iter().any(|name| behaviours.contains(*name))
}

type Chunks<'b> = BTreeMap<[u8; 4], &'b [u8]>;

fn unpack(content: &[u8]) -> Result<Vec<u8>, BeamError> {
    const TOO_LARGE: BeamError = BeamError("it is larger than any module");
    if !content.starts_with(&[0x1f, 0x8b]) {
        return if content.len() as u64 <= MAX_BYTES { Ok(content.to_vec()) } else { Err(TOO_LARGE) };
    }
    let mut unpacked = Vec::new();
    let read = GzDecoder::new(content).take(MAX_BYTES + 1).read_to_end(&mut unpacked);
    read.map_err(|_| BeamError("its compression is damaged"))?;
    if unpacked.len() as u64 <= MAX_BYTES { Ok(unpacked) } else { Err(TOO_LARGE) }
}

/// `FOR1`, length, `BEAM`, then chunks of name, length and content, padded to four bytes.
fn chunks(content: &[u8]) -> Result<Chunks<'_>, BeamError> {
    const CUT_OFF: BeamError = BeamError("it is cut off");
    let (header, mut rest) = content.split_first_chunk::<12>().ok_or(CUT_OFF)?;
    if !header.starts_with(b"FOR1") || !header.ends_with(b"BEAM") {
        return Err(BeamError("it does not begin as one"));
    }
    let mut chunks = Chunks::new();
    while let Some((head, after)) = rest.split_first_chunk::<8>() {
        let [a, b, c, d, length @ ..] = *head;
        let length = usize::try_from(u32::from_be_bytes(length)).map_err(|_| CUT_OFF)?;
        if chunks.len() == MAX_CHUNKS {
            return Err(BeamError("it has more chunks than any module"));
        }
        chunks.insert([a, b, c, d], after.get(..length).ok_or(CUT_OFF)?);
        rest = after.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(chunks)
}

fn code(chunks: &Chunks<'_>) -> Digest {
    let mut hasher = blake3::Hasher::new();
    for name in CODE_CHUNKS {
        let Some(content) = chunks.get(name) else { continue };
        hasher.update(name);
        hasher.update(&(content.len() as u64).to_be_bytes());
        match name {
            // The last of six words is a hash over debug information, which `beam_lib` leaves out too.
            b"FunT" => {
                for word in content.get(4..).unwrap_or_default().chunks(24) {
                    hasher.update(word.get(..20).unwrap_or(word));
                }
            }
            _ => {
                hasher.update(content);
            }
        }
    }
    hasher.finalize().into()
}

/// The atoms in their order, of which the first is the module's name. From OTP 28 on a negative count
/// says that the lengths are written as the compiler writes small numbers.
fn atoms(chunks: &Chunks<'_>) -> Result<Vec<String>, BeamError> {
    const DAMAGED: BeamError = BeamError("its atoms are damaged");
    let utf8 = chunks.get(b"AtU8");
    let content = utf8.or_else(|| chunks.get(b"Atom")).ok_or(BeamError("it has no atoms"))?;
    let (count, mut rest) = content.split_first_chunk::<4>().ok_or(DAMAGED)?;
    let count = i32::from_be_bytes(*count);
    if count.unsigned_abs() > MAX_ATOMS {
        return Err(DAMAGED);
    }
    let mut atoms = Vec::new();
    for _ in 0..count.unsigned_abs() {
        let (length, after) = atom_length(rest, count < 0).ok_or(DAMAGED)?;
        let (name, after) = after.split_at_checked(length).ok_or(DAMAGED)?;
        atoms.push(match utf8 {
            Some(_) => String::from_utf8_lossy(name).into_owned(),
            None => name.iter().map(|&byte| char::from(byte)).collect(),
        });
        rest = after;
    }
    Ok(atoms)
}

fn atom_length(content: &[u8], compact: bool) -> Option<(usize, &[u8])> {
    let (&first, rest) = content.split_first()?;
    if !compact {
        return Some((usize::from(first), rest));
    }
    if first & 0x08 == 0 {
        return Some((usize::from(first >> 4), rest));
    }
    let (&second, rest) = rest.split_first()?;
    (first & 0x10 == 0).then(|| (usize::from(first >> 5) << 8 | usize::from(second), rest))
}

/// Whether it calls `erlang:load_nif/2`. Imports are triples of module, function and arity.
fn loads_nif(chunks: &Chunks<'_>, atoms: &[String]) -> bool {
    let imports = chunks.get(b"ImpT").and_then(|content| content.get(4..)).unwrap_or_default();
    let name = |word: &[u8]| {
        let index = usize::try_from(u32::from_be_bytes(*word.first_chunk()?)).ok()?;
        atoms.get(index.checked_sub(1)?).map(String::as_str)
    };
    imports
        .chunks_exact(12)
        .any(|import| name(import) == Some("erlang") && import.get(4..).and_then(name) == Some("load_nif"))
}

fn behaviours(chunks: &Chunks<'_>) -> BTreeSet<String> {
    let attributes = chunks.get(b"Attr").and_then(|content| external::decode(content));
    let mut behaviours = BTreeSet::new();
    for attribute in attributes.iter().filter_map(Term::as_list).flatten() {
        if let Some([name, values]) = attribute.as_tuple()
            && matches!(name.as_atom(), Some("behaviour" | "behavior"))
        {
            behaviours
                .extend(values.as_list().into_iter().flatten().filter_map(Term::as_atom).map(str::to_owned));
        }
    }
    behaviours
}
