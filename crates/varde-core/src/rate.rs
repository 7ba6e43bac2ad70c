//! Rate limits: how many requests an action may make, over all outboxes of its workflow.
//!
//! Time is cut into slots, one request each, evenly apart. One [`Pacer`] gives them away in their order;
//! each outbox keeps what it was given in an [`Allowance`] and uses a slot when its time has come. No slot
//! is given twice and none can be saved up, so the limit holds whoever asks and whatever fails; a slot that
//! goes by unused is lost.
//!
//! Out of scope: who asks whom, and when (the outbox).

use core::num::{NonZeroU32, NonZeroU64};

use serde::{Deserialize, Serialize};

use crate::time::{SECOND_MS, UnixMs};

/// How long a slot can still be used after its time. In any ten seconds at most this much more than the
/// limit can be used: 4 %. Less would lose slots to an alarm that rings late. Slots that lie further apart live
/// until the next one comes, or a limit of one an hour would wait for another hour because an alarm was half a
/// second late, and the same might happen again; that is at most one request more, and only after such an alarm.
const SLOT_LIFE_MS: u64 = 400;
/// How far back slots are given away after a pause: what an idle action can make up for at once. Shorter
/// than [`SLOT_LIFE_MS`], else they would be lost on the way.
const MAKE_UP_MS: u64 = 200;
/// An outbox counts as asking this long after it has asked.
const ASKING_MS: u64 = 2 * SECOND_MS;
/// Slots that lie closer together than this are waited for together: an alarm costs more than a request.
const STEP_MS: u64 = 50;
/// Most slots in one grant.
const MAX_SLOTS: u32 = 1_000;

const NS_PER_MS: u64 = 1_000_000;

/// How many requests an action may make in a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateLimit {
    requests: NonZeroU32,
    per_ms: NonZeroU64,
}

impl RateLimit {
    /// So many requests in so many milliseconds; `None` when either is zero.
    #[must_use]
    pub const fn new(requests: u32, per_ms: u64) -> Option<Self> {
        match (NonZeroU32::new(requests), NonZeroU64::new(per_ms)) {
            (Some(requests), Some(per_ms)) => Some(Self { requests, per_ms }),
            _ => None,
        }
    }

    /// Requests in a window, at least 1.
    #[must_use]
    pub const fn requests(self) -> u32 {
        self.requests.get()
    }

    /// Length of the window in milliseconds, at least 1.
    #[must_use]
    pub const fn per_ms(self) -> u64 {
        self.per_ms.get()
    }

    fn spacing_ns(self) -> u64 {
        (self.per_ms.get().saturating_mul(NS_PER_MS) / u64::from(self.requests.get())).max(1)
    }
}

/// Slots that an outbox was given: the first one in `in_ms`, the others `spacing_ns` apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// When the first slot comes, in milliseconds from the answer: clocks differ, durations don't. Negative
    /// for one that may be made up for.
    pub in_ms: i64,
    /// Nanoseconds between slots.
    pub spacing_ns: u64,
    /// How many.
    pub slots: u32,
}

/// Gives slots away; one for each action, in the workflow's first outbox. Not stored: a new one begins with
/// the present, so a restart can only lose slots.
#[derive(Debug, Clone)]
pub struct Pacer {
    limit: RateLimit,
    next_ns: u64,
    asking: Vec<(u8, UnixMs)>,
}

impl Pacer {
    /// One whose first slot is now.
    #[must_use]
    pub const fn new(limit: RateLimit, now: UnixMs) -> Self {
        Self { limit, next_ns: now.0.saturating_mul(NS_PER_MS), asking: Vec::new() }
    }

    /// What it keeps to.
    #[must_use]
    pub const fn limit(&self) -> RateLimit {
        self.limit
    }

