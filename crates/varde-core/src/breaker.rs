//! The circuit breaker of an action: when its endpoint is down, one delivery asks now and then whether it is
//! back, and the others wait without using up their attempts.
//!
//! It opens after [`FAILURES`] attempts in a row that are to be retried, over [`AT_LEAST_MS`] or longer: a
//! burst at one bad moment opens nothing. A 429 doesn't count, because the endpoint is there and says when
//! to come again; nor does a lost lease, which says nothing about the endpoint. A refusal (404, …) is an
//! answer, and ends the row: bad records must not stop good ones.

mod failing;

use serde::{Deserialize, Serialize};

use crate::outcome::{Outcome, Verdict};
use crate::time::{MINUTE_MS, SECOND_MS, UnixMs};

/// Failures in a row that open it.
pub const FAILURES: u32 = 10;
/// How long the row must have lasted.
pub const AT_LEAST_MS: u64 = MINUTE_MS;
/// The first gap between two probes; it doubles with each that fails.
const FIRST_GAP_MS: u64 = 30 * SECOND_MS;
/// The longest gap: how late an endpoint that is back may be found.
const MAX_GAP_MS: u64 = 5 * MINUTE_MS;
/// Share of a gap that dice may take off: the shards of a workflow have breakers of their own, which opened in the
/// same minute, and shall not find the endpoint back, and let go of all that waited, in the same second.
const JITTER: f64 = 0.1;

/// Where an action's breaker stands, as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Breaker {
    /// Failures in a row.
    #[serde(default, skip_serializing_if = "crate::delivery::is_zero")]
    failures: u32,
    /// When the row began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    since: Option<UnixMs>,
    /// Set while it is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    open: Option<Open>,
    /// Since when the action does nothing but fail, in any way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failing_since: Option<UnixMs>,
    /// Whether people were told that it does nothing but fail.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    warned: bool,
    /// When it last closed: what was due before waited because of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    closed_at: Option<UnixMs>,
}

/// An open breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    /// When it opened.
    pub at: UnixMs,
    /// When the next probe may go out.
    pub probe_at: UnixMs,
    /// The gap before it.
    gap_ms: u64,
}

/// What the end of an attempt made of a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It opened.
    Opened,
    /// It closed.
    Closed,
}

impl Breaker {
    /// Whether nothing needs to be remembered.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// The opening, while it is open.
    #[must_use]
    pub const fn open(&self) -> Option<Open> {
        self.open
    }

    /// Failures in a row.
    #[must_use]
    pub const fn failures(&self) -> u32 {
        self.failures
    }

    /// An attempt has ended that was started at `started_at`. `dice` is a fraction in `0.0..1.0`.
    pub fn attempted(
        &mut self,
        outcome: &Outcome,
        verdict: Verdict,
        started_at: UnixMs,
        now: UnixMs,
        dice: f64,
    ) -> Option<Turn> {
        match verdict {
            Verdict::Delivered | Verdict::Reject => {
                let was_open = self.open.is_some();
                let closed_at = if was_open { Some(now) } else { self.closed_at };
                *self = Self { closed_at, ..Self::default() };
                was_open.then_some(Turn::Closed)
            }
            Verdict::Retry if matches!(outcome, Outcome::Lost | Outcome::Response { status: 429, .. }) => {
                None
            }
            Verdict::Retry => self.failed(started_at, now, dice),
        }
    }

    fn failed(&mut self, started_at: UnixMs, now: UnixMs, dice: f64) -> Option<Turn> {
        self.failures = self.failures.saturating_add(1);
        let since = *self.since.get_or_insert(now);
        match &mut self.open {
            // One that was under way when it opened is no probe.
            Some(open) if started_at < open.probe_at => {}
            Some(open) => {
                open.gap_ms = (open.gap_ms * 2).min(MAX_GAP_MS);
                open.probe_at = now.plus_ms(shortened(open.gap_ms, dice));
            }
            None if self.failures >= FAILURES && now.since_ms(since) >= AT_LEAST_MS => {
                let probe_at = now.plus_ms(shortened(FIRST_GAP_MS, dice));
                self.open = Some(Open { at: now, probe_at, gap_ms: FIRST_GAP_MS });
                return Some(Turn::Opened);
            }
            None => {}
        }
        None
    }

    /// How many leases may be given out now, where `cap` is what a closed one allows.
    #[must_use]
    pub fn room(&self, in_flight: u64, cap: u64, now: UnixMs) -> u64 {
        match self.open {
            None => cap.saturating_sub(in_flight),
            Some(open) => u64::from(in_flight == 0 && open.probe_at <= now),
        }
    }

    /// When the next lease may be given out, as far as the breaker goes.
    #[must_use]
    pub fn next_at(&self, due: UnixMs) -> UnixMs {
        self.open.map_or(due, |open| open.probe_at.max(due))
    }

    /// Whether a delivery that was due at `due` has waited because of it.
    #[must_use]
    pub fn held_back(&self, due: UnixMs) -> bool {
        self.open.is_some() || self.closed_at.is_some_and(|closed_at| due <= closed_at)
    }
}

