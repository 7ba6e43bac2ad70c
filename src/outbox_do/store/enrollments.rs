//! Enrollments and idempotency keys: rows in and out.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use varde_core::ids::{DeliveryId, EnrollmentId};
use varde_core::slug::Slug;
use varde_core::time::UnixMs;
use varde_core::unreadable::Unreadable;
use worker::Result;

use super::aside::NEVER;
use super::{parse_id, time};
use crate::database::{Database, Row, number};
use crate::log;
use crate::outbox_do::protocol::Idempotency;

/// What happened to an enrollment beyond its first delivery; NULL while there is nothing to tell.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Course {
    /// Its later deliveries, in the order of their creation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deliveries: Vec<DeliveryId>,
    /// Replays of its deliveries; they have no say in how it goes on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replays: Vec<DeliveryId>,
    /// The delivery that ended while nobody who knows the workflow was there: the next step waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<After>,
    /// `failed` or `canceled`; a completed or running enrollment is told by its deliveries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<String>,
    /// Why, as a stable slug.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A delivery that an enrollment has to go on after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct After {
    /// Its action.
    pub action: Slug,
    /// Whether it was delivered.
    pub delivered: bool,
    /// Whether others of its record wait behind it until the next step is taken.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ordered: bool,
}

/// An enrollment as it is stored: in its first delivery, and in a row of its own once there is more to tell.
#[derive(Debug)]
pub struct EnrollmentRow {
    /// Its id.
    pub id: EnrollmentId,
    /// The record's id.
    pub record: String,
    /// The record and the event, as JSON.
    pub input: String,
    /// When it was accepted.
    pub created_at: UnixMs,
    /// What happened.
    pub course: Course,
    /// When its next step is to be rendered.
    pub next_due: Option<UnixMs>,
    /// Whether what happened can't be read; it is then as if nothing had.
    pub unreadable: Option<Unreadable>,
}

impl EnrollmentRow {
    /// Whether it was set aside, because its next step can't be rendered.
    pub fn is_set_aside(&self) -> bool {
        self.next_due == Some(UnixMs(NEVER))
    }

    /// Its deliveries, in the order of their creation.
    pub fn delivery_ids(&self) -> impl Iterator<Item = DeliveryId> {
        std::iter::once(self.id.first_delivery()).chain(self.course.deliveries.iter().copied())
    }

    /// Those, and their replays.
    pub fn all_delivery_ids(&self) -> impl Iterator<Item = DeliveryId> {
        self.delivery_ids().chain(self.course.replays.iter().copied())
    }
}

/// Of an enrollment's first delivery, and of its own row where it has one.
const ENROLLMENT_COLUMNS: &str = "first.enrollment, first.record, coalesce(first.input, enrollments.input),
    first.created_at, enrollments.course, enrollments.next_due";

/// A delivery that is the first one of its enrollment: the same characters.
pub const IS_FIRST: &str = "substr(enrollment, 5) = substr(id, 5)";

impl Database {
    /// One enrollment.
    pub fn enrollment(&self, id: EnrollmentId) -> Result<Option<EnrollmentRow>> {
        let sql = format!(
            "SELECT {ENROLLMENT_COLUMNS} FROM deliveries first LEFT JOIN enrollments ON enrollments.id = ?
             WHERE first.id = ?"
        );
        let bindings = vec![id.to_string().into(), id.first_delivery().to_string().into()];
        self.rows(&sql, bindings)?.into_iter().next().map(enrollment_row).transpose()
    }

    /// Enrollments whose next step is due. One that has no name is set aside.
    pub fn enrollments_to_advance(&self, now: UnixMs, limit: usize) -> Result<Vec<EnrollmentRow>> {
        let sql = format!(
            "SELECT enrollments.id, {ENROLLMENT_COLUMNS} FROM enrollments
             LEFT JOIN deliveries first ON first.id = 'dlv_' || substr(enrollments.id, 5)
             WHERE next_due <= ? ORDER BY next_due LIMIT ?"
        );
        let mut due = Vec::new();
        for mut row in self.rows(&sql, vec![time(now), number(limit as u64)])? {
            let id = row.text()?;
            match enrollment_row(row) {
                Ok(enrollment) => due.push(enrollment),
                Err(error) => {
                    log::error_about("row_set_aside", &id, &error);
                    self.set_enrollment_aside(&id)?;
                }
            }
        }
        Ok(due)
    }

