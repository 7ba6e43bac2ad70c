//! Bodies, read up to a limit and not a byte further.

use js_sys::{Reflect, Uint8Array};
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{ReadableStream, ReadableStreamDefaultReader};
use worker::{Request, Result};

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
    let mut capped = Capped::default();
    let Some(stream) = stream else { return Ok(capped) };
    let reader: ReadableStreamDefaultReader = stream.get_reader().unchecked_into();
    loop {
        let read = JsFuture::from(reader.read()).await?;
        if Reflect::get(&read, &JsValue::from_str("done"))?.is_truthy() {
            return Ok(capped);
        }
        let chunk: Uint8Array = Reflect::get(&read, &JsValue::from_str("value"))?.unchecked_into();
        let room = limit - capped.bytes.len();
        let taken = chunk.length().min(u32::try_from(room).unwrap_or(u32::MAX));
        let start = capped.bytes.len();
        capped.bytes.resize(start + taken as usize, 0);
        chunk.subarray(0, taken).copy_to(&mut capped.bytes[start..]);
        if taken < chunk.length() {
            capped.truncated = true;
            // The answer doesn't matter: whether it hears of it or not, nothing more is read.
            let _ = reader.cancel();
            return Ok(capped);
        }
    }
}
