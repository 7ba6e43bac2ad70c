use super::*;
use crate::outcome::RetryAfter;
use crate::schedule::RetryPolicy;
use crate::time::{DAY_MS, HOUR_MS, MINUTE_MS};

const LEASE_MS: u64 = 30_000;

/// One delivery, its clock and its policy: tests read as a story.
struct Story {
    delivery: Delivery,
    now: UnixMs,
    policy: RetryPolicy,
    effects: Vec<Effect>,
}

impl Story {
    fn begin() -> Self {
        let policy = RetryPolicy { jitter: 0.0, ..RetryPolicy::default() };
        Self { delivery: Delivery::scheduled(UnixMs(0)), now: UnixMs(0), policy, effects: Vec::new() }
    }

    fn try_step(&mut self, event: &Event<'_>) -> Result<(), Refused> {
        let at = Circumstances { now: self.now, dice: 0.0, policy: &self.policy };
        let step = self.delivery.step(event, at)?;
        self.delivery = step.delivery;
        self.effects = step.effects;
        Ok(())
    }

    fn then(&mut self, event: &Event<'_>) -> &mut Self {
        self.try_step(event).unwrap();
        self
    }

    fn lease(&mut self) -> &mut Self {
        self.then(&Event::Lease { lease_ms: LEASE_MS })
    }

    fn settle(&mut self, outcome: Outcome) -> &mut Self {
        let lease = self.delivery.leases;
        self.then(&Event::Settle { lease, outcome, duration_ms: 7 })
    }

    fn wait(&mut self, ms: u64) -> &mut Self {
        self.now = self.now.plus_ms(ms);
        self
    }

    /// Jumps to when somebody must look again.
    fn wait_until_due(&mut self) -> &mut Self {
        self.now = self.delivery.state.wakes_at().unwrap();
        self
    }

    fn state(&self) -> &State {
        &self.delivery.state
    }
}

const fn answered(status: u16) -> Outcome {
    Outcome::Response { status, retry_after: None }
}

fn scheduled(attempt: u32, due: u64) -> State {
    State::Scheduled { attempt, due: UnixMs(due), reason: None, grace: false }
}

#[test]
fn delivered_at_the_first_attempt() {
    let mut story = Story::begin();
    story.lease();
    let deadline = UnixMs(LEASE_MS);
    assert_eq!(story.state(), &State::InFlight { attempt: 1, started: UnixMs(0), deadline, grace: false });
    story.wait(80).settle(answered(204));
    assert_eq!(story.state(), &State::Delivered { attempt: 1 });
    let end = AttemptEnd {
        number: 1,
        started_at: UnixMs(0),
        duration_ms: 7,
        outcome: answered(204),
        verdict: Verdict::Delivered,
        next_due: None,
    };
    assert_eq!(story.effects, [Effect::RecordAttempt(end), Effect::End]);
}

#[test]
fn fails_twice_and_arrives() {
    let mut story = Story::begin();
    story.lease().wait(10).settle(answered(503));
    assert_eq!(story.state(), &scheduled(2, 10 + MINUTE_MS));
    assert!(
        matches!(&story.effects[..], [Effect::RecordAttempt(end)] if end.next_due == Some(UnixMs(10 + MINUTE_MS)))
    );
    story.wait_until_due().lease().settle(Outcome::Timeout);
    assert_eq!(story.state(), &scheduled(3, 10 + MINUTE_MS + 2 * MINUTE_MS));
    story.wait_until_due().lease().settle(answered(200));
    assert_eq!(story.state(), &State::Delivered { attempt: 3 });
    assert_eq!(story.delivery.first_attempt, Some(UnixMs(0)));
}

