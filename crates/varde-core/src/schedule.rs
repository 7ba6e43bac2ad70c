//! Attempt number to delay. Knows time, not HTTP: what an answer means is [`crate::outcome`]'s.

mod plan;

use serde::{Deserialize, Serialize};

use crate::outcome::RetryAfter;
use crate::time::{DAY_MS, HOUR_MS, MINUTE_MS, UnixMs};

pub use plan::Planned;

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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
#[cfg_attr(feature = "schema", schemars(deny_unknown_fields))]
pub struct RetryPolicy {
    /// Gap after the first failed attempt.
    #[cfg_attr(feature = "schema", schemars(range(min = MIN_FIRST_MS, max = MAX_GAP_MS)))]
    pub first_ms: u64,
    /// What each further gap is multiplied with, 1 to [`MAX_FACTOR`].
    #[cfg_attr(feature = "schema", schemars(range(min = 1.0, max = MAX_FACTOR)))]
    pub factor: f64,
    /// Longest gap, at most [`MAX_GAP_MS`].
    #[cfg_attr(feature = "schema", schemars(range(min = MIN_FIRST_MS, max = MAX_GAP_MS)))]
    pub max_ms: u64,
    /// No attempt starts later than this after the start of the first one.
    #[cfg_attr(feature = "schema", schemars(range(max = MAX_WINDOW_MS)))]
    pub max_age_ms: u64,
    /// Share of the gap that dice may add (at the cap: take), 0 to [`MAX_JITTER`].
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = MAX_JITTER)))]
    pub jitter: f64,
    /// How a number in `Retry-After` is read.
    pub retry_after_unit: RetryAfterUnit,
    /// Client errors that are retried nevertheless, e.g. 408 and 425.
    #[cfg_attr(feature = "schema", schemars(length(max = 100), inner(range(min = 400, max = 499))))]
    pub also_retry: Vec<u16>,
}

/// The unit of a number in `Retry-After`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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

impl RetryPolicy {
    /// When the attempt after failed attempt `failed` (counted from 1) is due, or `None` when that is past
    /// the window that began at `first_attempt`: no attempt starts after `first_attempt + max_age_ms`.
    ///
    /// The gap counts from `now`, the end of the failed attempt. `dice` is a fraction in `0.0..1.0`.
    #[must_use]
    pub fn next_due(
        &self,
        failed: u32,
        first_attempt: UnixMs,
        now: UnixMs,
        retry_after: Option<RetryAfter>,
        dice: f64,
    ) -> Option<UnixMs> {
        let window_ends = self.window_ends(first_attempt);
        let due = match retry_after {
            // The endpoint's own word counts in full; jitter alone must not push it out of the window.
            Some(told) => {
                let told = now.plus_ms(told.gap_ms(now, self.retry_after_unit).max(self.first_ms));
                if told > window_ends {
                    return None;
                }
                told.plus_ms(share(told.since_ms(now), self.jitter, dice)).min(window_ends)
            }
            None => now.plus_ms(self.gap_ms(failed, dice)),
        };
        (due <= window_ends).then_some(due)
    }

    /// The gap after failed attempt `failed`: `first_ms · factor^(failed-1)`, at most `max_ms`. Jitter
    /// lengthens it, except at the cap, where it shortens it, so that both ends hold: no gap is shorter
    /// than `first_ms`, none longer than `max_ms`.
    #[must_use]
    pub fn gap_ms(&self, failed: u32, dice: f64) -> u64 {
        let exponent = i32::try_from(failed.saturating_sub(1)).unwrap_or(i32::MAX);
        // A float's rounding is below a millisecond for gaps below 8 hours; overflow ends at infinity.
        let grown = self.first_ms as f64 * self.factor.powi(exponent);
        if grown >= self.max_ms as f64 {
            // A cap near `first_ms` leaves jitter less room, or none.
            let shortened = self.max_ms - share(self.max_ms, self.jitter, dice);
            return shortened.max(self.first_ms.min(self.max_ms));
        }
        let gap = grown as u64;
        (gap + share(gap, self.jitter, dice)).min(self.max_ms)
    }

