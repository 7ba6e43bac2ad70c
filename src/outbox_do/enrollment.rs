//! How an enrollment goes on when one of its deliveries has ended. Which action comes next is the
//! workflow's matter, and the outbox doesn't know workflows: it is told by a sender, or asks one.

use serde_json::value::RawValue;
use varde_core::delivery::State;
use varde_core::ids::{DeliveryId, EnrollmentId};
use varde_core::json;
use varde_core::record::EnrollmentInput;
use varde_core::time::{SECOND_MS, UnixMs};
use varde_core::unreadable::Unreadable;
use worker::Result;

use super::Outbox;
use super::accept::{Created, Creation, Owner, taken};
use super::protocol::{Advance, AdvanceWork, Planned, SettleReply, Then, Work};
use super::store::{After, Course, DeliveryRow, EnrollmentRow};
use crate::{ambient, log};

/// How long a sender has to render a next step before another one is asked.
const ADVANCE_MS: u64 = 35 * SECOND_MS;

impl Outbox {
    /// A delivery has ended: its enrollment goes on as `then` says, or waits for somebody who can tell. Gives
    /// back work for the sender who told.
    pub(super) fn conclude(
        &self,
        row: &DeliveryRow,
        then: Option<&Then>,
        now: UnixMs,
    ) -> Result<Option<Work>> {
        if let Some(replay) = row.replay {
            self.replay_ended(row, replay, now)?;
            return Ok(None);
        }
        let delivered = matches!(row.delivery.state, State::Delivered { .. });
        let after = After { action: row.action.clone(), delivered, ordered: row.place.is_some() };
        match then {
            Some(then) => self.go_on(row.enrollment, &row.record, after, then, now),
            None => self.ended(row.enrollment, after, now).map(|()| None),
        }
    }

    /// A delivery ended and nobody who knows the workflow is there: the next step becomes open work.
    pub(super) fn ended(&self, id: EnrollmentId, after: After, now: UnixMs) -> Result<()> {
        self.change_course(id, |course| {
            course.after = Some(after);
            Some(now)
        })
    }

    /// A delivery ended and its sender says how the enrollment goes on. Gives back work for that sender.
    fn go_on(
        &self,
        id: EnrollmentId,
        record: &str,
        after: After,
        then: &Then,
        now: UnixMs,
    ) -> Result<Option<Work>> {
        let next = match then {
            Then::Unknown => {
                self.ended(id, after, now)?;
                return self.advance_work(id, now);
            }
            // The last action of an enrollment with nothing else to tell: no row to write.
            Then::Done => None,
            Then::Failed { reason } => {
                self.end_early(id, "failed", Some(reason.clone()))?;
                None
            }
            Then::Next { delivery, planned } => Some(self.begin_next(id, record, *delivery, planned, now)?),
        };
        if after.ordered {
            self.move_line(&after.action, record, now)?;
        }
        match next {
            Some(Created { ended: true, .. }) => self.advance_work(id, now),
            Some(Created { ended: false, .. }) | None => Ok(None),
        }
    }

    fn begin_next(
        &self,
        id: EnrollmentId,
        record: &str,
        delivery: DeliveryId,
        planned: &Planned,
        now: UnixMs,
    ) -> Result<Created> {
        let action = planned.action.clone();
        let owner = Owner { enrollment: id, record };
        let creation = Creation { planned, input: None, replay: None, lease: false };
        let created = self.create_delivery(delivery, &owner, &creation, now)?.ok_or_else(taken)?;
        self.change_course(id, |course| {
            course.deliveries.push(delivery);
            course.after = created.ended.then_some(After { action, delivered: false, ordered: false });
            created.ended.then_some(now)
        })?;
        Ok(created)
    }

    /// The answer to an [`AdvanceWork`]. Safe to repeat: the second time there is nothing to advance.
    pub(super) async fn advance(&self, advance: Advance) -> Result<SettleReply> {
        let now = ambient::now();
        let mut reply = self.atomically(|| self.advance_rows(&advance, now))?;
        if reply.ignored.is_none() && reply.work.is_none() {
            // Apart from it: what can't be given to this sender shall not undo the step.
            let more = self.atomically(|| self.due_work(&[advance.budget_ms], now));
            let more = more.inspect_err(|error| log::error("no_more_work", error)).unwrap_or_default();
            reply.work = more.into_iter().flatten().next();
        }
        self.arm_for_open_work().await?;
        Ok(reply)
    }