#[test]
fn retries_for_three_days_then_is_exhausted() {
    let mut story = Story::begin();
    let mut attempts = 0;
    while story.state().is_open() {
        story.wait_until_due().lease().settle(answered(500));
        attempts += 1;
    }
    assert_eq!(attempts, 17, "the first and 16 retries");
    assert_eq!(story.state(), &State::Exhausted { attempt: 17, reason: "window_used_up".to_owned() });
    assert!(story.now.0 < 3 * DAY_MS);
    assert_eq!(story.effects.last(), Some(&Effect::End));
}

#[test]
fn a_client_error_ends_it_and_gone_pauses_the_action() {
    let mut story = Story::begin();
    story.lease().settle(answered(404));
    assert_eq!(story.state(), &State::Rejected { attempt: 1, reason: "http_404".to_owned() });
    assert_eq!(story.effects.len(), 2);

    let mut story = Story::begin();
    story.lease().settle(answered(410));
    assert_eq!(story.state().reason(), Some("gone"));
    assert_eq!(story.effects[1..], [Effect::PauseAction { reason: "gone" }, Effect::End]);
}

#[test]
fn retry_after_beyond_the_window_exhausts() {
    let mut story = Story::begin();
    story
        .lease()
        .settle(Outcome::Response { status: 429, retry_after: Some(RetryAfter::Number(4 * DAY_MS)) });
    assert_eq!(story.state(), &State::Exhausted { attempt: 1, reason: "window_used_up".to_owned() });
}

#[test]
fn the_first_loss_is_retried_at_once_later_ones_by_the_schedule() {
    let mut story = Story::begin();
    story.lease().wait_until_due().then(&Event::LeaseEnded);
    assert_eq!(story.state(), &scheduled(2, LEASE_MS));
    assert!(matches!(&story.effects[..], [Effect::RecordAttempt(end)]
        if end.outcome == Outcome::Lost && end.duration_ms == LEASE_MS && end.next_due == Some(UnixMs(LEASE_MS))));
    story.lease().wait_until_due().then(&Event::LeaseEnded);
    assert_eq!(story.state(), &scheduled(3, 2 * LEASE_MS + 2 * MINUTE_MS));
    assert_eq!(story.delivery.lost, 2);
}

#[test]
fn a_returned_lease_is_not_an_attempt() {
    let mut story = Story::begin();
    story.lease().then(&Event::Return { lease: 1, reason: "missing_secret" });
    let reason = Some("missing_secret".to_owned());
    let due = UnixMs(RETURN_DELAY_MS);
    assert_eq!(story.state(), &State::Scheduled { attempt: 1, due, reason, grace: false });
    assert_eq!(story.effects, []);
    story.wait_until_due().lease().settle(answered(200));
    assert_eq!(story.state(), &State::Delivered { attempt: 1 });
    assert_eq!(story.delivery.leases, 2);
}

#[test]
fn the_window_begins_with_the_first_attempt_and_not_with_a_returned_lease() {
    let mut story = Story::begin();
    while story.now.0 < 4 * DAY_MS {
        let lease = story.lease().delivery.leases;
        story.then(&Event::Return { lease, reason: "missing_secret" }).wait(DAY_MS);
    }
    assert_eq!(story.delivery.first_attempt, None);
    let begun = story.lease().now;
    story.settle(answered(500));
    assert_eq!(story.delivery.first_attempt, Some(begun));
    assert_eq!(story.state(), &scheduled(2, begun.0 + MINUTE_MS));
    // Once there was an attempt, a returned lease leaves the window alone.
    let lease = story.wait_until_due().lease().delivery.leases;
    story.then(&Event::Return { lease, reason: "missing_secret" });
    assert_eq!(story.delivery.first_attempt, Some(begun));
}

