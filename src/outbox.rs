//! Calls to outboxes, from the edge and the registry.

use futures_util::StreamExt as _;
use futures_util::stream;
use serde::Serialize;
use serde::de::DeserializeOwned;
use worker::{Env, Error, Result};

use crate::outbox_do::protocol::{OutboxCall, Settle};
use crate::{metering, objects, platform};

/// Outboxes that are called at the same time: a Worker invocation and an object have six connections.
pub const AT_ONCE: usize = 6;

/// Says the same to several outboxes of a workflow; their answers come in no order.
///
/// # Errors
/// When one of them can't be reached or fails.
pub async fn call_all<Reply: DeserializeOwned>(
    env: &Env,
    uid: &str,
    shards: impl IntoIterator<Item = u8>,
    message: &OutboxCall,
) -> Result<Vec<Reply>> {
    let calls = shards.into_iter().map(|shard| call(env, uid, shard, message));
    // All are told, even where one fails.
    let replies: Vec<Result<Reply>> = stream::iter(calls).buffer_unordered(AT_ONCE).collect().await;
    replies.into_iter().collect()
}

/// Lets another request that settles with the outbox `name` just now bring a settle along: false when there is
/// none, or when the outbox is out of reach. Nobody hears whether it arrived, as when a sender dies after its
/// attempt: then the lease ends and is given out anew. So it asks for nothing more to do.
pub fn hand_over(name: &str, settle: &mut Settle) -> bool {
    /// As [`OutboxCall::Settle`] is written.
    #[derive(Serialize)]
    struct Message<'a> {
        settle: &'a Settle,
    }
    if metering::outbox_is_down() || !platform::is_settled_with(name) {
        return false;
    }
    let budget_ms = std::mem::take(&mut settle.budget_ms);
    let message = serde_json::to_vec(&Message { settle });
    let handed_over = message.is_ok_and(|message| platform::hand_over_settle(name, &message));
    if handed_over {
        metering::object_call();
    } else {
        settle.budget_ms = budget_ms;
    }
    handed_over
}

/// Calls the outbox of a workflow's shard.
///
/// # Errors
/// When it can't be reached or fails.
pub async fn call<Reply: DeserializeOwned>(
    env: &Env,
    uid: &str,
    shard: u8,
    call: &OutboxCall,
) -> Result<Reply> {
    if metering::outbox_is_down() {
        return Err(Error::from("the outboxes are out of reach"));
    }
    let name = format!("{uid}/{shard}");
    match call {
        OutboxCall::Accept(_) | OutboxCall::Settle(_) => {
            metering::object_call();
            let (env, message) = (env.as_ref(), serde_json::to_vec(call)?);
            let reply = match call {
                OutboxCall::Settle(_) => platform::settle(env, &name, &message).await?,
                _ => platform::exchange(env, &name, &message).await?,
            };
            let reply: Option<Reply> = serde_json::from_slice(&reply)?;
            reply.ok_or_else(|| Error::from("it could not be stored"))
        }
        _ => objects::call(env, "OUTBOX", &name, call).await,
    }
}
