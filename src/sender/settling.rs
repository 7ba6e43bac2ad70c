//! What a sender tells an outbox: how attempts ended, and what came of other work.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::time::Duration;

use varde_core::time::{SECOND_MS, UnixMs};
use worker::Delay;

use super::Sender;
use crate::outbox_do::protocol::{Home, OutboxCall, Settle, SettleReply, TurnCall, Work};
use crate::{ambient, log, outbox};

/// First gap between two tries to settle; doubles.
const SETTLE_RETRY_MS: u64 = 100;
/// Longest gap between two tries to settle.
const SETTLE_RETRY_MAX_MS: u64 = 2 * SECOND_MS;
/// Who leaves a settle may have to see to those of others for a while: not one whose time ends before.
const SEEING_TO_OTHERS_MS: u64 = 5 * SECOND_MS;

thread_local! {
    /// Outboxes that have more to do than first attempts, as far as it is known here: each settle asks for some.
    static WITH_MORE_WORK: RefCell<BTreeSet<String>> = const { RefCell::new(BTreeSet::new()) };
}

/// From here on settles with an outbox ask for more to do, until one of them hears that there is none.
pub fn expect_more_work(outbox: String) {
    WITH_MORE_WORK.with_borrow_mut(|outboxes| outboxes.insert(outbox));
}

fn has_more_work(outbox: &str) -> bool {
    WITH_MORE_WORK.with_borrow(|outboxes| outboxes.contains(outbox))
}

impl Sender {
    /// Tells how an attempt ended, and asks for more to do where there may be more.
    pub(super) async fn settle(&self, mut settle: Settle, asks: bool, lease_ends: UnixMs) -> Option<Work> {
        let (name, about) = (self.home.object_name(), settle.delivery.to_string());
        let asks =
            asks || !settle.then.is_over() || has_more_work(&name) || self.budget_ms() < SEEING_TO_OTHERS_MS;
        if !asks {
            settle.budget_ms = 0;
        }
        let settle = TurnCall::Settle(Box::new(settle));
        if !asks {
            match outbox::leave(&self.env, &name, &settle).await {
                Ok(()) => return None,
                Err(error) => log::error_about("outbox_unreachable", &about, &error),
            }
        }
        let work = persist(&about, lease_ends, async || {
            let bring = async |calls: Vec<Vec<u8>>| outbox::tell_together(&self.env, &name, &calls).await;
            outbox::reply_of(&self.settles.tell(serde_json::to_vec(&settle)?, bring).await?)
        });
        let work = work.await;
        if work.is_some() {
            expect_more_work(name);
        } else if asks {
            WITH_MORE_WORK.with_borrow_mut(|outboxes| outboxes.remove(&name));
        }
        work
    }

    /// Tells the outbox something else about a delivery or an enrollment.
    pub(super) async fn tell(&self, about: &str, call: &OutboxCall, until: UnixMs) -> Option<Work> {
        let Home { uid, shard, .. } = &self.home;
        persist(about, until, async || outbox::call(&self.env, uid, *shard, call).await).await
    }
}

/// Tells an outbox something, again and again until it hears or `until` has come. What it then doesn't know it
/// finds out by itself when the lease ends.
async fn persist(
    about: &str,
    until: UnixMs,
    tell: impl AsyncFn() -> worker::Result<SettleReply>,
) -> Option<Work> {
    let mut gap_ms = SETTLE_RETRY_MS;
    loop {
        match tell().await {
            Ok(reply) => return reply.work,
            Err(error) if ambient::now().plus_ms(gap_ms) < until => {
                log::error_about("outbox_unreachable", about, &error);
                Delay::from(Duration::from_millis(gap_ms)).await;
                gap_ms = (gap_ms * 2).min(SETTLE_RETRY_MAX_MS);
            }
            Err(error) => {
                log::error_about("settle_lost", about, &error);
                return None;
            }
        }
    }
}
