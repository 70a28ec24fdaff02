//! relupd.toml -> `Settings`: read strictly, overridden from the command line, checked. What leaves
//! this module can be used without looking at it again.

mod parse;
mod settings;

pub use parse::parse;
pub use settings::{LogFormat, LogSettings, Overrides, RaftSettings, Settings, UpgradeSettings};

use crate::toml_reader::Problem;
use std::fmt;
use std::path::{Path, PathBuf};

/// Where the config is looked for unless the command line says otherwise.
pub const DEFAULT_PATH: &str = "/etc/relupd/relupd.toml";

/// Why the daemon cannot be started with this config.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("cannot read the config {path}; name another one with --config")]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// It has mistakes.
    #[error("the config {path} cannot be used:{}", lines(.problems))]
    Invalid { path: PathBuf, problems: Vec<Problem> },
    /// This host has no such network interface.
    #[error(
        "the config {path} names the network interface {interface:?}, which this host does not have; correct `interface` (`ip link` lists them)"
    )]
    NoSuchInterface { path: PathBuf, interface: String },
}

/// Reads and checks the config at `path`.
pub fn load(path: &Path, overrides: &Overrides) -> Result<Settings, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    let system = rustix::system::uname();
    let hostname = system.nodename().to_string_lossy();
    let settings = parse(&text, &hostname, &overrides.absolute())
        .map_err(|problems| ConfigError::Invalid { path: path.to_owned(), problems })?;
    if let Some(interface) = &settings.interface
        && !Path::new("/sys/class/net").join(interface).exists()
    {
        return Err(ConfigError::NoSuchInterface { path: path.to_owned(), interface: interface.clone() });
    }
    Ok(settings)
}

fn lines(problems: &[Problem]) -> String {
    use fmt::Write;
    problems.iter().fold(String::new(), |mut text, problem| {
        write!(text, "\n  {problem}").expect("a String takes everything");
        text
    })
}

#[cfg(test)]
mod tests;
