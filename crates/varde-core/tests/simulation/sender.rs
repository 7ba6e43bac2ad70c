//! Senders: Worker invocations that take leases, call endpoints and tell the outbox what came of it, as
//! `src/sender.rs` does. They die, run out of time, and what they tell gets lost, late or doubled.

use varde_core::outcome::Outcome;
use varde_core::time::{MINUTE_MS, SECOND_MS, UnixMs};

use crate::endpoint::Answer;
use crate::outbox_calls::Lease;
use crate::world::{Happening, World};

/// Background work of a Worker invocation ends this long after its answer.
const BACKGROUND_MS: u64 = 30 * SECOND_MS;
/// First gap between two tries to tell the outbox; doubles.
const TELL_GAP_MS: u64 = 100;
/// Longest gap between two tries.
const TELL_GAP_MAX_MS: u64 = 2 * SECOND_MS;

#[derive(Debug)]
pub struct Sender {
    pub ends_at: UnixMs,
    pub is_alive: bool,
}

/// A lease in the hands of a sender.
#[derive(Debug, Clone)]
pub struct Errand {
    /// Position of its sender.
    pub sender: usize,
    pub lease: Lease,
    /// When the sender took it up, and from when it counts how long the lease lasts.
    pub began: UnixMs,
}

/// What a sender has to tell.
#[derive(Debug, Clone, Copy)]
pub enum News {
    Settle(Outcome, u64),
    Return(&'static str),
}

impl World {
    /// A new invocation takes leases.
    pub fn dispatch(&mut self, leases: Vec<Lease>) {
        if leases.is_empty() {
            return;
        }
        let delay_ms = if self.mishap(60) { 10_000 } else { 50 };
        let begins_at = self.dice.moment(self.now, delay_ms);
        self.senders.push(Sender { ends_at: begins_at.plus_ms(BACKGROUND_MS), is_alive: true });
        let sender = self.senders.len() - 1;
        for lease in leases {
            self.put(begins_at, Happening::Begin(Errand { sender, lease, began: begins_at }));
        }
    }

    /// Whether the errand's sender is still there to do anything.
    fn is_at_work(&self, errand: &Errand) -> bool {
        let sender = &self.senders[errand.sender];
        sender.is_alive && self.now <= sender.ends_at
    }

    pub fn begin(&mut self, errand: Errand) {
        if !self.is_at_work(&errand) {
            return self.referee.excuse(&errand.lease);
        }
        let action = &errand.lease.terms.action;
        if self.registry.pause_reason(action).is_some() && self.dice.one_in(2) {
            return self.send_news(errand, News::Return("paused"), TELL_GAP_MS);
        }
        let endpoint = &self.endpoints[action];
        if self.is_calm() || endpoint.listens(self.now, &mut self.dice) {
            if self.mishap(40) {
                return self.send_news(errand, News::Return("missing_secret"), TELL_GAP_MS);
            }
            if self.mishap(300) {
                return self.send_news(errand, News::Settle(Outcome::Blocked, 0), TELL_GAP_MS);
            }
            let at = self.dice.moment(self.now.plus_ms(1), 200);
            self.put(at, Happening::Arrive(errand));
        } else {
            let at = self.dice.moment(self.now.plus_ms(1), 300);
            let took_ms = at.since_ms(errand.began);
            self.put(at, Happening::Report(errand, News::Settle(Outcome::Connect, took_ms)));
        }
    }

