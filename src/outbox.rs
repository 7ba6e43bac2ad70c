//! Calls to outboxes, from the edge and the registry.

use serde::de::DeserializeOwned;
use worker::{Env, Error, Result};

use crate::outbox_do::protocol::OutboxCall;
use crate::{metering, objects};

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
    objects::call(env, "OUTBOX", &format!("{uid}/{shard}"), call).await
}
