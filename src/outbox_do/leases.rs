//! Leases: which due deliveries senders get, and how many.

use std::collections::VecDeque;

use serde_json::value::RawValue;
use varde_core::delivery::{Circumstances, Event, LEASE_GRACE_MS, State};
use varde_core::slug::Slug;
use varde_core::time::{SECOND_MS, UnixMs};
use varde_core::unreadable::Unreadable;
use worker::Result;

use super::accept::ticket;
use super::ledger::Lane;
use super::protocol::{Lease, Work};
use super::store::{DeliveryRow, DueRow};
use super::{Outbox, Settled};
use crate::metering;

/// What must be left of a sender's time beyond an attempt's timeout: to settle it.
const SETTLE_MARGIN_MS: u64 = 2 * SECOND_MS;

/// Deliveries that are due.
#[derive(Debug, Default)]
pub(super) struct Due {
    pub rows: Vec<DueRow>,
    /// Whether these are all.
    pub all: bool,
}

impl Outbox {
    /// A due delivery for each of the senders that have so much time left, or nothing; 0 asks for nothing.
    pub(super) fn due_work(&self, budgets_ms: &[u64], now: UnixMs) -> Result<Vec<Option<Work>>> {
        let mut given: Vec<Option<Work>> = budgets_ms.iter().map(|_| None).collect();
        let mut wanted = budgets_ms.iter().filter(|budget_ms| **budget_ms > 0).count();
        let mut actions = if wanted > 0 { self.actions_in_turn(now) } else { VecDeque::new() };
        while wanted > 0
            && let Some(action) = actions.pop_front()
        {
            let share = wanted.div_ceil(actions.len() + 1);
            let leased = self.give_out(&action, share, budgets_ms, &mut given, now)?;
            wanted -= leased;
            // Otherwise all that it had is given out, or nobody has the time for it.
            if leased == share {
                actions.push_back(action);
            }
        }
        Ok(given)
    }

    /// Gives up to `share` due deliveries of one action to those who have nothing yet: how many.
    fn give_out(
        &self,
        action: &Slug,
        share: usize,
        budgets_ms: &[u64],
        given: &mut [Option<Work>],
        now: UnixMs,
    ) -> Result<usize> {
        let room = self.memory.borrow_mut().ledger.account(action).room(now);
        let Due { rows, all } = self.due(action, share.min(room as usize), now)?;
        let mut leased = 0;
        for (mut row, request) in rows {
            let needs_ms = row.terms.timeout_ms + SETTLE_MARGIN_MS;
            let mut takers = budgets_ms.iter().zip(given.iter_mut());
            let Some((_, taker)) = takers.find(|(left_ms, taker)| taker.is_none() && needs_ms <= **left_ms)
            else {
                break;
            };
            if let Some(lease) = self.lease(&mut row, &request, now)? {
                *taker = Some(Work::Send(lease));
                leased += 1;
            }
        }
        if all {
            self.note_earliest(action)?;
        }
        if leased > 0 {
            self.memory.borrow_mut().served = Some(action.clone());
        }
        Ok(leased)
    }

    /// Actions with something due, from the one after the last that was served: so that none that always has
    /// something due keeps all senders.
    fn actions_in_turn(&self, now: UnixMs) -> VecDeque<Slug> {
        let mut actions = VecDeque::from(self.actions_with_due(now));
        let last = self.memory.borrow().served.clone();
        let served = last.map_or(0, |last| actions.partition_point(|action| *action <= last));
        actions.rotate_left(served);
        actions
    }

    /// Up to `limit` due deliveries of an action that may be leased out now, longest waiting first.
    pub(super) fn due(&self, action: &Slug, limit: usize, now: UnixMs) -> Result<Due> {
        let limit = limit.min(self.slots(action, now)?);
        if limit == 0 {
            return Ok(Due::default());
        }
        metering::begin_take();
        let rows = self.readable(self.database()?.due(action, now, limit)?)?;
        metering::end_take(rows.len());
        let all = rows.len() < limit;
        Ok(Due { rows, all })
    }

    /// All that was due has been leased out: when there is more to do the index knows.
    pub(super) fn note_earliest(&self, action: &Slug) -> Result<()> {
        let earliest = self.database()?.first_waking(Lane::Scheduled, action)?.unwrap_or(UnixMs(u64::MAX));
        self.memory.borrow_mut().ledger.account(action).earliest_due = Some(earliest);
        Ok(())
    }

    /// A delivery that waited at a circuit breaker has an attempt left, whatever the time is.
    fn excuse(&self, row: &mut DeliveryRow, now: UnixMs) -> Result<()> {
        let State::Scheduled { due, grace: false, .. } = row.delivery.state else { return Ok(()) };
        if !self.memory.borrow_mut().ledger.account(&row.action).totals.breaker.held_back(due) {
            return Ok(());
        }
        let at = Circumstances { now, dice: 0.0, policy: &row.terms.retry };
        match row.delivery.step(&Event::Excuse, at) {
            Ok(step) => row.delivery = step.delivery,
            Err(refused) => return Err(worker::Error::from(refused.to_string())),
        }
        Ok(())
    }

    /// Leases out one delivery; `None` when the step ends it instead, because its window went by.
    pub(super) fn lease(&self, row: &mut DeliveryRow, request: &str, now: UnixMs) -> Result<Option<Lease>> {
        self.excuse(row, now)?;
        let at = Circumstances { now, dice: 0.0, policy: &row.terms.retry };
        let event = Event::Lease { lease_ms: row.terms.timeout_ms + LEASE_GRACE_MS };
        let Ok(step) = row.delivery.step(&event, at) else { return Ok(None) };
        let request: Box<RawValue> = match Unreadable::Request.unless(request) {
            Ok(request) => request,
            Err(why) => return self.set_aside(&row.id.to_string(), why, now).map(|()| None),
        };
        self.store_step(row, step, Settled::default(), now)?;
        if !row.delivery.state.is_open() {
            self.conclude(row, None, now)?;
            return Ok(None);
        }
        self.use_slot(&row.action);
        self.memory.borrow_mut().leased.insert(row.id, row.clone());
        Ok(Some(Lease {
            ticket: ticket(row.id, &row.delivery, &row.terms),
            action: row.action.clone(),
            terms: row.terms.clone(),
            request,
        }))
    }

    /// Actions that may send, have room, and may have something due.
    pub(super) fn actions_with_due(&self, now: UnixMs) -> Vec<Slug> {
        let memory = self.memory.borrow();
        let accounts = memory.ledger.accounts.iter();
        accounts
            .filter(|(action, account)| {
                account.scheduled > 0
                    && account.room(now) > 0
                    && account.earliest_due.is_none_or(|earliest| earliest <= now)
                    && memory.pause_reason(action).is_none()
            })
            .map(|(action, _)| action.clone())
            .collect()
    }

    pub(super) fn at_cap(&self, action: &Slug, now: UnixMs) -> bool {
        self.memory.borrow_mut().ledger.account(action).room(now) == 0
    }
}