    fn advance_rows(&self, advance: &Advance, now: UnixMs) -> Result<SettleReply> {
        let Some(row) = self.database()?.enrollment(advance.enrollment)? else {
            return Ok(SettleReply::ignored("unknown_enrollment"));
        };
        let Some(after) =
            row.course.after.filter(|after| after.action == advance.after && row.next_due.is_some())
        else {
            return Ok(SettleReply::ignored("nothing_to_advance"));
        };
        self.change_course(row.id, |course| {
            course.after = None;
            None
        })?;
        let work = self.go_on(row.id, &row.record, after, &advance.then, now)?;
        Ok(SettleReply { ignored: None, work })
    }

    /// Hands the next step of an enrollment to a sender, and looks again if it doesn't come back.
    pub(super) fn advance_work(&self, id: EnrollmentId, now: UnixMs) -> Result<Option<Work>> {
        let Some(row) = self.database()?.enrollment(id)? else { return Ok(None) };
        let (outputs, unreadable) = self.outputs_of(&row)?;
        let input = Unreadable::Enrollment.unless::<EnrollmentInput>(&row.input);
        if let Some(why) = row.unreadable.or(unreadable).or(input.err()) {
            return self.set_enrollment_aside(id, why).map(|()| None);
        }
        let Some(after) = row.course.after.clone() else {
            // Nothing to go on after: it is not asked again.
            return self.database()?.save_course(&row, None).map(|()| None);
        };
        self.database()?.save_course(&row, Some(now.plus_ms(ADVANCE_MS)))?;
        self.memory.borrow_mut().advancing = true;
        let work = AdvanceWork {
            enrollment: id,
            after: after.action,
            delivered: after.delivered,
            outputs,
            input: RawValue::from_string(row.input)?,
        };
        Ok(Some(Work::Advance(work)))
    }

    /// The outputs of all its ended deliveries, `{action: {name: value}}`, and whether some can't be read. Those
    /// of a replay that arrived take the place of what was picked before.
    pub(super) fn outputs_of(&self, row: &EnrollmentRow) -> Result<(Box<RawValue>, Option<Unreadable>)> {
        let (mut outputs, mut unreadable) = (serde_json::Map::new(), None);
        for id in row.all_delivery_ids() {
            let Some(delivery) = self.database()?.shown_delivery(id)? else { continue };
            if delivery.replay.is_some() && !matches!(delivery.delivery.state, State::Delivered { .. }) {
                continue;
            }
            let finale = self.database()?.finale(id)?.transpose();
            unreadable = unreadable.or(finale.as_ref().err().copied());
            let Some(found) = finale.ok().flatten().and_then(|finale| finale.outputs) else { continue };
            let mut found: serde_json::Value = json::from_text(found.get())?;
            outputs.insert(delivery.action.to_string(), found["values"].take());
        }
        Ok((serde_json::value::to_raw_value(&outputs)?, unreadable))
    }

    /// The workflow is deleted: what waits for its next step ends, too.
    pub(super) fn cancel_waiting(&self, failed: &mut bool, limit: usize, now: UnixMs) {
        let rows =
            self.drain_part(failed, || self.database()?.enrollments_to_advance(UnixMs(u64::MAX), limit));
        self.drain_each(
            failed,
            &rows,
            |row| row.id.to_string(),
            |row| {
                self.end_early(row.id, "canceled", None)?;
                match &row.course.after {
                    Some(After { action, ordered: true, .. }) => self.move_line(action, &row.record, now),
                    _ => Ok(()),
                }
            },
        );
        let first = self.drain_part(failed, || self.database()?.first_advance());
        self.memory.borrow_mut().advancing = first.is_some();
    }

    /// The enrollment ends, whatever its workflow has left: `failed` or `canceled`.
    pub(super) fn end_early(&self, id: EnrollmentId, status: &str, reason: Option<String>) -> Result<()> {
        self.change_course(id, |course| {
            course.after = None;
            course.ended = Some(status.to_owned());
            course.reason = reason;
            None
        })
    }

    /// Changes what happened to an enrollment; `change` gives back when its next step is due.
    fn change_course(
        &self,
        id: EnrollmentId,
        change: impl FnOnce(&mut Course) -> Option<UnixMs>,
    ) -> Result<()> {
        let Some(mut row) = self.database()?.enrollment(id)? else { return Ok(()) };
        let next_due = change(&mut row.course);
        self.database()?.save_course(&row, next_due)?;
        if next_due.is_some() {
            self.memory.borrow_mut().advancing = true;
        }
        Ok(())
    }
}