    /// Gives `shard` its share of the next second, as far as it has use for it, but at least one slot. Who
    /// has used up what it was given may ask again, so everybody's turn comes.
    pub fn grant(&mut self, shard: u8, wanted: u32, now: UnixMs) -> Grant {
        self.asking.retain(|(asker, at)| *asker != shard && now.since_ms(*at) < ASKING_MS);
        self.asking.push((shard, now));
        let spacing_ns = self.limit.spacing_ns();
        let now_ns = now.0.saturating_mul(NS_PER_MS);
        self.next_ns = self.next_ns.max(now_ns.saturating_sub(MAKE_UP_MS * NS_PER_MS));
        let part = SECOND_MS * NS_PER_MS / spacing_ns / self.asking.len() as u64;
        let part = u32::try_from(part).unwrap_or(u32::MAX).clamp(1, MAX_SLOTS);
        let slots = wanted.clamp(1, part);
        let in_ms = (i128::from(self.next_ns) - i128::from(now_ns)).div_euclid(i128::from(NS_PER_MS)) + 1;
        self.next_ns = self.next_ns.saturating_add(spacing_ns.saturating_mul(u64::from(slots)));
        Grant { in_ms: i64::try_from(in_ms).unwrap_or(i64::MAX), spacing_ns, slots }
    }
}

/// What an outbox may still use of its last grant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Allowance {
    next_ns: u64,
    spacing_ns: u64,
    left: u32,
}

impl Allowance {
    /// Takes a grant over that was given at `now`; what was left of an earlier one is lost.
    pub fn take_over(&mut self, grant: Grant, now: UnixMs) {
        let first = now.0.saturating_add_signed(grant.in_ms);
        *self = Self {
            next_ns: first.saturating_mul(NS_PER_MS),
            spacing_ns: grant.spacing_ns.max(1),
            left: grant.slots,
        };
    }

    /// Slots whose time has come and isn't over.
    pub fn usable(&mut self, now: UnixMs) -> u32 {
        let now_ns = now.0.saturating_mul(NS_PER_MS);
        let life_ns = self.spacing_ns.max(SLOT_LIFE_MS * NS_PER_MS);
        let oldest = now_ns.saturating_sub(life_ns);
        if self.left > 0 && self.next_ns < oldest {
            self.skip((oldest - self.next_ns).div_ceil(self.spacing_ns));
        }
        if self.left == 0 || self.next_ns > now_ns {
            return 0;
        }
        let passed = (now_ns - self.next_ns) / self.spacing_ns + 1;
        self.left.min(u32::try_from(passed).unwrap_or(u32::MAX))
    }

    /// Uses one slot. Call it for what [`Self::usable`] has told.
    pub fn use_one(&mut self) {
        self.skip(1);
    }

    /// Whether it is time to ask for more.
    #[must_use]
    pub const fn is_used_up(&self) -> bool {
        self.left == 0
    }

    /// When it is worth looking again; `None` when nothing is left.
    #[must_use]
    pub fn next_at(&self, now: UnixMs) -> Option<UnixMs> {
        let at = UnixMs(self.next_ns.div_ceil(NS_PER_MS));
        let dense = self.left > 1 && self.spacing_ns < STEP_MS * NS_PER_MS;
        (self.left > 0).then(|| if dense { at.max(now.plus_ms(STEP_MS)) } else { at })
    }

