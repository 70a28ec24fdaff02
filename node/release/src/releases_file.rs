//! `releases/RELEASES`: the release handler's own book of what is unpacked and what is permanent. The
//! driver writes it, so that the handler never has to.

use crate::rel::Application;
use crate::shape::{FormatError, Shape};
use crate::terms::Term;
use crate::version::{ErtsVersion, ReleaseName, ReleaseVersion};
use std::fmt;

const SHAPE: Shape = Shape { file: "RELEASES" };

/// The content of a `RELEASES` file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Releases {
    /// In the file's order; the handler puts the newest first.
    pub entries: Vec<Entry>,
}

/// One release in the handler's book.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The release's name.
    pub name: ReleaseName,
    /// Its version.
    pub version: ReleaseVersion,
    /// The ERTS it runs on; `None` where the handler made the entry up.
    pub erts: Option<ErtsVersion>,
    /// Where its applications lie.
    pub applications: Vec<InstalledApplication>,
    /// What the handler makes of it.
    pub status: Status,
}

/// An application and the directory that holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstalledApplication {
    /// Which.
    pub application: Application,
    /// Its directory, absolute or relative to the release root.
    pub directory: String,
}

/// The handler's status of a release. `current` and `tmp_current` live in its memory; on disk they
/// are traces of a restart that a relup asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    Unpacked,
    Current,
    Permanent,
    Old,
    TmpCurrent,
}

impl Status {
    const ALL: [Self; 5] = [Self::Unpacked, Self::Current, Self::Permanent, Self::Old, Self::TmpCurrent];

    /// The handler's atom.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unpacked => "unpacked",
            Self::Current => "current",
            Self::Permanent => "permanent",
            Self::Old => "old",
            Self::TmpCurrent => "tmp_current",
        }
    }
}

impl Releases {
    /// Reads the content of a `RELEASES` file.
    ///
    /// # Errors
    /// If it is anything else than `[{release,Name,Vsn,Erts,[{App,Vsn,Dir}],Status}]`. An empty file is
    /// an error too: the handler would silently make up an entry.
    pub fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        let term = SHAPE.only_term(bytes)?;
        let entries = SHAPE.list(&term, "a list of releases")?;
        Ok(Self { entries: entries.iter().map(entry).collect::<Result<_, _>>()? })
    }

    /// The entry of a version.
    #[must_use]
    pub fn entry(&self, version: &ReleaseVersion) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.version == *version)
    }

    /// The permanent entry, if there is exactly one.
    #[must_use]
    pub fn permanent(&self) -> Option<&Entry> {
        let mut permanent = self.entries.iter().filter(|entry| entry.status == Status::Permanent);
        let first = permanent.next();
        if permanent.next().is_some() { None } else { first }
    }

    /// The same book with `version` permanent, and what was permanent before `old`, as `make_permanent`
    /// leaves it. `None` if there is no such version.
    #[must_use]
    pub fn with_permanent(&self, version: &ReleaseVersion) -> Option<Self> {
        self.entry(version)?;
        let mut next = self.clone();
        for entry in &mut next.entries {
            entry.status = match (entry.version == *version, entry.status) {
                (true, _) => Status::Permanent,
                (false, Status::Permanent) => Status::Old,
                (false, status) => status,
            };
        }
        Some(next)
    }
}

/// The file's content, laid out as OTP does, with a final newline.
impl fmt::Display for Releases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("%% coding: utf-8\n[")?;
        for (index, entry) in self.entries.iter().enumerate() {
            let separator = if index == 0 { "" } else { ",\n " };
            write!(f, "{separator}{entry}")?;
        }
        f.write_str("].\n")
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Term::string(self.name.as_str());
        let version = Term::string(self.version.as_str());
        let erts = self.erts.as_ref().map_or_else(|| Term::atom("undefined"), |v| Term::string(v.as_str()));
        write!(f, "{{release,{name},{version},{erts},\n          [")?;
        for (index, installed) in self.applications.iter().enumerate() {
            let separator = if index == 0 { "" } else { ",\n           " };
            write!(f, "{separator}{}", installed.to_term())?;
        }
        write!(f, "],\n          {}}}", self.status.as_str())
    }
}

impl InstalledApplication {
    fn to_term(&self) -> Term {
        Term::Tuple(vec![
            Term::atom(self.application.name.as_str()),
            Term::string(self.application.version.as_str()),
            Term::string(&self.directory),
        ])
    }
}

fn entry(term: &Term) -> Result<Entry, FormatError> {
    const EXPECTED: &str = "{release, Name, Vsn, Erts, Applications, Status}";
    let Some([tag, name, version, erts, applications, status]) = term.as_tuple() else {
        return SHAPE.mismatch(EXPECTED, term);
    };
    if tag.as_atom() != Some("release") {
        return SHAPE.mismatch(EXPECTED, term);
    }
    let Some(known_status) = Status::ALL.into_iter().find(|known| status.as_atom() == Some(known.as_str()))
    else {
        return SHAPE.mismatch("a status (unpacked, current, permanent, old or tmp_current)", status);
    };
    Ok(Entry {
        name: SHAPE.text(name, "the release's name, a string")?,
        version: SHAPE.text(version, "the release's version, a string")?,
        erts: match erts.as_atom() {
            Some("undefined") => None,
            _ => Some(SHAPE.text(erts, "the version of ERTS, a string")?),
        },
        applications: SHAPE
            .list(applications, "a list of applications")?
            .iter()
            .map(installed)
            .collect::<Result<_, _>>()?,
        status: known_status,
    })
}

fn installed(term: &Term) -> Result<InstalledApplication, FormatError> {
    let Some([name, version, directory]) = term.as_tuple() else {
        return SHAPE.mismatch("{Application, Version, Directory}", term);
    };
    let Some(path) = directory.as_text() else {
        return SHAPE.mismatch("an application's directory, a string", directory);
    };
    Ok(InstalledApplication {
        application: Application {
            name: SHAPE.name(name, "an application's name, an atom")?,
            version: SHAPE.text(version, "an application's version, a string")?,
        },
        directory: path.into_owned(),
    })
}
