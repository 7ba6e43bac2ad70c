//! Pausing and resuming actions. The new controls are stored first; the caller is told who must hear of
//! them. A repetition stores nothing and is told the same, so that a push that failed can be repeated.

use varde_core::slug::Slug;
use varde_core::time::UnixMs;
use worker::Result;

use super::Registry;
use super::protocol::{Broadcast, Switched};
use super::standing::{BY_GONE, BY_PERSON};
use super::workflows::WorkflowRow;
use crate::outbox_do::protocol::Home;

impl Registry {
    /// A person pauses or resumes a workflow or an action.
    pub(super) fn switch(
        &self,
        workflow: &Slug,
        action: Option<&Slug>,
        paused: bool,
        now: UnixMs,
    ) -> Result<Switched> {
        let Some(mut row) = self.workflow(workflow, now)? else { return Ok(Switched::UnknownWorkflow) };
        if action.is_some_and(|action| !row.outline.actions.contains(action)) {
            return Ok(Switched::UnknownAction);
        }
        let standing = &mut row.standing;
        let changed = match (action, paused) {
            (Some(action), true) => standing.pause(action, BY_PERSON),
            (Some(action), false) => standing.resume(action),
            (None, true) => standing.pause_all(BY_PERSON),
            (None, false) => standing.resume_all(),
        };
        if changed {
            self.save_standing(&mut row)?;
        }
        Ok(Switched::Stored(self.broadcast(&row)?))
    }

    /// An outbox saw an endpoint that is gone. Said of a workflow or an action that is gone itself, it
    /// changes nothing.
    pub(super) fn pause_gone(&self, home: &Home, action: &Slug, now: UnixMs) -> Result<Option<Broadcast>> {
        let row = self.workflow_by_uid(&home.uid, now)?.filter(|row| row.outline.actions.contains(action));
        let Some(mut row) = row else { return Ok(None) };
        if row.standing.pause(action, BY_GONE) {
            self.save_standing(&mut row)?;
        }
        Ok(Some(self.broadcast(&row)?))
    }

    /// The controls of a workflow with the outboxes that must know them.
    pub(super) fn broadcast(&self, row: &WorkflowRow) -> Result<Broadcast> {
        Ok(Broadcast {
            uid: row.uid.clone(),
            controls: row.standing.controls.clone(),
            shards: self.shards_in_use(&row.uid)?,
        })
    }
}
