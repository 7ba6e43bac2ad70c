//! Rows that can't be read don't stop the others: they are set aside with a reason, stay open, and go on when
//! a version that can read them starts. The reason isn't stored; it is found again whenever somebody looks.

use varde_core::ids::{DeliveryId, EnrollmentId};
use varde_core::slug::Slug;
use varde_core::time::UnixMs;
use varde_core::unreadable::Unreadable;
use worker::Result;

use super::Outbox;
use super::ledger::Lane;
use super::store::{DeliveryRow, Place, Readable};
use crate::{ambient, log};

/// Rows set aside that one alarm looks at.
const PAGE: u64 = 250;

impl Outbox {
    /// A delivery to work on; one that can't be read is set aside, and is the reason why.
    pub(super) fn workable(&self, id: DeliveryId) -> Result<Option<Readable>> {
        let found = self.database()?.delivery(id)?;
        if let Some(Err(why)) = found {
            self.set_aside(&id.to_string(), why, ambient::now())?;
        }
        Ok(found)
    }

    /// Sets a delivery aside, by its id as it is stored; those that stand in line behind it go on.
    pub(super) fn set_aside(&self, id: &str, why: Unreadable, now: UnixMs) -> Result<()> {
        match self.leave_line(id, why)? {
            Some(Place { in_line: true, action, record, .. }) => self.move_line(&action, &record, now),
            _ => Ok(()),
        }
    }

    /// The same, and the line stays as it is.
    pub(super) fn leave_line(&self, id: &str, why: Unreadable) -> Result<Option<Place>> {
        let place = self.database()?.set_delivery_aside(id)?;
        if let Some(Place { action, lane, .. }) = &place {
            log::error_about("row_set_aside", id, &why.code());
            let mut memory = self.memory.borrow_mut();
            memory.ledger.changed_lane(action, *lane, Lane::SetAside);
            if let Ok(id) = id.parse() {
                memory.leased.remove(&id);
            }
        }
        Ok(place)
    }

    /// Sets an enrollment aside whose next step can't be rendered.
    pub(super) fn set_enrollment_aside(&self, id: EnrollmentId, why: Unreadable) -> Result<()> {
        log::error_about("row_set_aside", &id.to_string(), &why.code());
        self.database()?.set_enrollment_aside(&id.to_string())
    }

    /// Whether rows that were set aside before the object started haven't been looked at.
    pub(super) fn may_take_up(&self) -> bool {
        self.looked_at.borrow().is_some()
    }

    /// One page of what was set aside before the object started goes on, as far as this version can read it.
    /// Tells up to where it came, if there is more.
    pub(super) fn take_up(&self, now: UnixMs) -> Result<Option<String>> {
        let Some(after) = self.looked_at.borrow().clone() else { return Ok(None) };
        let (rows, last) = self.database()?.take_up(&after, PAGE, now)?;
        for row in rows {
            let Some(lane) = Lane::of(&row.delivery.state) else { continue };
            {
                let ledger = &mut self.memory.borrow_mut().ledger;
                ledger.changed_lane(&row.action, Lane::SetAside, lane);
                ledger.account(&row.action).earliest_due = None;
            }
            if row.place.is_some() {
                self.move_line(&row.action, &row.record, now)?;
            }
        }
        Ok(last)
    }

    /// A delivery as far as it can be read, out of all lanes that go on, for a person to cancel it.
    pub(super) fn outline(&self, id: DeliveryId) -> Result<Option<DeliveryRow>> {
        let Some(mut row) = self.database()?.shown_delivery(id)? else { return Ok(None) };
        if let Some(why) = row.unreadable {
            let place = self.leave_line(&id.to_string(), why)?;
            row.set_aside |= place.is_some();
        }
        Ok(Some(row))
    }

    /// Cancels a delivery that was set aside, by its id as it is stored, whatever of it can be read.
    pub(super) fn cancel_aside(&self, id: &str, action: &Slug, now: UnixMs) -> Result<()> {
        if let Ok(id) = id.parse()
            && self.database()?.shown_delivery(id)?.is_some()
        {
            return self.cancel_by_id(id, now);
        }
        // Not even whose it is.
        self.database()?.end_nameless(id)?;
        let mut memory = self.memory.borrow_mut();
        let account = memory.ledger.account(action);
        account.set_aside = account.set_aside.saturating_sub(1);
        account.totals.canceled += 1;
        memory.uncounted.insert(action.clone());
        Ok(())
    }
}
