//! Points in time as the core sees them: Unix milliseconds, handed in by whoever owns a clock.

use serde::{Deserialize, Serialize};

/// One second in milliseconds.
pub const SECOND_MS: u64 = 1_000;
/// One minute in milliseconds.
pub const MINUTE_MS: u64 = 60 * SECOND_MS;
/// One hour in milliseconds.
pub const HOUR_MS: u64 = 60 * MINUTE_MS;
/// One day in milliseconds.
pub const DAY_MS: u64 = 24 * HOUR_MS;

/// A point in time: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixMs(pub u64);

impl UnixMs {
    /// The point `ms` milliseconds later; stops at the end of time instead of wrapping.
    #[must_use]
    pub const fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to `self`; zero when `earlier` is not earlier.
    #[must_use]
    pub const fn since_ms(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Whole seconds since the epoch, as Standard Webhooks' `webhook-timestamp` wants them.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0 / SECOND_MS
    }

    /// ISO 8601 in UTC with milliseconds: `2026-01-02T03:04:05.678Z`.
    ///
    /// Points after the year 9999 are written as that year's end.
    #[must_use]
    pub fn to_iso8601(self) -> String {
        let ms = i64::try_from(self.0).unwrap_or(i64::MAX);
        let stamp = jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::MAX);
        format!("{stamp:.3}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_stops_at_the_ends() {
        assert_eq!(UnixMs(5).plus_ms(u64::MAX), UnixMs(u64::MAX));
        assert_eq!(UnixMs(5).since_ms(UnixMs(9)), 0);
        assert_eq!(UnixMs(1_999).as_secs(), 1);
    }

    #[test]
    fn iso8601_has_three_digits() {
        assert_eq!(UnixMs(0).to_iso8601(), "1970-01-01T00:00:00.000Z");
        assert_eq!(UnixMs(1_767_323_045_678).to_iso8601(), "2026-01-02T03:04:05.678Z");
        assert_eq!(UnixMs(u64::MAX).to_iso8601().len(), 24);
    }
}
