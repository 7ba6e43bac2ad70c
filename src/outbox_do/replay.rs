//! Sending again what has ended: one delivery at a person's word, or many, in steps by the alarm.

use varde_core::delivery::State;
use varde_core::ids::{DeliveryId, ReplayId};
use varde_core::replay::{BulkReplay, Ended, MAX_PER_ENROLLMENT, Phase, Progress, ReplayOf, WINDOW};
use varde_core::time::UnixMs;
use worker::Result;

use super::accept::{Creation, Owner, taken};
use super::protocol::{Acknowledged, Plan, Planned, Replay, ReplayReply, Story};
use super::store::DeliveryRow;
use super::{OPEN_LIMIT, Outbox};
use crate::ambient;

/// Deliveries that one step of a bulk replay looks at.
const LOOKED_AT_PER_STEP: u64 = 500;
/// New ones that it makes: each is a few statements.
const MADE_PER_STEP: u64 = 50;

impl Outbox {
    /// What a delivery needs to be rendered anew.
    pub(super) fn story(&self, id: DeliveryId) -> Result<Option<Story>> {
        let Some(row) = self.database()?.shown_delivery(id)? else { return Ok(None) };
        let Some(enrollment) = self.database()?.enrollment(row.enrollment)? else { return Ok(None) };
        let (outputs, unreadable) = self.outputs_of(&enrollment)?;
        if let Some(why) = unreadable {
            return Err(worker::Error::from(why.to_string()));
        }
        let input = serde_json::value::RawValue::from_string(enrollment.input)?;
        Ok(Some(Story { action: row.action, input, outputs }))
    }

    /// Makes a new delivery out of one that has ended. Safe to repeat: the id is the caller's.
    pub(super) async fn replay(&self, replay: Replay) -> Result<ReplayReply> {
        let now = ambient::now();
        let outcome = self.atomically(|| self.replay_rows(replay, now))?;
        self.arm_for_open_work().await?;
        Ok(outcome)
    }

    fn replay_rows(&self, replay: Replay, now: UnixMs) -> Result<ReplayReply> {
        if self.database()?.delivery(replay.id)?.is_some() {
            return Ok(ReplayReply::Created);
        }
        let old = match self.workable(replay.of)? {
            None => return Ok(ReplayReply::Unknown),
            Some(Err(_)) => return Ok(ReplayReply::NothingToSend),
            Some(Ok(old)) => old,
        };
        if old.delivery.state.is_open() {
            return Ok(ReplayReply::StillOpen);
        }
        if self.memory.borrow().controls.closed {
            return Ok(ReplayReply::Unknown);
        }
        if self.memory.borrow().ledger.open() >= OPEN_LIMIT {
            return Ok(ReplayReply::Full);
        }
        let planned = match replay.planned {
            Some(planned) => planned,
            None => match self.as_it_was(&old)? {
                Some(planned) => planned,
                None => return Ok(ReplayReply::NothingToSend),
            },
        };
        Ok(if self.make_replay(&old, replay.id, &planned, None, now)? {
            ReplayReply::Created
        } else {
            ReplayReply::TooMany
        })
    }

    /// The plan that a delivery had, if there was something to send.
    fn as_it_was(&self, old: &DeliveryRow) -> Result<Option<Planned>> {
        let request = self.database()?.request(old.id)?.filter(|request| request != "null");
        // One that can't be read is as good as none.
        let request = request.and_then(|request| serde_json::value::RawValue::from_string(request).ok());
        Ok(request.map(|request| {
            let plan = Plan::Send { terms: old.terms.clone(), request };
            Planned { action: old.action.clone(), plan, ordered: old.place.is_some() }
        }))
    }

    /// Inserts the new delivery; false when its enrollment has had too many.
    fn make_replay(
        &self,
        old: &DeliveryRow,
        id: DeliveryId,
        planned: &Planned,
        bulk: Option<ReplayId>,
        now: UnixMs,
    ) -> Result<bool> {
        let Some(mut enrollment) = self.database()?.enrollment(old.enrollment)? else { return Ok(false) };
        if enrollment.course.replays.len() >= MAX_PER_ENROLLMENT {
            return Ok(false);
        }
        enrollment.course.replays.push(id);
        self.database()?.save_course(&enrollment, enrollment.next_due)?;
        self.database()?.set_replayed_by(old.id, Some(id))?;
        let owner = Owner { enrollment: old.enrollment, record: &old.record };
        let replay = Some(ReplayOf { delivery: old.id, bulk });
        let creation = Creation { planned, input: None, replay, lease: false };
        self.create_delivery(id, &owner, &creation, now)?.ok_or_else(taken)?;
        Ok(true)
    }

    /// A replay has ended: its enrollment has nothing to do with it, but its line and its bulk replay do.
    pub(super) fn replay_ended(&self, row: &DeliveryRow, replay: ReplayOf, now: UnixMs) -> Result<()> {
        if row.place.is_some() {
            self.move_line(&row.action, &row.record, now)?;
        }
        if never_begun(row) {
            self.stand_again(row, replay)?;
        }
        let (Some(bulk), Some(how)) = (replay.bulk, Ended::of(&row.delivery.state)) else { return Ok(()) };
        let Some(mut progress) = self.database()?.progress(bulk)? else { return Ok(()) };
        progress.ended(how);
        self.save_progress(progress)
    }

