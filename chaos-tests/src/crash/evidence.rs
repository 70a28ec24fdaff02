//! Where a node stands, by witnesses that are not relupd: the files under the release root, and what the VM
//! itself says through the app.

use crate::http;
use crate::witness::Testimony;
use anyhow::Context as _;
use relupd_release::releases_file::{Releases, Status};
use serde::Deserialize;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

/// What the VM has loaded, has set and was booted as, at `/code`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Code {
    /// Digest of the digests of all of the app's loaded modules.
    pub(super) modules: String,
    /// Digest of the app's environment.
    pub(super) environment: String,
    /// `init:script_id/0`.
    pub(super) booted: String,
    /// What the release handler believes to be permanent.
    pub(super) permanent: String,
    /// What it believes to be on trial.
    pub(super) current: String,
}

impl Code {
    pub(super) async fn take(app: SocketAddr) -> anyhow::Result<Self> {
        let answer = http::get(app, "/code").await?;
        serde_json::from_str(&answer.body).context("not what /code answers")
    }
}

/// What must be found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected<'a> {
    /// The version; none where nothing may be installed.
    pub(super) version: Option<&'a str>,
    /// How it was when this version was booted and nothing else had happened.
    pub(super) code: Option<&'a Code>,
    /// What else the VM may have been booted as: an upgrade in the living VM leaves that as it was.
    pub(super) booted: Option<&'a str>,
}

/// What lies on the disk.
#[derive(Debug, PartialEq, Eq)]
struct Files {
    start_erl: Option<String>,
    permanent: Vec<String>,
    script: Option<String>,
    on_trial: bool,
}

/// What does not fit; nothing where everything does.
pub(super) async fn disagreements(
    root: &Path,
    trial: &Path,
    app: SocketAddr,
    expected: Expected<'_>,
) -> Vec<String> {
    let mut found = match Files::read(root, trial) {
        Ok(files) => files.against(expected.version),
        Err(error) => vec![format!("{error:#}")],
    };
    match (expected.version, Testimony::take(app).await) {
        (None, Err(_)) => {}
        (None, Ok(testimony)) => found.push(format!("{} answers", testimony.info.version)),
        (Some(_), Err(error)) => found.push(format!("{error:#}")),
        (Some(version), Ok(testimony)) => {
            if testimony.info.version != version {
                found.push(format!("{} answers, not {version}", testimony.info.version));
            }
            match Code::take(app).await {
                Ok(code) => found.extend(code.against(version, expected)),
                Err(error) => found.push(format!("{error:#}")),
            }
        }
    }
    found
}

impl Code {
    fn against(&self, version: &str, expected: Expected<'_>) -> Vec<String> {
        let mut found = Vec::new();
        if let Some(sound) = expected.code {
            if self.modules != sound.modules {
                found.push(format!("the loaded modules are not those of {version}"));
            }
            if self.environment != sound.environment {
                found.push(format!("the environment is not that of {version}"));
            }
        }
        if self.booted != version && Some(self.booted.as_str()) != expected.booted {
            found.push(format!("the VM was booted as {}", self.booted));
        }
        if self.permanent != version || !self.current.is_empty() {
            found.push(format!(
                "to the handler {:?} is permanent, {:?} current",
                self.permanent, self.current
            ));
        }
        found
    }
}

impl Files {
    fn read(root: &Path, trial: &Path) -> anyhow::Result<Self> {
        let start_erl = read(&root.join("releases/start_erl.data"))?;
        let permanent = match read(&root.join("releases/RELEASES"))? {
            None => Vec::new(),
            Some(text) => {
                let releases = Releases::parse(text.as_bytes()).context("RELEASES")?;
                let permanent = releases.entries.iter().filter(|entry| entry.status == Status::Permanent);
                permanent.map(|entry| entry.version.to_string()).collect()
            }
        };
        let script = read(&root.join("bin/shop"))?;
        Ok(Self {
            start_erl: start_erl.map(|text| text.split_whitespace().nth(1).unwrap_or("torn").to_owned()),
            permanent,
            script: script.map(|text| script_version(&text).to_owned()),
            on_trial: trial.exists(),
        })
    }

    fn against(&self, version: Option<&str>) -> Vec<String> {
        let expected = Self {
            start_erl: version.map(str::to_owned),
            permanent: version.map(str::to_owned).into_iter().collect(),
            script: version.map(str::to_owned),
            on_trial: false,
        };
        if *self == expected { Vec::new() } else { vec![format!("{self:?}, not {version:?}")] }
    }
}

/// The version that the script in `bin/` was made for.
fn script_version(text: &str) -> &str {
    let line = text.lines().find_map(|line| line.strip_prefix("REL_VSN="));
    line.map_or("torn", |version| version.trim_matches('"'))
}

fn read(path: &Path) -> anyhow::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| path.display().to_string()),
    }
}
