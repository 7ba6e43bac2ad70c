//! Forgetting what has settled long ago, in small steps: an enrollment goes with all its deliveries, once
//! the last of them is old enough. What was counted stays counted.

use varde_core::ids::EnrollmentId;
use varde_core::time::{HOUR_MS, UnixMs};
use worker::Result;

use super::Outbox;
use crate::log;
use crate::registry_do::MAX_REPLAYS;

/// Enrollments that one step looks at.
const LOOKED_AT_PER_STEP: u64 = 100;
/// The pause after all were looked at: some weren't old enough, and nobody waits for it.
const PAUSE_MS: u64 = HOUR_MS;

/// How far forgetting has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Forgetting {
    /// The last enrollment that this round looked at.
    after: Option<EnrollmentId>,
    /// When it goes on; `None` when that isn't known and the rows must be asked.
    at: Option<UnixMs>,
}

impl Outbox {
    /// When there is something to forget; `None` while everything is kept, or nothing is there.
    pub(super) fn next_forgetting(&self, now: UnixMs) -> Result<Option<UnixMs>> {
        let Some(before) = self.memory.borrow().controls.forget_before(now) else { return Ok(None) };
        if let Some(at) = self.memory.borrow().forgetting.at {
            return Ok(Some(at));
        }
        let oldest = self.database()?.enrollments_after(None, 1)?.first().copied();
        let at = oldest.map(|id| UnixMs(now.0 + id.minted_at().since_ms(before)));
        self.memory.borrow_mut().forgetting.at = at;
        Ok(at)
    }

    /// One step, if it is time. An enrollment that can't be read is left where it is.
    pub(super) fn forget(&self, now: UnixMs) -> Result<()> {
        let Some(before) = self.memory.borrow().controls.forget_before(now) else { return Ok(()) };
        let Forgetting { after, at } = self.memory.borrow().forgetting;
        if at.is_none_or(|at| at > now) {
            return Ok(());
        }
        let found = self.database()?.enrollments_after(after, LOOKED_AT_PER_STEP)?;
        let (mut last, mut oldest_kept) = (after, None);
        for id in &found {
            if id.minted_at() >= before {
                // Ids are in time order: all others are younger.
                return self.end_round(now, Some(*id).filter(|_| oldest_kept.is_none()), before);
            }
            match self.forget_enrollment(*id, before) {
                Ok(true) => {}
                Ok(false) => oldest_kept = Some(*id),
                Err(error) => log::error_about("not_forgotten", &id.to_string(), &error),
            }
            last = Some(*id);
        }
        if (found.len() as u64) < LOOKED_AT_PER_STEP {
            return self.end_round(now, None, before);
        }
        self.memory.borrow_mut().forgetting = Forgetting { after: last, at: Some(now) };
        Ok(())
    }

    /// All that could be old enough were looked at. The next round begins when the oldest one is, but not
    /// before a pause: one that is old and still open would be looked at again and again.
    fn end_round(&self, now: UnixMs, oldest: Option<EnrollmentId>, before: UnixMs) -> Result<()> {
        self.database()?.forget_replays(MAX_REPLAYS)?;
        if self.database()?.enrollments_after(None, 1)?.is_empty() {
            // Nothing to come back for; the next enrollment begins it anew.
            self.memory.borrow_mut().forgetting = Forgetting::default();
            return Ok(());
        }
        let age_in = oldest.map_or(0, |id| id.minted_at().since_ms(before));
        let at = Some(now.plus_ms(age_in.max(PAUSE_MS)));
        self.memory.borrow_mut().forgetting = Forgetting { after: None, at };
        Ok(())
    }

    /// Forgets an enrollment if all of it settled before `before`; tells whether it did.
    fn forget_enrollment(&self, id: EnrollmentId, before: UnixMs) -> Result<bool> {
        let database = self.database()?;
        let Some(row) = database.enrollment(id)? else { return Ok(true) };
        // Of one that can't be read nobody knows which deliveries are its own.
        if row.next_due.is_some() || row.unreadable.is_some() {
            return Ok(false);
        }
        let deliveries: Vec<_> = row.all_delivery_ids().collect();
        for delivery in &deliveries {
            if database.settled_at(*delivery)?.is_none_or(|settled_at| settled_at >= before) {
                return Ok(false);
            }
        }
        for delivery in deliveries {
            database.delete_delivery(delivery)?;
        }
        database.delete_enrollment(id)?;
        Ok(true)
    }
}
