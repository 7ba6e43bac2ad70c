//! Outboxes: each registers once, and the sweep looks after them in turn.

use serde_json::Value;
use varde_core::controls::Controls;
use varde_core::json;
use varde_core::slug::Slug;
use varde_core::time::{DAY_MS, UnixMs};
use worker::Result;

use super::Registry;
use super::protocol::{InUse, StoredReplay};
use super::workflows::parse_slug;
use crate::database::Row;
use crate::database::number;
use crate::outbox_do::protocol::Home;
use crate::registry::Swept;

/// Outboxes of one sweep: at two calls each it stays far below the 1,000 calls of one invocation.
const SWEPT_AT_ONCE: usize = 200;
/// How long the outboxes of a deleted workflow are looked after. Canceling what is open takes minutes.
const AFTER_DELETION_MS: u64 = 7 * DAY_MS;
/// Secrets that one sweep cleans.
const SECRETS_AT_ONCE: u64 = 100;

impl Registry {
    /// Makes an outbox known; a repetition changes nothing. One of a workflow that is gone gets controls
    /// that close it, and needs no looking after: nothing was ever accepted there.
    pub(super) fn register(&self, home: &Home, now: UnixMs) -> Result<Controls> {
        if let Some(row) = self.workflow_by_uid(&home.uid, now)? {
            self.database()?.run(
                "INSERT OR IGNORE INTO outboxes (uid, shard, slug) VALUES (?, ?, ?)",
                vec![home.uid.as_str().into(), number(home.shard.into()), row.slug.as_str().into()],
            )?;
            return Ok(row.standing.controls);
        }
        let sql = "SELECT controls FROM tombstones WHERE uid = ?";
        let rows = self.database()?.rows(sql, vec![home.uid.as_str().into()])?;
        match rows.into_iter().next() {
            Some(mut row) => Ok(json::from_text(&row.text()?)?),
            None => Ok(Controls { version: 1, closed: true, ..Controls::default() }),
        }
    }

    /// The shards of a workflow that have registered.
    pub(super) fn shards_in_use(&self, uid: &str) -> Result<Vec<u8>> {
        let sql = "SELECT shard FROM outboxes WHERE uid = ? ORDER BY shard";
        let rows = self.database()?.rows(sql, vec![uid.into()])?;
        rows.into_iter().map(|mut row| Ok(row.number()? as u8)).collect()
    }

    /// The outboxes of one workflow, or of all that are there.
    pub(super) fn in_use(&self, workflow: Option<&Slug>, limit: usize) -> Result<InUse> {
        let sql = "FROM outboxes o JOIN workflows w ON w.uid = o.uid WHERE w.slug = coalesce(?, w.slug)";
        let slug = || Value::from(workflow.map(|slug| slug.as_str().to_owned()));
        let count = self.database()?.rows(&format!("SELECT count(*) {sql}"), vec![slug()])?;
        let total = count.into_iter().next().map_or(Ok(0), |mut row| row.number())?;
        let sql = format!("SELECT o.uid, o.shard, w.slug {sql} ORDER BY o.uid, o.shard LIMIT ?");
        let rows = self.database()?.rows(&sql, vec![slug(), number(limit as u64)])?;
        let home = |mut row: Row| {
            let (uid, shard) = (row.text()?, row.number()? as u8);
            Ok(Home { workflow: parse_slug(&row.text()?)?, uid, shard })
        };
        Ok(InUse { homes: rows.into_iter().map(home).collect::<Result<_>>()?, total })
    }

    /// The next outboxes in turn, from where the last sweep stopped, round and round; each at most once.
    pub(super) fn sweep(&self, now: UnixMs) -> Result<Vec<Swept>> {
        self.lapse_deletions(now)?;
        self.forget_deleted(now)?;
        self.advance_secrets(now, SECRETS_AT_ONCE)?;
        let database = self.database()?;
        let (uid, shard) = match database.meta("swept_to")? {
            None => (String::new(), 0),
            Some(text) => json::from_text(&text)?,
        };
        let mut swept = self.outboxes_where("(o.uid, o.shard) > (?, ?)", &uid, shard, SWEPT_AT_ONCE)?;
        let room = SWEPT_AT_ONCE - swept.len();
        if room > 0 {
            swept.append(&mut self.outboxes_where("(o.uid, o.shard) <= (?, ?)", &uid, shard, room)?);
        }
        if let Some(last) = swept.last() {
            database.set_meta("swept_to", &serde_json::to_string(&(&last.home.uid, last.home.shard))?)?;
        }
        let replays = self.replays_to_repeat(now)?;
        for one in &mut swept {
            let meant = |stored: &&StoredReplay| {
                stored.uid == one.home.uid && stored.shards.contains(&one.home.shard)
            };
            one.replays = replays.iter().filter(meant).map(|stored| stored.bulk.clone()).collect();
        }
        Ok(swept)
    }

    fn outboxes_where(
        &self,
        condition: &'static str,
        uid: &str,
        shard: u8,
        limit: usize,
    ) -> Result<Vec<Swept>> {
        let sql = format!(
            "SELECT o.uid, o.shard, o.slug, coalesce(w.controls, t.controls) FROM outboxes o
             LEFT JOIN workflows w ON w.uid = o.uid LEFT JOIN tombstones t ON t.uid = o.uid
             WHERE {condition} ORDER BY o.uid, o.shard LIMIT ?"
        );
        let bindings: Vec<Value> = vec![uid.into(), number(shard.into()), number(limit as u64)];
        self.database()?.rows(&sql, bindings)?.into_iter().map(swept).collect()
    }

    /// Calls off deletions that were left half done; the sweep then carries the controls around.
    fn lapse_deletions(&self, now: UnixMs) -> Result<()> {
        let rows = self.database()?.rows("SELECT slug FROM workflows WHERE closing IS NOT NULL", vec![])?;
        for mut row in rows {
            self.workflow(&parse_slug(&row.text()?)?, now)?;
        }
        Ok(())
    }

    fn forget_deleted(&self, now: UnixMs) -> Result<()> {
        let aged = now.0.saturating_sub(AFTER_DELETION_MS);
        let database = self.database()?;
        let rows =
            database.rows("SELECT uid FROM tombstones WHERE deleted_at < ? LIMIT 10", vec![number(aged)])?;
        for mut row in rows {
            let uid = row.text()?;
            database.run("DELETE FROM outboxes WHERE uid = ?", vec![uid.as_str().into()])?;
            database.run("DELETE FROM tombstones WHERE uid = ?", vec![uid.into()])?;
        }
        Ok(())
    }
}

fn swept(mut row: Row) -> Result<Swept> {
    let (uid, shard) = (row.text()?, row.number()? as u8);
    let home = Home { workflow: parse_slug(&row.text()?)?, uid, shard };
    Ok(Swept { home, controls: json::from_text(&row.text()?)?, replays: Vec::new() })
}
