//! The cron sweep: asks outboxes in turn to look after themselves, so that one whose alarm or whose pushed
//! controls were lost goes on.

use futures_util::StreamExt as _;
use futures_util::stream;
use worker::{Env, Result};

use crate::outbox_do::protocol::{Acknowledged, Home, OutboxCall};
use crate::registry::{self, Swept};
use crate::{log, outbox};

/// One run. What fails is logged; the next run asks again.
pub async fn sweep(env: &Env) {
    let swept = match registry::next_to_sweep(env).await {
        Ok(swept) => swept,
        Err(error) => return log::error("sweep_failed", &error),
    };
    stream::iter(swept)
        .for_each_concurrent(outbox::AT_ONCE, |one| async move {
            let object = one.home.object_name();
            if let Err(error) = check(env, one).await {
                log::error_about("sweep", &object, &error);
            }
        })
        .await;
}

/// Controls and bulk replays first: what didn't reach it is repeated here. An outbox that has them ignores
/// them.
async fn check(env: &Env, one: Swept) -> Result<()> {
    let Home { uid, shard, .. } = &one.home;
    let _: Acknowledged = outbox::call(env, uid, *shard, &OutboxCall::Controls(one.controls)).await?;
    for bulk in one.replays {
        let _: Acknowledged = outbox::call(env, uid, *shard, &OutboxCall::BulkReplay(bulk)).await?;
    }
    let check = OutboxCall::Check { home: Some(one.home.clone()) };
    let _: Acknowledged = outbox::call(env, uid, *shard, &check).await?;
    Ok(())
}
