//! Which relupd this process is.

use std::path::Path;
use std::sync::OnceLock;

/// Where a package says which one it is, from the directory that the program lies in.
const FACTS: &str = "../lib/relupd/package";

/// The program that runs, and the package that it came by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// The package's version, or the program's own.
    pub version: String,
    /// The package's architecture; `None` where it came by no package.
    pub architecture: Option<String>,
}

/// This process's. The first call must be an early one: a package that is installed later brings facts of
/// its own.
pub fn program() -> &'static Program {
    static PROGRAM: OnceLock<Program> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let here = std::env::current_exe().ok();
        let facts = here.as_deref().and_then(Path::parent).map(|directory| directory.join(FACTS));
        let facts = facts.and_then(|path| std::fs::read_to_string(path).ok());
        Program::from_facts(facts.as_deref().unwrap_or_default())
    })
}

impl Program {
    fn from_facts(text: &str) -> Self {
        let field = |name: &str| {
            text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).map(str::to_owned)
        };
        Self {
            version: field("version").unwrap_or_else(|| env!("CARGO_PKG_VERSION").to_owned()),
            architecture: field("architecture"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_what_its_package_says_and_else_what_it_was_built_as() {
        let packaged = Program::from_facts("version 9.1-2\narchitecture arm64\n");
        assert_eq!(packaged, Program { version: "9.1-2".to_owned(), architecture: Some("arm64".to_owned()) });
        let bare = Program::from_facts("");
        assert_eq!(bare.version, env!("CARGO_PKG_VERSION"));
        assert_eq!(bare.architecture, None);
    }
}
