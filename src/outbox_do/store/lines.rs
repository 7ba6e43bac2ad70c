//! Lines: the open deliveries of one record and action, where records keep their order.

use varde_core::slug::Slug;
use worker::Result;

use super::{DELIVERY_COLUMNS, DeliveryRow, delivery_row};
use crate::database::{Database, Row};

impl Database {
    /// The first open delivery of a record and action.
    pub fn first_in_line(&self, action: &Slug, record: &str) -> Result<Option<DeliveryRow>> {
        let sql = format!(
            "SELECT {DELIVERY_COLUMNS} FROM deliveries
             WHERE action = ? AND record = ? AND place IS NOT NULL AND lane IS NOT NULL ORDER BY place LIMIT 1"
        );
        let rows = self.rows(&sql, vec![action.as_str().into(), record.into()])?;
        rows.into_iter().next().map(|mut row| delivery_row(&mut row)).transpose()
    }

    /// Whether a record and action has open deliveries that keep their order, or one that has ended and whose
    /// enrollment hasn't taken its next step yet.
    pub fn has_line(&self, action: &Slug, record: &str) -> Result<bool> {
        let sql = "SELECT 1 FROM deliveries
             WHERE action = ? AND record = ? AND place IS NOT NULL AND lane IS NOT NULL LIMIT 1";
        let open = !self.rows(sql, vec![action.as_str().into(), record.into()])?.is_empty();
        Ok(open || self.is_between_steps(action, record)?)
    }

    /// Whether the next step of an enrollment is still to be taken, after an ordered delivery of a record and
    /// action: a walk over the enrollments that wait for theirs.
    pub fn is_between_steps(&self, action: &Slug, record: &str) -> Result<bool> {
        let sql = "SELECT 1 FROM enrollments WHERE next_due IS NOT NULL AND record = ?
             AND json_extract(course, '$.after.action') = ? AND json_extract(course, '$.after.ordered') LIMIT 1";
        Ok(!self.rows(sql, vec![record.into(), action.as_str().into()])?.is_empty())
    }

    /// The highest place among open deliveries.
    pub fn last_place(&self) -> Result<u64> {
        let sql = "SELECT max(place) FROM deliveries INDEXED BY deliveries_line
             WHERE place IS NOT NULL AND lane IS NOT NULL";
        let rows = self.rows(sql, vec![])?;
        Ok(rows.into_iter().next().map(|mut row| row.optional_number()).transpose()?.flatten().unwrap_or(0))
    }

    /// Where a delivery stood whose row can't be read as a whole.
    pub fn line_of(&self, id: &str) -> Result<Option<(Slug, String)>> {
        let sql = "SELECT action, record FROM deliveries WHERE id = ? AND place IS NOT NULL";
        let read = |mut row: Row| Ok((super::slug(&row.text()?)?, row.text()?));
        self.rows(sql, vec![id.into()])?.into_iter().next().map(read).transpose()
    }
}