#[test]
fn a_late_settle_counts_only_as_good_news() {
    let mut story = Story::begin();
    story.lease().wait_until_due().then(&Event::LeaseEnded).lease();
    let late = |outcome| Event::Settle { lease: 1, outcome, duration_ms: 5 };
    let before = story.delivery.clone();
    assert_eq!(story.try_step(&late(answered(500))), Err(Refused::StaleLease));
    assert_eq!(story.try_step(&late(answered(404))), Err(Refused::StaleLease));
    assert_eq!(story.delivery, before);
    story.then(&late(answered(200)));
    assert_eq!(story.state(), &State::Delivered { attempt: 2 });
    assert_eq!(
        story.try_step(&Event::Settle { lease: 2, outcome: answered(200), duration_ms: 5 }),
        Err(Refused::Ended)
    );
}

#[test]
fn a_lease_is_refused_before_its_due_and_ends_not_before_its_deadline() {
    let mut story = Story::begin();
    story.lease().settle(answered(500)).wait(MINUTE_MS - 1);
    assert_eq!(story.try_step(&Event::Lease { lease_ms: LEASE_MS }), Err(Refused::TooEarly));
    story.wait(1).lease().wait(LEASE_MS - 1);
    assert_eq!(
        story.try_step(&Event::Lease { lease_ms: LEASE_MS }),
        Err(Refused::WrongState),
        "one lease at a time"
    );
    assert_eq!(story.try_step(&Event::LeaseEnded), Err(Refused::TooEarly));
}

#[test]
fn an_alarm_that_missed_the_window_makes_no_attempt() {
    let mut story = Story::begin();
    story.lease().settle(answered(500)).wait(4 * DAY_MS).lease();
    assert_eq!(story.state(), &State::Exhausted { attempt: 1, reason: "window_used_up".to_owned() });
    assert_eq!(story.effects, [Effect::End]);
}

#[test]
fn held_past_its_window_it_gets_one_attempt() {
    let mut story = Story::begin();
    story.lease().settle(answered(500)).then(&Event::Hold);
    assert_eq!(story.state().wakes_at(), None);
    story.wait(5 * DAY_MS).then(&Event::Release);
    assert!(matches!(story.state(), State::Scheduled { grace: true, attempt: 2, .. }));
    story.lease().then(&Event::Return { lease: 2, reason: "missing_secret" });
    story.wait_until_due().lease().settle(answered(500));
    assert_eq!(story.state(), &State::Exhausted { attempt: 2, reason: "window_used_up".to_owned() });
}

#[test]
fn held_within_its_window_it_goes_on_as_planned() {
    let mut story = Story::begin();
    story.lease().settle(answered(500)).then(&Event::Hold).wait(10).then(&Event::Release);
    assert_eq!(story.state(), &scheduled(2, MINUTE_MS));
    story.then(&Event::Hold).wait(HOUR_MS).then(&Event::Release);
    assert_eq!(story.state(), &scheduled(2, HOUR_MS + 10));
}

#[test]
fn a_person_cancels_in_any_open_state() {
    let mut story = Story::begin();
    story.then(&Event::Cancel);
    assert_eq!(story.state(), &State::Canceled { attempt: 0 });
    let mut story = Story::begin();
    story.lease().then(&Event::Cancel);
    assert_eq!(story.state(), &State::Canceled { attempt: 1 });
    assert_eq!(
        story.try_step(&Event::Settle { lease: 1, outcome: answered(200), duration_ms: 5 }),
        Err(Refused::Ended)
    );
    let mut story = Story::begin();
    story.then(&Event::Hold).then(&Event::Cancel);
    assert_eq!(story.effects, [Effect::End]);
}

#[test]
fn what_cannot_be_sent_is_rejected_without_an_attempt() {
    let mut story = Story::begin();
    story.then(&Event::Unsendable { reason: "missing_output" });
    assert_eq!(story.state(), &State::Rejected { attempt: 0, reason: "missing_output".to_owned() });
}

#[test]
fn attempts_are_bounded() {
    let mut story = Story::begin();
    story.policy = RetryPolicy { first_ms: 100, factor: 1.0, max_ms: 100, ..story.policy.clone() };
    while story.state().is_open() {
        story.wait_until_due().lease().settle(answered(500));
    }
    assert_eq!(
        story.state(),
        &State::Exhausted { attempt: MAX_ATTEMPTS, reason: "attempts_used_up".to_owned() }
    );
}

