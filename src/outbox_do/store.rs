//! Rows in and out. Nothing is decided here.

mod enrollments;
mod lines;
mod replays;
mod reports;
mod retention;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use varde_core::delivery::{AttemptEnd, Delivery, State};
use varde_core::ids::{DeliveryId, EnrollmentId};
use varde_core::replay::ReplayOf;
use varde_core::slug::Slug;
use varde_core::time::UnixMs;
use worker::{Error, Result};

use super::ledger::{Lane, Totals};
use super::protocol::Terms;
use crate::database::{Database, Row, number};

pub use enrollments::{After, Course, EnrollmentRow};

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
    /// Its place in the line of its record, where records keep their order.
    pub place: Option<u64>,
    /// What it is a replay of.
    pub replay: Option<ReplayOf>,
    /// Its newest replay.
    pub replayed_by: Option<DeliveryId>,
}

/// How a delivery ended; written once. The attempt that ended it lives here and not among the attempts,
/// so that a first attempt that arrives costs no row of its own.
#[derive(Debug, Serialize, Deserialize)]
pub struct Finale<Raw = Box<RawValue>, Response = Value> {
    /// When.
    pub settled_at: UnixMs,
    /// The attempt that ended it, where one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<AttemptLog<Response>>,
    /// `{"values": {name: value}, "note"?}` of its response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outputs: Option<Raw>,
}

/// One ended attempt with what came back.
#[derive(Debug, Serialize, Deserialize)]
pub struct AttemptLog<Response = Value> {
    /// The attempt.
    #[serde(flatten)]
    pub end: AttemptEnd,
    /// `{"headers", "body", "truncated"}`, masked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<Response>,
}

/// As it is written: what came from the sender is stored unread.
pub type NewFinale<'a> = Finale<&'a RawValue, &'a RawValue>;

const DELIVERY_COLUMNS: &str =
    "id, enrollment, action, record, created_at, state, terms, place, replay, replayed_by";

impl Database {
    /// Inserts a delivery in whatever state it starts with.
    pub fn insert_delivery(
        &self,
        row: &DeliveryRow,
        request: &str,
        finale: Option<&NewFinale<'_>>,
    ) -> Result<()> {
        let finale = finale.map(serde_json::to_string).transpose()?;
        let (lane, wakes_at) = open_columns(&row.delivery.state);
        self.run(
            "INSERT INTO deliveries (id, enrollment, action, record, created_at, lane, wakes_at, state, finale, terms, request, place, replay)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
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
                row.place.map_or(Value::Null, number),
                row.replay.as_ref().map(serde_json::to_string).transpose()?.into(),
            ],
        )
        .map(drop)
    }

    /// Stores a delivery's next state.
    pub fn update_delivery(
        &self,
        id: DeliveryId,
        delivery: &Delivery,
        finale: Option<&NewFinale<'_>>,
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

    /// How many deliveries of an action are due, counted up to `most`.
    pub fn due_count(&self, action: &Slug, now: UnixMs, most: u64) -> Result<u64> {
        let rows = self.rows(
            "SELECT count(*) FROM (SELECT 1 FROM deliveries WHERE lane = ? AND action = ? AND wakes_at <= ? LIMIT ?)",
            vec![lane_number(Lane::Scheduled), action.as_str().into(), time(now), number(most)],
        )?;
        rows.into_iter().next().map_or(Ok(0), |mut row| row.number())
    }

    /// How many deliveries are open, by lane and action: a walk over the index of open work.
    pub fn open_counts(&self) -> Result<Vec<(u64, Slug, u64)>> {
        let sql =
            "SELECT lane, action, count(*) FROM deliveries WHERE lane IS NOT NULL GROUP BY lane, action";
        let read = |mut row: Row| Ok((row.number()?, slug(&row.text()?)?, row.number()?));
        self.rows(sql, vec![])?.into_iter().map(read).collect()
    }

    /// Adds an attempt to a delivery's log, and drops one from the middle when it grows long.
    pub fn insert_attempt(&self, id: DeliveryId, log: &AttemptLog<&RawValue>) -> Result<()> {
        let number = log.end.number;
        self.run(
            "INSERT OR REPLACE INTO attempts (delivery, number, log) VALUES (?, ?, ?)",
            vec![id.to_string().into(), Value::from(number), serde_json::to_string(log)?.into()],
        )?;
        let surplus = number.saturating_sub(LAST_ATTEMPTS_KEPT);
        if surplus > FIRST_ATTEMPTS_KEPT {
            let bindings = vec![id.to_string().into(), Value::from(surplus)];
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
fn open_columns(state: &State) -> (Value, Value) {
    let wakes_at = match *state {
        // Not a wake-up: only the order in which such deliveries are looked at.
        State::Held { due, .. } | State::Blocked { due } => Some(due),
        _ => state.wakes_at(),
    };
    (Lane::of(state).map_or(Value::Null, lane_number), wakes_at.map_or(Value::Null, time))
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
        place: row.optional_number()?,
        replay: row.optional_text()?.map(|text| serde_json::from_str(&text)).transpose()?,
        replayed_by: row.optional_text()?.map(|text| parse_id(&text)).transpose()?,
    })
}

fn parse_id<Id: std::str::FromStr>(text: &str) -> Result<Id> {
    text.parse().map_err(|_| Error::from(format!("`{text}` is not an id")))
}

fn slug(text: &str) -> Result<Slug> {
    text.parse().map_err(|_| Error::from(format!("`{text}` is not a slug")))
}

fn time(at: UnixMs) -> Value {
    number(at.0)
}

fn lane_number(lane: Lane) -> Value {
    number(lane as u64)
}
