//! The life of one delivery.
//!
//! [`Delivery::step`] is the whole of it: state and event in, next state and effects out. Whoever owns the
//! state stores the result first and carries the effects out after that. Events may come early, late or
//! twice: one that doesn't apply is [`Refused`] and changes nothing.
//!
//! Out of scope: which delivery is taken next and how many at once (the outbox), rendering and signing
//! (`render`, `auth`), what an answer means (`outcome`), how long a gap is (`schedule`).

mod state;

use serde::{Deserialize, Serialize};

use crate::outcome::{Outcome, Verdict};
use crate::schedule::RetryPolicy;
use crate::time::{SECOND_MS, UnixMs};

pub use state::State;

/// Attempts made for one delivery at most: a policy of 100 ms over 7 days would make six million.
pub const MAX_ATTEMPTS: u32 = 1_000;
/// What a lease lasts beyond the attempt's own timeout: the time for a settle to come in.
pub const LEASE_GRACE_MS: u64 = 5 * SECOND_MS;
/// What a sender's look-ups before an attempt may take of that, all together.
pub const LOOK_UPS_MS: u64 = 3 * SECOND_MS;
/// What its look-up after an attempt may take; the rest is for the settle.
pub const LOOK_AGAIN_MS: u64 = SECOND_MS;
/// What of a sender's own time is kept for that.
const SETTLE_MS: u64 = SECOND_MS;
const _: () =
    assert!(LOOK_UPS_MS + LOOK_AGAIN_MS + SETTLE_MS <= LEASE_GRACE_MS, "a sender settles within its lease");
/// When a lease that was given back is due again.
pub const RETURN_DELAY_MS: u64 = 5 * SECOND_MS;

/// The state of one delivery, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// Where it is in its life.
    #[serde(flatten)]
    pub state: State,
    /// When its first attempt started; the window counts from here. A lease that was given back is no attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_attempt: Option<UnixMs>,
    /// How many attempts ended with nobody coming back.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lost: u32,
    /// Leases given out so far; the number names the current one.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub leases: u32,
}

/// Something that happens to a delivery.
#[derive(Debug, Clone, PartialEq)]
pub enum Event<'a> {
    /// Somebody takes it to make an attempt, with so many milliseconds from now to tell.
    Lease {
        /// Timeout of the attempt plus [`LEASE_GRACE_MS`].
        lease_ms: u64,
    },
    /// A sender tells what its attempt met.
    Settle {
        /// Number of its lease.
        lease: u32,
        /// What it met.
        outcome: Outcome,
        /// How long the attempt took, by the sender's clock.
        duration_ms: u64,
    },
    /// A sender gives its lease back without having sent anything.
    Return {
        /// Number of its lease.
        lease: u32,
        /// A stable slug of what it lacked.
        reason: &'a str,
    },
    /// The deadline of the lease has come. Harmless before: it is refused.
    LeaseEnded,
    /// The action is paused.
    Hold,
    /// The action is resumed.
    Release,
    /// An earlier delivery of the same record to the same action is open, and order is to be kept.
    Block,
    /// The earlier ones have ended: it is its turn.
    Unblock,
    /// It waited for no fault of its own (at an open circuit breaker): should its window have ended
    /// meanwhile, one attempt is made all the same.
    Excuse,
    /// A person ends it.
    Cancel,
    /// There is nothing to send, and there won't be.
    Unsendable {
        /// A stable slug: `missing_output`, `request_too_large`, …
        reason: &'a str,
    },
}

/// What follows from a step, to be carried out after the new state is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// An attempt has ended: write it to the log.
    RecordAttempt(AttemptEnd),
    /// The delivery has ended: its enrollment goes on.
    End,
    /// The endpoint is gone: pause its action everywhere.
    PauseAction {
        /// A stable slug.
        reason: &'static str,
    },
}

/// One attempt, as it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptEnd {
    /// Counted from 1.
    pub number: u32,
    /// When its lease was given out.
    pub started_at: UnixMs,
    /// How long it took.
    pub duration_ms: u64,
    /// What it met.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// What that meant.
    pub verdict: Verdict,
    /// When the next attempt is due, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_due: Option<UnixMs>,
}

/// What a step leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The state to store.
    pub delivery: Delivery,
    /// What to do once it is stored.
    pub effects: Vec<Effect>,
}

/// An event that doesn't apply in this state; nothing changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The delivery has ended, and ends absorb.
    #[error("the delivery has ended")]
    Ended,
    /// It isn't due yet, or its lease hasn't ended yet.
    #[error("it isn't time yet")]
    TooEarly,
    /// Somebody else holds the lease, or nobody does.
    #[error("the lease is not the current one")]
    StaleLease,
    /// The event doesn't belong to this state.
    #[error("the event doesn't belong to the state")]
    WrongState,
}

