//! Rate limits: an attempt of a limited action needs a slot. Shard 0 of the workflow gives slots away; each
//! outbox asks it when it has work and has used up its own.

use std::time::Duration;

use futures_util::future::join_all;
use varde_core::rate::{Grant, Pacer, RateLimit};
use varde_core::slug::Slug;
use varde_core::time::{SECOND_MS, UnixMs};
use worker::Result;

use super::Outbox;
use super::protocol::{OutboxCall, WantSlots};
use crate::patience::within;
use crate::{ambient, log, metering, outbox};

/// The shard that gives slots away.
const PACING_SHARD: u8 = 0;
/// When shard 0 is asked again after it gave no answer.
const ASK_AGAIN_MS: u64 = SECOND_MS;
/// How long it has for an answer.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Due deliveries that are counted to ask for slots; a grant has no more.
const MOST_WANTED: u64 = 1_000;

impl Outbox {
    /// Gives slots to an outbox of this workflow, this one included.
    pub(super) fn grant(&self, want: &WantSlots) -> Grant {
        let now = ambient::now();
        let mut pacers = self.pacers.borrow_mut();
        let fresh = || Pacer::new(want.limit, now);
        let pacer = pacers.entry(want.action.clone()).or_insert_with(fresh);
        if pacer.limit() != want.limit {
            *pacer = fresh();
        }
        pacer.grant(want.shard, want.wanted, now)
    }

    /// Attempts that an action may begin now, as far as its rate limit goes.
    pub(super) fn slots(&self, action: &Slug, now: UnixMs) -> Result<usize> {
        let Some(limit) = self.limit_of(action) else { return Ok(usize::MAX) };
        if self.shard() == Some(PACING_SHARD) && self.is_used_up(action) {
            let wanted = self.due_count(action, now)?.max(1);
            let grant = self.grant(&WantSlots { action: action.clone(), shard: PACING_SHARD, wanted, limit });
            self.take_over(action, grant, now);
        }
        let usable =
            self.memory.borrow_mut().allowances.get_mut(action).map_or(0, |allowance| allowance.usable(now));
        Ok(usable as usize)
    }

    /// An attempt of an action has begun.
    pub(super) fn use_slot(&self, action: &Slug) {
        if let Some(allowance) = self.memory.borrow_mut().allowances.get_mut(action) {
            allowance.use_one();
        }
    }

    /// When an action with work that is due may begin its next attempt, or must ask for slots.
    pub(super) fn next_slot(&self, action: &Slug, now: UnixMs) -> UnixMs {
        let memory = self.memory.borrow();
        let next = memory.allowances.get(action).and_then(|allowance| allowance.next_at(now));
        next.or_else(|| memory.ask_at.get(action).copied()).unwrap_or(now)
    }

    /// Asks for slots where work is due and none are left.
    pub(super) async fn ask_for_slots(&self) -> Result<()> {
        let Some(home) = self.memory.borrow().home.clone() else { return Ok(()) };
        if home.shard == PACING_SHARD {
            return Ok(());
        }
        let now = ambient::now();
        let mut questions = Vec::new();
        for action in self.actions_with_due(now) {
            let Some(limit) = self.limit_of(&action) else { continue };
            let waits = self.memory.borrow().ask_at.get(&action).is_some_and(|at| *at > now);
            let wanted = self.due_count(&action, now)?;
            if !waits && wanted > 0 && self.is_used_up(&action) {
                questions.push(WantSlots { action, shard: home.shard, wanted, limit });
            }
        }
        // Side by side: a shard 0 that doesn't answer costs its time once.
        let uid = &home.uid;
        join_all(questions.into_iter().map(|want| self.ask_for(uid, want))).await;
        Ok(())
    }

    async fn ask_for(&self, uid: &str, want: WantSlots) {
        let action = want.action.clone();
        let message = OutboxCall::Slots(want);
        let asked = async {
            metering::slots_are_awaited().await;
            outbox::call(&self.env, uid, PACING_SHARD, &message).await
        };
        match within(TIMEOUT, asked).await.unwrap_or_else(|late| Err(late.into())) {
            Ok(grant) => self.take_over(&action, grant, ambient::now()),
            Err(error) => {
                log::error_about("no_slots", &action, &error);
                let again = ambient::now().plus_ms(ASK_AGAIN_MS);
                self.memory.borrow_mut().ask_at.insert(action, again);
            }
        }
    }

    fn take_over(&self, action: &Slug, grant: Grant, now: UnixMs) {
        let mut memory = self.memory.borrow_mut();
        memory.ask_at.remove(action);
        memory.allowances.entry(action.clone()).or_default().take_over(grant, now);
    }

    pub(super) fn limit_of(&self, action: &Slug) -> Option<RateLimit> {
        self.memory.borrow().controls.rates.get(action).copied()
    }

    fn is_used_up(&self, action: &Slug) -> bool {
        self.memory.borrow().allowances.get(action).is_none_or(varde_core::rate::Allowance::is_used_up)
    }

    fn due_count(&self, action: &Slug, now: UnixMs) -> Result<u32> {
        let count = self.database()?.due_count(action, now, MOST_WANTED)?;
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }

    fn shard(&self) -> Option<u8> {
        self.memory.borrow().home.as_ref().map(|home| home.shard)
    }
}