    /// A request reaches its endpoint, whether its sender lives or not.
    pub fn arrive(&mut self, errand: Errand) -> Result<(), String> {
        let lease = &errand.lease;
        let answer = if self.is_calm() {
            Answer {
                status: Some(200),
                retry_after: None,
                after_ms: self.dice.between(1, 50),
                takes_it: true,
            }
        } else {
            self.endpoints[&lease.terms.action].answer(self.now, &lease.terms.retry, &mut self.dice)
        };
        let name = self.trace.name(lease.delivery);
        self.trace.say(self.now, |_| format!("  {name} reaches its endpoint: {answer:?}"));
        let times_out_at = errand.began.plus_ms(lease.terms.timeout_ms);
        let answers_at = answer.status.map(|_| self.now.plus_ms(answer.after_ms));
        let (at, outcome) = match (answer.status, answers_at) {
            (Some(status), Some(at)) if at <= times_out_at => {
                (at, Outcome::Response { status, retry_after: answer.retry_after })
            }
            _ => (times_out_at.max(self.now), Outcome::Timeout),
        };
        if outcome == Outcome::Timeout || at >= lease.deadline {
            self.referee.excuse(lease);
        }
        self.referee.received(&lease.delivery.to_string(), lease, answer.takes_it)?;
        let took_ms = at.since_ms(errand.began);
        self.put(at, Happening::Report(errand, News::Settle(outcome, took_ms)));
        Ok(())
    }

    pub fn report(&mut self, errand: Errand, news: News) {
        if self.is_at_work(&errand) {
            self.send_news(errand, news, TELL_GAP_MS);
        } else {
            self.trace.count("death of a sender");
            self.referee.excuse(&errand.lease);
        }
    }

    /// News on their way to the outbox. What leaves a sender may arrive after its death.
    fn send_news(&mut self, errand: Errand, news: News, gap_ms: u64) {
        if self.mishap(30) {
            self.trace.note(self.now, "news get lost");
            return self.tell_again(errand, news, gap_ms);
        }
        let delay_ms = if self.mishap(30) {
            self.dice.magnitude(SECOND_MS, 60 * MINUTE_MS)
        } else if self.mishap(15) {
            // Around the end of the lease, where a settle and its loss race.
            2 * errand.lease.lasts_ms()
        } else {
            50
        };
        let at = self.dice.moment(self.now.plus_ms(1), delay_ms);
        if at >= errand.lease.deadline {
            self.referee.excuse(&errand.lease);
        }
        if self.mishap(30) {
            let at = self.dice.moment(at, MINUTE_MS);
            self.put(at, Happening::Tell { errand: errand.clone(), news, gap_ms, again: true });
        }
        self.put(at, Happening::Tell { errand, news, gap_ms, again: false });
    }

    /// The sender had no answer: it tells again as long as the lease lasts by its own count.
    fn tell_again(&mut self, errand: Errand, news: News, gap_ms: u64) {
        let at = self.now.plus_ms(gap_ms);
        let lease_ends = errand.began.plus_ms(errand.lease.lasts_ms());
        let sender = &self.senders[errand.sender];
        if !sender.is_alive || at > sender.ends_at || at >= lease_ends {
            self.trace.note(self.now, "a settle is given up");
            return self.referee.excuse(&errand.lease);
        }
        if at >= errand.lease.deadline {
            self.referee.excuse(&errand.lease);
        }
        let gap_ms = (gap_ms * 2).min(TELL_GAP_MAX_MS);
        self.put(at, Happening::Tell { errand, news, gap_ms, again: false });
    }

    /// News reach the outbox; `again`: a copy that the network made, and nobody waits for the answer.
    pub fn tell(&mut self, errand: Errand, news: News, gap_ms: u64, again: bool) {
        let name = self.trace.name(errand.lease.delivery);
        let number = errand.lease.number;
        self.trace.say(self.now, |_| format!("{name} lease {number}: {news:?}"));
        let budget_ms = self.senders[errand.sender].ends_at.since_ms(self.now);
        let id = errand.lease.delivery;
        let answer = self.call(|outbox, now| match news {
            News::Settle(outcome, took_ms) => outbox.settle(id, (number, outcome, took_ms), budget_ms, now),
            News::Return(reason) => outbox.take_back(id, number, reason, now),
        });
        if again {
            return;
        }
        let Some((_, work)) = answer.filter(|_| !self.mishap(60)) else {
            self.trace.note(self.now, "news aren't answered");
            return self.tell_again(errand, news, gap_ms);
        };
        if let Some(lease) = work {
            self.trace.count("due work handed back with an answer");
            let began = self.dice.moment(self.now.plus_ms(1), 50);
            self.put(began, Happening::Begin(Errand { sender: errand.sender, lease, began }));
        }
    }
}
