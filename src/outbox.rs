//! Calls to outboxes, from the edge and the registry.

use futures_util::StreamExt as _;
use futures_util::stream;
use serde::de::DeserializeOwned;
use worker::{Env, Error, Result};

use crate::outbox_do::protocol::{OutboxCall, TurnCall};
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

/// Tells the outbox `name` something that it does in a turn with others.
///
/// # Errors
/// When it can't be reached, fails, or couldn't store it.
pub async fn tell<Reply: DeserializeOwned>(env: &Env, name: &str, call: &TurnCall) -> Result<Reply> {
    if metering::outbox_is_down() {
        return Err(out_of_reach());
    }
    metering::object_call();
    reply_of(&platform::tell(env.as_ref(), name, &serde_json::to_vec(call)?).await?)
}

/// What a reply says.
///
/// # Errors
/// When what was told couldn't be stored.
pub fn reply_of<Reply: DeserializeOwned>(reply: &[u8]) -> Result<Reply> {
    let reply: Option<Reply> = serde_json::from_slice(reply)?;
    reply.ok_or_else(|| Error::from("it could not be stored"))
}

/// Tells the outbox `name` several things at once, as JSON: the replies, `null` for what couldn't be stored.
///
/// # Errors
/// When it can't be reached or fails.
pub async fn tell_together(env: &Env, name: &str, calls: &[Vec<u8>]) -> Result<Vec<Vec<u8>>> {
    if metering::outbox_is_down() {
        return Err(out_of_reach());
    }
    metering::object_call();
    Ok(platform::tell_together(env.as_ref(), name, calls).await?)
}

/// Leaves a settle that asks for nothing: whoever tells that outbox something next brings it. When it is another
/// request that sees to it, nobody hears whether it arrived, as when a sender dies after its attempt: then the
/// lease ends and is given out anew.
///
/// # Errors
/// When this request saw to it, and it has not arrived.
pub async fn leave(env: &Env, name: &str, settle: &TurnCall) -> Result<()> {
    if metering::outbox_is_down() {
        return Err(out_of_reach());
    }
    metering::object_call();
    Ok(platform::leave(env.as_ref(), name, &serde_json::to_vec(settle)?).await?)
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
        return Err(out_of_reach());
    }
    objects::call(env, "OUTBOX", &format!("{uid}/{shard}"), call).await
}

fn out_of_reach() -> Error {
    Error::from("the outboxes are out of reach")
}
