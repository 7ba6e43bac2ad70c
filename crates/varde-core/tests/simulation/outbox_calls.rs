//! The calls that the modelled outbox takes: accept, settle, return, cancel, controls, check.

use std::rc::Rc;

use varde_core::controls::Controls;
use varde_core::delivery::{Delivery, Event, LEASE_GRACE_MS, Refused, State};
use varde_core::ids::DeliveryId;
use varde_core::outcome::Outcome;
use varde_core::slug::Slug;
use varde_core::time::UnixMs;

use crate::outbox::{Lane, Outbox, Row, Sabotage, Terms, Witness};

/// What must be left of a sender's time beyond an attempt's timeout: to settle it.
const SETTLE_MARGIN_MS: u64 = 2_000;
/// Deliveries that one step brings in line with the controls.
const ALIGN_STEP: usize = 250;

/// The right to make one attempt, with all that it takes.
#[derive(Debug, Clone)]
pub struct Lease {
    pub delivery: DeliveryId,
    pub attempt: u32,
    pub number: u32,
    /// By the outbox's clock; a sender isn't told, only how long it lasts.
    pub deadline: UnixMs,
    pub terms: Rc<Terms>,
}

impl Lease {
    pub fn lasts_ms(&self) -> u64 {
        self.terms.timeout_ms + LEASE_GRACE_MS
    }
}

/// An accept's answer for one delivery.
#[derive(Debug)]
pub enum Accepted {
    Enrolled,
    Closed,
}

/// The answer to a settle or a return: why it was ignored, or that it counted; and more work.
pub type Settled = (Result<(), Refused>, Option<Lease>);

impl Outbox {
    /// Stores deliveries. Safe to repeat: one that is there is enrolled, with no second lease.
    pub fn accept(
        &mut self,
        news: &[(DeliveryId, Rc<Terms>)],
        leases: usize,
        now: UnixMs,
    ) -> (Vec<Accepted>, Vec<Lease>) {
        self.wake_up(now);
        let mut answers = Vec::with_capacity(news.len());
        let mut given = Vec::new();
        let mut wake: Option<UnixMs> = None;
        let most = leases.min(self.caps.per_call);
        for (id, terms) in news {
            if self.disk.controls.closed {
                answers.push(Accepted::Closed);
                continue;
            }
            answers.push(Accepted::Enrolled);
            if self.disk.rows.contains_key(id) {
                continue;
            }
            let lease = self.create(*id, terms, given.len() < most, now);
            let at = self.disk.rows[id].delivery.state.wakes_at();
            wake = [wake, at].into_iter().flatten().min();
            given.extend(lease);
        }
        if let Some(at) = wake {
            self.arm(at);
        }
        (answers, given)
    }

    fn create(&mut self, id: DeliveryId, terms: &Rc<Terms>, lease: bool, now: UnixMs) -> Option<Lease> {
        let fresh = Delivery::scheduled(now);
        let row = Row { delivery: fresh.clone(), terms: Rc::clone(terms) };
        self.moved(&terms.action, None, &fresh.state);
        self.disk.rows.insert(id, row);
        self.witnessed.push(Witness::Inserted { id, terms: Rc::clone(terms), fresh });
        let at_once = match terms.unsendable {
            Some(reason) => Some(Event::Unsendable { reason }),
            None => self.disk.is_paused(&terms.action).then_some(Event::Hold),
        };
        if let Some(event) = at_once {
            let step = self.step(id, &event, now).expect("a fresh delivery can be held or rejected");
            self.store(id, step.delivery);
            return None;
        }
        if lease && !self.at_cap(&terms.action) { self.lease(id, now) } else { None }
    }

    /// Takes in how an attempt ended. Safe to repeat: the second time it is ignored, and says so.
    pub fn settle(
        &mut self,
        id: DeliveryId,
        (lease, outcome, duration_ms): (u32, Outcome, u64),
        budget_ms: u64,
        now: UnixMs,
    ) -> Settled {
        self.wake_up(now);
        let action = self.disk.rows[&id].terms.action.clone();
        let was_at_cap = self.at_cap(&action);
        let step = match self.step(id, &Event::Settle { lease, outcome, duration_ms }, now) {
            Ok(step) => step,
            Err(refused) => return (Err(refused), None),
        };
        self.store_step(id, step, now);
        let work = self.due_work(budget_ms, now);
        if self.sabotage != Some(Sabotage::ForgetsToArm) {
            self.arm_after(id, was_at_cap, now);
        }
        (Ok(()), work)
    }

    /// Takes a lease back with nothing sent.
    pub fn take_back(&mut self, id: DeliveryId, lease: u32, reason: &'static str, now: UnixMs) -> Settled {
        self.wake_up(now);
        let action = self.disk.rows[&id].terms.action.clone();
        let was_at_cap = self.at_cap(&action);
        match self.step(id, &Event::Return { lease, reason }, now) {
            Ok(step) => self.store_step(id, step, now),
            Err(refused) => return (Err(refused), None),
        }
        self.arm_after(id, was_at_cap, now);
        (Ok(()), None)
    }

