//! Rows in and out. Nothing is decided here.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use varde_core::delivery::{AttemptEnd, Delivery, State};
use varde_core::ids::{DeliveryId, EnrollmentId};
use varde_core::slug::Slug;
use varde_core::time::UnixMs;
use worker::{Error, Result, SqlStorageValue};

use super::ledger::{Lane, Totals};
use super::protocol::{Idempotency, NewEnrollment, Terms};
use crate::database::{Database, Row, number};

/// Attempts kept from the beginning of a delivery, because they tell how it began to fail.
const FIRST_ATTEMPTS_KEPT: u32 = 10;
/// Attempts kept from its end.
const LAST_ATTEMPTS_KEPT: u32 = 90;

/// A delivery without its request and its log.
#[derive(Debug, Clone)]
pub struct DeliveryRow {
    /// Its id.
    pub id: DeliveryId,
    /// Whose it is.
    pub enrollment: EnrollmentId,
    /// Which action's.
    pub action: Slug,
    /// The record's id.
    pub record: String,
    /// When it was created, by the outbox's clock.
    pub created_at: UnixMs,
    /// Its state.
    pub delivery: Delivery,
    /// What was fixed with it.
    pub terms: Terms,
}

/// How a delivery ended; written once. The attempt that ended it lives here and not among the attempts,
/// so that a first attempt that arrives costs no row of its own.
#[derive(Debug, Serialize, Deserialize)]
pub struct Finale {
    /// When.
    pub settled_at: UnixMs,
    /// The attempt that ended it, where one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<AttemptLog>,
    /// `{"values": {name: value}, "note"?}` of its response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outputs: Option<Box<RawValue>>,
}

/// One ended attempt with what came back.
#[derive(Debug, Serialize, Deserialize)]
pub struct AttemptLog {
    /// The attempt.
    #[serde(flatten)]
    pub end: AttemptEnd,
    /// `{"headers", "body", "truncated"}`, masked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<serde_json::Value>,
}

/// What happened to an enrollment beyond its first delivery; NULL while there is nothing to tell.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Course {
    /// Its later deliveries, in the order of their creation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deliveries: Vec<DeliveryId>,
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
}

impl EnrollmentRow {
    /// Its deliveries, in the order of their creation.
    pub fn delivery_ids(&self) -> impl Iterator<Item = DeliveryId> {
        std::iter::once(self.id.first_delivery()).chain(self.course.deliveries.iter().copied())
    }
}

const DELIVERY_COLUMNS: &str = "id, enrollment, action, record, created_at, state, terms";
const ENROLLMENT_COLUMNS: &str = "id, record, input, created_at, course, next_due";

impl Database {
    /// Inserts an enrollment; false when it is there already.
    pub fn insert_enrollment(&self, new: &NewEnrollment, now: UnixMs) -> Result<bool> {
        let cursor = self.run(
            "INSERT OR IGNORE INTO enrollments (id, record, input, created_at) VALUES (?, ?, ?, ?)",
            vec![new.id.to_string().into(), new.record.as_str().into(), new.input.get().into(), time(now)],
        )?;
        Ok(cursor.rows_written() > 0)
    }

