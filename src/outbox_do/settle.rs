//! Attempts end here: a settle, a returned lease, a cancel; and the next lease for a sender that has time.

use serde_json::value::RawValue;
use varde_core::delivery::{Circumstances, Event, LEASE_GRACE_MS, State};
use varde_core::ids::DeliveryId;
use varde_core::slug::Slug;
use varde_core::time::{SECOND_MS, UnixMs};
use varde_core::unreadable::Unreadable;
use worker::Result;

use super::accept::ticket;
use super::ledger::Lane;
use super::protocol::{CancelReply, Lease, Return, Settle, SettleReply, Work};
use super::store::{DeliveryRow, Readable};
use super::turn::Moved;
use super::{Outbox, Settled};
use crate::{ambient, metering};

/// What must be left of a sender's time beyond an attempt's timeout: to settle it.
const SETTLE_MARGIN_MS: u64 = 2 * SECOND_MS;

/// Deliveries that are due.
#[derive(Debug, Default)]
pub(super) struct Due {
    pub rows: Vec<DeliveryRow>,
    /// Whether these are all.
    pub all: bool,
}

impl Outbox {
    /// The rows of a settle: the delivery's end and its enrollment's next step stand or fall together.
    pub(super) fn settle_rows(&self, settle: &Settle, now: UnixMs) -> Result<(SettleReply, Moved)> {
        let mut row = match self.leased_row(settle.delivery)? {
            None => return Ok((SettleReply::ignored("unknown_delivery"), Moved::default())),
            Some(Err(why)) => return Ok((SettleReply::ignored(why.code()), Moved::default())),
            Some(Ok(row)) => row,
        };
        let made_room = self.at_cap(&row.action, now);
        let event =
            Event::Settle { lease: settle.lease, outcome: settle.outcome, duration_ms: settle.duration_ms };
        let at = Circumstances { now, dice: ambient::fraction(), policy: &row.terms.retry };
        let step = match row.delivery.step(&event, at) {
            Ok(step) => step,
            Err(refused) => return Ok((SettleReply::ignored(refused.code()), Moved::default())),
        };
        let settled = Settled { response: settle.response.as_deref(), outputs: settle.outputs.as_deref() };
        self.store_step(&mut row, step, settled, now)?;
        let mut work = None;
        if !row.delivery.state.is_open() {
            work = self.conclude(&row, Some(&settle.then), now)?;
        }
        let mut moved = Moved { wakes_at: row.delivery.state.wakes_at(), made_room, settled: true };
        moved.wake_after(work.as_ref(), now);
        Ok((SettleReply { ignored: None, work }, moved))
    }

    /// Takes a lease back with nothing sent.
    pub(super) async fn take_back(&self, given_back: &Return) -> Result<SettleReply> {
        let now = ambient::now();
        let (reply, moved) = self.atomically(|| self.take_back_rows(given_back, now))?;
        self.arm_after(&moved, now).await?;
        Ok(reply)
    }

    fn take_back_rows(&self, given_back: &Return, now: UnixMs) -> Result<(SettleReply, Moved)> {
        let mut row = match self.workable(given_back.delivery)? {
            None => return Ok((SettleReply::ignored("unknown_delivery"), Moved::default())),
            Some(Err(why)) => return Ok((SettleReply::ignored(why.code()), Moved::default())),
            Some(Ok(row)) => row,
        };
        let made_room = self.at_cap(&row.action, now);
        let event = Event::Return { lease: given_back.lease, reason: &given_back.reason };
        let at = Circumstances { now, dice: 0.0, policy: &row.terms.retry };
        match row.delivery.step(&event, at) {
            Ok(step) => self.store_step(&mut row, step, Settled::default(), now)?,
            Err(refused) => return Ok((SettleReply::ignored(refused.code()), Moved::default())),
        }
        let mut moved = Moved { wakes_at: row.delivery.state.wakes_at(), made_room, settled: true };
        if given_back.reason == Unreadable::Request.code() {
            self.set_aside(&row.id.to_string(), Unreadable::Request, now)?;
            moved.wakes_at = None;
        }
        Ok((SettleReply { ignored: None, work: None }, moved))
    }

    /// A person ends a delivery; its enrollment ends with it.
    pub(super) async fn cancel(&self, id: DeliveryId) -> Result<CancelReply> {
        let now = ambient::now();
        let Some(mut row) = self.atomically(|| self.outline(id))? else { return Ok(CancelReply::Unknown) };
        let made_room = self.at_cap(&row.action, now);
        if !self.atomically(|| self.cancel_row(&mut row, now))? {
            return Ok(CancelReply::Ended);
        }
        self.arm_after(&Moved { wakes_at: None, made_room, settled: true }, now).await?;
        Ok(CancelReply::Canceled)
    }

    /// Cancels one of many, whatever of it can be read. It is read anew: each
    /// that is canceled lets another of its line go, so that a row that was read with it may be out of date,
    /// and the ledger would count by what it says.
    pub(super) fn cancel_by_id(&self, id: DeliveryId, now: UnixMs) -> Result<()> {
        match self.outline(id)? {
            Some(mut row) => self.cancel_row(&mut row, now).map(drop),
            None => Ok(()),
        }
    }

