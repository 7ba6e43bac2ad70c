//! Bodies, read up to a limit and not a byte further.

use wasm_bindgen::JsValue;
use web_sys::{ReadableStream, Request};
use worker::Result;

use crate::platform;
use crate::tasks::answer_of;

/// What was read.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Capped {
    /// At most as many bytes as the limit says.
    pub bytes: Vec<u8>,
    /// Whether there was more.
    pub truncated: bool,
}

/// Reads the body of a request that came in, with as many bytes as were announced, where they were.
///
/// # Errors
/// When the connection breaks.
pub async fn read_request(request: &Request, announced: Option<usize>, limit: usize) -> Result<Capped> {
    match announced {
        // One crossing into JavaScript instead of one for each chunk. The runtime holds a sender to the
        // length that it announced.
        Some(length) if length <= limit => {
            let whole = answer_of(&request.array_buffer()?).await?;
            Ok(Capped { bytes: platform::bytes_of(&whole), truncated: false })
        }
        Some(_) => Ok(Capped { bytes: Vec::new(), truncated: true }),
        None => Ok(read_stream(request.body(), limit).await?),
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
