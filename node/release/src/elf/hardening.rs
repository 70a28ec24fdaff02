//! How a binary was hardened when it was built: the questions of Debian's `hardening-check`, with its
//! answers, except for stack clash protection, which only shows in the machine code.

use super::fortify::PROTECTABLE;
use goblin::elf::Elf;
use goblin::elf::dynamic::{DF_1_NOW, DF_BIND_NOW, DT_BIND_NOW};
use goblin::elf::header::{ET_DYN, ET_EXEC};
use goblin::elf::note::NT_GNU_PROPERTY_TYPE_0;
use goblin::elf::program_header::{PT_GNU_RELRO, PT_PHDR};
use goblin::elf::section_header::SHN_UNDEF;
use goblin::elf::sym::{STT_FUNC, STT_GNU_IFUNC, STT_NOTYPE};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;

/// `GNU_PROPERTY_X86_FEATURE_1_AND`, and its bits for indirect branch tracking and the shadow stack.
const X86_FEATURE_1_AND: u32 = 0xc000_0002;
const IBT_AND_SHSTK: u32 = 3;

/// One answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Finding {
    /// Hardened.
    Yes,
    /// Not hardened.
    No,
    /// The question has no meaning for this kind of file.
    DoesNotApply,
    /// The file does not tell.
    Unknown,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::DoesNotApply => "n/a",
            Self::Unknown => "unknown",
        })
    }
}

/// How a binary was hardened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hardening {
    /// Loaded at an address that cannot be foretold; shared objects always are.
    pub pie: Finding,
    /// Functions look after the return address on their stack.
    pub stack_protector: Finding,
    /// Calls into libc that can be checked are checked.
    pub fortify: Finding,
    /// Relocations are read-only once the program runs.
    pub relro: Finding,
    /// Every symbol is bound at the start, which makes all of them read-only.
    pub immediate_binding: Finding,
    /// Intel's control flow enforcement: indirect branch tracking and shadow stack.
    pub control_flow: Finding,
}

/// The names of the questions, in the order in which they are shown.
pub const QUESTIONS: [&str; 6] =
    ["pie", "relro", "immediate-binding", "stack-protector", "fortify", "control-flow"];

impl Hardening {
    /// Name and answer of each question.
    #[must_use]
    pub const fn findings(&self) -> [(&'static str, Finding); 6] {
        [
            ("pie", self.pie),
            ("relro", self.relro),
            ("immediate-binding", self.immediate_binding),
            ("stack-protector", self.stack_protector),
            ("fortify", self.fortify),
            ("control-flow", self.control_flow),
        ]
    }

    pub(super) fn of(elf: &Elf<'_>, content: &[u8]) -> Self {
        let functions = imported_functions(elf);
        let has_segment = |kind| elf.program_headers.iter().any(|header| header.p_type == kind);
        Self {
            pie: match elf.header.e_type {
                ET_DYN if has_segment(PT_PHDR) => Finding::Yes,
                ET_DYN => Finding::DoesNotApply,
                ET_EXEC => Finding::No,
                _ => Finding::Unknown,
            },
            stack_protector: if functions.contains("__stack_chk_fail") {
                Finding::Yes
            } else if functions.is_empty() {
                Finding::Unknown
            } else {
                Finding::No
            },
            fortify: fortify(&functions),
            relro: yes_or_no(has_segment(PT_GNU_RELRO)),
            immediate_binding: yes_or_no(binds_immediately(elf)),
            control_flow: yes_or_no(has_control_flow(elf, content)),
        }
    }
}

const fn yes_or_no(found: bool) -> Finding {
    if found { Finding::Yes } else { Finding::No }
}

/// Symbols that somebody else must define, without their versions.
fn imported_functions<'e>(elf: &'e Elf<'_>) -> BTreeSet<&'e str> {
    let dynamic = elf.dynsyms.iter().map(|symbol| (symbol, elf.dynstrtab.get_at(symbol.st_name)));
    let others = elf.syms.iter().map(|symbol| (symbol, elf.strtab.get_at(symbol.st_name)));
    let mut functions = BTreeSet::new();
    for (symbol, name) in dynamic.chain(others) {
        let is_function = matches!(symbol.st_type(), STT_FUNC | STT_GNU_IFUNC | STT_NOTYPE);
        if is_function && symbol.st_shndx == SHN_UNDEF as usize {
            let bare = name.map(|name| name.split('@').next().unwrap_or(name));
            functions.extend(bare.filter(|name| !name.is_empty()));
        }
    }
    functions
}

fn fortify(functions: &BTreeSet<&str>) -> Finding {
    let checked = |name: &&str| functions.contains(format!("__{name}_chk").as_str());
    if PROTECTABLE.iter().any(checked) {
        Finding::Yes
    } else if PROTECTABLE.iter().any(|name| functions.contains(name)) {
        Finding::No
    } else {
        Finding::Unknown
    }
}

fn binds_immediately(elf: &Elf<'_>) -> bool {
    elf.dynamic.as_ref().is_some_and(|dynamic| {
        dynamic.dyns.iter().any(|entry| entry.d_tag == DT_BIND_NOW)
            || dynamic.info.flags & DF_BIND_NOW != 0
            || dynamic.info.flags_1 & DF_1_NOW != 0
    })
}

fn has_control_flow(elf: &Elf<'_>, content: &[u8]) -> bool {
    let notes = elf.iter_note_sections(content, None).or_else(|| elf.iter_note_headers(content));
    let properties =
        notes.into_iter().flatten().flatten().filter(|note| note.n_type == NT_GNU_PROPERTY_TYPE_0);
    properties
        .into_iter()
        .any(|note| feature_bits(note.desc, if elf.is_64 { 8 } else { 4 }) & IBT_AND_SHSTK == IBT_AND_SHSTK)
}

/// The bits of the x86 features among a note's properties: each has a type, a length and so many bytes,
/// padded to the word size. What is written in another byte order is of no x86.
fn feature_bits(mut properties: &[u8], word: usize) -> u32 {
    let number = |bytes: &[u8]| bytes.first_chunk().map(|word| u32::from_le_bytes(*word));
    while let (Some(kind), Some(length)) = (
        number(properties),
        properties.get(4..).and_then(number).and_then(|length| usize::try_from(length).ok()),
    ) {
        if kind == X86_FEATURE_1_AND {
            return properties.get(8..).and_then(number).unwrap_or_default();
        }
        let next = 8usize.saturating_add(length.next_multiple_of(word));
        properties = properties.get(next..).unwrap_or_default();
    }
    0
}
