//! The outbound `fetch`, within its limits: one deadline for everything, a cap on the body, no redirects.

use js_sys::{Array, Uint8Array};
use varde_core::auth::Outgoing;
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{AbortSignal, Headers, RequestInit, RequestRedirect, Response, WorkerGlobalScope};

use crate::ambient;
use crate::body::{self, Capped};

/// Decoded response body that is read; the rest is dropped and the connection closed.
const MAX_BODY_BYTES: usize = 1024 * 1024;

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
    let init = init_of(outgoing, timeout_ms).map_err(failure)?;
    let scope: WorkerGlobalScope = js_sys::global().unchecked_into();
    let promise = scope.fetch_with_str_and_init(&outgoing.url, &init);
    let response: Response = JsFuture::from(promise).await.map_err(failure)?.unchecked_into();
    let headers = headers_of(&response);
    let body = body::read_stream(response.body(), MAX_BODY_BYTES).await.map_err(failure)?;
    Ok(Answer { status: response.status(), headers, body })
}

fn init_of(outgoing: &Outgoing<'_>, timeout_ms: u64) -> Result<RequestInit, JsValue> {
    let headers = Headers::new()?;
    for (name, value) in &outgoing.headers {
        headers.set(name, value)?;
    }
    let init = RequestInit::new();
    init.set_method(outgoing.method.as_str());
    init.set_headers(&headers);
    init.set_redirect(RequestRedirect::Manual);
    init.set_signal(Some(&AbortSignal::timeout_with_u32(u32::try_from(timeout_ms).unwrap_or(u32::MAX))));
    if !outgoing.body.is_empty() {
        // Bytes and not a text: a text body would bring a content type of its own.
        init.set_body(&Uint8Array::from(outgoing.body.as_bytes()));
    }
    Ok(init)
}

fn headers_of(response: &Response) -> Vec<(String, String)> {
    let pairs = Array::from(&response.headers());
    pairs
        .iter()
        .filter_map(|pair| {
            let pair: Array = pair.unchecked_into();
            Some((pair.get(0).as_string()?.to_ascii_lowercase(), pair.get(1).as_string()?))
        })
        .collect()
}