#[test]
fn delivery_format_unchanged() {
    let mut story = Story::begin();
    let mut seen = vec![serde_json::to_string(&story.delivery).unwrap()];
    for event in [
        Event::Lease { lease_ms: LEASE_MS },
        Event::Settle { lease: 1, outcome: Outcome::Lost, duration_ms: 1 },
        Event::Hold,
        Event::Cancel,
    ] {
        story.then(&event);
        seen.push(serde_json::to_string(&story.delivery).unwrap());
    }
    assert_eq!(
        seen,
        [
            r#"{"status":"scheduled","attempt":1,"due":0}"#,
            r#"{"status":"in_flight","attempt":1,"started":0,"deadline":30000,"first_attempt":0,"leases":1}"#,
            r#"{"status":"scheduled","attempt":2,"due":0,"first_attempt":0,"lost":1,"leases":1}"#,
            r#"{"status":"held","attempt":2,"due":0,"first_attempt":0,"lost":1,"leases":1}"#,
            r#"{"status":"canceled","attempt":1,"first_attempt":0,"lost":1,"leases":1}"#,
        ]
    );
    for text in seen {
        let read: Delivery = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
    }
}

#[test]
fn attempt_format_unchanged() {
    let mut story = Story::begin();
    story.lease().settle(answered(500));
    let Some(Effect::RecordAttempt(end)) = story.effects.first() else { panic!("{:?}", story.effects) };
    assert_eq!(
        serde_json::to_string(end).unwrap(),
        r#"{"number":1,"started_at":0,"duration_ms":7,"outcome":"response","status":500,"verdict":"retry","next_due":60000}"#
    );
}

#[test]
fn waits_for_its_turn() {
    let mut story = Story::begin();
    story.then(&Event::Block);
    assert_eq!(story.state(), &State::Blocked { due: UnixMs(0) });
    assert_eq!((story.state().status(), story.state().reason()), ("scheduled", Some("waits_for_earlier")));
    assert_eq!(
        (story.state().wakes_at(), story.state().attempt(), story.state().attempts_made()),
        (None, 1, 0)
    );
    let stored = r#"{"status":"blocked","due":0}"#;
    assert_eq!(serde_json::to_string(&story.delivery).unwrap(), stored);
    for event in [Event::Lease { lease_ms: 1 }, Event::Hold, Event::Release, Event::LeaseEnded, Event::Block]
    {
        assert_eq!(story.try_step(&event), Err(Refused::WrongState), "{event:?}");
    }
    story.wait(5_000).then(&Event::Unblock);
    assert_eq!(story.state(), &scheduled(1, 5_000));
    story.lease().settle(answered(500));
    assert_eq!(story.try_step(&Event::Block), Err(Refused::WrongState), "it has begun");
}

#[test]
fn a_blocked_delivery_can_be_canceled() {
    let mut story = Story::begin();
    story.then(&Event::Block).then(&Event::Cancel);
    assert_eq!(story.state(), &State::Canceled { attempt: 0 });
}

#[test]
fn an_attempt_is_cut_short_by_what_its_sender_has_left_or_not_made() {
    for (timeout_ms, left_ms, time) in [
        (25_000, 30_000, Some(25_000)),
        // The longest timeout fits a fresh sender, and look-ups that took all the time that they have.
        (28_000, 30_000, Some(28_000)),
        (28_000, 30_000 - LOOK_UPS_MS, Some(26_000)),
        (1_000, 2_000, Some(1_000)),
        (1_000, 1_500, Some(500)),
        (1_000, 1_499, None),
        (28_000, 0, None),
    ] {
        assert_eq!(attempt_ms(timeout_ms, left_ms), time, "{timeout_ms} of {left_ms}");
    }
}
