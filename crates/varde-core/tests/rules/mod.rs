//! The rules of one delivery, written a second time: from DESIGN's words, for reading and not for speed.
//!
//! A [`Chronicle`] is told of every event that one delivery meets and of what the core made of it, and
//! says where that isn't what the rules demand. It keeps its own count of attempts, leases and losses and
//! its own arithmetic of gaps, so that a slip in the core isn't repeated here. Both the simulation and
//! the property tests have their deliveries written up.

use varde_core::delivery::{AttemptEnd, Delivery, Effect, Event, Refused, State, Step};
use varde_core::outcome::{Outcome, RetryAfter, Verdict};
use varde_core::schedule::{RetryAfterUnit, RetryPolicy};
use varde_core::time::UnixMs;

/// Attempts of one delivery, by DESIGN's limits.
const MOST_ATTEMPTS: u32 = 1_000;
/// When a lease that was given back is due again, by DESIGN.
const BACK_IN_MS: u64 = 5_000;

/// What one delivery went through so far.
pub struct Chronicle {
    /// Its state, as the core last gave it.
    pub known: Delivery,
    policy: RetryPolicy,
    /// When the first attempt began, leases that came back unused not counted.
    window_began: Option<UnixMs>,
    /// Attempts begun, leases that came back unused not counted.
    attempts: u32,
    leases: u32,
    losses: u32,
    /// Whether its window ended while it was held, so that it has one attempt left.
    owed_one: bool,
}

/// What the rules make of an attempt that failed.
enum Retry {
    /// Due in this span, and that is within the window.
    Between(UnixMs, UnixMs),
    /// As before, but jitter may have pushed it out of the window.
    BetweenOrNever(UnixMs, UnixMs),
    Never(&'static str),
}

impl Chronicle {
    pub fn begin(fresh: Delivery, policy: RetryPolicy) -> Self {
        Self { known: fresh, policy, window_began: None, attempts: 0, leases: 0, losses: 0, owed_one: false }
    }

    /// Writes up what the core made of `event` at `now`.
    ///
    /// # Errors
    /// What isn't as the rules demand.
    pub fn witness(
        &mut self,
        event: &Event<'_>,
        now: UnixMs,
        found: &Result<Step, Refused>,
    ) -> Result<(), String> {
        let demanded = self.demand(event, now, found);
        let as_demanded = match (&demanded, found) {
            (Ok(step), Ok(found)) => step == found,
            (Err(refused), Err(found)) => refused == found,
            _ => false,
        };
        if !as_demanded {
            let before = &self.known;
            return Err(format!(
                "{event:?} at {now:?} on {before:?}\n  must give {demanded:?}\n  and gave  {found:?}"
            ));
        }
        if let Ok(step) = demanded {
            self.known = step.delivery;
        }
        Ok(())
    }

