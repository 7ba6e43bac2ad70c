//! Replays: which deliveries a bulk replay finds, and how far it is.

use serde_json::Value;
use varde_core::ids::{DeliveryId, ReplayId};
use varde_core::json;
use varde_core::replay::{Filter, Progress};
use worker::Result;

use super::{DELIVERY_COLUMNS, DeliveryRow, Readable, delivery_row, parse_id};
use crate::database::{Database, Row, number};
use crate::log;

/// What the filter asks of a row. A delivery that was replayed stands behind its replay; a replay that was
/// canceled with nothing sent doesn't stand for anything.
const MATCHES: &str = "created_at >= ? AND created_at < ? AND replayed_by IS NULL
    AND NOT (replay IS NOT NULL AND iif(json_valid(state), json_extract(state, '$.status') = 'canceled'
        AND json_extract(state, '$.attempt') = 0, 0))
    AND iif(json_valid(state), json_extract(state, '$.status'), NULL) = ? AND action = coalesce(?, action)";
/// What of a bulk replay's progress statements ask for.
const PHASE: &str = "iif(json_valid(progress), json_extract(progress, '$.phase'), 'unreadable')";

impl Database {
    /// How many deliveries a filter finds: a walk over all of them, for the moment when a person asks.
    pub fn count_replayable(&self, filter: &Filter) -> Result<u64> {
        let rows =
            self.rows(&format!("SELECT count(*) FROM deliveries WHERE {MATCHES}"), filter_values(filter))?;
        rows.into_iter().next().map_or(Ok(0), |mut row| row.number())
    }

    /// The last id of the next `step` deliveries behind `after`, oldest first; `None` at the end.
    pub fn end_of_step(&self, after: Option<DeliveryId>, step: u64) -> Result<Option<DeliveryId>> {
        let sql = "SELECT max(id) FROM (SELECT id FROM deliveries WHERE id > ? ORDER BY id LIMIT ?)";
        let rows = self.rows(sql, vec![id_or_empty(after), number(step)])?;
        let last = rows.into_iter().next().map(|mut row| row.optional_text()).transpose()?.flatten();
        last.map(|text| parse_id(&text)).transpose()
    }

    /// The deliveries between `after` and `until` that a filter finds, oldest first, each with its id.
    pub fn replayable(
        &self,
        filter: &Filter,
        after: Option<DeliveryId>,
        until: DeliveryId,
        limit: u64,
    ) -> Result<Vec<(DeliveryId, Readable)>> {
        let sql = format!(
            "SELECT {DELIVERY_COLUMNS} FROM deliveries WHERE id > ? AND id <= ? AND {MATCHES} ORDER BY id LIMIT ?"
        );
        let mut bindings = vec![id_or_empty(after), until.to_string().into()];
        bindings.extend(filter_values(filter));
        bindings.push(number(limit));
        let read = |(id, row): (String, Readable)| Ok((parse_id(&id)?, row));
        self.rows(&sql, bindings)?.into_iter().map(|mut row| read(delivery_row(&mut row))).collect()
    }

    /// Open deliveries of a bulk replay that can be worked on.
    pub fn open_of_bulk(&self, bulk: ReplayId, limit: u64) -> Result<Vec<DeliveryRow>> {
        let sql = format!(
            "SELECT {DELIVERY_COLUMNS} FROM deliveries
             WHERE lane IS NOT NULL AND iif(json_valid(replay), json_extract(replay, '$.bulk'), NULL) = ? LIMIT ?"
        );
        let rows = self.rows(&sql, vec![bulk.to_string().into(), number(limit)])?;
        Ok(rows.into_iter().filter_map(|mut row| delivery_row(&mut row).1.ok()).collect())
    }

    /// Notes the replay that a delivery stands behind.
    pub fn set_replayed_by(&self, id: DeliveryId, by: Option<DeliveryId>) -> Result<()> {
        let bindings = vec![by.map(|by| by.to_string()).into(), id.to_string().into()];
        self.run("UPDATE deliveries SET replayed_by = ? WHERE id = ?", bindings).map(drop)
    }

    /// A bulk replay's progress. One that can't be read is as good as none: the order is repeated, and what
    /// was replayed isn't replayed again.
    pub fn progress(&self, id: ReplayId) -> Result<Option<Progress>> {
        let sql = "SELECT progress FROM replays WHERE id = ?";
        let row = self.rows(sql, vec![id.to_string().into()])?.into_iter().next();
        Ok(row.map(progress).transpose()?.flatten())
    }

    /// The bulk replays that have more to do.
    pub fn running_replays(&self) -> Result<Vec<Progress>> {
        let sql = format!("SELECT progress FROM replays WHERE {PHASE} = 'replaying'");
        self.rows(&sql, vec![])?.into_iter().filter_map(|row| progress(row).transpose()).collect()
    }

    /// Stores a bulk replay's progress.
    pub fn save_progress(&self, progress: &Progress) -> Result<()> {
        self.run(
            "INSERT OR REPLACE INTO replays (id, progress) VALUES (?, ?)",
            vec![progress.bulk.id.to_string().into(), serde_json::to_string(progress)?.into()],
        )
        .map(drop)
    }

    /// Forgets bulk replays that have nothing more to do, but for the newest `kept`.
    pub fn forget_replays(&self, kept: u64) -> Result<()> {
        self.run(
            &format!(
                "DELETE FROM replays WHERE {PHASE} <> 'replaying'
                 AND id NOT IN (SELECT id FROM replays ORDER BY id DESC LIMIT ?)"
            ),
            vec![number(kept)],
        )
        .map(drop)
    }
}

fn filter_values(filter: &Filter) -> Vec<Value> {
    vec![
        number(filter.since.map_or(0, |since| since.0)),
        number(filter.until.0),
        filter.status.as_str().into(),
        filter.action.as_ref().map_or(Value::Null, |action| action.as_str().into()),
    ]
}

fn id_or_empty(id: Option<DeliveryId>) -> Value {
    id.map(|id| id.to_string()).unwrap_or_default().into()
}

fn progress(mut row: Row) -> Result<Option<Progress>> {
    let read = json::from_text(&row.text()?);
    Ok(read.inspect_err(|error| log::error("replay_unreadable", error)).ok())
}
