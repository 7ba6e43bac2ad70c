//! Calls to outboxes, from the edge and the registry.

use serde::de::DeserializeOwned;
use worker::{Env, Result};

use crate::objects;
use crate::outbox_do::protocol::OutboxCall;

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
    objects::call(env, "OUTBOX", &format!("{uid}/{shard}"), call).await
}
