//! An entry of a HAR file (HTTP Archive 1.2), as browsers' tools copy it, or the first of a whole file.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::{At, Fault, Pasted};
use crate::json::{self, ParseError};

/// Reads the JSON that starts at `start`.
pub(super) fn read(text: &str, start: usize) -> Result<Pasted, At> {
    let value = json::parse_foreign(&text.as_bytes()[start..]).map_err(|error| {
        let (line, column) = match &error {
            ParseError::Malformed { line, column, .. }
            | ParseError::TooDeep { line, column }
            | ParseError::DuplicateKey { line, column, .. } => (*line, *column),
        };
        let reason = match error {
            ParseError::Malformed { reason, .. } => reason,
            ParseError::TooDeep { .. } => format!("nested more than {} levels deep", json::MAX_DEPTH),
            ParseError::DuplicateKey { key, .. } => format!("key {key:?} appears twice"),
        };
        (offset(text, start, line, column), Fault::Json { reason })
    })?;
    // Everything below is about the whole: a place in the JSON isn't kept.
    let request = find(&value).ok_or((start, Fault::NoEntry))?;
    request_of(request).map_err(|fault| (start, fault))
}

/// The byte that the parser's line and column (in bytes) mean.
fn offset(text: &str, start: usize, line: usize, column: usize) -> usize {
    let lines = text[start..].split_inclusive('\n').take(line.saturating_sub(1));
    let mut at = start + lines.map(str::len).sum::<usize>() + column.saturating_sub(1);
    while !text.is_char_boundary(at) && at < text.len() {
        at += 1;
    }
    at.min(text.len())
}

fn find(value: &Value) -> Option<&Value> {
    let value = value.as_array().and_then(|list| list.first()).unwrap_or(value);
    let value = value.pointer("/log/entries/0").or_else(|| value.pointer("/entries/0")).unwrap_or(value);
    let request = value.get("request").unwrap_or(value);
    request.get("url").and(request.get("method")).map(|_| request)
}

fn request_of(request: &Value) -> Result<Pasted, Fault> {
    let text = |field: &'static str| {
        let text = request[field].as_str().map(str::to_owned);
        text.ok_or(Fault::Field { field, expected: "a string" })
    };
    let wrong = || Fault::Field { field: "headers", expected: "a list of `{\"name\", \"value\"}`" };
    let mut headers = Vec::new();
    for header in request.get("headers").map_or(Some(&Vec::new()), Value::as_array).ok_or_else(wrong)? {
        let name = header["name"].as_str().ok_or_else(wrong)?;
        let value = header["value"].as_str().ok_or_else(wrong)?;
        // HTTP/2's `:path` and its like are in the URL already.
        if !name.starts_with(':') {
            headers.push((name.to_owned(), value.to_owned()));
        }
    }
    let body = match request.get("postData") {
        None | Some(Value::Null) => Vec::new(),
        Some(data) => body_of(data)?,
    };
    Ok(Pasted { method: text("method")?, url: text("url")?, headers, body })
}

fn body_of(data: &Value) -> Result<Vec<u8>, Fault> {
    if let Some(text) = data["text"].as_str() {
        return match data["encoding"].as_str() {
            Some("base64") => STANDARD
                .decode(text)
                .map_err(|_| Fault::Field { field: "postData", expected: "base64, as its `encoding` says" }),
            _ => Ok(text.as_bytes().to_vec()),
        };
    }
    if data["mimeType"].as_str().is_some_and(|kind| kind.starts_with("multipart/")) {
        return Err(Fault::Multipart { option: "postData.params".to_owned() });
    }
    let mut form = form_urlencoded::Serializer::new(String::new());
    for parameter in data["params"].as_array().into_iter().flatten() {
        form.append_pair(
            parameter["name"].as_str().unwrap_or_default(),
            parameter["value"].as_str().unwrap_or_default(),
        );
    }
    Ok(form.finish().into_bytes())
}
