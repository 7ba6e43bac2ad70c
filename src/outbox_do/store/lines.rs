//! Lines: the open deliveries of one record and action, where records keep their order.

use varde_core::slug::Slug;
use worker::Result;

use super::aside::NEVER;
use super::{DELIVERY_COLUMNS, Readable, delivery_row, lane_number};
use crate::database::{Database, number};
use crate::outbox_do::ledger::Lane;

impl Database {
    /// The first open delivery of a record and action, with the text of its id. One that was set aside has
    /// left the line.
    pub fn first_in_line(&self, action: &Slug, record: &str) -> Result<Option<(String, Readable)>> {
        let sql = format!(
            "SELECT {DELIVERY_COLUMNS} FROM deliveries WHERE action = ? AND record = ?
             AND place IS NOT NULL AND lane IS NOT NULL AND lane <> ? ORDER BY place LIMIT 1"
        );
        let bindings = vec![action.as_str().into(), record.into(), lane_number(Lane::SetAside)];
        Ok(self.rows(&sql, bindings)?.into_iter().next().map(|mut row| delivery_row(&mut row)))
    }

    /// Whether a record and action has open deliveries that keep their order, or one that has ended and whose
    /// enrollment hasn't taken its next step yet.
    pub fn has_line(&self, action: &Slug, record: &str) -> Result<bool> {
        let sql = "SELECT 1 FROM deliveries WHERE action = ? AND record = ?
             AND place IS NOT NULL AND lane IS NOT NULL AND lane <> ? LIMIT 1";
        let bindings = vec![action.as_str().into(), record.into(), lane_number(Lane::SetAside)];
        let open = !self.rows(sql, bindings)?.is_empty();
        Ok(open || self.is_between_steps(action, record)?)
    }

    /// Whether the next step of an enrollment is still to be taken, after an ordered delivery of a record and
    /// action: a walk over the enrollments that wait for theirs. One that was set aside lets others go.
    pub fn is_between_steps(&self, action: &Slug, record: &str) -> Result<bool> {
        let sql = "SELECT 1 FROM enrollments WHERE next_due < ? AND record = ?
             AND iif(json_valid(course), json_extract(course, '$.after.action'), NULL) = ?
             AND iif(json_valid(course), json_extract(course, '$.after.ordered'), NULL) LIMIT 1";
        Ok(!self.rows(sql, vec![number(NEVER), record.into(), action.as_str().into()])?.is_empty())
    }

    /// The highest place among open deliveries.
    pub fn last_place(&self) -> Result<u64> {
        let sql = "SELECT max(place) FROM deliveries INDEXED BY deliveries_line
             WHERE place IS NOT NULL AND lane IS NOT NULL";
        let rows = self.rows(sql, vec![])?;
        Ok(rows.into_iter().next().map(|mut row| row.optional_number()).transpose()?.flatten().unwrap_or(0))
    }
}
