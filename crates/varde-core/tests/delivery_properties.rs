//! Laws of one delivery and of its schedule, tried on random policies, outcomes and orders of events.
//!
//! What many deliveries in one outbox do to each other is the simulation's matter.

#[path = "rules/mod.rs"]
mod rules;

use proptest::prelude::*;
use varde_core::delivery::{Circumstances, Delivery, Effect, Event, MAX_ATTEMPTS, State, Step};
use varde_core::oauth2::Trouble;
use varde_core::outcome::{Outcome, RetryAfter};
use varde_core::schedule::{
    MAX_FACTOR, MAX_GAP_MS, MAX_JITTER, MAX_WINDOW_MS, MIN_FIRST_MS, RetryAfterUnit, RetryPolicy,
};
use varde_core::time::{DAY_MS, HOUR_MS, MINUTE_MS, UnixMs};

use self::rules::Chronicle;

const START: UnixMs = UnixMs(1_767_225_600_000);
const fn no_token(trouble: Trouble, token_status: Option<u16>) -> Outcome {
    Outcome::Token { trouble, token_status, retry_after: None }
}

const FAILED: Outcome = Outcome::Response { status: 500, retry_after: None };

/// One thing that happens to the delivery, or to its clock.
#[derive(Debug, Clone)]
enum Happening {
    Wait(u64),
    /// To the moment when somebody must look, give or take a millisecond.
    WaitUntilItWakes(i64),
    /// Until no attempt may start any more, but for a grace.
    WaitForTheWindow,
    Lease(u64),
    Settle(Whose, Outcome, u64),
    Return(Whose),
    LeaseEnded,
    Hold,
    Release,
    Block,
    Unblock,
    Excuse,
    Cancel,
    Unsendable,
}

/// By which lease somebody speaks.
#[derive(Debug, Clone, Copy)]
enum Whose {
    Current,
    Earlier,
    NeverGiven,
}

impl Whose {
    fn number(self, delivery: &Delivery) -> u32 {
        match self {
            Self::Current => delivery.leases,
            Self::Earlier => delivery.leases.saturating_sub(1),
            Self::NeverGiven => delivery.leases + 1,
        }
    }
}

fn any_policy() -> impl Strategy<Value = RetryPolicy> {
    let window = prop_oneof![0..=MAX_WINDOW_MS, 0..=HOUR_MS, Just(0), Just(MAX_WINDOW_MS)];
    let first = prop_oneof![MIN_FIRST_MS..=10_000, MIN_FIRST_MS..=MAX_GAP_MS];
    let growth = (prop_oneof![Just(1.0), Just(2.0), 1.0..=MAX_FACTOR], 0..=MAX_GAP_MS);
    let jitter = prop_oneof![Just(0.0), 0.0..=MAX_JITTER];
    let also_retry = proptest::collection::vec(client_error(), 0..3);
    (first, growth, window, jitter, any::<bool>(), also_retry).prop_map(
        |(first_ms, (factor, more_ms), max_age_ms, jitter, seconds, also_retry)| RetryPolicy {
            first_ms,
            factor,
            max_ms: (first_ms + more_ms).min(MAX_GAP_MS),
            max_age_ms,
            jitter,
            retry_after_unit: if seconds { RetryAfterUnit::Seconds } else { RetryAfterUnit::Milliseconds },
            also_retry,
        },
    )
}

/// The statuses on which rules differ, more often than the rest.
fn client_error() -> impl Strategy<Value = u16> {
    prop_oneof![prop::sample::select(vec![404, 408, 410, 425]), 400u16..=499]
}

fn any_outcome() -> impl Strategy<Value = Outcome> {
    let told = prop_oneof![
        (0..=8 * DAY_MS).prop_map(RetryAfter::Number),
        (0..=HOUR_MS).prop_map(RetryAfter::Number),
        any::<u64>().prop_map(RetryAfter::Number),
        (0..=8 * DAY_MS).prop_map(|ms| RetryAfter::At(START.plus_ms(ms))),
        Just(RetryAfter::At(UnixMs(0))),
    ];
    let status = prop_oneof![
        8 => Just(503u16),
        6 => Just(429),
        4 => 500u16..=599,
        2 => 300u16..=399,
        2 => client_error(),
        2 => 200u16..=299,
        1 => any::<u16>(),
    ];
    prop_oneof![
        6 => (status, proptest::option::of(told))
            .prop_map(|(status, retry_after)| Outcome::Response { status, retry_after }),
        3 => Just(Outcome::Timeout),
        3 => Just(Outcome::Connect),
        1 => Just(Outcome::Blocked),
        1 => Just(no_token(Trouble::Timeout, None)),
        1 => Just(no_token(Trouble::InvalidClient, Some(401))),
    ]
}