    /// When the first next step is due.
    pub fn first_advance(&self) -> Result<Option<UnixMs>> {
        let sql = "SELECT next_due FROM enrollments WHERE next_due < ? ORDER BY next_due LIMIT 1";
        let rows = self.rows(sql, vec![number(NEVER)])?;
        Ok(rows.into_iter().next().map(|mut row| row.number()).transpose()?.map(UnixMs))
    }

    /// How many enrollments wait for their next step, those included that were set aside.
    pub fn advance_count(&self) -> Result<u64> {
        let rows = self.rows("SELECT count(*) FROM enrollments WHERE next_due IS NOT NULL", vec![])?;
        rows.into_iter().next().map_or(Ok(0), |mut row| row.number())
    }

    /// Stores what happened to an enrollment.
    pub fn save_course(&self, row: &EnrollmentRow, next_due: Option<UnixMs>) -> Result<()> {
        self.run(
            "INSERT INTO enrollments (id, record, input, created_at, course, next_due) VALUES (?, ?, '', ?, ?, ?)
             ON CONFLICT (id) DO UPDATE SET course = excluded.course, next_due = excluded.next_due",
            vec![
                row.id.to_string().into(),
                row.record.as_str().into(),
                time(row.created_at),
                serde_json::to_string(&row.course)?.into(),
                next_due.map_or(Value::Null, time),
            ],
        )
    }

    /// The enrollment that an idempotency key was used for, if it hasn't expired, with the hash of its input.
    pub fn idempotency(&self, key: &str, now: UnixMs) -> Result<Option<(EnrollmentId, String)>> {
        let rows = self.rows(
            "SELECT enrollment, body_hash FROM idempotency WHERE key = ? AND expires_at > ?",
            vec![key.into(), time(now)],
        )?;
        let read = |mut row: Row| Ok((parse_id(&row.text()?)?, row.text()?));
        rows.into_iter().next().map(read).transpose()
    }

    /// Remembers an idempotency key.
    pub fn insert_idempotency(
        &self,
        used: &Idempotency,
        enrollment: EnrollmentId,
        expires_at: UnixMs,
    ) -> Result<()> {
        self.run(
            "INSERT OR REPLACE INTO idempotency (key, body_hash, enrollment, expires_at) VALUES (?, ?, ?, ?)",
            vec![
                used.key.as_str().into(),
                used.body_hash.as_str().into(),
                enrollment.to_string().into(),
                time(expires_at),
            ],
        )
        .map(drop)
    }

    /// Forgets expired idempotency keys, at most `limit`.
    pub fn prune_idempotency(&self, now: UnixMs, limit: usize) -> Result<()> {
        self.run(
            "DELETE FROM idempotency WHERE key IN
             (SELECT key FROM idempotency WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)",
            vec![time(now), number(limit as u64)],
        )
        .map(drop)
    }

    /// When the first idempotency key expires.
    pub fn first_expiry(&self) -> Result<Option<UnixMs>> {
        let rows = self.rows("SELECT expires_at FROM idempotency ORDER BY expires_at LIMIT 1", vec![])?;
        Ok(rows.into_iter().next().map(|mut row| row.number()).transpose()?.map(UnixMs))
    }
}

/// Reads [`ENROLLMENT_COLUMNS`].
fn enrollment_row(mut row: Row) -> Result<EnrollmentRow> {
    let (id, record, input) = (parse_id(&row.text()?)?, row.text()?, row.text()?);
    let created_at = UnixMs(row.number()?);
    let course = row.optional_text()?.map(|text| Unreadable::Enrollment.unless::<Course>(&text)).transpose();
    Ok(EnrollmentRow {
        id,
        record,
        input,
        created_at,
        unreadable: course.as_ref().err().copied(),
        course: course.unwrap_or_default().unwrap_or_default(),
        next_due: row.optional_number()?.map(UnixMs),
    })
}
