//! Attempts end here: a settle, a returned lease, a cancel.

use varde_core::delivery::{Circumstances, Event};
use varde_core::ids::DeliveryId;
use varde_core::slug::Slug;
use varde_core::time::UnixMs;
use varde_core::unreadable::Unreadable;
use worker::Result;

use super::ledger::Lane;
use super::protocol::{CancelReply, Return, Settle, SettleReply};
use super::store::{DeliveryRow, Readable};
use super::turn::Moved;
use super::{Outbox, Settled};
use crate::ambient;

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

    /// Deliveries that wake at or before `until`. A row that can't be read is set aside.
    pub(super) fn waking(
        &self,
        lane: Lane,
        action: &Slug,
        until: UnixMs,
        limit: usize,
    ) -> Result<Vec<DeliveryRow>> {
        self.readable(self.database()?.waking(lane, action, until, limit)?)
    }

    /// The rows of these that can be read; the others are set aside, by their ids.
    pub(super) fn readable<T>(&self, found: Vec<(String, Readable<T>)>) -> Result<Vec<T>> {
        let mut readable = Vec::with_capacity(found.len());
        for (id, row) in found {
            match row {
                Ok(row) => readable.push(row),
                Err(why) => self.set_aside(&id, why, ambient::now())?,
            }
        }
        Ok(readable)
    }
}
