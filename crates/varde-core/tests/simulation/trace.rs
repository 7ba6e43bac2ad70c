//! What happened, for a person to read, and how often, for the proof that it did.

use std::collections::BTreeMap;

use varde_core::delivery::{AttemptEnd, Effect, Event, State, Step};
use varde_core::ids::DeliveryId;
use varde_core::outcome::Outcome;
use varde_core::time::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, UnixMs};

use crate::outbox::Witness;

/// When every world begins: an ordinary day, so that dates are dates.
pub const START: UnixMs = UnixMs(1_767_225_600_000);

/// How often each thing happened.
pub type Tally = BTreeMap<&'static str, u64>;

#[derive(Debug, Default)]
pub struct Trace {
    /// `None` while nobody wants to read it: then no line is even made.
    lines: Option<Vec<String>>,
    names: BTreeMap<DeliveryId, usize>,
    pub tally: Tally,
}

impl Trace {
    pub fn new(wanted: bool) -> Self {
        Self { lines: wanted.then(Vec::new), ..Self::default() }
    }

    pub fn say(&mut self, now: UnixMs, line: impl FnOnce(&Self) -> String) {
        if let Some(mut lines) = self.lines.take() {
            lines.push(format!("{} {}", clock(now), line(self)));
            self.lines = Some(lines);
        }
    }

    pub fn count(&mut self, what: &'static str) {
        *self.tally.entry(what).or_default() += 1;
    }

    /// Says it and counts it.
    pub fn note(&mut self, now: UnixMs, what: &'static str) {
        self.count(what);
        self.say(now, |_| what.to_owned());
    }

    pub fn name(&self, id: DeliveryId) -> String {
        self.names.get(&id).map_or_else(|| id.to_string(), |number| format!("d{number}"))
    }

    pub fn witnessed(&mut self, now: UnixMs, witness: &Witness) {
        match witness {
            Witness::Inserted { id, terms, .. } => {
                let number = self.names.len() + 1;
                self.names.insert(*id, number);
                self.count("accepted");
                self.say(now, |trace| {
                    let name = trace.name(*id);
                    format!("  {name} inserted: {id}, {terms:?}")
                });
            }
            Witness::Stepped { id, event, found: Ok(step), .. } => {
                self.count(kind(event));
                self.tell_apart(event, step);
                let state = &step.delivery.state;
                self.say(now, |trace| format!("  {} {event:?} -> {}", trace.name(*id), short(state)));
            }
            Witness::Stepped { id, event, found: Err(refused), .. } => {
                self.count(refused.code());
                self.say(now, |trace| format!("  {} {event:?} refused: {refused}", trace.name(*id)));
            }
        }
    }

    /// Counts what is special about a step.
    fn tell_apart(&mut self, event: &Event<'_>, step: &Step) {
        self.count(step.delivery.state.status());
        for effect in &step.effects {
            match effect {
                Effect::RecordAttempt(AttemptEnd { outcome, .. }) => self.count(match outcome {
                    Outcome::Response { .. } if outcome.honoured_retry_after().is_some() => {
                        "told when to retry"
                    }
                    Outcome::Response { .. } => "answered",
                    Outcome::Timeout => "timeout",
                    Outcome::Connect => "no connection",
                    Outcome::Lost => "lost",
                    Outcome::Blocked => "blocked",
                    Outcome::Token { .. } => "no token",
                }),
                Effect::PauseAction { .. } => self.count("gone"),
                Effect::End => {}
            }
        }
        let special = match (event, &step.delivery.state) {
            (Event::Lease { .. }, State::Exhausted { .. }) => "window over before a lease",
            (_, State::InFlight { grace: true, .. }) => "attempt past the window",
            (Event::Settle { lease, .. }, _) if *lease != step.delivery.leases => "late good news",
            (Event::Cancel, State::Canceled { attempt }) if *attempt > 0 => "canceled after an attempt",
            _ => return,
        };
        self.count(special);
    }

    pub fn into_lines(self) -> Vec<String> {
        self.lines.unwrap_or_default()
    }
}

const fn kind(event: &Event<'_>) -> &'static str {
    match event {
        Event::Lease { .. } => "event: lease",
        Event::Settle { .. } => "event: settle",
        Event::Return { .. } => "event: return",
        Event::LeaseEnded => "event: lease ended",
        Event::Hold => "event: hold",
        Event::Release => "event: release",
        Event::Cancel => "event: cancel",
        Event::Unsendable { .. } => "event: unsendable",
        Event::Block => "event: block",
        Event::Unblock => "event: unblock",
        Event::Excuse => "event: excuse",
    }
}

fn short(state: &State) -> String {
    let at = state.wakes_at().map(|at| format!(" until {}", clock(at))).unwrap_or_default();
    let why = state.reason().map(|reason| format!(" ({reason})")).unwrap_or_default();
    let grace = matches!(state, State::Scheduled { grace: true, .. } | State::InFlight { grace: true, .. });
    let grace = if grace { " past its window" } else { "" };
    format!("{} attempt {}{at}{why}{grace}", state.status(), state.attempt())
}

/// Time since the world began: `1d 02:03:04.567`.
pub fn clock(at: UnixMs) -> String {
    let ms = at.since_ms(START);
    let (days, hours) = (ms / DAY_MS, ms / HOUR_MS % 24);
    let (minutes, seconds) = (ms / MINUTE_MS % 60, ms / SECOND_MS % 60);
    format!("{days}d {hours:02}:{minutes:02}:{seconds:02}.{:03}", ms % SECOND_MS)
}
