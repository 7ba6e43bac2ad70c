//! A request as it came in, and as it is kept.

use std::collections::BTreeMap;
use std::fmt;
use std::str::{self, FromStr};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use varde_core::time::UnixMs;

/// Bytes of a body that are kept: enough to see what a webhook holds; a hundred of them are 6.4 MB.
pub const KEPT_BODY_BYTES: usize = 64 * 1024;

/// A request to a bin.
#[derive(Serialize, Deserialize)]
pub struct Arrival {
    /// As it was sent, not one of a list.
    pub method: String,
    /// All of it, as the runtime gives it.
    pub url: String,
    /// Lower-case names; the values of a repeated one are joined by commas.
    pub headers: BTreeMap<String, String>,
    /// The body.
    #[serde(flatten)]
    pub body: Body,
}

/// A body, cut and made fit for JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Body {
    /// The text; where the bytes are none, what can be read of them.
    #[serde(rename = "body")]
    text: String,
    /// The exact bytes, where they are no text.
    #[serde(rename = "body_base64", default, skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
    /// Whether there was more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
}

impl Body {
    /// The text, if it is all of the body and the body is text.
    pub fn whole_text(&self) -> Option<&str> {
        (!self.truncated && self.base64.is_none()).then_some(self.text.as_str())
    }

    /// Keeps the first [`KEPT_BODY_BYTES`] of `bytes`; `more` says that they aren't all of it.
    pub fn keep(bytes: &[u8], more: bool) -> Self {
        let kept = &bytes[..bytes.len().min(KEPT_BODY_BYTES)];
        let truncated = more || kept.len() < bytes.len();
        match str::from_utf8(kept) {
            Ok(text) => Self { text: text.to_owned(), base64: None, truncated },
            // The cut went through a character: a text all the same.
            Err(error) if truncated && error.error_len().is_none() => {
                let text = String::from_utf8_lossy(&kept[..error.valid_up_to()]).into_owned();
                Self { text, base64: None, truncated }
            }
            Err(_) => {
                let text = String::from_utf8_lossy(kept).into_owned();
                Self { text, base64: Some(BASE64_STANDARD.encode(kept)), truncated }
            }
        }
    }
}

/// A request as it is stored and shown.
#[derive(Serialize)]
pub struct Recorded {
    /// Its name within the bin.
    pub id: RequestId,
    /// When it came.
    pub at: UnixMs,
    /// What came.
    #[serde(flatten)]
    pub arrival: Arrival,
    /// The status that it was answered with.
    pub answered: u16,
}

/// The name of a request within its bin: `req_` and its number, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RequestId(pub u64);

/// A text that isn't the name of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected `req_` and a number")]
pub struct InvalidRequestId;

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "req_{}", self.0)
    }
}

impl FromStr for RequestId {
    type Err = InvalidRequestId;
    fn from_str(text: &str) -> Result<Self, InvalidRequestId> {
        // 15 digits stay below what JavaScript's numbers can count.
        let digits = text.strip_prefix("req_").filter(|digits| digits.len() <= 15);
        let digits = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
        digits.and_then(|digits| digits.parse().ok()).map(Self).ok_or(InvalidRequestId)
    }
}

impl TryFrom<String> for RequestId {
    type Error = InvalidRequestId;
    fn try_from(text: String) -> Result<Self, InvalidRequestId> {
        text.parse()
    }
}

