//! Rows in and out. Nothing is decided here.

mod aside;
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
use varde_core::json;
use varde_core::replay::ReplayOf;
use varde_core::slug::Slug;
use varde_core::time::UnixMs;
use varde_core::unreadable::Unreadable;
use worker::{Error, Result};

use super::accept::no_terms;
use super::ledger::{Lane, Totals};
use super::protocol::Terms;
use crate::database::{Database, Row, number};
use crate::log;

pub use aside::Place;
pub use enrollments::{After, Course, EnrollmentRow, IS_FIRST};

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
    /// Whether its row was set aside.
    pub set_aside: bool,
    /// What of it can't be read and is made up here, so that the rest can be shown. Rows to work on are read
    /// as a whole or not at all.
    pub unreadable: Option<Unreadable>,
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
    "id, enrollment, action, record, created_at, state, terms, place, replay, replayed_by, lane";

impl Database {
    /// Inserts a delivery in whatever state it starts with, the first one of an enrollment with its `input`; false
    /// when it is there already.
    pub fn insert_delivery(
        &self,
        row: &DeliveryRow,
        request: &str,
        input: Option<&str>,
        finale: Option<&NewFinale<'_>>,
    ) -> Result<bool> {
        let finale = finale.map(serde_json::to_string).transpose()?;
        let (lane, wakes_at) = open_columns(&row.delivery.state);
        self.writes(
            "INSERT INTO deliveries (id, enrollment, action, record, created_at, lane, wakes_at, state, finale, terms, request, place, replay, input)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
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
                input.into(),
            ],
        )
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

    /// One delivery, to work on, or why it can't be.
    pub fn delivery(&self, id: DeliveryId) -> Result<Option<Readable>> {
        Ok(self.delivery_cells(id)?.map(|mut row| delivery_row(&mut row).1))
    }

    /// One delivery, as far as it can be read, to be shown.
    pub fn shown_delivery(&self, id: DeliveryId) -> Result<Option<DeliveryRow>> {
        Ok(self.delivery_cells(id)?.and_then(|mut row| outline(&mut row).1.ok()))
    }

    fn delivery_cells(&self, id: DeliveryId) -> Result<Option<Row>> {
        let sql = format!("SELECT {DELIVERY_COLUMNS} FROM deliveries WHERE id = ?");
        Ok(self.rows(&sql, vec![id.to_string().into()])?.into_iter().next())
    }

    /// The request of a delivery, as JSON.
    pub fn request(&self, id: DeliveryId) -> Result<Option<String>> {
        let rows = self.rows("SELECT request FROM deliveries WHERE id = ?", vec![id.to_string().into()])?;
        rows.into_iter().next().map(|mut row| row.text()).transpose()
    }

    /// How a delivery ended, where it has and that can be read.
    pub fn finale(&self, id: DeliveryId) -> Result<Option<std::result::Result<Finale, Unreadable>>> {
        let rows = self.rows("SELECT finale FROM deliveries WHERE id = ?", vec![id.to_string().into()])?;
        let text = rows.into_iter().next().map(|mut row| row.optional_text()).transpose()?.flatten();
        Ok(text.map(|text| Unreadable::End.unless(&text)))
    }

    /// Deliveries of a lane and action that wake at or before `until`, longest waiting first, each with the
    /// text of its id.
    pub fn waking(
        &self,
        lane: Lane,
        action: &Slug,
        until: UnixMs,
        limit: usize,
    ) -> Result<Vec<(String, Readable)>> {
        let rows = self.waking_cells(DELIVERY_COLUMNS, lane, action, until, limit)?;
        Ok(rows.into_iter().map(|mut row| delivery_row(&mut row)).collect())
    }

    /// Deliveries of an action that are due, as [`Database::waking`] with their requests.
    pub fn due(&self, action: &Slug, now: UnixMs, limit: usize) -> Result<Vec<(String, Readable<DueRow>)>> {
        let columns = format!("{DELIVERY_COLUMNS}, request");
        let due = |mut row: Row| {
            let (id, read) = delivery_row(&mut row);
            let with_request = |delivery| {
                let request = row.text().map_err(|_| Unreadable::Request)?;
                Ok((delivery, request))
            };
            (id, read.and_then(with_request))
        };
        let rows = self.waking_cells(&columns, Lane::Scheduled, action, now, limit)?;
        Ok(rows.into_iter().map(due).collect())
    }

