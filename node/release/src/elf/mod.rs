//! Executables and shared objects of a release: what they need of the host they are to run on, and how
//! they were hardened when they were built.

mod fortify;
mod hardening;
pub mod host;

pub use hardening::{Finding, Hardening, QUESTIONS};

use goblin::elf::Elf;
use goblin::elf::header::{EI_CLASS, ELFCLASS64};
use goblin::elf::section_header::SHN_UNDEF;
use goblin::elf::symver::VER_FLG_WEAK;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

const MAGIC: &[u8; 4] = b"\x7fELF";

/// What a file in ELF says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ElfFile {
    /// The processor that it was built for, as `readelf` numbers them, and its word size.
    pub machine: Machine,
    /// The program that loads it, of an executable.
    pub interpreter: Option<String>,
    /// The shared objects that it needs, by the names that the loader looks for.
    pub needed: BTreeSet<String>,
    /// The symbol versions that it needs, by the shared object that must define them.
    pub required_versions: BTreeMap<String, BTreeSet<String>>,
    /// The symbol versions that it defines itself.
    pub defined_versions: BTreeSet<String>,
    /// Directories that it wants searched, unexpanded (`$ORIGIN`).
    pub search: Vec<String>,
    /// Whether it holds functions for a module of Erlang: it exports `nif_init`.
    pub is_nif: bool,
    /// How it was hardened.
    pub hardening: Hardening,
}

/// What a file runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Machine {
    /// `e_machine`.
    pub number: u16,
    /// Whether its words have 64 bits.
    pub is_64: bool,
}

/// An ELF header is so long, where words have 64 bits.
const HEADER: usize = 64;

impl Machine {
    /// Reads the beginning of a file, and no more: a program with what debuggers want is a hundred megabytes.
    ///
    /// # Errors
    /// If it is none in ELF, or ends too early.
    pub fn of(file: impl Read) -> Result<Self, ElfError> {
        let mut header = Vec::with_capacity(HEADER);
        file.take(HEADER as u64).read_to_end(&mut header).map_err(|error| ElfError(error.into()))?;
        let header = Elf::parse_header(&header).map_err(ElfError)?;
        Ok(Self { number: header.e_machine, is_64: header.e_ident[EI_CLASS] == ELFCLASS64 })
    }
}

/// The file claims to be ELF and cannot be read as that.
#[derive(Debug, thiserror::Error)]
#[error("no readable ELF file; build the release again")]
pub struct ElfError(#[source] goblin::error::Error);

/// Whether content begins as an ELF file does.
#[must_use]
pub fn is_elf(content: &[u8]) -> bool {
    content.starts_with(MAGIC)
}

impl ElfFile {
    /// Reads the content of a file.
    ///
    /// # Errors
    /// If it is none in ELF, or damaged.
    pub fn parse(content: &[u8]) -> Result<Self, ElfError> {
        let elf = Elf::parse(content).map_err(ElfError)?;
        Ok(Self {
            machine: Machine { number: elf.header.e_machine, is_64: elf.is_64 },
            interpreter: elf.interpreter.map(str::to_owned),
            needed: elf.libraries.iter().map(|name| (*name).to_owned()).collect(),
            required_versions: required_versions(&elf),
            defined_versions: defined_versions(&elf),
            search: elf
                .runpaths
                .iter()
                .chain(&elf.rpaths)
                .flat_map(|list| list.split(':'))
                .map(str::to_owned)
                .collect(),
            is_nif: exports(&elf, "nif_init"),
            hardening: Hardening::of(&elf, content),
        })
    }
}

fn exports(elf: &Elf<'_>, name: &str) -> bool {
    let mut defined = elf.dynsyms.iter().filter(|symbol| symbol.st_shndx != SHN_UNDEF as usize);
    defined.any(|symbol| elf.dynstrtab.get_at(symbol.st_name) == Some(name))
}

fn required_versions(elf: &Elf<'_>) -> BTreeMap<String, BTreeSet<String>> {
    let mut required: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in elf.verneed.iter().flat_map(|section| section.iter()) {
        let Some(library) = elf.dynstrtab.get_at(file.vn_file) else { continue };
        let versions = required.entry(library.to_owned()).or_default();
        for version in file.iter().filter(|version| version.vna_flags & VER_FLG_WEAK == 0) {
            versions.extend(elf.dynstrtab.get_at(version.vna_name).map(str::to_owned));
        }
    }
    required
}

fn defined_versions(elf: &Elf<'_>) -> BTreeSet<String> {
    let definitions = elf.verdef.iter().flat_map(|section| section.iter());
    // The first name is the version's own; the others are those that it builds on.
    let names = definitions.filter_map(|definition| definition.iter().next());
    names.filter_map(|name| elf.dynstrtab.get_at(name.vda_name)).map(str::to_owned).collect()
}
