//! Calls to Durable Objects: one JSON message there, one back.

use js_sys::Uint8Array;
use serde::Serialize;
use serde::de::DeserializeOwned;
use worker::{Env, Error, Method, Request, RequestInit, Response, Result};

use crate::metering;

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
    let stub = env.durable_object(binding)?.get_by_name(name)?;
    let mut response = stub.fetch_with_request(message(call)?).await?;
    let body = response.bytes().await?;
    if response.status_code() != 200 {
        let cause = String::from_utf8_lossy(&body);
        return Err(Error::from(format!("{binding} {name} answered {}: {cause}", response.status_code())));
    }
    Ok(serde_json::from_slice(&body)?)
}

/// A request that carries `call` as JSON.
///
/// # Errors
/// When it can't be serialised.
pub fn message<Call: Serialize>(call: &Call) -> Result<Request> {
    let body = serde_json::to_vec(call)?;
    let mut init = RequestInit::new();
    init.with_method(Method::Post).with_body(Some(Uint8Array::from(body.as_slice()).into()));
    // The host is never looked at: the binding says who gets it.
    Request::new_with_init("https://varde.internal/", &init)
}

/// An object's answer to a call.
///
/// # Errors
/// When it can't be serialised.
pub fn reply<Reply: Serialize>(answer: &Reply) -> Result<Response> {
    Response::from_bytes(serde_json::to_vec(answer)?)
}