    /// What must come of `event`. Of `found` only what dice may decide is looked at: where a due lies
    /// within its span.
    fn demand(
        &mut self,
        event: &Event<'_>,
        now: UnixMs,
        found: &Result<Step, Refused>,
    ) -> Result<Step, Refused> {
        let state = self.known.state.clone();
        if !is_open(&state) {
            return Err(Refused::Ended);
        }
        match (event, state) {
            (Event::Lease { lease_ms }, State::Scheduled { due, .. }) => self.lease(*lease_ms, due, now),
            (Event::Settle { lease, outcome, duration_ms }, State::InFlight { started, .. })
                if *lease == self.leases =>
            {
                Ok(self.attempt_ends(started, *duration_ms, *outcome, now, found))
            }
            (Event::Settle { outcome, duration_ms, .. }, _) => {
                if meaning(outcome, &self.policy) != Verdict::Delivered {
                    return Err(Refused::StaleLease);
                }
                let started = UnixMs(now.0.saturating_sub(*duration_ms));
                self.attempts = self.attempts.max(1);
                Ok(self.attempt_ends(started, *duration_ms, *outcome, now, found))
            }
            (Event::Return { lease, reason }, State::InFlight { grace, .. }) if *lease == self.leases => {
                self.attempts -= 1;
                if self.attempts == 0 {
                    self.window_began = None;
                }
                let due = UnixMs(now.0 + BACK_IN_MS);
                let reason = Some((*reason).to_owned());
                Ok(self.goes_on(State::Scheduled { attempt: self.attempts + 1, due, reason, grace }))
            }
            (Event::Return { .. }, _) => Err(Refused::StaleLease),
            (Event::LeaseEnded, State::InFlight { started, deadline, .. }) => {
                if now < deadline {
                    return Err(Refused::TooEarly);
                }
                Ok(self.attempt_ends(started, deadline.0 - started.0, Outcome::Lost, now, found))
            }
            (Event::Hold, State::Scheduled { attempt, due, .. }) => {
                self.owed_one = false;
                Ok(self.goes_on(State::Held { attempt, due }))
            }
            (Event::Release, State::Held { attempt, due }) => {
                self.owed_one = self.window_is_over(now);
                let grace = self.owed_one;
                Ok(self.goes_on(State::Scheduled { attempt, due: due.max(now), reason: None, grace }))
            }
            (Event::Block, State::Scheduled { attempt: 1, due, .. }) if self.leases == 0 => {
                self.owed_one = false;
                Ok(self.goes_on(State::Blocked { due }))
            }
            (Event::Unblock, State::Blocked { due }) => {
                let due = due.max(now);
                Ok(self.goes_on(State::Scheduled { attempt: 1, due, reason: None, grace: false }))
            }
            (Event::Excuse, State::Scheduled { attempt, due, reason, .. }) => {
                self.owed_one = self.owed_one || self.window_is_over(now);
                let grace = self.owed_one;
                Ok(self.goes_on(State::Scheduled { attempt, due, reason, grace }))
            }
            (Event::Cancel, _) => Ok(self.ends(State::Canceled { attempt: self.attempts }, Vec::new())),
            (Event::Unsendable { reason }, State::Scheduled { .. } | State::Held { .. }) => {
                let reason = (*reason).to_owned();
                Ok(self.ends(State::Rejected { attempt: self.attempts, reason }, Vec::new()))
            }
            _ => Err(Refused::WrongState),
        }
    }

    fn lease(&mut self, lease_ms: u64, due: UnixMs, now: UnixMs) -> Result<Step, Refused> {
        if now < due {
            return Err(Refused::TooEarly);
        }
        if self.window_is_over(now) && !self.owed_one {
            return Ok(self.ends(exhausted(self.attempts, "window_used_up"), Vec::new()));
        }
        self.attempts += 1;
        self.leases += 1;
        self.window_began = self.window_began.or(Some(now));
        let (attempt, grace, deadline) = (self.attempts, self.owed_one, UnixMs(now.0 + lease_ms));
        Ok(self.goes_on(State::InFlight { attempt, started: now, deadline, grace }))
    }

    fn attempt_ends(
        &mut self,
        started_at: UnixMs,
        duration_ms: u64,
        outcome: Outcome,
        now: UnixMs,
        found: &Result<Step, Refused>,
    ) -> Step {
        let attempt = self.attempts;
        let verdict = meaning(&outcome, &self.policy);
        let end = |next_due| {
            let end = AttemptEnd { number: attempt, started_at, duration_ms, outcome, verdict, next_due };
            Effect::RecordAttempt(end)
        };
        self.owed_one = false;
        match verdict {
            Verdict::Delivered => self.ends(State::Delivered { attempt }, vec![end(None)]),
            Verdict::Reject => {
                let mut effects = vec![end(None)];
                let reason = match outcome {
                    Outcome::Response { status: 410, .. } => {
                        effects.push(Effect::PauseAction { reason: "gone" });
                        "gone".to_owned()
                    }
                    Outcome::Response { status, .. } => format!("http_{status}"),
                    Outcome::Token { .. } => "token_invalid_client".to_owned(),
                    _ => "blocked_url".to_owned(),
                };
                self.ends(State::Rejected { attempt, reason }, effects)
            }
            Verdict::Retry => {
                self.losses += u32::from(outcome == Outcome::Lost);
                let told = match found.as_ref().map(|step| &step.delivery.state) {
                    Ok(State::Scheduled { due, .. }) => Some(*due),
                    _ => None,
                };
                let due = match self.retry(outcome, now) {
                    Retry::Between(from, to) => told.unwrap_or(from).clamp(from, to),
                    Retry::BetweenOrNever(from, to) if told.is_some_and(|due| due >= from) => {
                        told.map_or(to, |due| due.min(to))
                    }
                    Retry::BetweenOrNever(..) => {
                        return self.ends(exhausted(attempt, "window_used_up"), vec![end(None)]);
                    }
                    Retry::Never(reason) => return self.ends(exhausted(attempt, reason), vec![end(None)]),
                };
                let state = State::Scheduled { attempt: attempt + 1, due, reason: None, grace: false };
                Step { effects: vec![end(Some(due))], ..self.goes_on(state) }
            }
        }
    }