    /// The last moment at which an attempt may start.
    #[must_use]
    pub const fn window_ends(&self, first_attempt: UnixMs) -> UnixMs {
        first_attempt.plus_ms(self.max_age_ms)
    }
}

/// `jitter · dice` of `gap_ms`.
fn share(gap_ms: u64, jitter: f64, dice: f64) -> u64 {
    (gap_ms as f64 * jitter.clamp(0.0, MAX_JITTER) * dice.clamp(0.0, 1.0)) as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn exact() -> RetryPolicy {
        RetryPolicy { jitter: 0.0, ..RetryPolicy::default() }
    }

    /// All attempts after a first one at 0 that takes no time and fails, until the window is used up.
    fn walk(policy: &RetryPolicy, dice: f64) -> Vec<UnixMs> {
        let mut now = UnixMs(0);
        let mut dues = Vec::new();
        for failed in 1..=1_000 {
            match policy.next_due(failed, UnixMs(0), now, None, dice) {
                Some(due) => now = due,
                None => break,
            }
            dues.push(now);
        }
        dues
    }

    #[test]
    fn default_schedule_unchanged() {
        let dues = walk(&exact(), 0.0);
        let gaps: Vec<u64> = [UnixMs(0)]
            .iter()
            .chain(&dues)
            .zip(&dues)
            .map(|(from, to)| to.since_ms(*from) / MINUTE_MS)
            .collect();
        assert_eq!(gaps, [1, 2, 4, 8, 16, 32, 64, 128, 256, 480, 480, 480, 480, 480, 480, 480]);
        assert_eq!(dues.last(), Some(&UnixMs(3_871 * MINUTE_MS)), "the last one at 64.5 h");
    }

    #[test]
    fn policy_format_unchanged() {
        assert_eq!(
            serde_json::to_string(&RetryPolicy::default()).unwrap(),
            r#"{"first_ms":60000,"factor":2.0,"max_ms":28800000,"max_age_ms":259200000,"jitter":0.1,"retry_after_unit":"milliseconds","also_retry":[]}"#
        );
    }

    #[test]
    fn a_field_of_a_later_version_is_passed_over() {
        let stored = r#"{"first_ms":100,"of_a_later_version":1}"#;
        let policy: RetryPolicy = serde_json::from_str(stored).unwrap();
        assert_eq!(policy, RetryPolicy { first_ms: 100, ..RetryPolicy::default() });
    }

    #[test]
    fn jitter_keeps_both_ends() {
        let policy = RetryPolicy { jitter: 0.5, ..RetryPolicy::default() };
        assert_eq!(policy.gap_ms(1, 0.0), MINUTE_MS);
        assert_eq!(policy.gap_ms(1, 0.999_999), 89_999);
        assert_eq!(policy.gap_ms(9, 1.0), 384 * MINUTE_MS);
        assert_eq!(policy.gap_ms(10, 0.0), MAX_GAP_MS);
        assert_eq!(policy.gap_ms(10, 1.0), MAX_GAP_MS / 2);
        assert_eq!(policy.gap_ms(u32::MAX, 0.0), MAX_GAP_MS);
    }

    #[test]
    fn a_cap_at_the_first_gap_leaves_no_room_for_jitter() {
        let policy = RetryPolicy { max_ms: MINUTE_MS, jitter: 0.5, ..RetryPolicy::default() };
        assert_eq!([0.0, 0.5, 1.0].map(|dice| policy.gap_ms(1, dice)), [MINUTE_MS; 3]);
        let policy = RetryPolicy { max_ms: 70_000, ..policy };
        assert_eq!([0.0, 0.1, 1.0].map(|dice| policy.gap_ms(2, dice)), [70_000, 66_500, MINUTE_MS]);
    }

    #[test]
    fn an_attempt_may_start_at_the_end_of_the_window_and_not_after() {
        let policy = RetryPolicy { max_age_ms: 3 * MINUTE_MS, ..exact() };
        assert_eq!(walk(&policy, 0.0), [UnixMs(MINUTE_MS), UnixMs(3 * MINUTE_MS)]);
        let policy = RetryPolicy { max_age_ms: 3 * MINUTE_MS - 1, ..exact() };
        assert_eq!(walk(&policy, 0.0), [UnixMs(MINUTE_MS)]);
    }

    #[test]
    fn retry_after_replaces_the_gap() {
        let now = UnixMs(1_000_000);
        let due = |policy: &RetryPolicy, told, dice| {
            policy.next_due(5, now, now, Some(told), dice).map(|due| due.since_ms(now))
        };
        let fast = RetryPolicy { first_ms: 100, jitter: 0.5, ..exact() };
        assert_eq!(due(&fast, RetryAfter::Number(1_500), 0.0), Some(1_500));
        assert_eq!(due(&fast, RetryAfter::Number(1_500), 1.0), Some(2_250), "jitter only lengthens");
        assert_eq!(due(&fast, RetryAfter::Number(7), 0.0), Some(100), "never below first_ms");
        let seconds = RetryPolicy { retry_after_unit: RetryAfterUnit::Seconds, ..fast.clone() };
        assert_eq!(due(&seconds, RetryAfter::Number(2), 0.0), Some(2_000));
        assert_eq!(due(&fast, RetryAfter::At(now.plus_ms(9_000)), 0.0), Some(9_000));
        assert_eq!(due(&fast, RetryAfter::At(UnixMs(0)), 0.0), Some(100), "a date in the past");
        assert_eq!(due(&fast, RetryAfter::Number(20 * HOUR_MS), 0.0), Some(20 * HOUR_MS), "beyond max_ms");
        assert_eq!(due(&fast, RetryAfter::Number(3 * DAY_MS), 1.0), Some(3 * DAY_MS), "to the window's end");
        assert_eq!(due(&fast, RetryAfter::Number(3 * DAY_MS + 1), 0.0), None);
        assert_eq!(due(&seconds, RetryAfter::Number(u64::MAX), 0.0), None);
    }

    prop_compose! {
        fn any_policy()(
            first_ms in MIN_FIRST_MS..=MAX_GAP_MS,
            factor in 1.0..=MAX_FACTOR,
            more_ms in 0..=MAX_GAP_MS,
            max_age_ms in 0..=MAX_WINDOW_MS,
            jitter in 0.0..=MAX_JITTER,
        ) -> RetryPolicy {
            let max_ms = (first_ms + more_ms).min(MAX_GAP_MS);
            RetryPolicy { first_ms, factor, max_ms, max_age_ms, jitter, ..RetryPolicy::default() }
        }
    }

    proptest! {
        #[test]
        fn gaps_stay_between_their_ends(policy in any_policy(), failed in 1u32..2_000, dice in 0.0..1.0f64) {
            let gap = policy.gap_ms(failed, dice);
            prop_assert!(gap <= policy.max_ms);
            prop_assert!(gap >= policy.first_ms);
        }

        #[test]
        fn gaps_never_shrink_without_jitter(policy in any_policy(), failed in 1u32..200) {
            let policy = RetryPolicy { jitter: 0.0, ..policy };
            prop_assert!(policy.gap_ms(failed, 0.5) <= policy.gap_ms(failed + 1, 0.5));
        }

        #[test]
        fn no_due_is_past_the_window(
            policy in any_policy(), failed in 1u32..50, dice in 0.0..1.0f64,
            told in proptest::option::of(0..=10 * DAY_MS),
        ) {
            let now = UnixMs(5_000);
            if let Some(due) = policy.next_due(failed, UnixMs(1_000), now, told.map(RetryAfter::Number), dice) {
                prop_assert!(due <= policy.window_ends(UnixMs(1_000)));
                prop_assert!(due.since_ms(now) >= told.unwrap_or(0).min(policy.max_age_ms));
            }
        }
    }
}