    fn skip(&mut self, slots: u64) {
        self.left = self.left.saturating_sub(u32::try_from(slots).unwrap_or(u32::MAX));
        self.next_ns = self.next_ns.saturating_add(self.spacing_ns.saturating_mul(slots));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: UnixMs = UnixMs(1_767_225_600_000);

    fn limit(requests: u32, per_ms: u64) -> RateLimit {
        RateLimit::new(requests, per_ms).unwrap()
    }

    #[test]
    fn formats_unchanged() {
        let text = r#"{"requests":20,"per_ms":1000}"#;
        assert_eq!(serde_json::to_string(&limit(20, 1_000)).unwrap(), text);
        assert_eq!(serde_json::from_str::<RateLimit>(text).unwrap(), limit(20, 1_000));
        assert!(serde_json::from_str::<RateLimit>(r#"{"requests":0,"per_ms":1000}"#).is_err());
        let grant = Grant { in_ms: -3, spacing_ns: 50_000_000, slots: 2 };
        let text = r#"{"in_ms":-3,"spacing_ns":50000000,"slots":2}"#;
        assert_eq!(serde_json::to_string(&grant).unwrap(), text);
        assert_eq!(serde_json::from_str::<Grant>(text).unwrap(), grant);
    }

    #[test]
    fn shares_the_next_second_among_those_who_ask() {
        let mut pacer = Pacer::new(limit(20, 1_000), START);
        assert_eq!(pacer.grant(0, 100, START), Grant { in_ms: 1, spacing_ns: 50_000_000, slots: 20 });
        assert_eq!(pacer.grant(1, 100, START), Grant { in_ms: 1_001, spacing_ns: 50_000_000, slots: 10 });
        assert_eq!(pacer.grant(2, 3, START).slots, 3, "no more than it has use for");
        let later = START.plus_ms(ASKING_MS + 1_650);
        assert_eq!(pacer.grant(0, 100, later).slots, 20, "the others have gone");
        assert_eq!(pacer.grant(0, 0, later).slots, 1);
    }

    #[test]
    fn an_idle_action_makes_up_for_little() {
        let mut pacer = Pacer::new(limit(20, 1_000), START);
        assert_eq!(pacer.grant(0, 9, START.plus_ms(60_000)).in_ms, 1 - MAKE_UP_MS.cast_signed());
        let mut slow = Pacer::new(limit(1, 60_000), START);
        let first = START.plus_ms(600_000);
        assert_eq!(slow.grant(0, 9, first).slots, 1);
        assert_eq!(slow.grant(0, 9, first).in_ms, 60_001 - MAKE_UP_MS.cast_signed());
    }

    #[test]
    fn slots_come_one_by_one_and_go_by() {
        let mut allowance = Allowance::default();
        assert!(allowance.is_used_up() && allowance.usable(START) == 0 && allowance.next_at(START).is_none());
        allowance.take_over(Grant { in_ms: 100, spacing_ns: 100 * NS_PER_MS, slots: 10 }, START);
        assert_eq!((allowance.usable(START), allowance.next_at(START)), (0, Some(START.plus_ms(100))));
        let later = START.plus_ms(250);
        assert_eq!(allowance.usable(later), 2);
        allowance.use_one();
        assert_eq!((allowance.usable(later), allowance.next_at(later)), (1, Some(START.plus_ms(200))));
        assert_eq!(allowance.usable(START.plus_ms(1_050)), 4, "those of 700 to 1,000");
        assert_eq!(allowance.usable(START.plus_ms(9_000)), 0);
        assert!(allowance.is_used_up());
    }

    #[test]
    fn a_rare_slot_waits_for_a_late_alarm() {
        let hour_ms = 3_600_000;
        let mut allowance = Allowance::default();
        allowance.take_over(Grant { in_ms: 0, spacing_ns: hour_ms * NS_PER_MS, slots: 1 }, START);
        assert_eq!(allowance.usable(START.plus_ms(SLOT_LIFE_MS + 1)), 1);
        assert_eq!(allowance.usable(START.plus_ms(hour_ms)), 1);
        assert_eq!((allowance.usable(START.plus_ms(hour_ms + 1)), allowance.is_used_up()), (0, true));
    }

    #[test]
    fn dense_slots_are_waited_for_together() {
        let mut allowance = Allowance::default();
        allowance.take_over(Grant { in_ms: 1, spacing_ns: NS_PER_MS, slots: 100 }, START);
        assert_eq!(allowance.next_at(START), Some(START.plus_ms(STEP_MS)));
        assert_eq!(allowance.usable(START.plus_ms(STEP_MS)), 50);
    }

    /// Shards with endless work that look `latency` milliseconds late and ask when they have used up
    /// theirs; gives back when requests were made.
    fn run(limit: RateLimit, latencies: &[u64], seconds: u64) -> Vec<u64> {
        let mut pacer = Pacer::new(limit, START);
        let mut shards: Vec<(Allowance, u64)> =
            latencies.iter().map(|latency| (Allowance::default(), *latency)).collect();
        let mut made = Vec::new();
        for ms in 0..seconds * 1_000 {
            let now = START.plus_ms(ms);
            for (shard, (allowance, looks_at)) in shards.iter_mut().enumerate() {
                if ms < *looks_at {
                    continue;
                }
                for _ in 0..allowance.usable(now) {
                    allowance.use_one();
                    made.push(ms);
                }
                if allowance.is_used_up() {
                    allowance.take_over(pacer.grant(shard as u8, u32::MAX, now), now);
                }
                let next = allowance.next_at(now).map_or(0, |at| at.since_ms(START));
                *looks_at = next.max(ms + 1) + latencies[shard];
            }
        }
        made
    }

    fn most_in(made: &[u64], window_ms: u64) -> usize {
        (0..made.len())
            .map(|from| made[from..].partition_point(|at| *at < made[from] + window_ms))
            .max()
            .unwrap_or(0)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

        /// Never 5 % above the limit in ten seconds (and one request: a window may begin with one), nor 5 %
        /// below it while there is work.
        #[test]
        fn holds_over_all_shards(
            requests in 1u32..300,
            per_ms in 1_000u64..5_000,
            latencies in proptest::collection::vec(0u64..40, 1..12),
        ) {
            let limit = limit(requests, per_ms);
            let made = run(limit, &latencies, 30);
            let due = 10_000.0 * f64::from(requests) / per_ms as f64;
            let most = most_in(&made, 10_000) as f64;
            prop_assert!(most <= due * 1.05 + 1.0, "{most} of {due}");
            let steady = made.iter().filter(|at| (10_000..30_000).contains(*at)).count() as f64;
            prop_assert!(steady >= 2.0 * due * 0.95 - latencies.len() as f64 - 1.0, "{steady} of {}", 2.0 * due);
        }

        /// Alarms that are always late, by up to a second, starve nobody whose slots are rarer than that.
        #[test]
        fn late_alarms_starve_nobody(per_ms in 1_000u64..9_000, latency in 0u64..1_000, shards in 1usize..4) {
            let made = run(limit(1, per_ms), &vec![latency; shards], 60);
            let due = 10_000.0 / per_ms as f64;
            let most = most_in(&made, 10_000) as f64;
            prop_assert!(most <= due * 1.05 + 2.0, "{most} of {due}");
            let least = 60_000 / (per_ms + latency) / 2;
            prop_assert!(made.len() as u64 >= least, "{} of {least} in a minute", made.len());
        }

        #[test]
        fn everybody_has_a_turn(shards in 1usize..64) {
            let mut pacer = Pacer::new(limit(10, 1_000), START);
            let given: Vec<Grant> = (0..shards).map(|shard| pacer.grant(shard as u8, 100, START)).collect();
            for pair in given.windows(2) {
                prop_assert_eq!(pair[0].in_ms + 100 * i64::from(pair[0].slots), pair[1].in_ms);
            }
        }

        #[test]
        fn any_numbers_are_harmless(
            limit in (1u32.., 1u64..).prop_map(|(requests, per_ms)| limit(requests, per_ms)),
            grant in (any::<i64>(), any::<u64>(), any::<u32>())
                .prop_map(|(in_ms, spacing_ns, slots)| Grant { in_ms, spacing_ns, slots }),
            now in any::<u64>().prop_map(UnixMs),
            then in any::<u64>().prop_map(UnixMs),
        ) {
            let mut pacer = Pacer::new(limit, now);
            pacer.grant(3, u32::MAX, then);
            let mut allowance = Allowance::default();
            allowance.take_over(grant, now);
            for _ in 0..allowance.usable(then).min(10) {
                allowance.use_one();
            }
            let _ = allowance.next_at(then);
        }
    }
}
