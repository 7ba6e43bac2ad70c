//! The platform's side of the alarm, and the alarm's handler in its stretches: while it waits for others,
//! other calls come in, and it may die.

use varde_core::slug::Slug;
use varde_core::time::UnixMs;

use crate::outbox::Outbox;
use crate::outbox_calls::Lease;
use crate::world::{Fate, Happening, World};

/// The runtime's side of the alarm.
#[derive(Default)]
pub struct Platform {
    /// The slot as it was when the moment below was drawn.
    pub seen: Option<UnixMs>,
    pub rings_at: Option<UnixMs>,
    pub ringing: bool,
    /// Whether the ring at hand found something to do.
    pub busy: bool,
    pub idle_rings: u32,
}

impl World {
    /// The platform draws how late it rings, whenever the slot changes; or forgets it.
    pub fn watch_alarm(&mut self) {
        let slot = self.outbox.disk.alarm;
        if self.platform.ringing || slot == self.platform.seen {
            return;
        }
        self.platform.seen = slot;
        self.platform.rings_at = None;
        let Some(at) = slot else { return };
        if self.mishap(200) {
            self.trace.note(self.now, "the alarm gets lost");
            self.outbox.disk.alarm = None;
            self.platform.seen = None;
            self.referee.alarm_lost = true;
            return;
        }
        let late_ms = if self.mishap(50) {
            self.trace.count("late alarm");
            self.dice.magnitude(1_000, 3_600_000)
        } else {
            self.dice.between(0, 20)
        };
        self.platform.rings_at = Some(at.max(self.now).plus_ms(late_ms));
    }

    pub fn ring(&mut self, how: &'static str) {
        self.trace.note(self.now, how);
        self.platform =
            Platform { ringing: true, idle_rings: self.platform.idle_rings, ..Platform::default() };
        let fate = self.fate(100);
        let handler_until = self.referee.handler_until;
        self.referee.handler_begins(self.now);
        let counted = self.outbox.counted;
        match self.fated(fate, Outbox::ring_begins) {
            Some(untold) => {
                let at = self.dice.moment(self.now.plus_ms(1), 50);
                self.put(at, Happening::RingTakes { untold });
            }
            // The platform rings again what wasn't committed.
            None if fate == Fate::DiesBeforeCommit => self.referee.handler_until = handler_until,
            None => self.handler_errs(),
        }
        self.platform.busy = self.outbox.counted != counted;
    }

    pub fn ring_takes(&mut self, untold: Vec<Slug>) {
        self.platform.busy |= !untold.is_empty();
        for action in untold {
            if self.mishap(4) {
                self.trace.note(self.now, "the registry can't be reached");
                break;
            }
            self.trace.note(self.now, "the registry learns that an action is gone");
            self.registry.version += 1;
            self.registry.paused.insert(action.clone(), "gone".to_owned());
            let controls = self.registry.clone();
            // Its push comes in while the handler waits for the answer; without it there is no good answer.
            let pushed = self.call(|outbox, now| outbox.take_controls(controls, now));
            if pushed.is_none() || self.call(|outbox, now| outbox.told(&action, now)).is_none() {
                break;
            }
        }
        if !self.platform.ringing {
            return;
        }
        let counted = self.outbox.counted;
        let Some(leases) = self.call(Outbox::ring_takes) else { return self.handler_errs() };
        self.platform.busy |= self.outbox.counted != counted;
        let mut failed = Vec::new();
        for piece in leases.chunks(self.plan.caps.per_call) {
            match (self.mishap(40), self.dice.one_in(3)) {
                (false, _) => self.dispatch(piece.to_vec()),
                (true, answer_is_lost) => {
                    self.trace.note(self.now, "a hand-over fails");
                    failed.extend_from_slice(piece);
                    if answer_is_lost {
                        for lease in piece {
                            self.referee.excuse(lease);
                        }
                        self.dispatch(piece.to_vec());
                    }
                }
            }
        }
        let takes_ms = if self.mishap(20) { 8_000 } else { 100 };
        let at = self.dice.moment(self.now.plus_ms(1), takes_ms);
        self.put(at, Happening::RingEnds { failed });
    }

    pub fn ring_ends(&mut self, failed: Vec<Lease>) {
        for lease in failed {
            let Lease { delivery, number, .. } = lease;
            let answer =
                self.call(|outbox, now| outbox.take_back(delivery, number, "sender_unreachable", now));
            if answer.is_none() {
                return self.handler_errs();
            }
        }
        if self.call(Outbox::ring_ends).is_none() {
            return self.handler_errs();
        }
        self.referee.alarm_checked();
        self.platform.idle_rings = if self.platform.busy { 0 } else { self.platform.idle_rings + 1 };
        self.platform.ringing = false;
        self.platform.seen = None;
        if self.mishap(40) {
            self.platform.idle_rings = 0;
            self.ring("the alarm rings twice");
        }
    }

    /// The handler met an error, if it is still there: what it had left to do waits for the next ring.
    fn handler_errs(&mut self) {
        if self.platform.ringing {
            self.outbox.ring_errs(self.now);
            self.referee.handler_errs(self.now);
            self.handler_is_gone();
        }
    }

    pub fn handler_is_gone(&mut self) {
        self.platform.ringing = false;
        self.platform.seen = None;
        self.queue.retain(|_, one| !matches!(one, Happening::RingTakes { .. } | Happening::RingEnds { .. }));
    }
}