    /// Cancels an open delivery as it is now; false when it had ended.
    fn cancel_row(&self, row: &mut DeliveryRow, now: UnixMs) -> Result<bool> {
        if row.unreadable.is_some() && !row.set_aside {
            return Ok(false);
        }
        let at = Circumstances { now, dice: 0.0, policy: &row.terms.retry };
        let Ok(step) = row.delivery.step(&Event::Cancel, at) else { return Ok(false) };
        self.store_step(row, step, Settled::default(), now)?;
        if let Some(replay) = row.replay {
            self.replay_ended(row, replay, now)?;
            return Ok(true);
        }
        self.end_early(row.enrollment, "canceled", None)?;
        if row.place.is_some() {
            self.move_line(&row.action, &row.record, now)?;
        }
        Ok(true)
    }

    /// A delivery that was probably leased out a moment ago: then the memory has it.
    fn leased_row(&self, id: DeliveryId) -> Result<Option<Readable>> {
        let leased = self.memory.borrow_mut().leased.remove(&id);
        match leased {
            Some(row) => Ok(Some(Ok(row))),
            None => self.workable(id),
        }
    }

    /// A due delivery for a sender that has `budget_ms` left.
    pub(super) fn due_work(&self, budget_ms: u64, now: UnixMs) -> Result<Option<Work>> {
        if budget_ms == 0 {
            return Ok(None);
        }
        let mut actions = self.actions_with_due(now);
        // In turn, so that none that always has something due keeps all senders.
        let last = self.memory.borrow().served.clone();
        let served = last.map_or(0, |last| actions.partition_point(|action| *action <= last));
        actions.rotate_left(served);
        for action in actions {
            let fits = |row: &DeliveryRow| row.terms.timeout_ms + SETTLE_MARGIN_MS <= budget_ms;
            let Due { rows, all } = self.due(&action, 1, now)?;
            let lease = match rows.into_iter().next() {
                Some(mut row) if fits(&row) => self.lease(&mut row, now)?,
                _ => None,
            };
            if all {
                self.note_earliest(&action)?;
            }
            if let Some(lease) = lease {
                self.memory.borrow_mut().served = Some(action);
                return Ok(Some(Work::Send(lease)));
            }
        }
        Ok(None)
    }

    /// Up to `limit` due deliveries of an action that may be leased out now, longest waiting first.
    pub(super) fn due(&self, action: &Slug, limit: usize, now: UnixMs) -> Result<Due> {
        let limit = limit.min(self.slots(action, now)?);
        if limit == 0 {
            return Ok(Due::default());
        }
        metering::begin_take();
        let rows = self.waking(Lane::Scheduled, action, now, limit)?;
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
    pub(super) fn lease(&self, row: &mut DeliveryRow, now: UnixMs) -> Result<Option<Lease>> {
        self.excuse(row, now)?;
        let at = Circumstances { now, dice: 0.0, policy: &row.terms.retry };
        let event = Event::Lease { lease_ms: row.terms.timeout_ms + LEASE_GRACE_MS };
        let Ok(step) = row.delivery.step(&event, at) else { return Ok(None) };
        let request = self.database()?.request(row.id)?.unwrap_or_default();
        let request: Box<RawValue> = match Unreadable::Request.unless(&request) {
            Ok(request) => request,
            Err(why) => return self.set_aside(&row.id.to_string(), why, now).map(|()| None),
        };
        self.store_step(row, step, Settled::default(), now)?;
        if !row.delivery.state.is_open() {
            self.conclude(row, None, now)?;
            return Ok(None);
        }
        self.use_slot(&row.action);
        Ok(Some(Lease {
            ticket: ticket(row.id, &row.delivery, &row.terms),
            action: row.action.clone(),
            terms: row.terms.clone(),
            request,
        }))
    }

    pub(super) fn at_cap(&self, action: &Slug, now: UnixMs) -> bool {
        self.memory.borrow_mut().ledger.account(action).room(now) == 0
    }

    /// Sees to the alarm after deliveries have moved: for what they wait for, and for all open work where they
    /// made room under a cap or left something due.
    pub(super) async fn arm_after(&self, moved: &Moved, now: UnixMs) -> Result<()> {
        if !self.memory.borrow().untold.is_empty() {
            // The registry is to hear at once that an endpoint is gone.
            return self.arm(now).await;
        }
        let left_over = || {
            let waiting = {
                let memory = self.memory.borrow();
                memory.advancing || memory.reporting
            };
            waiting || self.replays_go_on() || !self.actions_with_due(now).is_empty()
        };
        if moved.made_room || moved.settled && left_over() {
            return self.arm_for_open_work().await;
        }
        match moved.wakes_at {
            Some(at) => self.arm(at).await,
            None => Ok(()),
        }
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

    /// Deliveries that wake at or before `until`. A row that can't be read is set aside.
    pub(super) fn waking(
        &self,
        lane: Lane,
        action: &Slug,
        until: UnixMs,
        limit: usize,
    ) -> Result<Vec<DeliveryRow>> {
        let mut readable = Vec::new();
        for (id, row) in self.database()?.waking(lane, action, until, limit)? {
            match row {
                Ok(row) => readable.push(row),
                Err(why) => self.set_aside(&id, why, ambient::now())?,
            }
        }
        Ok(readable)
    }
}