impl Refused {
    /// A stable slug.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Ended => "delivery_ended",
            Self::TooEarly => "too_early",
            Self::StaleLease => "stale_lease",
            Self::WrongState => "wrong_state",
        }
    }
}

/// What a step is decided by, besides state and event.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances<'a> {
    /// The time, by the clock of whoever owns the state.
    pub now: UnixMs,
    /// A fraction in `0.0..1.0`, for jitter.
    pub dice: f64,
    /// The policy that was fixed with the delivery.
    pub policy: &'a RetryPolicy,
}

/// The time that an attempt has in the hands of a sender that will be gone in `left_ms`: its timeout, or a
/// little less where look-ups took long; `None` where it had better go back than be cut off.
#[must_use]
pub const fn attempt_ms(timeout_ms: u64, left_ms: u64) -> Option<u64> {
    let left_ms = left_ms.saturating_sub(SETTLE_MS);
    if left_ms >= timeout_ms {
        Some(timeout_ms)
    } else if left_ms >= timeout_ms / 2 {
        Some(left_ms)
    } else {
        None
    }
}

impl Delivery {
    /// A new one: its first attempt is due at `due`.
    #[must_use]
    pub const fn scheduled(due: UnixMs) -> Self {
        let state = State::Scheduled { attempt: 1, due, reason: None, grace: false };
        Self { state, first_attempt: None, lost: 0, leases: 0 }
    }

    /// Decides what `event` makes of it.
    ///
    /// # Errors
    /// [`Refused`] when the event doesn't apply; the state then stays as it is.
    pub fn step(&self, event: &Event<'_>, at: Circumstances<'_>) -> Result<Step, Refused> {
        if !self.state.is_open() {
            return Err(Refused::Ended);
        }
        match (&self.state, event) {
            (State::Scheduled { attempt, due, grace, .. }, Event::Lease { lease_ms }) => {
                self.lease(*attempt, *due, *grace, *lease_ms, at)
            }
            (&State::InFlight { attempt, started, .. }, Event::Settle { lease, outcome, duration_ms })
                if *lease == self.leases =>
            {
                let end = |verdict| AttemptEnd {
                    number: attempt,
                    started_at: started,
                    duration_ms: *duration_ms,
                    outcome: *outcome,
                    verdict,
                    next_due: None,
                };
                Ok(self.settle(end(outcome.verdict(at.policy)), at))
            }
            (_, Event::Settle { outcome, duration_ms, .. }) => self.settle_late(*outcome, *duration_ms, at),
            (&State::InFlight { attempt, grace, .. }, Event::Return { lease, reason })
                if *lease == self.leases =>
            {
                let due = at.now.plus_ms(RETURN_DELAY_MS);
                let reason = Some((*reason).to_owned());
                let mut step = self.becomes(State::Scheduled { attempt, due, reason, grace });
                if attempt == 1 {
                    // Nothing was ever sent, so the window hasn't begun.
                    step.delivery.first_attempt = None;
                }
                Ok(step)
            }
            (_, Event::Return { .. }) => Err(Refused::StaleLease),
            (&State::InFlight { attempt, started, deadline, .. }, Event::LeaseEnded) => {
                if at.now < deadline {
                    return Err(Refused::TooEarly);
                }
                let (outcome, duration_ms) = (Outcome::Lost, deadline.since_ms(started));
                let verdict = outcome.verdict(at.policy);
                let end = AttemptEnd {
                    number: attempt,
                    started_at: started,
                    duration_ms,
                    outcome,
                    verdict,
                    next_due: None,
                };
                Ok(self.settle(end, at))
            }
            (&State::Scheduled { attempt, due, .. }, Event::Hold) => {
                Ok(self.becomes(State::Held { attempt, due }))
            }
            (&State::Held { attempt, due }, Event::Release) => {
                let grace = self.window_is_over(at);
                Ok(self.becomes(State::Scheduled { attempt, due: due.max(at.now), reason: None, grace }))
            }
            (&State::Scheduled { attempt: 1, due, .. }, Event::Block) if self.leases == 0 => {
                Ok(self.becomes(State::Blocked { due }))
            }
            (&State::Blocked { due }, Event::Unblock) => {
                let due = due.max(at.now);
                Ok(self.becomes(State::Scheduled { attempt: 1, due, reason: None, grace: false }))
            }
            (State::Scheduled { attempt, due, reason, grace }, Event::Excuse) => {
                let grace = *grace || self.window_is_over(at);
                let (attempt, due, reason) = (*attempt, *due, reason.clone());
                Ok(self.becomes(State::Scheduled { attempt, due, reason, grace }))
            }
            (state, Event::Cancel) => {
                let attempt = state.attempts_made();
                Ok(self.ends(State::Canceled { attempt }, Vec::new()))
            }
            (
                State::Scheduled { attempt, .. } | State::Held { attempt, .. },
                Event::Unsendable { reason },
            ) => {
                let attempt = attempt.saturating_sub(1);
                Ok(self.ends(State::Rejected { attempt, reason: (*reason).to_owned() }, Vec::new()))
            }
            (
                _,
                Event::Lease { .. }
                | Event::LeaseEnded
                | Event::Hold
                | Event::Release
                | Event::Block
                | Event::Unblock
                | Event::Excuse
                | Event::Unsendable { .. },
            ) => Err(Refused::WrongState),
        }
    }

