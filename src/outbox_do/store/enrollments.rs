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
use crate::outbox_do::protocol::{Idempotency, NewEnrollment};

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

/// An enrollment as it is stored.
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

const ENROLLMENT_COLUMNS: &str = "id, record, input, created_at, course, next_due";

impl Database {
    /// Inserts an enrollment; false when it is there already.
    pub fn insert_enrollment(&self, new: &NewEnrollment, now: UnixMs) -> Result<bool> {
        let inserted = self.rows(
            "INSERT OR IGNORE INTO enrollments (id, record, input, created_at) VALUES (?, ?, ?, ?) RETURNING 1",
            vec![new.id.to_string().into(), new.record.as_str().into(), new.input.get().into(), time(now)],
        )?;
        Ok(!inserted.is_empty())
    }

    /// One enrollment.
    pub fn enrollment(&self, id: EnrollmentId) -> Result<Option<EnrollmentRow>> {
        let sql = format!("SELECT {ENROLLMENT_COLUMNS} FROM enrollments WHERE id = ?");
        self.rows(&sql, vec![id.to_string().into()])?.into_iter().next().map(enrollment_row).transpose()
    }

    /// Enrollments whose next step is due. One that has no name is set aside.
    pub fn enrollments_to_advance(&self, now: UnixMs, limit: usize) -> Result<Vec<EnrollmentRow>> {
        let sql = format!(
            "SELECT {ENROLLMENT_COLUMNS} FROM enrollments WHERE next_due <= ? ORDER BY next_due LIMIT ?"
        );
        let mut due = Vec::new();
        for mut row in self.rows(&sql, vec![time(now), number(limit as u64)])? {
            let id = row.text()?;
            match enrollment_row_of(&id, row) {
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
    pub fn update_enrollment(
        &self,
        id: EnrollmentId,
        course: &Course,
        next_due: Option<UnixMs>,
    ) -> Result<()> {
        let course = serde_json::to_string(course)?;
        let next_due = next_due.map_or(Value::Null, time);
        self.run(
            "UPDATE enrollments SET course = ?, next_due = ? WHERE id = ?",
            vec![course.into(), next_due, id.to_string().into()],
        )
        .map(drop)
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

fn enrollment_row(mut row: Row) -> Result<EnrollmentRow> {
    let id = row.text()?;
    enrollment_row_of(&id, row)
}

/// Reads the columns after the id.
fn enrollment_row_of(id: &str, mut row: Row) -> Result<EnrollmentRow> {
    let (id, record, input) = (parse_id(id)?, row.text()?, row.text()?);
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