fn any_happening() -> impl Strategy<Value = Happening> {
    let whose =
        || prop_oneof![6 => Just(Whose::Current), 2 => Just(Whose::Earlier), 1 => Just(Whose::NeverGiven)];
    let wait = prop_oneof![0..=1_000u64, 0..=HOUR_MS, 0..=4 * DAY_MS];
    prop_oneof![
        3 => wait.prop_map(Happening::Wait),
        12 => (-1..=1i64).prop_map(Happening::WaitUntilItWakes),
        1 => Just(Happening::WaitForTheWindow),
        12 => (1_000..=33_000u64).prop_map(Happening::Lease),
        8 => (whose(), any_outcome(), 0..=30_000u64)
            .prop_map(|(whose, outcome, ms)| Happening::Settle(whose, outcome, ms)),
        3 => whose().prop_map(Happening::Return),
        4 => Just(Happening::LeaseEnded),
        2 => Just(Happening::Hold),
        3 => Just(Happening::Release),
        3 => prop_oneof![Just(Happening::Block), Just(Happening::Unblock), Just(Happening::Excuse)],
        1 => prop_oneof![Just(Happening::Cancel), Just(Happening::Unsendable)],
    ]
}

fn event_of(happening: &Happening, delivery: &Delivery) -> Option<Event<'static>> {
    Some(match *happening {
        Happening::Wait(_) | Happening::WaitUntilItWakes(_) | Happening::WaitForTheWindow => return None,
        Happening::Lease(lease_ms) => Event::Lease { lease_ms },
        Happening::Settle(whose, outcome, duration_ms) => {
            Event::Settle { lease: whose.number(delivery), outcome, duration_ms }
        }
        Happening::Return(whose) => Event::Return { lease: whose.number(delivery), reason: "missing_secret" },
        Happening::LeaseEnded => Event::LeaseEnded,
        Happening::Hold => Event::Hold,
        Happening::Release => Event::Release,
        Happening::Block => Event::Block,
        Happening::Unblock => Event::Unblock,
        Happening::Excuse => Event::Excuse,
        Happening::Cancel => Event::Cancel,
        Happening::Unsendable => Event::Unsendable { reason: "missing_output" },
    })
}

/// What holds between a delivery and the next state of it, whatever the event was.
fn plain_laws(
    before: &Delivery,
    step: &Step,
    now: UnixMs,
    policy: &RetryPolicy,
) -> Result<(), TestCaseError> {
    let after = &step.delivery;
    prop_assert!(before.state.is_open(), "ends absorb");
    prop_assert!(after.leases == before.leases || after.leases == before.leases + 1);
    prop_assert_eq!(
        after.leases > before.leases,
        matches!(after.state, State::InFlight { .. }),
        "a lease and its number come together"
    );
    prop_assert!(after.state.attempts_made() <= MAX_ATTEMPTS);
    prop_assert!(after.state.attempts_made() <= after.leases.max(1), "no attempt without a lease");
    prop_assert!(after.lost <= after.leases);
    prop_assert!(
        !matches!(after.state, State::Blocked { .. }) || after.leases == 0,
        "who has begun isn't blocked"
    );
    prop_assert_eq!(!after.state.is_open(), step.effects.last() == Some(&Effect::End));
    match &after.state {
        State::Scheduled { due, reason, grace, .. } => {
            let waits_for_the_schedule =
                reason.is_none() && !grace && !matches!(before.state, State::Held { .. });
            if let (true, Some(first)) = (waits_for_the_schedule, after.first_attempt) {
                prop_assert!(*due <= policy.window_ends(first), "no due is past the window");
            }
            prop_assert_eq!(after.state.wakes_at(), Some(*due));
        }
        State::InFlight { grace, deadline, .. } => {
            let first = after.first_attempt.expect("an attempt has a first one");
            prop_assert!(*grace || now <= policy.window_ends(first), "no attempt starts past the window");
            prop_assert_eq!(after.state.wakes_at(), Some(*deadline));
        }
        _ => prop_assert_eq!(after.state.wakes_at(), None),
    }
    let stored = serde_json::to_string(after).expect("a state is JSON");
    prop_assert_eq!(&serde_json::from_str::<Delivery>(&stored).expect("as it was stored"), after);
    Ok(())
}

