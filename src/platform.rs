//! The calls of `platform.mjs`, and the answers of those that have parts.

use js_sys::{Array, Promise, Uint8Array};
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{Request, Response};

#[wasm_bindgen(module = "/src/platform.mjs")]
extern "C" {
    /// Runs a statement: its rows as JSON, `None` when there are none.
    #[cfg(not(feature = "testing"))]
    #[wasm_bindgen(catch)]
    pub fn execute(sql: &JsValue, statement: &str, bindings: &str) -> Result<Option<String>, JsValue>;

    /// Runs a statement: `[rows read, rows written, rows]` as JSON.
    #[cfg(feature = "testing")]
    #[wasm_bindgen(catch, js_name = executeCounted)]
    pub fn execute_counted(sql: &JsValue, statement: &str, bindings: &str) -> Result<String, JsValue>;

    #[wasm_bindgen(catch, js_name = call)]
    fn call_raw(env: &JsValue, binding: &str, name: Option<&str>, message: &[u8])
    -> Result<Promise, JsValue>;

    /// Whether this env is the `Sender` entrypoint's.
    #[wasm_bindgen(js_name = isSender)]
    pub fn is_sender(env: &JsValue) -> bool;

    /// The parts of a request as JSON, see [`crate::http::call::Head`].
    #[wasm_bindgen(catch, js_name = takeApart)]
    pub fn take_apart(request: &Request) -> Result<String, JsValue>;

    /// An answer; `headers` is `[[name, value], …]`, in JSON.
    #[wasm_bindgen(catch)]
    pub fn respond(status: u16, headers: &str, body: &[u8]) -> Result<Response, JsValue>;

    #[wasm_bindgen(catch, js_name = exchange)]
    fn exchange_raw(env: &JsValue, name: &str, message: &[u8]) -> Result<Promise, JsValue>;

    #[wasm_bindgen(catch, js_name = settle)]
    fn settle_raw(env: &JsValue, name: &str, message: &[u8]) -> Result<Promise, JsValue>;

    /// Whether some request settles with the outbox `name` just now.
    #[wasm_bindgen(js_name = isSettledWith)]
    pub fn is_settled_with(name: &str) -> bool;

    /// Hands a settle over to whoever settles with the outbox `name` just now: false when there is nobody.
    #[wasm_bindgen(js_name = handOverSettle)]
    pub fn hand_over_settle(name: &str, message: &[u8]) -> bool;

    #[wasm_bindgen(catch, js_name = callEndpoint)]
    fn call_endpoint_raw(
        url: &str,
        method: &str,
        headers: &str,
        body: &[u8],
        timeout_ms: u32,
        limit: u32,
    ) -> Result<Promise, JsValue>;

    #[wasm_bindgen(catch, js_name = readCapped)]
    fn read_capped_raw(stream: &JsValue, limit: u32) -> Result<Promise, JsValue>;
}

/// Sends a message to the object `name` of a binding, or to a service, which has no name: the status and the
/// body of the answer.
///
/// # Errors
/// What the runtime throws when it can't be reached or fails.
pub async fn call(
    env: &JsValue,
    binding: &str,
    name: Option<&str>,
    message: &[u8],
) -> Result<(u16, Vec<u8>), JsValue> {
    let answer = parts(call_raw(env, binding, name, message)?).await?;
    Ok((status(&answer), bytes(&answer.get(1))))
}

/// Tells the outbox `name` something: the reply.
///
/// # Errors
/// What the runtime throws when it can't be reached or fails.
pub async fn exchange(env: &JsValue, name: &str, message: &[u8]) -> Result<Vec<u8>, JsValue> {
    Ok(bytes(&JsFuture::from(exchange_raw(env, name, message)?).await?))
}

/// Settles with the outbox `name`, with what others hand over in the meantime: the reply.
///
/// # Errors
/// What the runtime throws when it can't be reached or fails.
pub async fn settle(env: &JsValue, name: &str, message: &[u8]) -> Result<Vec<u8>, JsValue> {
    Ok(bytes(&JsFuture::from(settle_raw(env, name, message)?).await?))
}

/// What an endpoint answered.
pub struct EndpointAnswer {
    /// The status.
    pub status: u16,
    /// `[[name, value], …]`, in JSON.
    pub headers: String,
    /// The body, up to the limit.
    pub body: Vec<u8>,
    /// Whether there was more.
    pub truncated: bool,
}

/// Calls an endpoint. `headers` is `[[name, value], …]`, in JSON. Of the body at most `limit` bytes are read.
///
/// # Errors
/// What the runtime throws when there is no full answer by the deadline.
pub async fn call_endpoint(
    url: &str,
    method: &str,
    headers: &str,
    body: &[u8],
    timeout_ms: u32,
    limit: u32,
) -> Result<EndpointAnswer, JsValue> {
    let answer = parts(call_endpoint_raw(url, method, headers, body, timeout_ms, limit)?).await?;
    Ok(EndpointAnswer {
        status: status(&answer),
        headers: answer.get(1).as_string().unwrap_or_default(),
        body: bytes(&answer.get(2)),
        truncated: answer.get(3).is_truthy(),
    })
}

/// Reads a stream, `null` for none: at most `limit` bytes, and whether there was more.
///
/// # Errors
/// What the stream failed with.
pub async fn read_capped(stream: &JsValue, limit: u32) -> Result<(Vec<u8>, bool), JsValue> {
    let read = parts(read_capped_raw(stream, limit)?).await?;
    Ok((bytes(&read.get(0)), read.get(1).is_truthy()))
}

async fn parts(promise: Promise) -> Result<Array, JsValue> {
    Ok(JsFuture::from(promise).await?.unchecked_into())
}

fn status(answer: &Array) -> u16 {
    answer.get(0).as_f64().unwrap_or_default() as u16
}

fn bytes(value: &JsValue) -> Vec<u8> {
    value.unchecked_ref::<Uint8Array>().to_vec()
}
