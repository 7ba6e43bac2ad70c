//! Calls to outboxes, from the edge and the registry.

use futures_util::StreamExt as _;
use futures_util::stream;
use serde::de::DeserializeOwned;
use worker::{Env, Error, Result};

use crate::outbox_do::protocol::OutboxCall;
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

/// Calls the outbox of a workflow's shard. What a delivery always costs, its accept and its settle, may go
/// together with those of others.
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
            let reply = platform::exchange(env.as_ref(), &name, &serde_json::to_vec(call)?).await?;
            let reply: Option<Reply> = serde_json::from_slice(&reply)?;
            reply.ok_or_else(|| Error::from("it could not be stored"))
        }
        _ => objects::call(env, "OUTBOX", &name, call).await,
    }
}
