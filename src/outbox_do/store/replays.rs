//! Replays: which deliveries a bulk replay finds, and how far it is.

use serde_json::Value;
use varde_core::ids::{DeliveryId, ReplayId};
use varde_core::replay::{Filter, Progress};
use worker::Result;

use super::{DELIVERY_COLUMNS, DeliveryRow, delivery_row, parse_id};
use crate::database::{Database, Row, number};

/// What the filter asks of a row. A delivery that was replayed stands behind its replay; a replay that was
/// canceled with nothing sent doesn't stand for anything.
const MATCHES: &str = "created_at >= ? AND created_at < ? AND replayed_by IS NULL
    AND NOT (replay IS NOT NULL AND json_extract(state, '$.status') = 'canceled' AND json_extract(state, '$.attempt') = 0)
    AND json_extract(state, '$.status') = ? AND action = coalesce(?, action)";

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

    /// The deliveries between `after` and `until` that a filter finds, oldest first.
    pub fn replayable(
        &self,
        filter: &Filter,
        after: Option<DeliveryId>,
        until: DeliveryId,
        limit: u64,
    ) -> Result<Vec<DeliveryRow>> {
        let sql = format!(
            "SELECT {DELIVERY_COLUMNS} FROM deliveries WHERE id > ? AND id <= ? AND {MATCHES} ORDER BY id LIMIT ?"
        );
        let mut bindings = vec![id_or_empty(after), until.to_string().into()];
        bindings.extend(filter_values(filter));
        bindings.push(number(limit));
        self.rows(&sql, bindings)?.into_iter().map(|mut row| delivery_row(&mut row)).collect()
    }

    /// Open deliveries of a bulk replay.
    pub fn open_of_bulk(&self, bulk: ReplayId, limit: u64) -> Result<Vec<DeliveryRow>> {
        let sql = format!(
            "SELECT {DELIVERY_COLUMNS} FROM deliveries
             WHERE lane IS NOT NULL AND json_extract(replay, '$.bulk') = ? LIMIT ?"
        );
        let rows = self.rows(&sql, vec![bulk.to_string().into(), number(limit)])?;
        rows.into_iter().map(|mut row| delivery_row(&mut row)).collect()
    }

    /// Notes the replay that a delivery stands behind.
    pub fn set_replayed_by(&self, id: DeliveryId, by: Option<DeliveryId>) -> Result<()> {
        let bindings = vec![by.map(|by| by.to_string()).into(), id.to_string().into()];
        self.run("UPDATE deliveries SET replayed_by = ? WHERE id = ?", bindings).map(drop)
    }

    /// A bulk replay's progress.
    pub fn progress(&self, id: ReplayId) -> Result<Option<Progress>> {
        let sql = "SELECT progress FROM replays WHERE id = ?";
        self.rows(sql, vec![id.to_string().into()])?.into_iter().next().map(progress).transpose()
    }

    /// The bulk replays that have more to do.
    pub fn running_replays(&self) -> Result<Vec<Progress>> {
        let sql = "SELECT progress FROM replays WHERE json_extract(progress, '$.phase') = 'replaying'";
        self.rows(sql, vec![])?.into_iter().map(progress).collect()
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
            "DELETE FROM replays WHERE json_extract(progress, '$.phase') <> 'replaying'
             AND id NOT IN (SELECT id FROM replays ORDER BY id DESC LIMIT ?)",
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

fn progress(mut row: Row) -> Result<Progress> {
    Ok(serde_json::from_str(&row.text()?)?)
}
