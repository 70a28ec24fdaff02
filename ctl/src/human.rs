//! Values as people read them.

use jiff::Timestamp;
use prost_types::Timestamp as WireTime;
use serde::Serialize;
use std::time::Duration;

/// What stands where there is nothing to say.
pub(crate) const NOTHING: &str = "-";

/// The text, or a dash where it is empty.
pub(crate) fn or_dash(text: &str) -> String {
    if text.is_empty() { NOTHING.to_owned() } else { text.to_owned() }
}

/// How long ago, in the largest unit that says enough.
pub(crate) fn ago(at: Option<&WireTime>, now: Timestamp) -> String {
    let Some(seconds) = at.map(|at| now.as_second() - at.seconds) else { return NOTHING.to_owned() };
    if seconds < 0 {
        format!("in {}", rough(seconds.unsigned_abs()))
    } else {
        format!("{} ago", rough(seconds.unsigned_abs()))
    }
}

fn rough(seconds: u64) -> String {
    match seconds {
        0..100 => format!("{seconds} s"),
        100..6_000 => format!("{} min", seconds / 60),
        6_000..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// A point in time to the second, UTC.
pub(crate) fn clock_time(at: Option<&WireTime>) -> String {
    let point = at.and_then(|at| Timestamp::from_second(at.seconds).ok());
    point.map_or_else(|| NOTHING.to_owned(), |point| point.strftime("%F %T").to_string())
}

/// From here to there; to now where it has not ended.
pub(crate) fn took(from: Option<&WireTime>, until: Option<&WireTime>, now: Timestamp) -> String {
    let Some(from) = from else { return NOTHING.to_owned() };
    let until = until.map_or(now.as_second(), |until| until.seconds);
    span(Duration::from_secs(until.saturating_sub(from.seconds).unsigned_abs()))
}

/// A duration in whole seconds, e.g. `2m 5s`.
pub(crate) fn span(duration: Duration) -> String {
    humantime::format_duration(Duration::from_secs(duration.as_secs())).to_string()
}

/// A short time, given in microseconds.
pub(crate) fn micros(micros: u64) -> String {
    match micros {
        0..1_000 => format!("{micros} us"),
        1_000..10_000_000 => format!("{}.{} ms", micros / 1_000, micros % 1_000 / 100),
        _ => span(Duration::from_micros(micros)),
    }
}

/// Bytes in a unit that leaves three digits or so.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if bytes < 1_000 {
        return format!("{bytes} B");
    }
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let mut value = bytes as f64 / 1_000.0;
    let mut unit = 0;
    while value >= 1_000.0 && unit + 1 < UNITS.len() {
        value /= 1_000.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// An enum's value by the name it has in JSON, with spaces.
pub(crate) fn label<T: Serialize>(value: T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => name.replace('_', " "),
        Ok(_) | Err(_) => "unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use relupd_proto::api::v1::Phase;

    #[test]
    fn times_are_rough_and_right() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        let at = |seconds| WireTime { seconds, nanos: 0 };
        assert_eq!(ago(Some(&at(999_990)), now), "10 s ago");
        assert_eq!(ago(Some(&at(999_400)), now), "10 min ago");
        assert_eq!(ago(Some(&at(1_000_000 + 30 * 86_400)), now), "in 30 days");
        assert_eq!(ago(None, now), "-");
        assert_eq!(took(Some(&at(999_875)), None, now), "2m 5s");
    }

    #[test]
    fn enums_are_read_as_words() {
        assert_eq!(label(Phase::NeedsOperator), "needs operator");
    }

    #[test]
    fn sizes_have_a_unit() {
        assert_eq!([size(12), size(92_000), size(6_700_000)], ["12 B", "92.0 kB", "6.7 MB"]);
    }
}
