//! What happens to the outbox from outside: the sweep, people, the registry, and death.

use crate::outbox::Outbox;
use crate::plan::Incident;
use crate::world::{Happening, World};

impl World {
    /// Controls first, then the check, each a call of its own.
    pub fn sweep(&mut self) {
        self.put(self.now.plus_ms(self.plan.sweep_every_ms), Happening::Sweep);
        if self.mishap(20) {
            return;
        }
        if self.is_calm() {
            self.resume_all();
        }
        self.trace.say(self.now, |_| "the sweep comes by".to_owned());
        let controls = self.registry.clone();
        self.call(|outbox, now| outbox.take_controls(controls, now));
        if self.call(Outbox::check).is_some() {
            if self.referee.alarm_lost {
                self.trace.count("lost alarm found by the sweep");
            }
            self.referee.alarm_checked();
        }
    }

    pub fn incident(&mut self, incident: Incident) {
        self.trace.say(self.now, |_| format!("{incident:?}"));
        match incident {
            Incident::Evicted if !self.platform.ringing => {
                self.trace.count("eviction");
                self.outbox.dies();
            }
            Incident::Killed => self.kill(),
            Incident::SenderDies => self.sender_dies(),
            Incident::EarlyAlarm if !self.platform.ringing => {
                self.platform.idle_rings = 0;
                self.ring("the alarm rings early");
            }
            // Not in the middle of a handler.
            Incident::Evicted | Incident::EarlyAlarm => {}
            Incident::Pause(action) => {
                self.trace.count("pause");
                self.registry.paused.insert(action, "paused".to_owned());
                self.push();
            }
            Incident::Resume(action) => {
                self.registry.paused.remove(&action);
                self.push();
            }
            Incident::PauseAll => {
                self.trace.count("pause of the workflow");
                self.registry.all_paused = Some("paused".to_owned());
                self.push();
            }
            Incident::ResumeAll => self.resume_all(),
            Incident::Cancel(position) => {
                let known = self.outbox.disk.rows.len().max(1);
                let Some(id) = self.outbox.disk.rows.keys().nth(position % known).copied() else { return };
                self.call(|outbox, now| outbox.cancel(id, now));
            }
            Incident::Delete => {
                self.trace.count("deletion");
                (self.registry.closed, self.registry.cancel_open) = (true, true);
                self.push();
            }
        }
    }

    /// A person resumes what is paused.
    pub fn resume_all(&mut self) {
        let had_paused = self.registry.all_paused.take().is_some() || !self.registry.paused.is_empty();
        if had_paused {
            self.registry.paused.clear();
            self.push();
        }
    }

    /// The registry pushes its controls: soon, late, twice or not at all.
    fn push(&mut self) {
        self.registry.version += 1;
        if self.mishap(8) {
            self.trace.note(self.now, "a push of controls gets lost");
            return;
        }
        let at = self.dice.moment(self.now, 2_000);
        self.put(at, Happening::Push(self.registry.clone()));
        if self.mishap(8) {
            let at = self.dice.moment(self.now, 600_000);
            self.put(at, Happening::Push(self.registry.clone()));
        }
    }

    /// Object and senders are gone, and so is what was on its way between them. What was on its way to an
    /// endpoint may still get there.
    fn kill(&mut self) {
        self.trace.count("kill");
        self.outbox.dies();
        self.handler_is_gone();
        for sender in &mut self.senders {
            sender.is_alive = false;
        }
        for (key, happening) in std::mem::take(&mut self.queue) {
            if let Some(errand) = happening.errand() {
                self.referee.excuse(&errand.lease);
            }
            let stays = match happening {
                Happening::Begin(_) | Happening::Report(..) | Happening::Tell { .. } | Happening::Push(_) => {
                    false
                }
                Happening::Arrive(_) => self.dice.one_in(2),
                _ => true,
            };
            if stays {
                self.queue.insert(key, happening);
            }
        }
    }

    fn sender_dies(&mut self) {
        let at_work = |one: &usize| self.senders[*one].is_alive && self.now <= self.senders[*one].ends_at;
        let alive: Vec<_> = (0..self.senders.len()).filter(at_work).collect();
        if alive.is_empty() {
            return;
        }
        let dead = self.dice.pick(&alive);
        self.senders[dead].is_alive = false;
        for errand in self.queue.values().filter_map(Happening::errand).filter(|errand| errand.sender == dead)
        {
            self.trace.count("death of a sender");
            self.referee.excuse(&errand.lease);
        }
    }
}