    fn retry(&self, outcome: Outcome, now: UnixMs) -> Retry {
        if self.attempts >= MOST_ATTEMPTS {
            return Retry::Never("attempts_used_up");
        }
        let policy = &self.policy;
        let window_ends =
            self.window_began.map_or(UnixMs(u64::MAX), |began| began.plus_ms(policy.max_age_ms));
        let (shortest, longest) = match outcome {
            Outcome::Lost if self.losses == 1 => (0, 0),
            Outcome::Response { status: 429 | 503, retry_after: Some(told) } => {
                let told = match (told, policy.retry_after_unit) {
                    (RetryAfter::Number(number), RetryAfterUnit::Milliseconds) => number,
                    (RetryAfter::Number(number), RetryAfterUnit::Seconds) => number.saturating_mul(1_000),
                    (RetryAfter::At(date), _) => date.0.saturating_sub(now.0),
                };
                let gap = told.max(policy.first_ms);
                // Jitter alone doesn't push it out of the window.
                let room = window_ends.0.saturating_sub(now.0).max(gap);
                (gap, gap.saturating_add((gap as f64 * policy.jitter) as u64).min(room))
            }
            _ => gap_bounds(policy, self.attempts),
        };
        let (from, to) = (now.plus_ms(shortest), now.plus_ms(longest));
        if from > window_ends {
            Retry::Never("window_used_up")
        } else if to > window_ends {
            Retry::BetweenOrNever(from, window_ends)
        } else {
            Retry::Between(from, to)
        }
    }

    fn window_is_over(&self, now: UnixMs) -> bool {
        self.window_began.is_some_and(|began| now.since_ms(began) > self.policy.max_age_ms)
    }

    fn goes_on(&self, state: State) -> Step {
        let (first_attempt, lost, leases) = (self.window_began, self.losses, self.leases);
        Step { delivery: Delivery { state, first_attempt, lost, leases }, effects: Vec::new() }
    }

    fn ends(&self, state: State, mut effects: Vec<Effect>) -> Step {
        effects.push(Effect::End);
        Step { effects, ..self.goes_on(state) }
    }
}

/// The shortest and the longest gap that dice may give after failed attempt `failed`.
fn gap_bounds(policy: &RetryPolicy, failed: u32) -> (u64, u64) {
    let cap = policy.max_ms as f64;
    let mut gap = policy.first_ms as f64;
    for _ in 1..failed {
        gap *= policy.factor;
        if gap > 2.0 * cap {
            break;
        }
    }
    let growing = (gap, (gap * (1.0 + policy.jitter)).min(cap));
    let capped = ((cap * (1.0 - policy.jitter)).max(policy.first_ms as f64), cap);
    let (shortest, longest) = if (gap - cap).abs() < 1.0 {
        // Too near the cap to say on which side of it another order of multiplications comes out.
        (growing.0.min(capped.0), cap)
    } else if gap > cap {
        capped
    } else {
        growing
    };
    // A millisecond of room for rounding, but none at the policy's own ends.
    let shortest = (shortest.floor() as u64).saturating_sub(1).max(policy.first_ms);
    (shortest.min(policy.max_ms), (longest.ceil() as u64 + 1).min(policy.max_ms))
}

/// DESIGN's table of verdicts.
fn meaning(outcome: &Outcome, policy: &RetryPolicy) -> Verdict {
    // A token endpoint's refusal counts as the endpoint's own.
    let (Outcome::Response { status, .. } | Outcome::Token { token_status: Some(status), .. }) = outcome
    else {
        return if *outcome == Outcome::Blocked { Verdict::Reject } else { Verdict::Retry };
    };
    match status / 100 {
        2 => Verdict::Delivered,
        4 if *status == 410 => Verdict::Reject,
        4 if *status == 429 || policy.also_retry.contains(status) => Verdict::Retry,
        4 => Verdict::Reject,
        _ => Verdict::Retry,
    }
}

fn is_open(state: &State) -> bool {
    matches!(state.status(), "scheduled" | "in_flight" | "held")
}

fn exhausted(attempt: u32, reason: &str) -> State {
    State::Exhausted { attempt, reason: reason.to_owned() }
}
