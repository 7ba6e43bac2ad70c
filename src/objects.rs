//! Calls to Durable Objects: one JSON message there, one back.

use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;
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
    Ok(serde_json::from_slice(&say(env, binding, name, serde_json::to_vec(call)?).await?)?)
}

/// The same, as JSON. A future by itself: in each of its many callers it would be compiled anew.
pub fn say<'a>(
    env: &'a Env,
    binding: &'a str,
    name: &'a str,
    message: Vec<u8>,
) -> LocalBoxFuture<'a, Result<Vec<u8>>> {
    async move {
        metering::object_call();
        let (status, body) = platform::call(env.as_ref(), binding, Some(name), &message).await?;
        if status != 200 {
            let cause = String::from_utf8_lossy(&body);
            return Err(Error::from(format!("{binding} {name} answered {status}: {cause}")));
        }
        Ok(body)
    }
    .boxed_local()
}

/// An object's answer to a call.
///
/// # Errors
/// When it can't be serialised.
pub fn reply<Reply: Serialize>(answer: &Reply) -> Result<Response> {
    Response::from_bytes(serde_json::to_vec(answer)?)
}
