//! The modelled outbox's alarm, in the stretches between the real one's awaits: other calls come in
//! between, and the object may die there.

use varde_core::delivery::Event;
use varde_core::slug::Slug;
use varde_core::time::UnixMs;

use crate::outbox::{Lane, Outbox, Sabotage};
use crate::outbox_calls::Lease;

/// When an alarm that couldn't do all of its work rings again.
pub const AFTER_ERROR_MS: u64 = 2_000;
/// Where the alarm stands while its handler works: a death in between rings it again.
pub const WHILE_WORKING_MS: u64 = 10_000;
/// Hand-overs of one alarm.
const HAND_OVERS_PER_ALARM: usize = 40;
/// Leases whose end one alarm handles per action.
const LEASE_ENDS_PER_ALARM: usize = 200;

impl Outbox {
    /// First stretch: leases whose senders didn't come back, rows that disagree with the controls. Gives
    /// back the actions of which the registry must be told.
    pub fn ring_begins(&mut self, now: UnixMs) -> Vec<Slug> {
        // While the handler runs there is no alarm.
        self.disk.alarm = None;
        if let Some(memory) = &mut self.memory {
            memory.armed = None;
        }
        self.wake_up(now);
        self.arm(now.plus_ms(WHILE_WORKING_MS));
        for action in self.actions() {
            for (_, id) in
                self.disk.waking(Lane::InFlight, &action, now).into_iter().take(LEASE_ENDS_PER_ALARM)
            {
                if let Ok(step) = self.step(id, &Event::LeaseEnded, now) {
                    self.store_step(id, step, now);
                }
            }
        }
        self.align(now);
        self.disk.untold.clone()
    }

    /// Second stretch: takes what is due, a fair share from each action, to be handed to senders.
    pub fn ring_takes(&mut self, now: UnixMs) -> Vec<Lease> {
        self.wake_up(now);
        let forgets = self.sabotage == Some(Sabotage::HandsOutUnstored) && self.dice.one_in(20);
        let before = forgets.then(|| (self.disk.clone(), self.memory.clone()));
        let witnessed = self.witnessed.len();
        let actions = self.actions_with_due(now);
        let share = HAND_OVERS_PER_ALARM * self.caps.per_call / actions.len().max(1);
        let mut leases = Vec::new();
        for action in actions {
            let room = self.caps.per_action.saturating_sub(self.account(&action).in_flight) as usize;
            let limit = if self.sabotage == Some(Sabotage::IgnoresCap) { share } else { share.min(room) };
            leases.extend(self.take_due(&action, limit, now, |_| true));
        }
        if let Some(before) = before {
            (self.disk, self.memory) = before;
            self.witnessed.truncate(witnessed);
        }
        leases
    }

    /// Instead of all further stretches, where one went wrong: rings again soon, from rows.
    pub fn ring_errs(&mut self, now: UnixMs) {
        self.disk.alarm = Some(now.plus_ms(AFTER_ERROR_MS));
        self.memory = None;
    }

    /// Last stretch, after the hand-overs: the alarm says what the rows say.
    pub fn ring_ends(&mut self, now: UnixMs) {
        self.wake_up(now);
        let next = self.next_wake(now);
        self.set_alarm(next);
    }
}