    /// Inserts a delivery in whatever state it starts with.
    pub fn insert_delivery(&self, row: &DeliveryRow, request: &str, finale: Option<&Finale>) -> Result<()> {
        let finale = finale.map(serde_json::to_string).transpose()?;
        let (lane, wakes_at) = open_columns(&row.delivery.state);
        self.run(
            "INSERT INTO deliveries (id, enrollment, action, record, created_at, lane, wakes_at, state, finale, terms, request)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            vec![
                row.id.to_string().into(),
                row.enrollment.to_string().into(),
                row.action.as_str().into(),
                row.record.as_str().into(),
                time(row.created_at),
                lane,
                wakes_at,
                serde_json::to_string(&row.delivery)?.into(),
                finale.into(),
                serde_json::to_string(&row.terms)?.into(),
                request.into(),
            ],
        )
        .map(drop)
    }

    /// Stores a delivery's next state.
    pub fn update_delivery(
        &self,
        id: DeliveryId,
        delivery: &Delivery,
        finale: Option<&Finale>,
    ) -> Result<()> {
        let finale = finale.map(serde_json::to_string).transpose()?;
        let (lane, wakes_at) = open_columns(&delivery.state);
        self.run(
            "UPDATE deliveries SET lane = ?, wakes_at = ?, state = ?, finale = ? WHERE id = ?",
            vec![
                lane,
                wakes_at,
                serde_json::to_string(delivery)?.into(),
                finale.into(),
                id.to_string().into(),
            ],
        )
        .map(drop)
    }

    /// Sets a row aside that can't be read, so that it doesn't stop the others.
    pub fn set_aside(&self, id: &str) -> Result<()> {
        self.run("UPDATE deliveries SET lane = NULL, wakes_at = NULL WHERE id = ?", vec![id.into()]).map(drop)
    }

    /// One delivery.
    pub fn delivery(&self, id: DeliveryId) -> Result<Option<DeliveryRow>> {
        let sql = format!("SELECT {DELIVERY_COLUMNS} FROM deliveries WHERE id = ?");
        self.rows(&sql, vec![id.to_string().into()])?
            .into_iter()
            .next()
            .map(|mut row| delivery_row(&mut row))
            .transpose()
    }

    /// The request of a delivery, as JSON.
    pub fn request(&self, id: DeliveryId) -> Result<Option<String>> {
        let rows = self.rows("SELECT request FROM deliveries WHERE id = ?", vec![id.to_string().into()])?;
        rows.into_iter().next().map(|mut row| row.text()).transpose()
    }

    /// How a delivery ended.
    pub fn finale(&self, id: DeliveryId) -> Result<Option<Finale>> {
        let rows = self.rows("SELECT finale FROM deliveries WHERE id = ?", vec![id.to_string().into()])?;
        let text = rows.into_iter().next().map(|mut row| row.optional_text()).transpose()?.flatten();
        Ok(text.map(|text| serde_json::from_str(&text)).transpose()?)
    }

    /// Deliveries of a lane and action that wake at or before `until`, longest waiting first. One that can't
    /// be read is set aside and handed to `unreadable`.
    pub fn waking(
        &self,
        lane: Lane,
        action: &Slug,
        until: UnixMs,
        limit: usize,
        unreadable: &mut dyn FnMut(&str, &Error),
    ) -> Result<Vec<DeliveryRow>> {
        let sql = format!(
            "SELECT {DELIVERY_COLUMNS} FROM deliveries
             WHERE lane = ? AND action = ? AND wakes_at <= ? ORDER BY wakes_at LIMIT ?"
        );
        let bindings = vec![lane_number(lane), action.as_str().into(), time(until), number(limit as u64)];
        let mut readable = Vec::new();
        for mut row in self.rows(&sql, bindings)? {
            let id = row.text()?;
            match delivery_row_of(&id, &mut row) {
                Ok(delivery) => readable.push(delivery),
                Err(error) => {
                    self.set_aside(&id)?;
                    unreadable(&id, &error);
                }
            }
        }
        Ok(readable)
    }

    /// When the first delivery of a lane and action wakes.
    pub fn first_waking(&self, lane: Lane, action: &Slug) -> Result<Option<UnixMs>> {
        let rows = self.rows(
            "SELECT wakes_at FROM deliveries WHERE lane = ? AND action = ? AND wakes_at >= 0 ORDER BY wakes_at LIMIT 1",
            vec![lane_number(lane), action.as_str().into()],
        )?;
        Ok(rows.into_iter().next().map(|mut row| row.number()).transpose()?.map(UnixMs))
    }

    /// How many deliveries are open, by lane and action: a walk over the index of open work.
    pub fn open_counts(&self) -> Result<Vec<(u64, Slug, u64)>> {
        let sql =
            "SELECT lane, action, count(*) FROM deliveries WHERE lane IS NOT NULL GROUP BY lane, action";
        let read = |mut row: Row| Ok((row.number()?, slug(&row.text()?)?, row.number()?));
        self.rows(sql, vec![])?.into_iter().map(read).collect()
    }

    /// Adds an attempt to a delivery's log, and drops one from the middle when it grows long.
    pub fn insert_attempt(&self, id: DeliveryId, log: &AttemptLog) -> Result<()> {
        let number = log.end.number;
        self.run(
            "INSERT OR REPLACE INTO attempts (delivery, number, log) VALUES (?, ?, ?)",
            vec![
                id.to_string().into(),
                SqlStorageValue::Integer(number.into()),
                serde_json::to_string(log)?.into(),
            ],
        )?;
        let surplus = number.saturating_sub(LAST_ATTEMPTS_KEPT);
        if surplus > FIRST_ATTEMPTS_KEPT {
            let bindings = vec![id.to_string().into(), SqlStorageValue::Integer(surplus.into())];
            self.run("DELETE FROM attempts WHERE delivery = ? AND number = ?", bindings)?;
        }
        Ok(())
    }

    /// The log of a delivery's attempts that didn't end it.
    pub fn attempts(&self, id: DeliveryId) -> Result<Vec<AttemptLog>> {
        let rows = self.rows(
            "SELECT log FROM attempts WHERE delivery = ? ORDER BY number",
            vec![id.to_string().into()],
        )?;
        rows.into_iter().map(|mut row| Ok(serde_json::from_str(&row.text()?)?)).collect()
    }

    /// One enrollment.
    pub fn enrollment(&self, id: EnrollmentId) -> Result<Option<EnrollmentRow>> {
        let sql = format!("SELECT {ENROLLMENT_COLUMNS} FROM enrollments WHERE id = ?");
        self.rows(&sql, vec![id.to_string().into()])?.into_iter().next().map(enrollment_row).transpose()
    }

    /// Enrollments whose next step is due.
    pub fn enrollments_to_advance(&self, now: UnixMs, limit: usize) -> Result<Vec<EnrollmentRow>> {
        let sql = format!(
            "SELECT {ENROLLMENT_COLUMNS} FROM enrollments WHERE next_due <= ? ORDER BY next_due LIMIT ?"
        );
        self.rows(&sql, vec![time(now), number(limit as u64)])?.into_iter().map(enrollment_row).collect()
    }

    /// When the first next step is due.
    pub fn first_advance(&self) -> Result<Option<UnixMs>> {
        let sql = "SELECT next_due FROM enrollments WHERE next_due IS NOT NULL ORDER BY next_due LIMIT 1";
        Ok(self.rows(sql, vec![])?.into_iter().next().map(|mut row| row.number()).transpose()?.map(UnixMs))
    }

    /// How many enrollments wait for their next step.
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
        let next_due = next_due.map_or(SqlStorageValue::Null, time);
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

    /// The stored counters.
    pub fn counters(&self) -> Result<Vec<(Slug, Totals)>> {
        let read = |mut row: Row| Ok((slug(&row.text()?)?, serde_json::from_str(&row.text()?)?));
        self.rows("SELECT action, counts FROM counters", vec![])?.into_iter().map(read).collect()
    }

    /// Stores an action's counters.
    pub fn save_counters(&self, action: &Slug, totals: &Totals) -> Result<()> {
        self.run(
            "INSERT OR REPLACE INTO counters (action, counts) VALUES (?, ?)",
            vec![action.as_str().into(), serde_json::to_string(totals)?.into()],
        )
        .map(drop)
    }
}