    /// A replay was canceled with nothing sent: its delivery stands as it stood before, and can be replayed.
    fn stand_again(&self, row: &DeliveryRow, replay: ReplayOf) -> Result<()> {
        let database = self.database()?;
        let Some(old) =
            database.shown_delivery(replay.delivery)?.filter(|old| old.replayed_by == Some(row.id))
        else {
            return Ok(());
        };
        let replays =
            database.enrollment(row.enrollment)?.map(|found| found.course.replays).unwrap_or_default();
        for id in replays.into_iter().rev().filter(|id| *id != row.id) {
            let Some(other) = database.shown_delivery(id)? else { continue };
            if other.replay.is_some_and(|of| of.delivery == old.id) && !never_begun(&other) {
                return database.set_replayed_by(old.id, Some(id));
            }
        }
        database.set_replayed_by(old.id, None)
    }

    /// Begins a bulk replay, or cancels it. Safe to repeat.
    pub(super) async fn bulk_replay(&self, bulk: BulkReplay) -> Result<Acknowledged> {
        let now = ambient::now();
        self.atomically(|| self.bulk_replay_rows(bulk, now))?;
        self.arm_for_open_work().await?;
        Ok(Acknowledged {})
    }

    fn bulk_replay_rows(&self, bulk: BulkReplay, now: UnixMs) -> Result<()> {
        let (id, canceled) = (bulk.id, bulk.canceled);
        match self.database()?.progress(id)? {
            None => {
                let matched = self.database()?.count_replayable(&bulk.filter)?;
                self.save_progress(Progress::begin(bulk, matched))
            }
            Some(mut progress) if canceled => {
                if !progress.cancel() {
                    return Ok(());
                }
                self.save_progress(progress)?;
                self.cancel_unsent(id, now)
            }
            Some(_) => Ok(()),
        }
    }

    /// Cancels those deliveries of a bulk replay of which nothing was sent yet.
    fn cancel_unsent(&self, bulk: ReplayId, now: UnixMs) -> Result<()> {
        for row in self.database()?.open_of_bulk(bulk, WINDOW)? {
            let begun = matches!(row.delivery.state, State::InFlight { .. });
            if !begun && row.delivery.state.attempts_made() == 0 {
                self.cancel_by_id(row.id, now)?;
            }
        }
        Ok(())
    }

    /// Whether a bulk replay can go on now.
    pub(super) fn replays_go_on(&self) -> bool {
        let memory = self.memory.borrow();
        memory.ledger.open() < OPEN_LIMIT && memory.replays.iter().any(|progress| progress.room() > 0)
    }

    /// One step of each bulk replay that has room.
    pub(super) fn replay_on(&self, now: UnixMs) -> Result<()> {
        if !self.replays_go_on() {
            return Ok(());
        }
        let running = self.memory.borrow().replays.clone();
        for progress in running.into_iter().filter(|progress| progress.room() > 0) {
            self.replay_step(progress, now)?;
        }
        Ok(())
    }

    fn replay_step(&self, mut progress: Progress, now: UnixMs) -> Result<()> {
        if self.memory.borrow().controls.closed {
            progress.cancel();
            return self.save_progress(progress);
        }
        let database = self.database()?;
        let Some(until) = database.end_of_step(progress.after, LOOKED_AT_PER_STEP)? else {
            progress.finish();
            return self.save_progress(progress);
        };
        let limit = progress.room().min(MADE_PER_STEP);
        let found = database.replayable(&progress.bulk.filter, progress.after, until, limit)?;
        let all_seen = (found.len() as u64) < limit;
        let shard = until.shard();
        for (old_id, old) in found {
            let id = DeliveryId::mint(now, shard, ambient::dice());
            let bulk = Some(progress.bulk.id);
            let made = match old {
                Ok(old) => match self.as_it_was(&old)? {
                    Some(planned) => self.make_replay(&old, id, &planned, bulk, now)?,
                    None => false,
                },
                Err(_) => false,
            };
            progress.looked_at(old_id, made);
        }
        if all_seen {
            progress.after = Some(until);
        }
        self.save_progress(progress)
    }

    /// Stores progress, and remembers it while there is more to do.
    fn save_progress(&self, progress: Progress) -> Result<()> {
        self.database()?.save_progress(&progress)?;
        let mut memory = self.memory.borrow_mut();
        memory.replays.retain(|known| known.bulk.id != progress.bulk.id);
        if progress.phase == Phase::Replaying {
            memory.replays.push(progress);
        }
        Ok(())
    }
}

/// Whether a delivery was canceled with nothing sent.
const fn never_begun(row: &DeliveryRow) -> bool {
    matches!(row.delivery.state, State::Canceled { attempt: 0 })
}
