//! Controls come in here, and rows are brought in line with them: held while their action is paused,
//! released after it, canceled when the workflow is deleted. In steps, so that a large outbox stays quick.

use std::time::Duration;

use varde_core::controls::Controls;
use varde_core::delivery::{Circumstances, Event};
use varde_core::slug::Slug;
use varde_core::time::UnixMs;
use worker::Result;

use super::ledger::Lane;
use super::protocol::Acknowledged;
use super::retention::Forgetting;
use super::store::DeliveryRow;
use super::{Outbox, Settled};
use crate::patience::within;
use crate::{ambient, log, registry};

/// How long the registry has to bring a pause to all outboxes, before the alarm goes on.
const REGISTRY_TIMEOUT: Duration = Duration::from_secs(5);
/// Deliveries that one step brings in line.
const STEP: usize = 250;

impl Outbox {
    /// Takes over newer controls; older ones and repetitions change nothing.
    pub(super) async fn take_controls(&self, controls: Controls) -> Result<Acknowledged> {
        if controls.supersede(&self.memory.borrow().controls) {
            self.database()?.set_meta("controls", &serde_json::to_string(&controls)?)?;
            let mut memory = self.memory.borrow_mut();
            if memory.controls.rates != controls.rates {
                memory.allowances.clear();
                memory.ask_at.clear();
            }
            memory.forgetting = Forgetting::default();
            memory.controls = controls;
            // Newer than a pause that was found here: a resume must not be undone by old news. Should the
            // endpoint still be gone, its next answer says so.
            if !std::mem::take(&mut memory.untold).is_empty() {
                self.database()?.set_meta("untold", "[]")?;
            }
        }
        // What fails is logged, and the alarm's.
        self.align(&mut false, ambient::now());
        self.arm_for_open_work().await?;
        Ok(Acknowledged {})
    }

    /// A 410 was seen: the action stops here at once; the alarm tells the registry, and so the other shards.
    /// Says whether that is news.
    pub(super) fn pause_here(&self, action: &Slug) -> Result<bool> {
        let mut memory = self.memory.borrow_mut();
        if memory.pause_reason(action).is_some() {
            return Ok(false);
        }
        memory.untold.push(action.clone());
        self.database()?.set_meta("untold", &serde_json::to_string(&memory.untold)?)?;
        Ok(true)
    }

    /// Tells the registry of actions that are gone, until it knows.
    pub(super) async fn tell_registry(&self) -> Result<()> {
        let (untold, home) = {
            let memory = self.memory.borrow();
            (memory.untold.clone(), memory.home.clone())
        };
        let Some(home) = home else { return Ok(()) };
        for action in untold {
            // The registry's push of the new controls comes in while this waits.
            let told = within(REGISTRY_TIMEOUT, registry::pause_gone(&self.env, &home, &action)).await;
            if let Err(error) = told.unwrap_or_else(|late| Err(late.into())) {
                log::error("registry_unreachable", &error);
                return Ok(());
            }
            let mut memory = self.memory.borrow_mut();
            memory.untold.retain(|told| *told != action);
            self.database()?.set_meta("untold", &serde_json::to_string(&memory.untold)?)?;
        }
        Ok(())
    }

    /// Whether rows still differ from the controls.
    pub(super) fn out_of_line(&self) -> bool {
        let memory = self.memory.borrow();
        let waiting = memory.controls.cancel_open && memory.advancing;
        drop(memory);
        waiting || !self.misplaced().is_empty()
    }

    /// One step towards rows that agree with the controls.
    pub(super) fn align(&self, failed: &mut bool, now: UnixMs) {
        if self.memory.borrow().controls.cancel_open {
            self.cancel_waiting(failed, STEP, now);
        }
        for (action, lane, event) in self.misplaced() {
            if lane == Lane::SetAside {
                let ids = self.drain_part(failed, || self.database()?.aside(&action, STEP));
                self.drain_each(failed, &ids, String::clone, |id| self.cancel_aside(id, &action, now));
                continue;
            }
            let rows = self.drain_part(failed, || self.waking(lane, &action, UnixMs(u64::MAX), STEP));
            self.drain_each(
                failed,
                &rows,
                |row| row.id.to_string(),
                |row| match event {
                    Event::Cancel => self.cancel_by_id(row.id, now),
                    _ => self.put_in_line(row.clone(), &event, now),
                },
            );
        }
    }

    fn put_in_line(&self, mut row: DeliveryRow, event: &Event<'_>, now: UnixMs) -> Result<()> {
        let at = Circumstances { now, dice: 0.0, policy: &row.terms.retry };
        match row.delivery.step(event, at) {
            Ok(step) => self.store_step(&mut row, step, Settled::default(), now),
            Err(_) => Ok(()),
        }
    }

    /// Which lanes hold deliveries that the controls want elsewhere, and what brings them there.
    fn misplaced(&self) -> Vec<(Slug, Lane, Event<'static>)> {
        let memory = self.memory.borrow();
        let mut misplaced = Vec::new();
        for (action, account) in &memory.ledger.accounts {
            let paused = memory.pause_reason(action).is_some();
            for lane in [Lane::Scheduled, Lane::Held, Lane::InFlight, Lane::Blocked, Lane::SetAside] {
                let event = match lane {
                    _ if account.in_lane(lane) == 0 => continue,
                    _ if memory.controls.cancel_open => Event::Cancel,
                    Lane::Scheduled if paused => Event::Hold,
                    Lane::Held if !paused => Event::Release,
                    _ => continue,
                };
                misplaced.push((action.clone(), lane, event));
            }
        }
        misplaced
    }
}