/// A failure prints what it needs; no file of seeds beside the source.
fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(1_000))]

    #[test]
    fn any_order_of_events_keeps_the_rules(
        policy in any_policy(),
        happenings in proptest::collection::vec((any_happening(), 0.0..1.0f64), 0..80),
    ) {
        let mut now = START;
        let mut delivery = Delivery::scheduled(now);
        let mut chronicle = Chronicle::begin(delivery.clone(), policy.clone());
        for (happening, dice) in happenings {
            match happening {
                Happening::Wait(ms) => now = now.plus_ms(ms),
                Happening::WaitUntilItWakes(off_by) => {
                    let wakes_at = delivery.state.wakes_at().map_or(now, |at| UnixMs(at.0.saturating_add_signed(off_by)));
                    now = now.max(wakes_at);
                }
                Happening::WaitForTheWindow => {
                    now = now.max(delivery.first_attempt.map_or(now, |first| policy.window_ends(first).plus_ms(1)));
                }
                _ => {}
            }
            let Some(event) = event_of(&happening, &delivery) else { continue };
            let found = delivery.step(&event, Circumstances { now, dice, policy: &policy });
            chronicle.witness(&event, now, &found).map_err(TestCaseError::fail)?;
            if let Ok(step) = found {
                plain_laws(&delivery, &step, now, &policy)?;
                delivery = step.delivery;
            }
        }
    }
}

/// The dues of all retries of a delivery whose attempts each take `duration_ms` and fail.
fn walk(policy: &RetryPolicy, duration_ms: u64, mut dice: impl FnMut() -> f64) -> Vec<u64> {
    let mut dues = Vec::new();
    let mut delivery = Delivery::scheduled(START);
    let mut now = START;
    loop {
        let mut step = |now, event: Event<'_>| {
            let at = Circumstances { now, dice: dice(), policy };
            delivery = delivery.step(&event, at).expect("due and current").delivery;
            delivery.state.clone()
        };
        step(now, Event::Lease { lease_ms: duration_ms + 5_000 });
        now = now.plus_ms(duration_ms);
        let lease = dues.len() as u32 + 1;
        match step(now, Event::Settle { lease, outcome: FAILED, duration_ms }) {
            State::Scheduled { due, .. } => now = due,
            ended => {
                assert_eq!(ended.status(), "exhausted");
                return dues;
            }
        }
        dues.push(now.since_ms(START));
    }
}