    fn lease(
        &self,
        attempt: u32,
        due: UnixMs,
        grace: bool,
        lease_ms: u64,
        at: Circumstances<'_>,
    ) -> Result<Step, Refused> {
        if at.now < due {
            return Err(Refused::TooEarly);
        }
        if !grace && self.window_is_over(at) {
            // The alarm came so late that the window went by: the rule forbids the attempt.
            let state =
                State::Exhausted { attempt: attempt.saturating_sub(1), reason: "window_used_up".to_owned() };
            return Ok(self.ends(state, Vec::new()));
        }
        let deadline = at.now.plus_ms(lease_ms);
        let mut step = self.becomes(State::InFlight { attempt, started: at.now, deadline, grace });
        step.delivery.first_attempt = self.first_attempt.or(Some(at.now));
        step.delivery.leases = self.leases.saturating_add(1);
        Ok(step)
    }

    /// The end of the current attempt.
    fn settle(&self, mut end: AttemptEnd, at: Circumstances<'_>) -> Step {
        let attempt = end.number;
        match end.verdict {
            Verdict::Delivered => self.ends(State::Delivered { attempt }, vec![Effect::RecordAttempt(end)]),
            Verdict::Reject => {
                let mut effects = Vec::with_capacity(3);
                let reason = end.outcome.reason();
                let gone = end.outcome.means_gone();
                effects.push(Effect::RecordAttempt(end));
                if gone {
                    effects.push(Effect::PauseAction { reason: "gone" });
                }
                self.ends(State::Rejected { attempt, reason }, effects)
            }
            Verdict::Retry => {
                let lost = self.lost.saturating_add(u32::from(end.outcome == Outcome::Lost));
                let next = self.retry(&end, lost, at);
                if let State::Scheduled { due, .. } = next {
                    end.next_due = Some(due);
                }
                let mut step = if next.is_open() { self.becomes(next) } else { self.ends(next, Vec::new()) };
                step.delivery.lost = lost;
                step.effects.insert(0, Effect::RecordAttempt(end));
                step
            }
        }
    }

    fn retry(&self, end: &AttemptEnd, lost: u32, at: Circumstances<'_>) -> State {
        let attempt = end.number;
        let exhausted = |reason: &str| State::Exhausted { attempt, reason: reason.to_owned() };
        if attempt >= MAX_ATTEMPTS {
            return exhausted("attempts_used_up");
        }
        let first = self.first_attempt.unwrap_or(end.started_at);
        // The first loss is a dead sender more likely than a bad endpoint: no reason to wait.
        let at_once = end.outcome == Outcome::Lost && lost == 1;
        let due = if at_once {
            (at.now <= at.policy.window_ends(first)).then_some(at.now)
        } else {
            at.policy.next_due(attempt, first, at.now, end.outcome.honoured_retry_after(), at.dice)
        };
        match due {
            Some(due) => State::Scheduled { attempt: attempt + 1, due, reason: None, grace: false },
            None => exhausted("window_used_up"),
        }
    }

    /// A settle of a lease that is no longer the current one. Only good news counts: the endpoint has it.
    fn settle_late(
        &self,
        outcome: Outcome,
        duration_ms: u64,
        at: Circumstances<'_>,
    ) -> Result<Step, Refused> {
        let verdict = outcome.verdict(at.policy);
        if verdict != Verdict::Delivered {
            return Err(Refused::StaleLease);
        }
        let number = self.state.attempts_made().max(1);
        let started_at = UnixMs(at.now.0.saturating_sub(duration_ms));
        let end = AttemptEnd { number, started_at, duration_ms, outcome, verdict, next_due: None };
        Ok(self.ends(State::Delivered { attempt: number }, vec![Effect::RecordAttempt(end)]))
    }

    fn window_is_over(&self, at: Circumstances<'_>) -> bool {
        self.first_attempt.is_some_and(|first| at.now > at.policy.window_ends(first))
    }

    fn becomes(&self, state: State) -> Step {
        Step { delivery: Self { state, ..self.clone() }, effects: Vec::new() }
    }

    fn ends(&self, state: State, mut effects: Vec<Effect>) -> Step {
        effects.push(Effect::End);
        Step { effects, ..self.becomes(state) }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if wants a reference")]
pub(crate) const fn is_zero(number: &u32) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests;
