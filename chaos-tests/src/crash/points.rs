//! The other end of the daemon's fail points: `node/src/fail_point/armed.rs` says what each file is.

use super::fault::Fault;
use anyhow::Context as _;
use serde::Serialize;
use std::fs;
use std::path::{Path, PathBuf};

/// What the daemon is to do at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Action {
    /// Stay there.
    Hold,
    /// Have the operating system say no.
    Fail { errno: i32, whom: Whom },
    /// Lose an answer.
    Lose,
}

/// Which operations fail from the point on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Whom {
    Same,
    Growing,
    All,
}

#[derive(Serialize)]
struct Order<'a> {
    point: Option<&'a str>,
    since: Option<&'a str>,
    passage: usize,
    action: Action,
}

/// The directory that the daemon looks into.
#[derive(Debug)]
pub struct Points(PathBuf);

impl Points {
    /// The directory is made.
    ///
    /// # Errors
    /// If it cannot be.
    pub fn new(directory: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(directory)?;
        Ok(Self(directory.to_owned()))
    }

    /// What the daemon must find in its environment.
    #[must_use]
    pub fn variable(&self) -> (String, String) {
        ("RELUPD_FAIL_POINTS".to_owned(), self.0.to_string_lossy().into_owned())
    }

    /// Records what is passed from now on.
    pub(super) fn record(&self) -> anyhow::Result<()> {
        self.order(&Order { point: None, since: None, passage: 0, action: Action::Hold })
    }

    /// Arms a point: its passages count from now, or from the first passage of the point `since`.
    pub(super) fn arm(
        &self,
        point: &str,
        since: Option<&str>,
        passage: usize,
        action: Action,
    ) -> anyhow::Result<()> {
        self.order(&Order { point: Some(point), since, passage, action })
    }

    /// Has this fault strike at the first passage from now on.
    ///
    /// # Errors
    /// If the order cannot be written.
    pub fn break_at(&self, point: &str, fault: Fault) -> anyhow::Result<()> {
        self.arm(point, None, 1, fault.action())
    }

    fn order(&self, order: &Order<'_>) -> anyhow::Result<()> {
        self.disarm()?;
        for file in ["trace", "hit"] {
            remove(&self.0.join(file))?;
        }
        let new = self.0.join("order.new");
        fs::write(&new, serde_json::to_vec(order)?)?;
        Ok(fs::rename(new, self.0.join("order"))?)
    }

    /// Ends whatever was ordered.
    ///
    /// # Errors
    /// If the order cannot be taken away.
    pub fn disarm(&self) -> anyhow::Result<()> {
        remove(&self.0.join("order"))
    }

    /// Whether the armed point has been reached.
    #[must_use]
    pub fn is_hit(&self) -> bool {
        self.0.join("hit").exists()
    }

    /// Each passage, in order.
    pub(super) fn trace(&self) -> anyhow::Result<Vec<String>> {
        let text = fs::read_to_string(self.0.join("trace")).context("nothing was recorded")?;
        Ok(text.lines().map(str::to_owned).collect())
    }

    /// Makes the host boot anew, as far as the daemon can tell.
    pub(super) fn reboot(&self, boot: u64) -> anyhow::Result<()> {
        Ok(fs::write(self.0.join("boot"), format!("boot-{boot}"))?)
    }
}

fn remove(path: &Path) -> anyhow::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        Ok(()) | Err(_) => Ok(()),
    }
}