/// When retry `n` (from 1) is due with factor 2 and no jitter, in one go: the first gaps are a geometric
/// series, those at the cap an arithmetic one.
fn closed_form(policy: &RetryPolicy, duration_ms: u64, n: u32) -> u64 {
    let below_cap = (0..n).take_while(|&gap| policy.first_ms << gap < policy.max_ms).count() as u32;
    let growing = policy.first_ms * ((1 << below_cap) - 1);
    u64::from(n) * duration_ms + growing + u64::from(n - below_cap) * policy.max_ms
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn doubling_is_a_closed_form(
        first_ms in prop_oneof![MIN_FIRST_MS..=MINUTE_MS, MIN_FIRST_MS..=MAX_GAP_MS],
        more_ms in 0..=MAX_GAP_MS,
        any_age_ms in 0..=MAX_WINDOW_MS,
        exactly in proptest::option::of((1..=20u32, -1..=1i64)),
        duration_ms in prop_oneof![Just(0), 0..=28_000u64],
    ) {
        let max_ms = (first_ms + more_ms).min(MAX_GAP_MS);
        let policy = RetryPolicy { first_ms, max_ms, jitter: 0.0, ..RetryPolicy::default() };
        // A window that ends with a retry, or a millisecond beside it, tells `<` from `<=`.
        let max_age_ms = exactly.map_or(any_age_ms, |(n, off_by)| {
            closed_form(&policy, duration_ms, n).saturating_add_signed(off_by)
        });
        let policy = RetryPolicy { max_age_ms, ..policy };
        let dues = walk(&policy, duration_ms, || 0.5);
        for (n, due) in (1..).zip(&dues) {
            prop_assert_eq!(*due, closed_form(&policy, duration_ms, n), "retry {}", n);
            prop_assert!(*due <= max_age_ms);
        }
        let made = dues.len() as u32;
        prop_assert!(
            made + 1 == MAX_ATTEMPTS || closed_form(&policy, duration_ms, made + 1) > max_age_ms,
            "one more would have fitted"
        );
    }

    #[test]
    fn a_steady_gap_is_a_multiplication(first_ms in MINUTE_MS..=MAX_GAP_MS, max_age_ms in 0..=MAX_WINDOW_MS) {
        let policy = RetryPolicy { first_ms, factor: 1.0, max_age_ms, jitter: 0.0, ..RetryPolicy::default() };
        let fitting = (max_age_ms / first_ms).min(u64::from(MAX_ATTEMPTS) - 1);
        let expected: Vec<u64> = (1..=fitting).map(|n| n * first_ms).collect();
        prop_assert_eq!(walk(&policy, 0, || 0.5), expected);
    }

    #[test]
    fn jitter_keeps_every_due_between_the_extremes(
        policy in any_policy(),
        throws in proptest::collection::vec(0.0..1.0f64, 1..50),
    ) {
        let policy = RetryPolicy { first_ms: policy.first_ms.max(MINUTE_MS), max_ms: MAX_GAP_MS, ..policy };
        let (mut earliest, mut latest) = (0.0, 0.0);
        let mut throw = throws.iter().cycle();
        let dues = walk(&policy, 0, || *throw.next().expect("a cycle has no end"));
        for (n, due) in (0..).zip(dues) {
            let grown = policy.first_ms as f64 * policy.factor.powi(n);
            let most = MAX_GAP_MS as f64;
            // Rounding to whole milliseconds is worth up to two of them a gap.
            earliest += (grown.min(most * (1.0 - policy.jitter)) - 2.0).max(policy.first_ms as f64);
            latest += (grown * (1.0 + policy.jitter)).min(most) + 2.0;
            prop_assert!(earliest <= due as f64 && due as f64 <= latest, "{earliest} <= {due} <= {latest}");
        }
    }

    #[test]
    fn jitter_spreads_every_gap_as_far_as_its_ends_allow(policy in any_policy(), failed in 1u8..100) {
        let grown = policy.first_ms as f64 * policy.factor.powi(i32::from(failed) - 1);
        let (first, most) = (policy.first_ms as f64, policy.max_ms as f64);
        let (room, gap) = if grown >= most { (most - first, most) } else { (most - grown, grown) };
        let spread = {
            let gap = |dice| policy.gap_ms(u32::from(failed), dice);
            gap(0.0).abs_diff(gap(1.0)) as f64
        };
        prop_assert!((spread - (gap * policy.jitter).min(room)).abs() <= 2.0, "{spread} of {gap}");
    }

    #[test]
    fn a_longer_window_only_adds_retries(
        policy in any_policy(),
        more_ms in 0..=MAX_WINDOW_MS,
        duration_ms in 0..=28_000u64,
    ) {
        let policy = RetryPolicy { first_ms: policy.first_ms.max(MINUTE_MS), max_ms: MAX_GAP_MS, ..policy };
        let longer = RetryPolicy { max_age_ms: policy.max_age_ms + more_ms, ..policy.clone() };
        let (short, long) = (walk(&policy, duration_ms, || 0.25), walk(&longer, duration_ms, || 0.25));
        prop_assert!(long.starts_with(&short));
        prop_assert!(long.iter().skip(short.len()).all(|due| *due > policy.max_age_ms));
    }
}

#[test]
fn the_default_schedule_is_the_closed_form() {
    let policy = RetryPolicy { jitter: 0.0, ..RetryPolicy::default() };
    let expected: Vec<u64> = (1..=16).map(|n| closed_form(&policy, 0, n)).collect();
    assert_eq!(walk(&policy, 0, || 0.0), expected);
    assert_eq!(expected.last(), Some(&(3_871 * MINUTE_MS)), "the last one at 64.5 h");
}

#[test]
fn the_hastiest_policy_makes_a_thousand_attempts() {
    let policy = RetryPolicy {
        first_ms: MIN_FIRST_MS,
        factor: 1.0,
        max_ms: MIN_FIRST_MS,
        max_age_ms: MAX_WINDOW_MS,
        ..RetryPolicy::default()
    };
    assert_eq!(walk(&policy, 0, || 0.9).len() + 1, 1_000);
}