impl From<RequestId> for String {
    fn from(id: RequestId) -> Self {
        id.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(text: &str, base64: Option<&str>, truncated: bool) -> Body {
        Body { text: text.to_owned(), base64: base64.map(str::to_owned), truncated }
    }

    #[test]
    fn a_text_is_kept_as_text() {
        for text in ["", "{}", "a\0b\u{7f}", "blåbær 🫐", "\u{feff}{}"] {
            assert_eq!(Body::keep(text.as_bytes(), false), kept(text, None, false));
        }
        assert_eq!(Body::keep(b"{", true), kept("{", None, true));
        assert_eq!(Body::keep(b"{}", false).whole_text(), Some("{}"));
        assert_eq!(
            (Body::keep(b"{", true).whole_text(), Body::keep(b"\xff", false).whole_text()),
            (None, None)
        );
    }

    #[test]
    fn bytes_are_kept_exactly_and_shown_as_far_as_they_can_be_read() {
        for (bytes, text, base64) in [
            (&b"\x00\xff"[..], "\0\u{fffd}", "AP8="),
            (b"name=\xe5se", "name=\u{fffd}se", "bmFtZT3lc2U="),
            // Not cut by us, so the unfinished character is the sender's.
            (b"bl\xc3", "bl\u{fffd}", "YmzD"),
        ] {
            assert_eq!(Body::keep(bytes, false), kept(text, Some(base64), false));
        }
        assert_eq!(Body::keep(b"\xff\xc3", true), kept("\u{fffd}\u{fffd}", Some("/8M="), true));
    }

    #[test]
    fn what_is_too_long_is_cut() {
        let whole = "x".repeat(KEPT_BODY_BYTES);
        assert_eq!(Body::keep(whole.as_bytes(), false), kept(&whole, None, false));
        assert_eq!(Body::keep(format!("{whole}y").as_bytes(), false), kept(&whole, None, true));
    }

    #[test]
    fn a_character_at_the_cut_is_left_out() {
        for (before, character) in [(1, "é"), (1, "€"), (2, "€"), (1, "🫐"), (3, "🫐")] {
            let text = "x".repeat(KEPT_BODY_BYTES - before);
            let body = format!("{text}{character}");
            assert_eq!(Body::keep(body.as_bytes(), false), kept(&text, None, true), "{before} {character}");
        }
        let mut bytes = vec![b'x'; KEPT_BODY_BYTES];
        bytes[KEPT_BODY_BYTES - 1] = 0xff;
        bytes.push(b'x');
        assert!(Body::keep(&bytes, false).base64.is_some(), "no cut makes this a character");
    }

    #[test]
    fn request_ids_are_read_as_written() {
        assert_eq!(RequestId(17).to_string(), "req_17");
        assert_eq!("req_17".parse(), Ok(RequestId(17)));
        for text in
            ["", "17", "req_", "req_-1", "req_+1", "req_1 ", "req_1e3", "REQ_1", "req_1234567890123456"]
        {
            assert_eq!(text.parse::<RequestId>(), Err(InvalidRequestId), "{text}");
        }
    }

    #[test]
    fn stored_request_format_unchanged() {
        let recorded = |body: Body| {
            let arrival = Arrival {
                method: "PROPFIND".to_owned(),
                url: "https://varde.example/inspect/ab/c?d".to_owned(),
                headers: [("accept".to_owned(), "*/*".to_owned()), ("x-a".to_owned(), "1, 2".to_owned())]
                    .into(),
                body,
            };
            let recorded =
                Recorded { id: RequestId(3), at: UnixMs(1_767_323_045_678), arrival, answered: 503 };
            serde_json::to_string(&recorded).unwrap()
        };
        assert_eq!(
            recorded(Body::keep(b"{\"a\":1}", false)),
            r#"{"id":"req_3","at":1767323045678,"method":"PROPFIND","url":"https://varde.example/inspect/ab/c?d","headers":{"accept":"*/*","x-a":"1, 2"},"body":"{\"a\":1}","answered":503}"#
        );
        assert_eq!(
            recorded(Body::keep(b"\xff", true)),
            r#"{"id":"req_3","at":1767323045678,"method":"PROPFIND","url":"https://varde.example/inspect/ab/c?d","headers":{"accept":"*/*","x-a":"1, 2"},"body":"�","body_base64":"/w==","truncated":true,"answered":503}"#
        );
    }
}
