//! Bodies, read up to a limit and not a byte further.

use wasm_bindgen::JsValue;
use web_sys::ReadableStream;
use worker::{Request, Result};

use crate::platform;

/// What was read.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Capped {
    /// At most as many bytes as the limit says.
    pub bytes: Vec<u8>,
    /// Whether there was more.
    pub truncated: bool,
}

/// Reads the body of a request that came in.
///
/// # Errors
/// When the connection breaks.
pub async fn read_request(request: &mut Request, limit: usize) -> Result<Capped> {
    let announced = request.headers().get("content-length")?.and_then(|text| text.parse::<usize>().ok());
    match announced {
        // One crossing into JavaScript instead of one for each chunk. The runtime holds a sender to the
        // length that it announced.
        Some(length) if length <= limit => Ok(Capped { bytes: request.bytes().await?, truncated: false }),
        Some(_) => Ok(Capped { bytes: Vec::new(), truncated: true }),
        None => Ok(read_stream(request.inner().body(), limit).await?),
    }
}

/// Reads a stream; what is beyond the limit is canceled, so that the other side can't go on sending.
///
/// # Errors
/// What the stream failed with: a broken connection, or the abort signal's reason.
pub async fn read_stream(
    stream: Option<ReadableStream>,
    limit: usize,
) -> std::result::Result<Capped, JsValue> {
    let limit = u32::try_from(limit).unwrap_or(u32::MAX);
    let (bytes, truncated) = platform::read_capped(&stream.map_or(JsValue::NULL, Into::into), limit).await?;
    Ok(Capped { bytes, truncated })
}