    fn waking_cells(
        &self,
        columns: &str,
        lane: Lane,
        action: &Slug,
        until: UnixMs,
        limit: usize,
    ) -> Result<Vec<Row>> {
        let sql = format!(
            "SELECT {columns} FROM deliveries
             WHERE lane = ? AND action = ? AND wakes_at <= ? ORDER BY wakes_at LIMIT ?"
        );
        let bindings = vec![lane_number(lane), action.as_str().into(), time(until), number(limit as u64)];
        self.rows(&sql, bindings)
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
        let mut counts = Vec::new();
        for mut row in self.rows(sql, vec![])? {
            let (lane, action, count) = (row.number()?, row.text()?, row.number()?);
            match slug(&action) {
                Ok(action) => counts.push((lane, action, count)),
                // Nothing can be sent for it, and it shall not stop the others.
                Err(error) => log::error("action_unreadable", &error),
            }
        }
        Ok(counts)
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

    /// The log of a delivery's attempts that didn't end it, as far as it can be read.
    pub fn attempts(&self, id: DeliveryId) -> Result<Vec<AttemptLog>> {
        let rows = self.rows(
            "SELECT log FROM attempts WHERE delivery = ? ORDER BY number",
            vec![id.to_string().into()],
        )?;
        let mut attempts = Vec::new();
        for mut row in rows {
            match json::from_text(&row.text()?) {
                Ok(attempt) => attempts.push(attempt),
                Err(error) => log::error_about("attempt_unreadable", &id.to_string(), &error),
            }
        }
        Ok(attempts)
    }

    /// The stored counters. Those that can't be read are counted anew.
    pub fn counters(&self) -> Result<Vec<(Slug, Totals)>> {
        let mut counters = Vec::new();
        for mut row in self.rows("SELECT action, counts FROM counters", vec![])? {
            let (action, counts) = (row.text()?, row.text()?);
            let action = match slug(&action) {
                Ok(action) => action,
                Err(error) => {
                    log::error("action_unreadable", &error);
                    continue;
                }
            };
            let totals = match json::from_text(&counts) {
                Ok(totals) => totals,
                Err(error) => {
                    log::error_about("counters_unreadable", &action, &error);
                    self.recount(&action)?
                }
            };
            counters.push((action, totals));
        }
        Ok(counters)
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

/// A delivery that is due, and its request as JSON.
pub type DueRow = (DeliveryRow, String);

/// A row to work on, or why it can't be.
pub type Readable<T = DeliveryRow> = std::result::Result<T, Unreadable>;

/// Reads [`DELIVERY_COLUMNS`] as a whole or not at all, with the text of the id.
fn delivery_row(row: &mut Row) -> (String, Readable) {
    let (id, read) = outline(row);
    (id, read.and_then(|row| row.unreadable.map_or(Ok(row), Err)))
}

/// Reads [`DELIVERY_COLUMNS`] as far as they can be read, with the text of the id.
fn outline(row: &mut Row) -> (String, Readable) {
    let id = row.text().unwrap_or_default();
    let read = outline_of(&id, row).map_err(|error| {
        log::error_about("row_unreadable", &id, &error);
        Unreadable::Row
    });
    (id, read)
}

fn outline_of(id: &str, row: &mut Row) -> Result<DeliveryRow> {
    let (id, enrollment) = (parse_id(id)?, parse_id(&row.text()?)?);
    let (action, record, created_at) = (slug(&row.text()?)?, row.text()?, UnixMs(row.number()?));
    let state: std::result::Result<Delivery, _> = Unreadable::State.unless(&row.text()?);
    let terms: std::result::Result<Terms, _> = Unreadable::Terms.unless(&row.text()?);
    let place = row.optional_number()?;
    let replay = row.optional_text()?.map(|text| Unreadable::Replay.unless(&text)).transpose();
    let replayed_by = row.optional_text()?.map(|text| parse_id(&text)).transpose()?;
    let set_aside = row.optional_number()? == Some(Lane::SetAside as u64);
    let unreadable = state.as_ref().err().or(terms.as_ref().err()).or(replay.as_ref().err()).copied();
    let held =
        || Delivery { state: State::Held { attempt: 1, due: created_at }, ..Delivery::scheduled(created_at) };
    Ok(DeliveryRow {
        id,
        enrollment,
        action,
        record,
        created_at,
        delivery: state.unwrap_or_else(|_| held()),
        terms: terms.unwrap_or_else(|_| no_terms()),
        place,
        replay: replay.unwrap_or(None),
        replayed_by,
        set_aside,
        unreadable,
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