    /// A person ends a delivery; false when it had ended.
    pub fn cancel(&mut self, id: DeliveryId, now: UnixMs) -> bool {
        self.wake_up(now);
        let action = self.disk.rows[&id].terms.action.clone();
        let was_at_cap = self.at_cap(&action);
        let Ok(step) = self.step(id, &Event::Cancel, now) else { return false };
        self.store_step(id, step, now);
        self.arm_after(id, was_at_cap, now);
        true
    }

    /// Takes over newer controls; older ones and repetitions change nothing.
    pub fn take_controls(&mut self, controls: Controls, now: UnixMs) {
        self.wake_up(now);
        if controls.supersede(&self.disk.controls) {
            self.disk.controls = controls;
            // Newer than a pause that was found here: a resume must not be undone by old news.
            self.disk.untold.clear();
        }
        self.align(now);
        self.arm_for_open_work(now);
    }

    /// The registry knows that an action is gone.
    pub fn told(&mut self, action: &Slug, now: UnixMs) {
        self.wake_up(now);
        self.disk.untold.retain(|told| told != action);
        self.arm_for_open_work(now);
    }

    /// The sweep asks: is the alarm where it must be? What memory says of it doesn't count.
    pub fn check(&mut self, now: UnixMs) {
        self.wake_up(now);
        if self.sabotage != Some(Sabotage::TrustsMemory) {
            self.memory().armed = self.disk.alarm;
        }
        self.arm_for_open_work(now);
    }

    /// One step towards rows that agree with the controls.
    pub fn align(&mut self, now: UnixMs) {
        for (action, lane, event) in self.misplaced() {
            for (_, id) in self.disk.waking(lane, &action, UnixMs(u64::MAX)).into_iter().take(ALIGN_STEP) {
                if let Ok(step) = self.step(id, &event, now) {
                    self.store_step(id, step, now);
                }
            }
        }
    }

    pub fn at_cap(&mut self, action: &Slug) -> bool {
        let cap = self.caps.per_action;
        self.account(action).in_flight >= cap && self.sabotage != Some(Sabotage::IgnoresCap)
    }

    /// A due delivery for a sender that has `budget_ms` left.
    fn due_work(&mut self, budget_ms: u64, now: UnixMs) -> Option<Lease> {
        for action in self.actions_with_due(now) {
            let fits = |terms: &Terms| terms.timeout_ms + SETTLE_MARGIN_MS <= budget_ms;
            if let Some(lease) = self.take_due(&action, 1, now, fits).pop() {
                return Some(lease);
            }
        }
        None
    }

    /// Leases out up to `limit` due deliveries of an action that `fit`, longest waiting first.
    pub fn take_due(
        &mut self,
        action: &Slug,
        limit: usize,
        now: UnixMs,
        fits: impl Fn(&Terms) -> bool,
    ) -> Vec<Lease> {
        let due = self.disk.waking(Lane::Scheduled, action, now);
        let found = due.len().min(limit);
        let mut leases = Vec::with_capacity(found);
        for (_, id) in due.into_iter().take(limit) {
            if fits(&self.disk.rows[&id].terms) {
                leases.extend(self.lease(id, now));
            }
        }
        if found < limit {
            let waiting = self.disk.waking(Lane::Scheduled, action, UnixMs(u64::MAX));
            let earliest = waiting.first().map_or(UnixMs(u64::MAX), |(at, _)| *at);
            self.account(action).earliest_due = Some(earliest);
        }
        leases
    }

    /// Leases out one delivery; `None` when the step ends it instead, because its window went by.
    fn lease(&mut self, id: DeliveryId, now: UnixMs) -> Option<Lease> {
        let terms = Rc::clone(&self.disk.rows[&id].terms);
        let step = self.step(id, &Event::Lease { lease_ms: terms.timeout_ms + LEASE_GRACE_MS }, now).ok()?;
        let number = step.delivery.leases;
        self.store_step(id, step, now);
        match self.disk.rows[&id].delivery.state {
            State::InFlight { attempt, deadline, .. } => {
                Some(Lease { delivery: id, attempt, number, deadline, terms })
            }
            _ => None,
        }
    }

    /// Actions that may send, have room under the cap, and may have something due.
    pub fn actions_with_due(&mut self, now: UnixMs) -> Vec<Slug> {
        let mut actions = self.actions();
        actions.retain(|action| {
            let at_cap = self.at_cap(action);
            let account = self.account(action);
            let may_be_due = account.earliest_due.is_none_or(|earliest| earliest <= now);
            let may_be_due = account.scheduled > 0 && may_be_due;
            let stands = self.disk.is_paused(action) && self.sabotage != Some(Sabotage::SendsWhilePaused);
            may_be_due && !at_cap && !stands
        });
        actions
    }

    /// Sees to the alarm after a delivery has moved. Beyond its own wake-up that matters only where the
    /// move made room under the cap, left due work that nobody took, or found the action gone.
    fn arm_after(&mut self, id: DeliveryId, was_at_cap: bool, now: UnixMs) {
        if !self.disk.untold.is_empty() && self.sabotage != Some(Sabotage::KeepsGoneToItself) {
            self.arm(now);
        } else if was_at_cap || !self.actions_with_due(now).is_empty() {
            self.arm_for_open_work(now);
        } else if let Some(at) = self.disk.rows[&id].delivery.state.wakes_at() {
            self.arm(at);
        }
    }
}
