//! Operational events that haven't been brought yet.

use varde_core::ids::EnrollmentId;
use varde_core::time::UnixMs;
use worker::Result;

use super::{parse_id, time};
use crate::database::{Database, number};
use crate::log;

impl Database {
    /// Notes one.
    pub fn insert_report(&self, id: EnrollmentId, input: &str, due: UnixMs) -> Result<()> {
        self.run(
            "INSERT INTO reports (id, input, due) VALUES (?, ?, ?)",
            vec![id.to_string().into(), input.into(), time(due)],
        )
        .map(drop)
    }

    /// Those that are due, oldest first. One without a name can't be brought, and is forgotten.
    pub fn reports_due(&self, now: UnixMs, limit: u64) -> Result<Vec<(EnrollmentId, String)>> {
        let sql = "SELECT id, input FROM reports WHERE due <= ? ORDER BY id LIMIT ?";
        let mut due = Vec::new();
        for mut row in self.rows(sql, vec![time(now), number(limit)])? {
            let (id, input) = (row.text()?, row.text()?);
            match parse_id(&id) {
                Ok(id) => due.push((id, input)),
                Err(error) => {
                    log::error("report_unreadable", &error);
                    self.run("DELETE FROM reports WHERE id = ?", vec![id.into()])?;
                }
            }
        }
        Ok(due)
    }

    /// Looks at one again later.
    pub fn postpone_report(&self, id: EnrollmentId, due: UnixMs) -> Result<()> {
        self.run("UPDATE reports SET due = ? WHERE id = ?", vec![time(due), id.to_string().into()]).map(drop)
    }

    /// Forgets one.
    pub fn delete_report(&self, id: EnrollmentId) -> Result<()> {
        self.run("DELETE FROM reports WHERE id = ?", vec![id.to_string().into()]).map(drop)
    }

    /// When the first one is due.
    pub fn first_report(&self) -> Result<Option<UnixMs>> {
        let rows = self.rows("SELECT min(due) FROM reports", vec![])?;
        let due = rows.into_iter().next().map(|mut row| row.optional_number()).transpose()?.flatten();
        Ok(due.map(UnixMs))
    }
}
