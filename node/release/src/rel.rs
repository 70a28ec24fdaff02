//! The `.rel` file: which ERTS and which applications a release is made of.

use crate::shape::{FormatError, Shape};
use crate::terms::Term;
use crate::version::{ApplicationName, ApplicationVersion, ErtsVersion, ReleaseName, ReleaseVersion};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;

const SHAPE: Shape = Shape { file: ".rel file" };

/// An application in one version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Application {
    /// Its name.
    pub name: ApplicationName,
    /// Its version.
    pub version: ApplicationVersion,
}

/// `name-version`, which is also its directory below `lib`.
impl fmt::Display for Application {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.name, self.version)
    }
}

/// What a `.rel` file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rel {
    /// The release's name.
    pub name: ReleaseName,
    /// Its version.
    pub version: ReleaseVersion,
    /// The runtime system it was built for.
    pub erts: ErtsVersion,
    /// Its applications, in the file's order.
    pub applications: Vec<Application>,
    /// Those that the boot script starts for good: `permanent`, as they are where nothing else is said.
    pub permanent: BTreeSet<ApplicationName>,
}

impl Rel {
    /// Reads the content of a `.rel` file.
    ///
    /// # Errors
    /// If it is anything else than `{release, {Name,Vsn}, {erts,Vsn}, [{App,Vsn,...}]}`.
    pub fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        const EXPECTED: &str = "{release, {Name,Vsn}, {erts,Vsn}, Applications}";
        let term = SHAPE.only_term(bytes)?;
        let Some([tag, Term::Tuple(release), Term::Tuple(erts), applications]) = term.as_tuple() else {
            return SHAPE.mismatch(EXPECTED, &term);
        };
        let (Some("release"), [name, version], [erts_tag, erts_version]) =
            (tag.as_atom(), release.as_slice(), erts.as_slice())
        else {
            return SHAPE.mismatch(EXPECTED, &term);
        };
        if erts_tag.as_atom() != Some("erts") {
            return SHAPE.mismatch("{erts, Vsn}", erts_tag);
        }
        let listed = SHAPE.list(applications, "a list of applications")?;
        let applications = listed.iter().map(application).collect::<Result<Vec<_>, _>>()?;
        let permanent = listed.iter().zip(&applications).filter(|(term, _)| is_permanent(term));
        Ok(Self {
            permanent: permanent.map(|(_, application)| application.name.clone()).collect(),
            applications,
            name: SHAPE.text(name, "the release's name, a string")?,
            version: SHAPE.text(version, "the release's version, a string")?,
            erts: SHAPE.text(erts_version, "the version of ERTS, a string")?,
        })
    }

    /// The application of that name, if the release has it.
    #[must_use]
    pub fn application(&self, name: &str) -> Option<&Application> {
        self.applications.iter().find(|application| application.name.as_str() == name)
    }
}

/// The third element is the start type, or where that is left out the included applications.
fn is_permanent(term: &Term) -> bool {
    let kind = term.as_tuple().and_then(|parts| parts.get(2)).and_then(Term::as_atom);
    kind.is_none_or(|kind| kind == "permanent")
}

/// `{App,Vsn}`, with a start type, included applications, or both behind.
fn application(term: &Term) -> Result<Application, FormatError> {
    match term.as_tuple() {
        Some([name, version] | [name, version, _] | [name, version, _, _]) => Ok(Application {
            name: SHAPE.name(name, "an application's name, an atom")?,
            version: SHAPE.text(version, "an application's version, a string")?,
        }),
        _ => SHAPE.mismatch("{Application, Version}", term),
    }
}
