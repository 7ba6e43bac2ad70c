//! How much this isolate takes of each trigger: decided in the core, remembered here.
//!
//! The platform runs several isolates, each with a bucket of its own, so the limit holds for each of them
//! and not for all together. It is there to keep one loud sender from the others, not to count.

use std::cell::RefCell;
use std::collections::BTreeMap;

use varde_core::inbound::TriggerId;
use varde_core::inbound::pace::{Bucket, Spacing};

use crate::ambient;

/// Triggers whose pace is remembered. A trigger that exists is one of a thousand, so only what was deleted
/// since is ever dropped before its time.
const MAX_REMEMBERED: usize = 2_000;

struct Pace {
    bucket: Bucket,
    refusals: Spacing,
    successes: Spacing,
}

thread_local! {
    static PACES: RefCell<BTreeMap<TriggerId, Pace>> = const { RefCell::new(BTreeMap::new()) };
}

/// Lets an event in.
///
/// # Errors
/// The milliseconds after which there is room again.
pub fn admit(trigger: TriggerId) -> Result<(), u64> {
    let now = ambient::now();
    with(trigger, |pace| pace.bucket.take(now))
}

/// Whether an event that was refused, or one that enrolled, is worth a call to the object that keeps
/// events: of each kind one a second is.
pub fn worth_keeping(trigger: TriggerId, refused: bool) -> bool {
    let now = ambient::now();
    with(trigger, |pace| if refused { pace.refusals.pass(now) } else { pace.successes.pass(now) })
}

fn with<T>(trigger: TriggerId, work: impl FnOnce(&mut Pace) -> T) -> T {
    PACES.with_borrow_mut(|paces| {
        if paces.len() >= MAX_REMEMBERED && !paces.contains_key(&trigger) {
            let now = ambient::now();
            paces.retain(|_, pace| !pace.bucket.is_full(now));
        }
        if paces.len() >= MAX_REMEMBERED {
            paces.clear();
        }
        let fresh =
            || Pace { bucket: Bucket::full(), refusals: Spacing::default(), successes: Spacing::default() };
        work(paces.entry(trigger).or_insert_with(fresh))
    })
}
