//! A retry policy written out as a list: what a person sees before the first attempt fails.

use serde::Serialize;

use super::RetryPolicy;
use crate::delivery::MAX_ATTEMPTS;
use crate::time::UnixMs;

/// One retry of a plan. Every attempt before it fails at once, and no endpoint says `Retry-After`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Planned {
    /// Number of the attempt; the first retry is number 2.
    pub attempt: u32,
    /// Gap before it in milliseconds, without jitter.
    pub gap_ms: u64,
    /// When it starts without jitter.
    pub due: UnixMs,
    /// When it starts if all dice fall so that gaps are shortest.
    pub earliest: UnixMs,
    /// When it starts if all dice fall so that gaps are longest; never after the window.
    pub latest: UnixMs,
}

impl RetryPolicy {
    /// The retries after a first attempt at `first_attempt`, up to the end of the window or to
    /// [`MAX_ATTEMPTS`]. Jitter moves each within its range, and may let the last one fall out of the window.
    #[must_use]
    pub fn plan(&self, first_attempt: UnixMs) -> Vec<Planned> {
        let ends = self.window_ends(first_attempt);
        let (mut due, mut earliest, mut latest) = (first_attempt, first_attempt, first_attempt);
        let mut plan = Vec::new();
        for failed in 1..MAX_ATTEMPTS {
            let gap_ms = self.gap_ms(failed, 0.0);
            let other_ms = self.gap_ms(failed, 1.0);
            due = due.plus_ms(gap_ms);
            if due > ends {
                break;
            }
            earliest = earliest.plus_ms(gap_ms.min(other_ms));
            latest = latest.plus_ms(gap_ms.max(other_ms)).min(ends);
            plan.push(Planned { attempt: failed + 1, gap_ms, due, earliest, latest });
        }
        plan
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::time::{HOUR_MS, MINUTE_MS};

    #[test]
    fn the_default_is_sixteen_retries_in_three_days() {
        let plan = RetryPolicy::default().plan(UnixMs(1_000));
        assert_eq!(plan.len(), 16);
        assert_eq!(
            plan[0],
            Planned {
                attempt: 2,
                gap_ms: MINUTE_MS,
                due: UnixMs(1_000 + MINUTE_MS),
                earliest: UnixMs(1_000 + MINUTE_MS),
                latest: UnixMs(1_000 + 66_000),
            }
        );
        let last = plan[15];
        assert_eq!((last.attempt, last.gap_ms), (17, 8 * HOUR_MS));
        assert_eq!(last.due, UnixMs(1_000 + 3_871 * MINUTE_MS));
        assert!(last.earliest < last.due && last.due < last.latest);
    }

    #[test]
    fn a_window_of_nothing_plans_nothing() {
        assert_eq!(RetryPolicy { max_age_ms: 0, ..RetryPolicy::default() }.plan(UnixMs(0)), []);
    }

    #[test]
    fn a_plan_ends_where_attempts_do() {
        let policy = RetryPolicy { first_ms: 100, max_ms: 100, ..RetryPolicy::default() };
        assert_eq!(policy.plan(UnixMs(0)).len(), 999);
    }

    proptest! {
        /// What the dice make of each retry lies in its range.
        #[test]
        fn dice_stay_in_the_range(
            first_ms in 100..100_000u64, factor in 1.0..10.0f64, jitter in 0.0..=0.5f64, dice in 0.0..1.0f64,
        ) {
            let policy = RetryPolicy { first_ms, factor, jitter, ..RetryPolicy::default() };
            let mut now = UnixMs(7);
            for planned in policy.plan(now) {
                let Some(due) = policy.next_due(planned.attempt - 1, UnixMs(7), now, None, dice) else { break };
                prop_assert!(planned.earliest <= due && due <= planned.latest, "{planned:?} {due:?}");
                now = due;
            }
        }
    }
}
