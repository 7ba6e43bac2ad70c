//! Bulk replays as they were ordered: the outboxes do them, step by step; what is kept here is what each of
//! them must have heard of, and who they are.

use varde_core::ids::ReplayId;
use varde_core::json;
use varde_core::replay::BulkReplay;
use varde_core::slug::Slug;
use varde_core::time::{DAY_MS, UnixMs};
use worker::Result;

use super::protocol::StoredReplay;
use super::{MAX_REPLAYS, Registry};
use crate::database::{Row, number};

/// How long the sweep repeats an order to outboxes: any of them is asked many times in a day.
const REPEATED_FOR_MS: u64 = DAY_MS;

impl Registry {
    /// Keeps an order, for all outboxes in use. `None` when there is no such workflow.
    pub(super) fn start_replay(
        &self,
        workflow: &Slug,
        bulk: BulkReplay,
        now: UnixMs,
    ) -> Result<Option<StoredReplay>> {
        let Some(row) = self.workflow(workflow, now)? else { return Ok(None) };
        let shards = self.shards_in_use(&row.uid)?;
        let stored = StoredReplay { uid: row.uid, bulk, shards, created_at: now };
        self.save_replay(&stored)?;
        self.database()?.run(
            "DELETE FROM replays WHERE uid = ? AND id IN
             (SELECT id FROM replays WHERE uid = ? ORDER BY id DESC LIMIT -1 OFFSET ?)",
            vec![stored.uid.as_str().into(), stored.uid.as_str().into(), number(MAX_REPLAYS)],
        )?;
        Ok(Some(stored))
    }

    /// Stops one. `None` when there is no such workflow or replay.
    pub(super) fn cancel_replay(
        &self,
        workflow: &Slug,
        id: ReplayId,
        now: UnixMs,
    ) -> Result<Option<StoredReplay>> {
        let Some(row) = self.workflow(workflow, now)? else { return Ok(None) };
        let found = self.replays_where("uid = ? AND id = ?", &[&row.uid, &id.to_string()])?.pop();
        let Some(mut stored) = found else { return Ok(None) };
        stored.bulk.canceled = true;
        self.save_replay(&stored)?;
        Ok(Some(stored))
    }

    /// Those of a workflow, newest first. `None` when there is no such workflow.
    pub(super) fn list_replays(&self, workflow: &Slug, now: UnixMs) -> Result<Option<Vec<StoredReplay>>> {
        let Some(row) = self.workflow(workflow, now)? else { return Ok(None) };
        self.replays_where("uid = ? ORDER BY id DESC", &[&row.uid]).map(Some)
    }

    /// Those that the sweep still repeats.
    pub(super) fn replays_to_repeat(&self, now: UnixMs) -> Result<Vec<StoredReplay>> {
        let since = now.0.saturating_sub(REPEATED_FOR_MS).to_string();
        self.replays_where("created_at > CAST(? AS INTEGER)", &[&since])
    }

    fn save_replay(&self, stored: &StoredReplay) -> Result<()> {
        self.database()?
            .run(
                "INSERT OR REPLACE INTO replays (uid, id, bulk, shards, created_at) VALUES (?, ?, ?, ?, ?)",
                vec![
                    stored.uid.as_str().into(),
                    stored.bulk.id.to_string().into(),
                    serde_json::to_string(&stored.bulk)?.into(),
                    serde_json::to_string(&stored.shards)?.into(),
                    number(stored.created_at.0),
                ],
            )
            .map(drop)
    }

    fn replays_where(&self, condition: &'static str, bindings: &[&str]) -> Result<Vec<StoredReplay>> {
        let sql = format!("SELECT uid, bulk, shards, created_at FROM replays WHERE {condition}");
        let bindings = bindings.iter().map(|text| (*text).into()).collect();
        let read = |mut row: Row| {
            Ok(StoredReplay {
                uid: row.text()?,
                bulk: json::from_text(&row.text()?)?,
                shards: json::from_text(&row.text()?)?,
                created_at: UnixMs(row.number()?),
            })
        };
        self.database()?.rows(&sql, bindings)?.into_iter().map(read).collect()
    }

    /// Forgets the replays of a workflow that is gone.
    pub(super) fn forget_replays(&self, uid: &str) -> Result<()> {
        self.database()?.run("DELETE FROM replays WHERE uid = ?", vec![uid.into()]).map(drop)
    }
}
