//! What happened, twice: as one number that two runs of a seed must share, and, where somebody wants to
//! read it, as lines.

use std::fmt::Write as _;
use std::time::Duration;

/// FNV-1a of a text that is never made whole.
struct Fnv(u64);

impl std::fmt::Write for Fnv {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0 =
            text.bytes().fold(self.0, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        Ok(())
    }
}

#[derive(Debug, Default)]
pub struct Trace {
    digest: u64,
    /// `None` where nobody reads it: texts are then not even made.
    lines: Option<String>,
}

impl Trace {
    pub fn new(is_read: bool) -> Self {
        Self { digest: 0x6c62_272e_07bb_0142, lines: is_read.then(String::new) }
    }

    /// Makes this part of the digest.
    pub fn mix(&mut self, value: u64) {
        self.digest = (self.digest ^ value).wrapping_mul(0x0100_0000_01b3).rotate_left(23);
    }

    /// The same for what has no number.
    pub fn mix_text(&mut self, value: &impl std::fmt::Debug) {
        let mut sum = Fnv(0xcbf2_9ce4_8422_2325);
        // Writing to a number cannot fail.
        let _ = write!(sum, "{value:?}");
        self.mix(sum.0);
    }

    pub fn digest(&self) -> u64 {
        self.digest
    }

    pub fn log(&mut self, at: Duration, place: usize, text: impl FnOnce() -> String) {
        self.line(at, || format!("n{}  {}", place + 1, text()));
    }

    pub fn line(&mut self, at: Duration, text: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.lines {
            // Writing to a String cannot fail.
            let _ = writeln!(lines, "{:>10.3}  {}", at.as_secs_f64(), text());
        }
    }

    pub fn lines(&self) -> &str {
        self.lines.as_deref().unwrap_or_default()
    }
}
