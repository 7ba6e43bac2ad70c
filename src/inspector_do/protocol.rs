//! What is said between the edge and a bin. It crosses versions of the Worker while a deploy rolls out, so
//! `protocol_format_unchanged` pins it.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::arrival::{Arrival, RequestId};
use super::script::Script;

/// The name of a bin: 128 random bits, written as 32 hexadecimal digits. Who knows it can write to the bin,
/// so it has no `Debug` that could bring it into a log.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct BinId(u128);

/// A text that isn't the name of a bin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected 32 lower-case hexadecimal digits")]
pub struct InvalidBinId;

impl BinId {
    /// Makes a name out of 128 random bits.
    pub const fn mint(dice: u128) -> Self {
        Self(dice)
    }
}

impl fmt::Display for BinId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl FromStr for BinId {
    type Err = InvalidBinId;
    fn from_str(text: &str) -> Result<Self, InvalidBinId> {
        // One spelling only: another one would name another object.
        let digits = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if text.len() != 32 || !digits {
            return Err(InvalidBinId);
        }
        u128::from_str_radix(text, 16).map(Self).map_err(|_| InvalidBinId)
    }
}

/// A call to a bin. Each but `Create` is answered by `null` or `false` where there is no such bin, and then
/// has written nothing.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InspectorCall {
    /// Begin to exist; answered by `true`.
    Create {},
    /// Keep a request; answered by an [`Answer`].
    Record(Arrival),
    /// One page of requests, newest first; answered by the list as the API gives it.
    Requests {
        /// Only those that came before this one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        before: Option<RequestId>,
        /// Most items.
        limit: u64,
    },
    /// Answer like this from now on; answered by `true`.
    Script(Script),
    /// Cease to exist; answered by `true`.
    Delete {},
}

/// How the edge answers a recorded request.
#[derive(Serialize, Deserialize)]
pub struct Answer {
    /// 200 to 599.
    pub status: u16,
    /// Checked when they were scripted.
    pub headers: BTreeMap<String, String>,
    /// Empty where the status allows none.
    pub body: String,
    /// How long the edge waits first. Not the bin, so that a slow one still records what else comes.
    pub delay_ms: u64,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::inspector_do::arrival::Body;

    #[test]
    fn bin_id_format_unchanged() {
        let id = BinId::mint(0x0123_4567_89ab_cdef_0011_2233_4455_6677);
        assert_eq!(id.to_string(), "0123456789abcdef0011223344556677");
        assert!(id.to_string().parse() == Ok(id));
        assert_eq!(BinId::mint(0).to_string().len(), 32);
    }

    #[test]
    fn refuses_what_is_not_a_bin_id() {
        let digits = "0123456789abcdef0011223344556677";
        for text in [
            "",
            "x",
            &digits[1..],
            &format!("{digits}0"),
            &digits.to_uppercase(),
            &digits.replace('0', "+"),
            &format!("{}é", &digits[2..]),
            &format!("{}/", &digits[1..]),
        ] {
            assert!(text.parse::<BinId>().is_err(), "{text}");
        }
    }

    #[test]
    fn protocol_format_unchanged() {
        let arrival = Arrival {
            method: "POST".to_owned(),
            url: "https://varde.example/inspect/ab".to_owned(),
            headers: [("a".to_owned(), "b".to_owned())].into(),
            body: Body::keep(b"{}", false),
        };
        let answer = Answer { status: 200, headers: BTreeMap::new(), body: String::new(), delay_ms: 5 };
        for (call, pinned) in [
            (json!(InspectorCall::Create {}), r#"{"create":{}}"#),
            (
                json!(InspectorCall::Record(arrival)),
                r#"{"record":{"method":"POST","url":"https://varde.example/inspect/ab","headers":{"a":"b"},"body":"{}"}}"#,
            ),
            (
                json!(InspectorCall::Requests { before: Some(RequestId(7)), limit: 100 }),
                r#"{"requests":{"before":"req_7","limit":100}}"#,
            ),
            (json!(InspectorCall::Requests { before: None, limit: 1 }), r#"{"requests":{"limit":1}}"#),
            (
                json!(InspectorCall::Script(Script::default())),
                r#"{"script":{"status":200,"headers":{},"body":"","delay_ms":0,"fail_first":0}}"#,
            ),
            (json!(InspectorCall::Delete {}), r#"{"delete":{}}"#),
            (json!(answer), r#"{"status":200,"headers":{},"body":"","delay_ms":5}"#),
        ] {
            assert_eq!(call.to_string(), pinned);
        }
    }
}