/// A gap without the part that dice take off.
fn shortened(gap_ms: u64, dice: f64) -> u64 {
    gap_ms - (gap_ms as f64 * JITTER * dice.clamp(0.0, 1.0)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOWN: Outcome = Outcome::Response { status: 503, retry_after: None };
    const START: UnixMs = UnixMs(1_000_000);

    fn fail(breaker: &mut Breaker, now: UnixMs) -> Option<Turn> {
        breaker.attempted(&DOWN, Verdict::Retry, now, now, 0.0)
    }

    /// One that has just opened, and when.
    fn opened() -> (Breaker, UnixMs) {
        let mut breaker = Breaker::default();
        for n in 0..u64::from(FAILURES) {
            let turn = fail(&mut breaker, START.plus_ms(n * 7_000));
            assert_eq!(turn, (n == 9).then_some(Turn::Opened), "failure {n}");
        }
        (breaker, START.plus_ms(63_000))
    }

    #[test]
    fn opens_after_ten_failures_over_a_minute() {
        let (breaker, at) = opened();
        assert_eq!(breaker.open(), Some(Open { at, probe_at: at.plus_ms(30_000), gap_ms: 30_000 }));
        let mut hasty = Breaker::default();
        for n in 0..1_000 {
            assert_eq!(fail(&mut hasty, START.plus_ms(n * 10)), None, "a bad moment");
        }
        assert_eq!(fail(&mut hasty, START.plus_ms(AT_LEAST_MS)), Some(Turn::Opened));
        let mut few = Breaker::default();
        for n in 0..9 {
            assert_eq!(fail(&mut few, START.plus_ms(n * 100_000)), None);
        }
        assert_eq!(few.failures(), 9);
    }

    #[test]
    fn answers_break_the_row_and_some_failures_say_nothing() {
        for (outcome, verdict) in [
            (Outcome::Response { status: 200, retry_after: None }, Verdict::Delivered),
            (Outcome::Response { status: 404, retry_after: None }, Verdict::Reject),
        ] {
            let mut breaker = Breaker::default();
            for n in 0..100 {
                fail(&mut breaker, START.plus_ms(n * 10_000));
                breaker.attempted(&outcome, verdict, START, START, 0.0);
            }
            assert!(breaker.is_default(), "{outcome:?}");
        }
        for outcome in [Outcome::Lost, Outcome::Response { status: 429, retry_after: None }] {
            let mut breaker = Breaker::default();
            for n in 0..100 {
                let now = START.plus_ms(n * 10_000);
                assert_eq!(breaker.attempted(&outcome, Verdict::Retry, now, now, 0.0), None);
            }
            assert!(breaker.is_default(), "{outcome:?}");
            let (mut open, at) = opened();
            let before = open;
            open.attempted(&outcome, Verdict::Retry, at.plus_ms(30_000), at.plus_ms(31_000), 0.0);
            assert_eq!(open, before, "it stays open, and asks again");
        }
    }

    #[test]
    fn asks_with_one_probe_after_ever_longer_gaps() {
        let (mut breaker, at) = opened();
        assert_eq!(breaker.room(0, 64, at.plus_ms(29_999)), 0);
        let mut probe_at = at.plus_ms(30_000);
        for gap in [60_000, 120_000, 240_000, 300_000, 300_000] {
            assert_eq!((breaker.room(0, 64, probe_at), breaker.room(1, 64, probe_at)), (1, 0));
            let ended = probe_at.plus_ms(25_000);
            assert_eq!(breaker.attempted(&Outcome::Timeout, Verdict::Retry, probe_at, ended, 0.0), None);
            probe_at = ended.plus_ms(gap);
            assert_eq!(breaker.next_at(at), probe_at);
        }
        assert_eq!(
            breaker.next_at(probe_at.plus_ms(5)),
            probe_at.plus_ms(5),
            "a probe is a delivery that is due"
        );
    }

    #[test]
    fn dice_take_at_most_a_tenth_off_a_gap() {
        for (dice, first, second) in [(0.0, 30_000, 60_000), (0.5, 28_500, 57_000), (1.0, 27_000, 54_000)] {
            let (mut breaker, _) = opened();
            let at = breaker.open().unwrap().probe_at;
            breaker.attempted(&DOWN, Verdict::Retry, at, at, dice);
            assert_eq!(breaker.next_at(at), at.plus_ms(second));
            assert_eq!(shortened(FIRST_GAP_MS, dice), first);
        }
        assert_eq!((shortened(10, f64::NAN), shortened(10, 7.0), shortened(0, 0.5)), (10, 9, 0));
    }

    #[test]
    fn what_was_under_way_is_no_probe() {
        let (mut breaker, at) = opened();
        let before = breaker.open();
        breaker.attempted(&Outcome::Timeout, Verdict::Retry, at, at.plus_ms(25_000), 0.0);
        assert_eq!(breaker.open(), before);
        let turn = breaker.attempted(&DOWN, Verdict::Delivered, at, at.plus_ms(26_000), 0.0);
        assert_eq!(turn, Some(Turn::Closed), "but good news is good news");
    }

    #[test]
    fn closes_at_the_first_answer_and_remembers_who_waited() {
        let (mut breaker, at) = opened();
        assert!(breaker.held_back(at) && !Breaker::default().held_back(at));
        let closed_at = at.plus_ms(31_000);
        assert_eq!(
            breaker.attempted(&DOWN, Verdict::Delivered, at.plus_ms(30_000), closed_at, 0.0),
            Some(Turn::Closed)
        );
        assert_eq!((breaker.room(3, 64, closed_at), breaker.failures()), (61, 0));
        assert!(breaker.held_back(closed_at) && !breaker.held_back(closed_at.plus_ms(1)));
        fail(&mut breaker, closed_at.plus_ms(5));
        assert!(breaker.held_back(closed_at), "a new failure doesn't forget them");
    }

    #[test]
    fn stored_breaker_format_unchanged() {
        assert_eq!(serde_json::to_string(&Breaker::default()).unwrap(), "{}");
        let (breaker, _) = opened();
        let text =
            r#"{"failures":10,"since":1000000,"open":{"at":1063000,"probe_at":1093000,"gap_ms":30000}}"#;
        assert_eq!(serde_json::to_string(&breaker).unwrap(), text);
        assert_eq!(serde_json::from_str::<Breaker>(text).unwrap(), breaker);
    }
}
