//! What clients have asked of the cluster and what they were told, while things broke; and whether one
//! order of it all explains every answer.

mod check;
mod interpret;
mod model;

pub use check::{Verdict, check};
pub use interpret::interpret;
pub use model::{Answer, Key, Operation, Seen};

use crate::ctl::Ended;
use crate::report::Figure;
use crate::show::Show;
use anyhow::Context as _;
use relupd::clock::Monotonic;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use tokio::sync::mpsc;

/// One call: who asked, when, what, and what came of it.
#[derive(Clone, Debug)]
pub struct Call {
    /// When it was asked, before anything was sent.
    pub asked: Monotonic,
    /// When the answer was there; `None` where none came.
    pub answered: Option<Monotonic>,
    /// Of whom: the path of a socket.
    pub at: String,
    /// What, in words.
    pub arguments: Vec<String>,
    /// The answer; `None` where none came.
    pub ended: Option<Ended>,
}

/// Where calls are written down. It costs nothing where nobody listens.
#[derive(Clone, Debug, Default)]
pub struct Recorder(Option<mpsc::UnboundedSender<Call>>);

impl Recorder {
    /// A recorder, and the end where its calls come out.
    #[must_use]
    pub fn new() -> (Self, History) {
        let (sender, calls) = mpsc::unbounded_channel();
        (Self(Some(sender)), History { calls })
    }

    pub(crate) fn record(&self, call: impl FnOnce() -> Call) {
        if let Some(sender) = &self.0 {
            // Whoever does not listen any more wants none.
            let _gone = sender.send(call());
        }
    }
}

/// Calls, in the order in which they have ended.
#[derive(Debug)]
pub struct History {
    calls: mpsc::UnboundedReceiver<Call>,
}

impl History {
    /// All that have ended by now.
    pub fn take(&mut self) -> Vec<Call> {
        std::iter::from_fn(|| self.calls.try_recv().ok()).collect()
    }
}

/// Judges calls, and says so; the figures' names end with where they were made.
pub fn figures(calls: &[Call], of: &str, show: Show) -> Vec<Figure> {
    let verdict = check(calls);
    for violation in &verdict.violations {
        show.say(&format!("  ✗ {violation}"));
    }
    show.witnessed(&format!(
        "{} answers on {} registers are explained by one order of them; {} commands had none",
        verdict.operations, verdict.registers, verdict.unknown
    ));
    vec![
        Figure::some(&format!("history_operations{of}"), verdict.operations),
        Figure::counted(&format!("history_operations_unknown{of}"), verdict.unknown),
        Figure::exactly(&format!("history_violations{of}"), verdict.violations.len() as u64, 0),
    ]
}

/// Writes calls one a line, with the operations that they stand for.
pub fn write(calls: &[Call], path: &Path) -> anyhow::Result<()> {
    let file = std::fs::File::create(path).with_context(|| format!("cannot make {}", path.display()))?;
    let mut file = BufWriter::new(file);
    let begin = calls.iter().map(|call| call.asked).min();
    for call in calls {
        let ms = |at: Option<Monotonic>| Some(at?.since(begin?).as_secs_f64() * 1000.0);
        let line = serde_json::json!({
            "asked_ms": ms(Some(call.asked)),
            "answered_ms": ms(call.answered),
            "at": call.at,
            "arguments": call.arguments,
            "code": call.ended.as_ref().map(|ended| ended.code),
            "said": call.ended.as_ref().map(|ended| ended.stderr.trim().to_owned()),
            "operations": interpret(call).iter().map(|operation| format!("{operation:?}")).collect::<Vec<_>>(),
        });
        writeln!(file, "{line}")?;
    }
    file.flush().context("cannot write the history")
}
