//! The outbound `fetch`, within its limits: one deadline for everything, a cap on the body, no redirects.

use varde_core::auth::Outgoing;
use wasm_bindgen::JsValue;

use crate::body::Capped;
use crate::{ambient, platform};

/// Decoded response body that is read; the rest is dropped and the connection closed.
const MAX_BODY_BYTES: u32 = 1024 * 1024;

/// What an endpoint answered.
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Lower-case names, in the runtime's order.
    pub headers: Vec<(String, String)>,
    /// The body, up to the limit.
    pub body: Capped,
}

impl Answer {
    /// The value of a header, by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The deadline came first.
    Timeout,
    /// The connection failed: refused, reset, DNS, TLS.
    Connect,
}

/// Calls the endpoint. The whole of it, body included, ends at `timeout_ms`.
///
/// # Errors
/// [`Failure`] when no full answer came in time.
pub async fn call(outgoing: &Outgoing<'_>, timeout_ms: u64) -> Result<Answer, Failure> {
    let deadline = ambient::now().plus_ms(timeout_ms);
    // A failure at or after the deadline is the deadline's, whatever name the runtime gives it.
    let failure = |error: JsValue| {
        let timed_out = js_sys::Reflect::get(&error, &JsValue::from_str("name")).is_ok_and(|name| {
            name.as_string().is_some_and(|name| name == "TimeoutError" || name == "AbortError")
        });
        if timed_out || ambient::now() >= deadline { Failure::Timeout } else { Failure::Connect }
    };
    let headers = platform::headers_json(&outgoing.headers).map_err(|_| Failure::Connect)?;
    let body = outgoing.body.as_bytes();
    let answer = platform::call_endpoint(
        &outgoing.url,
        outgoing.method.as_str(),
        &headers,
        body,
        u32::try_from(timeout_ms).unwrap_or(u32::MAX),
        MAX_BODY_BYTES,
    );
    let mut answer = answer.await.map_err(failure)?;
    // It is always there.
    let end_of_head = answer.iter().position(|byte| *byte == b'\n').unwrap_or(answer.len());
    let (status, mut headers, truncated): (u16, Vec<(String, String)>, bool) =
        serde_json::from_slice(&answer[..end_of_head]).map_err(|_| Failure::Connect)?;
    for (name, _) in &mut headers {
        name.make_ascii_lowercase();
    }
    answer.drain(..answer.len().min(end_of_head + 1));
    Ok(Answer { status, headers, body: Capped { bytes: answer, truncated } })
}
