//! Attempt number to delay. Knows time, not HTTP: what an answer means is [`crate::outcome`]'s.

use serde::{Deserialize, Serialize};

use crate::time::{DAY_MS, HOUR_MS, MINUTE_MS};

/// Shortest first gap that an action may ask for; below it a retry is a hammer.
pub const MIN_FIRST_MS: u64 = 100;
/// Longest gap between two attempts; HubSpot's.
pub const MAX_GAP_MS: u64 = 8 * HOUR_MS;
/// Longest window for one delivery.
pub const MAX_WINDOW_MS: u64 = 7 * DAY_MS;
/// Largest growth of the gap; beyond it the cap is reached at the second retry anyway.
pub const MAX_FACTOR: f64 = 10.0;
/// Most of a gap that jitter may add or take.
pub const MAX_JITTER: f64 = 0.5;

/// When a failed attempt is made again. The default is HubSpot's: after 1, 2, 4, … 256 minutes, then
/// every 8 hours, up to 3 days after the first attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetryPolicy {
    /// Gap after the first failed attempt.
    pub first_ms: u64,
    /// What each further gap is multiplied with, 1 to [`MAX_FACTOR`].
    pub factor: f64,
    /// Longest gap, at most [`MAX_GAP_MS`].
    pub max_ms: u64,
    /// No attempt starts later than this after the start of the first one.
    pub max_age_ms: u64,
    /// Share of the gap that dice may add (at the cap: take), 0 to [`MAX_JITTER`].
    pub jitter: f64,
    /// How a number in `Retry-After` is read.
    pub retry_after_unit: RetryAfterUnit,
    /// Client errors that are retried nevertheless, e.g. 408 and 425.
    pub also_retry: Vec<u16>,
}

/// The unit of a number in `Retry-After`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RetryAfterUnit {
    /// As HubSpot reads it.
    #[default]
    Milliseconds,
    /// As HTTP says (RFC 9110, section 10.2.3).
    Seconds,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            first_ms: MINUTE_MS,
            factor: 2.0,
            max_ms: MAX_GAP_MS,
            max_age_ms: 3 * DAY_MS,
            jitter: 0.1,
            retry_after_unit: RetryAfterUnit::Milliseconds,
            also_retry: Vec::new(),
        }
    }
}
