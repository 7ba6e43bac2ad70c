//! Rows that can't be read: set aside as they are, and looked at again by a later version.

use varde_core::ids::DeliveryId;
use varde_core::request::Request;
use varde_core::slug::Slug;
use varde_core::time::UnixMs;
use varde_core::unreadable::Unreadable;
use worker::Result;

use super::super::ledger::{Lane, Totals};
use super::{DELIVERY_COLUMNS, DeliveryRow, delivery_row, lane_number, open_columns, slug, time};
use crate::database::{Database, number};

/// When the next step of an enrollment is due that was set aside: later than any time there is, and the
/// largest number that JavaScript passes on unchanged.
pub const NEVER: u64 = (1 << 53) - 1;

/// Where a delivery stood when it was set aside.
#[derive(Debug)]
pub struct Place {
    /// In which lane.
    pub lane: Lane,
    /// Its action.
    pub action: Slug,
    /// Its record.
    pub record: String,
    /// Whether others of its record stand behind it.
    pub in_line: bool,
}

impl Database {
    /// Sets an open delivery aside: nothing but its lane changes. `None` when it has ended, or was set aside.
    pub fn set_delivery_aside(&self, id: &str) -> Result<Option<Place>> {
        let sql = "SELECT lane, action, record, place IS NOT NULL FROM deliveries WHERE id = ? AND lane < ?";
        let bindings = vec![id.into(), lane_number(Lane::SetAside)];
        let Some(mut row) = self.rows(sql, bindings)?.into_iter().next() else { return Ok(None) };
        let place = Place {
            lane: match row.number()? {
                0 => Lane::Scheduled,
                1 => Lane::InFlight,
                2 => Lane::Held,
                _ => Lane::Blocked,
            },
            action: slug(&row.text()?)?,
            record: row.text()?,
            in_line: row.number()? == 1,
        };
        let bindings = vec![lane_number(Lane::SetAside), id.into()];
        self.run("UPDATE deliveries SET lane = ? WHERE id = ?", bindings)?;
        Ok(Some(place))
    }

    /// Ids of deliveries of an action that were set aside, as they are stored.
    pub fn aside(&self, action: &Slug, limit: usize) -> Result<Vec<String>> {
        let sql = "SELECT id FROM deliveries WHERE lane = ? AND action = ? LIMIT ?";
        let bindings = vec![lane_number(Lane::SetAside), action.as_str().into(), number(limit as u64)];
        self.rows(sql, bindings)?.into_iter().map(|mut row| row.text()).collect()
    }

    /// Puts deliveries back where they belong that were set aside and can be read now, at most `limit` looked
    /// at after the id `after`; and lets all enrollments go on that were set aside. Gives those deliveries back,
    /// and the last id that was looked at if there may be more.
    pub fn take_up(
        &self,
        after: &str,
        limit: u64,
        now: UnixMs,
    ) -> Result<(Vec<DeliveryRow>, Option<String>)> {
        let sql = format!(
            "SELECT {DELIVERY_COLUMNS} FROM deliveries WHERE lane = ? AND id > ? ORDER BY id LIMIT ?"
        );
        let rows = self.rows(&sql, vec![lane_number(Lane::SetAside), after.into(), number(limit)])?;
        let all = (rows.len() as u64) < limit;
        let (mut taken_up, mut last) = (Vec::new(), None);
        for mut row in rows {
            let (id, read) = delivery_row(&mut row);
            last = Some(id);
            let Ok(row) = read else { continue };
            if self.sendable(row.id)?.is_err() {
                continue;
            }
            let (lane, wakes_at) = open_columns(&row.delivery.state);
            self.run(
                "UPDATE deliveries SET lane = ?, wakes_at = ? WHERE id = ?",
                vec![lane, wakes_at, row.id.to_string().into()],
            )?;
            taken_up.push(row);
        }
        self.run("UPDATE enrollments SET next_due = ? WHERE next_due = ?", vec![time(now), number(NEVER)])?;
        Ok((taken_up, last.filter(|id| !all && !id.is_empty())))
    }

    /// Whether an enrollment was set aside.
    pub fn has_enrollment_aside(&self) -> Result<bool> {
        let sql = "SELECT 1 FROM enrollments WHERE next_due = ? LIMIT 1";
        Ok(!self.rows(sql, vec![number(NEVER)])?.is_empty())
    }

    /// Whether a delivery's request can be sent.
    pub fn sendable(&self, id: DeliveryId) -> Result<std::result::Result<(), Unreadable>> {
        let request = self.request(id)?.unwrap_or_default();
        Ok(Unreadable::Request.unless::<Request>(&request).map(drop))
    }

    /// Ends a delivery of which nothing can be read, not even whose it is.
    pub fn end_nameless(&self, id: &str) -> Result<()> {
        self.run("UPDATE deliveries SET lane = NULL WHERE id = ?", vec![id.into()]).map(drop)
    }

    /// Sets an enrollment aside that waits for its next step.
    pub fn set_enrollment_aside(&self, id: &str) -> Result<()> {
        self.run("UPDATE enrollments SET next_due = ? WHERE id = ?", vec![number(NEVER), id.into()]).map(drop)
    }

    /// How many deliveries of an action have ended how, counted row by row. What was forgotten isn't there to
    /// be counted.
    pub fn recount(&self, action: &Slug) -> Result<Totals> {
        let sql = "SELECT iif(json_valid(state), json_extract(state, '$.status'), NULL), count(*)
             FROM deliveries WHERE action = ? AND lane IS NULL GROUP BY 1";
        let mut totals = Totals::default();
        for mut row in self.rows(sql, vec![action.as_str().into()])? {
            let (status, count) = (row.optional_text()?, row.number()?);
            match status.as_deref() {
                Some("delivered") => totals.delivered = count,
                Some("exhausted") => totals.exhausted = count,
                Some("canceled") => totals.canceled = count,
                _ => totals.rejected += count,
            }
        }
        Ok(totals)
    }
}
