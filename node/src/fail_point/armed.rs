//! What a test has asked for. `RELUPD_FAIL_POINTS` names a directory of three files:
//!   - `order`, written by the test: the point to watch for and what to do there. While it is there,
//!     points are recorded; once it is gone, whatever is held goes on and nothing fails any more;
//!   - `trace`, a line for each point that was passed: it is the count, too, so that nothing is kept in
//!     memory and a daemon that was started anew goes on counting;
//!   - `hit`, made when the point is reached.
//!
//! A fourth, `boot`, stands for the kernel's boot id, which no test can change.

use serde::Deserialize;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

const VARIABLE: &str = "RELUPD_FAIL_POINTS";

/// From one look to the next, while something is held.
const LOOK: Duration = Duration::from_millis(2);

static DIRECTORY: LazyLock<Option<PathBuf>> = LazyLock::new(|| std::env::var_os(VARIABLE).map(PathBuf::from));

#[derive(Deserialize)]
struct Order {
    /// None to record only.
    point: Option<String>,
    /// Passages count from the first one of this point on; from the order on where it is none.
    since: Option<String>,
    /// The passage that is meant, the first being 1.
    passage: usize,
    action: Action,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Action {
    /// Stay there until the order is gone.
    Hold,
    /// Fail with this errno, from there on, until the order is gone.
    Fail { errno: i32, whom: Whom },
    /// Lose the answer and the connection.
    Lose,
}

/// Which operations fail from the point on.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Whom {
    /// The same again.
    Same,
    /// Those that need space.
    Growing,
    /// All that change something.
    All,
}

/// What is to be done at a point.
enum Fate {
    Pass,
    Hold,
    Fail(i32),
    Lose,
}

pub(super) fn file(operation: &str, path: &Path) -> io::Result<()> {
    let Some(directory) = &*DIRECTORY else { return Ok(()) };
    match pass(directory, operation, &tail(path)) {
        Fate::Fail(errno) => Err(io::Error::from_raw_os_error(errno)),
        Fate::Hold => {
            while holds(directory) {
                std::thread::sleep(LOOK);
            }
            Ok(())
        }
        Fate::Pass | Fate::Lose => Ok(()),
    }
}

pub(super) async fn step(what: &str, of: &str) {
    let Some(directory) = &*DIRECTORY else { return };
    if let Fate::Hold = pass(directory, what, of) {
        while holds(directory) {
            tokio::time::sleep(LOOK).await;
        }
    }
}

pub(super) fn loses(request: &str) -> bool {
    let Some(directory) = &*DIRECTORY else { return false };
    matches!(pass(directory, "lose", request), Fate::Lose)
}

pub(super) fn boot() -> Option<String> {
    fs::read_to_string(DIRECTORY.as_ref()?.join("boot")).ok()
}

fn holds(directory: &Path) -> bool {
    directory.join("order").exists()
}

fn pass(directory: &Path, what: &str, of: &str) -> Fate {
    let Some(order) = order(directory) else { return Fate::Pass };
    let name = format!("{what} {of}");
    let passage =
        record(directory, &name, order.since.as_deref()).expect("the test's own directory can be written to");
    let (hit, aimed) = (directory.join("hit"), order.point.as_deref() == Some(&name));
    let reached = aimed && passage == order.passage;
    if reached {
        fs::write(&hit, &name).expect("the test's own directory can be written to");
    }
    match order.action {
        Action::Hold if reached => Fate::Hold,
        Action::Lose if reached => Fate::Lose,
        Action::Fail { errno, .. } if reached => Fate::Fail(errno),
        Action::Fail { errno, whom } if hit.exists() => {
            let fails = match whom {
                Whom::Same => aimed,
                Whom::Growing => ["create", "write", "mkdir"].contains(&what),
                Whom::All => true,
            };
            if fails { Fate::Fail(errno) } else { Fate::Pass }
        }
        Action::Hold | Action::Lose | Action::Fail { .. } => Fate::Pass,
    }
}

/// The order as it stands; the test writes it whole.
fn order(directory: &Path) -> Option<Order> {
    let text = fs::read(directory.join("order")).ok()?;
    Some(serde_json::from_slice(&text).expect("the test writes orders that can be read"))
}

/// Which passage of the point this is; none that counts yet is 0.
fn record(directory: &Path, name: &str, since: Option<&str>) -> io::Result<usize> {
    let path = directory.join("trace");
    let mut trace = File::options().create(true).append(true).open(&path)?;
    trace.write_all(format!("{name}\n").as_bytes())?;
    let passed = fs::read_to_string(&path)?;
    let counted = passed.lines().skip_while(|line| since.is_some_and(|since| *line != since));
    Ok(counted.filter(|line| *line == name).count())
}

/// The last two parts of a path, which are the same on every host.
fn tail(path: &Path) -> String {
    let parts: Vec<_> = path.components().rev().take(2).collect();
    let parts: PathBuf = parts.into_iter().rev().collect();
    parts.to_string_lossy().into_owned()
}
