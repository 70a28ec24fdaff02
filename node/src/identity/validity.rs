//! From when until when a certificate counts, and when to renew it.

use jiff::Timestamp;

/// The validity period of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// Not valid before.
    pub from: Timestamp,
    /// Not valid after.
    pub until: Timestamp,
}

impl Validity {
    /// When renewal is due: at half life, which leaves fifteen of thirty days to notice that
    /// renewing fails.
    #[must_use]
    pub fn renew_at(&self) -> Timestamp {
        let (from, until) = (self.from.as_second(), self.until.as_second());
        let half = from + until.saturating_sub(from) / 2;
        Timestamp::from_second(half).unwrap_or(self.from)
    }

    /// Whether renewal is due.
    #[must_use]
    pub fn renewal_due(&self, now: Timestamp) -> bool {
        now >= self.renew_at()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renews_at_half_life_and_not_before() {
        let day = |days: i64| Timestamp::from_second(days * 86_400).unwrap();
        let validity = Validity { from: day(100), until: day(130) };
        assert!(!validity.renewal_due(day(114)));
        assert!(validity.renewal_due(day(115)));
        assert!(validity.renewal_due(day(131)), "an expired certificate is due as well");
    }
}