/// The columns of the index of open work.
fn open_columns(state: &State) -> (SqlStorageValue, SqlStorageValue) {
    let wakes_at = match *state {
        // Not a wake-up: only the order in which held deliveries are released.
        State::Held { due, .. } => Some(due),
        _ => state.wakes_at(),
    };
    (Lane::of(state).map_or(SqlStorageValue::Null, lane_number), wakes_at.map_or(SqlStorageValue::Null, time))
}

fn delivery_row(row: &mut Row) -> Result<DeliveryRow> {
    let id = row.text()?;
    delivery_row_of(&id, row)
}

/// Reads the columns after the id.
fn delivery_row_of(id: &str, row: &mut Row) -> Result<DeliveryRow> {
    Ok(DeliveryRow {
        id: parse_id(id)?,
        enrollment: parse_id(&row.text()?)?,
        action: slug(&row.text()?)?,
        record: row.text()?,
        created_at: UnixMs(row.number()?),
        delivery: serde_json::from_str(&row.text()?)?,
        terms: serde_json::from_str(&row.text()?)?,
    })
}

fn enrollment_row(mut row: Row) -> Result<EnrollmentRow> {
    Ok(EnrollmentRow {
        id: parse_id(&row.text()?)?,
        record: row.text()?,
        input: row.text()?,
        created_at: UnixMs(row.number()?),
        course: row.optional_text()?.map(|text| serde_json::from_str(&text)).transpose()?.unwrap_or_default(),
        next_due: row.optional_number()?.map(UnixMs),
    })
}

fn parse_id<Id: std::str::FromStr>(text: &str) -> Result<Id> {
    text.parse().map_err(|_| Error::from(format!("`{text}` is not an id")))
}

fn slug(text: &str) -> Result<Slug> {
    text.parse().map_err(|_| Error::from(format!("`{text}` is not a slug")))
}

fn time(at: UnixMs) -> SqlStorageValue {
    number(at.0)
}

fn lane_number(lane: Lane) -> SqlStorageValue {
    number(lane as u64)
}
