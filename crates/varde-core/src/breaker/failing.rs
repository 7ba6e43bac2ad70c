//! When people are told that an action does nothing but fail: long before its first delivery is given up.
//!
//! This row of failures is another one than the breaker's: each attempt that is to be retried belongs to it, a
//! 429 and a lost lease, too, because the deliveries come to their ends by any of them.

use super::Breaker;
use crate::outcome::Verdict;
use crate::time::{DAY_MS, UnixMs};

/// How long an action may do nothing but fail: a third of the default window.
const WARN_AFTER_MS: u64 = DAY_MS;

impl Breaker {
    /// Whether people are to be told now. An attempt has ended, of which [`Self::attempted`] has heard, of a
    /// delivery that is tried for `window_ms`. Told once in a row of failures.
    pub fn failing(&mut self, verdict: Verdict, window_ms: u64, now: UnixMs) -> bool {
        if verdict != Verdict::Retry {
            // `attempted` has forgotten the row.
            return false;
        }
        // A row that an earlier version has begun began with the breaker's.
        let since = *self.failing_since.get_or_insert(self.since.unwrap_or(now));
        let failing = !self.warned && now.since_ms(since) >= warn_after_ms(window_ms);
        self.warned |= failing;
        failing
    }
}

/// A day, and no later than half of the window.
fn warn_after_ms(window_ms: u64) -> u64 {
    WARN_AFTER_MS.min(window_ms / 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Outcome;
    use crate::schedule::RetryPolicy;
    use crate::time::{HOUR_MS, MINUTE_MS};

    const START: UnixMs = UnixMs(1_000_000);
    const DOWN: Outcome = Outcome::Response { status: 503, retry_after: None };
    const BUSY: Outcome = Outcome::Response { status: 429, retry_after: None };
    const UP: Outcome = Outcome::Response { status: 200, retry_after: None };

    fn ended(breaker: &mut Breaker, outcome: Outcome, window_ms: u64, now: UnixMs) -> bool {
        let verdict = outcome.verdict(&RetryPolicy::default());
        breaker.attempted(&outcome, verdict, now, now, 0.0);
        breaker.failing(verdict, window_ms, now)
    }

    /// The hours at which people are told, of an action with an attempt each quarter of an hour.
    fn told(window_ms: u64, hours: u64, outcome: impl Fn(u64) -> Outcome) -> Vec<f64> {
        let mut breaker = Breaker::default();
        (0..=hours * 4)
            .filter(|n| ended(&mut breaker, outcome(*n), window_ms, START.plus_ms(n * 15 * MINUTE_MS)))
            .map(|n| n as f64 / 4.0)
            .collect()
    }

    #[test]
    fn tells_once_in_a_row_after_a_day() {
        for outcome in [DOWN, BUSY, Outcome::Lost, Outcome::Timeout, Outcome::Connect] {
            assert_eq!(told(3 * DAY_MS, 72, |_| outcome), [24.0], "{outcome:?}");
        }
        let mixed = |n: u64| [DOWN, BUSY, Outcome::Lost][(n % 3) as usize];
        assert_eq!(told(3 * DAY_MS, 72, mixed), [24.0]);
        let back_for_once = |n: u64| if n == 30 * 4 { UP } else { DOWN };
        assert_eq!(told(3 * DAY_MS, 72, back_for_once), [24.0, 54.25], "another row");
    }

    #[test]
    fn tells_at_half_of_a_shorter_window() {
        for (window_ms, hour) in [
            (7 * DAY_MS, 24.0),
            (2 * DAY_MS, 24.0),
            (DAY_MS, 12.0),
            (6 * HOUR_MS, 3.0),
            (HOUR_MS, 0.5),
            (MINUTE_MS, 0.25),
        ] {
            assert_eq!(told(window_ms, 48, |_| DOWN), [hour], "a window of {window_ms} ms");
        }
    }

    #[test]
    fn tells_before_the_default_policy_gives_up() {
        let policy = RetryPolicy::default();
        let mut breaker = Breaker::default();
        let (mut now, mut told) = (START, Vec::new());
        for failed in 1.. {
            if ended(&mut breaker, BUSY, policy.max_age_ms, now) {
                told.push(now.since_ms(START) / HOUR_MS);
            }
            let Some(due) = policy.next_due(failed, START, now, None, 0.0) else { break };
            now = due;
        }
        assert_eq!(told, [24]);
        assert!(now.since_ms(START) > 60 * HOUR_MS, "the last attempt is long after it");
    }

    #[test]
    fn answers_end_the_row() {
        let refused = Outcome::Response { status: 404, retry_after: None };
        for answer in [UP, refused] {
            assert_eq!(told(3 * DAY_MS, 200, |n| if n % 90 == 0 { answer } else { DOWN }), [0.0; 0]);
        }
    }

    #[test]
    fn what_an_earlier_version_stored_is_read() {
        let stored = r#"{"failures":3,"since":1000000,"warned":true}"#;
        let mut breaker: Breaker = serde_json::from_str(stored).unwrap();
        assert!(!ended(&mut breaker, DOWN, 3 * DAY_MS, START.plus_ms(2 * DAY_MS)), "was told before");
        let mut breaker: Breaker = serde_json::from_str(r#"{"failures":3,"since":1000000}"#).unwrap();
        assert!(ended(&mut breaker, DOWN, 3 * DAY_MS, START.plus_ms(DAY_MS)));
    }

    #[test]
    fn stored_row_format_unchanged() {
        let mut breaker = Breaker::default();
        assert!(!ended(&mut breaker, BUSY, 3 * DAY_MS, START));
        assert_eq!(serde_json::to_string(&breaker).unwrap(), r#"{"failing_since":1000000}"#);
        assert!(ended(&mut breaker, DOWN, 3 * DAY_MS, START.plus_ms(DAY_MS)));
        assert_eq!(
            serde_json::to_string(&breaker).unwrap(),
            r#"{"failures":1,"since":87400000,"failing_since":1000000,"warned":true}"#
        );
    }
}
