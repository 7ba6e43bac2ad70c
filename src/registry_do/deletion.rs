//! The deletion of a workflow, in steps between which its caller talks to the outboxes: closed, found empty
//! (or being emptied), removed. Whoever registers in between gets the controls that closed it.

use varde_core::slug::Slug;
use varde_core::time::UnixMs;
use worker::Result;

use super::Registry;
use super::protocol::{Broadcast, Closing, Removed};
use crate::database::number;

impl Registry {
    /// Who has registered.
    pub(super) fn outboxes(&self, workflow: &Slug, now: UnixMs) -> Result<Option<Broadcast>> {
        self.workflow(workflow, now)?.map(|row| self.broadcast(&row)).transpose()
    }

    /// First step: no more enrollments.
    pub(super) fn close(
        &self,
        workflow: &Slug,
        cancel_open: bool,
        now: UnixMs,
    ) -> Result<Option<(Closing, Broadcast)>> {
        let Some(mut row) = self.workflow(workflow, now)? else { return Ok(None) };
        let version = row.standing.close(cancel_open, now);
        self.save_standing(&mut row)?;
        let closing = Closing { workflow: row.slug.clone(), uid: row.uid.clone(), version };
        Ok(Some((closing, self.broadcast(&row)?)))
    }

    /// Something was open: back to where it was.
    pub(super) fn reopen(&self, closing: &Closing, now: UnixMs) -> Result<Option<Broadcast>> {
        let Some(mut row) = self.workflow_by_uid(&closing.uid, now)? else { return Ok(None) };
        if !row.standing.reopen(closing.version) {
            return Ok(None);
        }
        self.save_standing(&mut row)?;
        Ok(Some(self.broadcast(&row)?))
    }

    /// Last step. The controls stay behind for outboxes that come late, or ask again.
    pub(super) fn remove(&self, closing: &Closing, now: UnixMs) -> Result<Removed> {
        let Some(mut row) = self.workflow_by_uid(&closing.uid, now)? else { return Ok(Removed::Gone) };
        if !row.standing.is_closing(closing.version) {
            return Ok(Removed::Interrupted);
        }
        self.next_revision()?;
        row.standing.remove();
        let database = self.database()?;
        database.run(
            "INSERT OR REPLACE INTO tombstones (uid, controls, deleted_at) VALUES (?, ?, ?)",
            vec![
                row.uid.as_str().into(),
                serde_json::to_string(&row.standing.controls)?.into(),
                number(now.0),
            ],
        )?;
        self.forget_replays(&row.uid)?;
        self.remove_triggers_of(&row.uid)?;
        database.run("DELETE FROM workflows WHERE slug = ?", vec![row.slug.as_str().into()])?;
        Ok(Removed::Erase(self.broadcast(&row)?))
    }
}
