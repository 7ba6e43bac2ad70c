//! Order: deliveries of one record to one action go one by one, where the workflow asks for it.
//!
//! Those that are open stand in a line, in the order in which they came; all but the first are blocked. The
//! line moves when the first has ended and its enrollment has taken its next step, so that the next action
//! sees records in the same order.

use varde_core::delivery::{Circumstances, Event, State};
use varde_core::slug::Slug;
use varde_core::time::UnixMs;
use worker::Result;

use super::{Outbox, Settled};

/// Places that one millisecond has: more than an object can take in.
const PLACES_PER_MS: u64 = 1_024;

impl Outbox {
    /// The next place: later than any before, also over a restart, because clocks go on.
    pub(super) fn next_place(&self, now: UnixMs) -> u64 {
        let mut memory = self.memory.borrow_mut();
        memory.last_place = (memory.last_place + 1).max(now.0 * PLACES_PER_MS);
        memory.last_place
    }

    /// Lets the first of a line go, if it is blocked and nothing before it waits for its next step.
    pub(super) fn move_line(&self, action: &Slug, record: &str, now: UnixMs) -> Result<()> {
        let mut first = loop {
            match self.database()?.first_in_line(action, record)? {
                None => return Ok(()),
                Some((_, Ok(first))) => break first,
                Some((id, Err(why))) => drop(self.leave_line(&id, why)?),
            }
        };
        if !matches!(first.delivery.state, State::Blocked { .. })
            || self.database()?.is_between_steps(action, record)?
        {
            return Ok(());
        }
        let at = Circumstances { now, dice: 0.0, policy: &first.terms.retry };
        match first.delivery.step(&Event::Unblock, at) {
            Ok(step) => self.store_step(&mut first, step, Settled::default(), now),
            Err(refused) => Err(worker::Error::from(refused.to_string())),
        }
    }
}
