//! Calls to Durable Objects: one JSON message there, one back.

use serde::Serialize;
use serde::de::DeserializeOwned;
use worker::{Env, Error, Response, Result};

use crate::{metering, platform};

/// Calls the object `name` behind `binding`.
///
/// # Errors
/// When the object can't be reached, fails, or answers something else than `Reply`.
pub async fn call<Call: Serialize, Reply: DeserializeOwned>(
    env: &Env,
    binding: &str,
    name: &str,
    call: &Call,
) -> Result<Reply> {
    metering::object_call();
    let (status, body) =
        platform::call(env.as_ref(), binding, Some(name), &serde_json::to_vec(call)?).await?;
    if status != 200 {
        let cause = String::from_utf8_lossy(&body);
        return Err(Error::from(format!("{binding} {name} answered {status}: {cause}")));
    }
    Ok(serde_json::from_slice(&body)?)
}

/// An object's answer to a call.
///
/// # Errors
/// When it can't be serialised.
pub fn reply<Reply: Serialize>(answer: &Reply) -> Result<Response> {
    Response::from_bytes(serde_json::to_vec(answer)?)
}
