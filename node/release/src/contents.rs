//! What is in a release beyond what its manifest says: the ways that its relup leads, its native code
//! and how that was hardened, and who completes its configuration. Computed from the files themselves,
//! where they are.

use crate::elf::{ElfFile, Hardening, is_elf};
use crate::info::{ReleaseError, ReleaseInfo, content, relup};
use crate::manifest::{Entry, EntryKind, Manifest};
use crate::relup::Relup;
use crate::terms::{Term, consult_one};
use serde::{Deserialize, Serialize};
use std::io;

/// The largest binary that is looked into; `beam.smp` has 5 MB, with debug information 40.
const MAX_BINARY: u64 = 256 << 20;

/// What is in a release.
#[derive(Clone, Debug, PartialEq)]
pub struct Contents {
    /// What its description says.
    pub info: ReleaseInfo,
    /// Its relup, where it has one.
    pub relup: Option<Relup>,
    /// Programs of its runtime system, and the shared objects of its applications.
    pub binaries: Vec<Binary>,
    /// What completes or renders its configuration at boot; empty where `sys.config` is all there is.
    pub config_providers: Vec<String>,
}

/// Native code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binary {
    /// Where it lies in the release.
    pub path: String,
    /// What it is for.
    pub kind: BinaryKind,
    /// What it needs of its host and how it was hardened; `None` where it cannot be read.
    pub file: Option<ElfFile>,
}

/// What native code is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BinaryKind {
    /// Runs the VM or starts it.
    Runtime,
    /// Functions that a module loads into the VM.
    Nif,
    /// A driver for ports, or a library of one.
    SharedObject,
    /// A program that an application starts.
    Program,
}

impl Contents {
    /// Looks into the release of this manifest; `read` as for [`ReleaseInfo::extract`].
    ///
    /// # Errors
    /// As [`ReleaseInfo::extract`]. A binary or a configuration that cannot be read is no error here.
    pub fn read(
        manifest: &Manifest,
        mut read: impl FnMut(&Entry) -> io::Result<Vec<u8>>,
    ) -> Result<Self, ReleaseError> {
        let info = ReleaseInfo::extract(manifest, &mut read)?;
        let relup = relup(manifest, &mut read)?;
        let config_providers = config_providers(manifest, &mut read)?;
        let mut binaries = Vec::new();
        for entry in manifest.entries() {
            binaries.extend(binary(entry, &mut read)?);
        }
        Ok(Self { info, relup, binaries, config_providers })
    }
}

impl Binary {
    /// How it was hardened, where that is known.
    #[must_use]
    pub fn hardening(&self) -> Option<&Hardening> {
        self.file.as_ref().map(|file| &file.hardening)
    }
}

fn binary(
    entry: &Entry,
    read: &mut impl FnMut(&Entry) -> io::Result<Vec<u8>>,
) -> Result<Option<Binary>, ReleaseError> {
    let path = entry.path.as_str();
    if !may_be_binary(entry) {
        return Ok(None);
    }
    let failed = |source| ReleaseError::Content { path: path.to_owned(), source };
    let content = read(entry).map_err(failed)?;
    if !is_elf(&content) {
        return Ok(None);
    }
    let file = ElfFile::parse(&content).ok();
    let kind = match &file {
        _ if path.starts_with("erts-") => BinaryKind::Runtime,
        Some(file) if file.is_nif => BinaryKind::Nif,
        Some(file) if file.interpreter.is_some() => BinaryKind::Program,
        Some(_) | None => BinaryKind::SharedObject,
    };
    Ok(Some(Binary { path: path.to_owned(), kind, file }))
}

/// By place and permissions: nothing else is worth reading.
fn may_be_binary(entry: &Entry) -> bool {
    let EntryKind::File { mode, size, .. } = &entry.kind else { return false };
    let path = entry.path.as_str();
    let named = entry.path.file_name().ends_with(".so") || entry.path.file_name().contains(".so.");
    let placed = (path.starts_with("erts-") && path.contains("/bin/")) || path.starts_with("lib/");
    placed && (named || mode.is_executable()) && (64..=MAX_BINARY).contains(size)
}

fn config_providers(
    manifest: &Manifest,
    read: &mut impl FnMut(&Entry) -> io::Result<Vec<u8>>,
) -> Result<Vec<String>, ReleaseError> {
    let file = |name: &str| format!("releases/{}/{name}", manifest.version());
    let mut providers = Vec::new();
    if let Some(config) = content(manifest, &file("sys.config"), read)? {
        providers.extend(consult_one(&config).iter().flat_map(elixir_providers));
    }
    for template in ["sys.config.src", "vm.args.src"] {
        if manifest.entry(&file(template)).is_some() {
            providers.push(format!("{template} (rendered by the start script)"));
        }
    }
    Ok(providers)
}

/// The providers that a configuration made by mix names, as Elixir would print them.
#[must_use]
pub fn elixir_providers(configuration: &Term) -> Vec<String> {
    let Some(Term::Map(fields)) = provider_init(configuration) else { return Vec::new() };
    let providers = fields.iter().find(|(key, _)| key.as_atom() == Some("providers")).map(|(_, value)| value);
    let listed = providers.and_then(Term::as_list).unwrap_or_default();
    let name = |provider: &Term| {
        let module = provider.as_tuple()?.first()?.as_atom()?;
        Some(module.strip_prefix("Elixir.").unwrap_or(module).to_owned())
    };
    listed.iter().filter_map(name).collect()
}

/// `{elixir, [{config_provider_init, THIS} | _]}`: there is something to be completed at boot.
#[must_use]
pub fn provider_init(configuration: &Term) -> Option<&Term> {
    value_of(value_of(configuration, "elixir")?, "config_provider_init")
}

/// The value of a key, in a list of pairs.
fn value_of<'t>(pairs: &'t Term, name: &str) -> Option<&'t Term> {
    pairs.as_list()?.iter().find_map(|pair| match pair.as_tuple()? {
        [key, value] if key.as_atom() == Some(name) => Some(value),
        _ => None,
    })
}
