//! The calls of `platform.mjs` and `outbox.mjs`, and the answers of those that have parts.

use js_sys::{Array, Function, Promise, Uint8Array};
use serde::Serializer as _;
use serde::ser::Error as _;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast as _, JsValue};
use web_sys::{Request, Response};

use crate::tasks::answer_of;

#[wasm_bindgen(module = "/src/platform.mjs")]
extern "C" {
    /// Runs a statement: its rows as JSON, `None` when there are none. What it is bound to is told in `database.rs`.
    #[cfg(not(feature = "testing"))]
    #[wasm_bindgen(catch)]
    pub fn execute(
        sql: &JsValue,
        statement: &str,
        bound: &str,
        texts: u32,
    ) -> Result<Option<String>, JsValue>;

    /// Runs a statement that gives no rows back: how many it wrote, index entries counted.
    #[cfg(not(feature = "testing"))]
    #[wasm_bindgen(catch)]
    pub fn write(sql: &JsValue, statement: &str, bound: &str, texts: u32) -> Result<u32, JsValue>;

    /// Runs a statement: `[rows read, rows written, rows]` as JSON.
    #[cfg(feature = "testing")]
    #[wasm_bindgen(catch, js_name = executeCounted)]
    pub fn execute_counted(
        sql: &JsValue,
        statement: &str,
        bound: &str,
        texts: u32,
    ) -> Result<String, JsValue>;

    #[wasm_bindgen(catch, js_name = call)]
    fn call_raw(env: &JsValue, binding: &str, name: Option<&str>, message: &[u8])
    -> Result<Promise, JsValue>;

    /// The parts of a request as JSON, see [`crate::http::call::Head`].
    #[wasm_bindgen(catch, js_name = takeApart)]
    pub fn take_apart(request: &Request) -> Result<String, JsValue>;

    /// An answer; `headers` is `{name: value}`, in JSON.
    #[wasm_bindgen(catch)]
    pub fn respond(status: u16, headers: &str, body: &[u8]) -> Result<Response, JsValue>;

    /// Calls `answered` with the number when the promise is kept or broken.
    pub fn when(promise: &Promise, number: u32, answered: &JsValue);

    /// Keeps an invocation alive until the function that it gives is called.
    #[wasm_bindgen(js_name = holdOpen)]
    pub fn hold_open(context: &JsValue) -> Function;

    /// The bytes of a buffer or of a view of one.
    #[wasm_bindgen(js_name = bytesOf)]
    pub fn bytes_of(buffer: &JsValue) -> Vec<u8>;

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

#[wasm_bindgen(module = "/src/outbox.mjs")]
extern "C" {
    #[wasm_bindgen(catch, js_name = tell)]
    fn tell_raw(env: &JsValue, name: &str, message: &[u8]) -> Result<Promise, JsValue>;

    #[wasm_bindgen(catch, js_name = tellTogether)]
    fn tell_together_raw(env: &JsValue, name: &str, messages: &Array) -> Result<Promise, JsValue>;

    #[wasm_bindgen(catch, js_name = leave)]
    fn leave_raw(env: &JsValue, name: &str, message: &[u8]) -> Result<Option<Promise>, JsValue>;
}

/// Headers as the platform takes them: `{name: value}`, in JSON. Each name is there once.
///
/// # Errors
/// Never, as far as texts go.
pub fn headers_json<Text: AsRef<str>>(headers: &[(Text, Text)]) -> serde_json::Result<String> {
    let mut json = Vec::with_capacity(256);
    let pairs = headers.iter().map(|(name, value)| (name.as_ref(), value.as_ref()));
    serde_json::Serializer::new(&mut json).collect_map(pairs)?;
    String::from_utf8(json).map_err(serde_json::Error::custom)
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
    Ok((status(&answer), bytes_of(&answer.get(1))))
}

/// Tells the outbox `name` something, with what is left for it: the reply.
///
/// # Errors
/// What the runtime throws when it can't be reached or fails.
pub async fn tell(env: &JsValue, name: &str, message: &[u8]) -> Result<Vec<u8>, JsValue> {
    Ok(bytes_of(&answer_of(&tell_raw(env, name, message)?).await?))
}

/// Tells the outbox `name` several things at once, with what is left for it: the replies.
///
/// # Errors
/// What the runtime throws when it can't be reached or fails.
pub async fn tell_together(env: &JsValue, name: &str, messages: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, JsValue> {
    let messages: Array = messages.iter().map(|message| Uint8Array::from(message.as_slice())).collect();
    let replies = parts(tell_together_raw(env, name, &messages)?).await?;
    Ok(replies.iter().map(|reply| bytes_of(&reply)).collect())
}

/// Leaves a settle that asks for nothing for the outbox `name`: with another request, or until it has arrived.
///
/// # Errors
/// What the runtime throws when the outbox can't be reached or fails.
pub async fn leave(env: &JsValue, name: &str, message: &[u8]) -> Result<(), JsValue> {
    match leave_raw(env, name, message)? {
        Some(seen_to) => answer_of(&seen_to).await.map(drop),
        None => Ok(()),
    }
}

/// Calls an endpoint. `headers` is `{name: value}`, in JSON. Of the body at most `limit` bytes are read. The
/// answer is `[status, headers, truncated]` as a line of JSON, and after it the body.
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
) -> Result<Vec<u8>, JsValue> {
    let answer = answer_of(&call_endpoint_raw(url, method, headers, body, timeout_ms, limit)?).await?;
    Ok(bytes_of(&answer))
}

/// Reads a stream, `null` for none: at most `limit` bytes, and whether there was more.
///
/// # Errors
/// What the stream failed with.
pub async fn read_capped(stream: &JsValue, limit: u32) -> Result<(Vec<u8>, bool), JsValue> {
    let read = parts(read_capped_raw(stream, limit)?).await?;
    Ok((bytes_of(&read.get(0)), read.get(1).is_truthy()))
}

async fn parts(promise: Promise) -> Result<Array, JsValue> {
    Ok(answer_of(&promise).await?.unchecked_into())
}

fn status(answer: &Array) -> u16 {
    answer.get(0).as_f64().unwrap_or_default() as u16
}
