//! What is said between the edge and a trigger's events. It crosses versions of the Worker while a deploy
//! rolls out, so `protocol_format_unchanged` pins it.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use varde_core::ids::EnrollmentId;
use varde_core::time::UnixMs;

use crate::inspector_do::arrival::Body;

/// A call to a trigger's events. None of these types has a `Debug`: events are other people's data.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TriggerEventsCall {
    /// Keep an event; answered by [`Kept`].
    Keep(Keep),
    /// The events, newest first; answered by a list of [`KeptEvent`].
    List {},
    /// Forget all events; answered by whether there were any.
    Forget {},
}

/// An event to keep.
#[derive(Serialize, Deserialize)]
pub struct Keep {
    /// It.
    pub event: Event,
    /// Whether it is kept only if none of its kind (taken or refused) was within the last second.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub spaced: bool,
}

/// What came, and how it was answered.
#[derive(Serialize, Deserialize)]
pub struct Event {
    /// The status of the answer.
    pub status: u16,
    /// Why it was refused: a stable slug.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The same in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The enrollments that came of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub enrollments: Vec<EnrollmentId>,
    /// Lower-case names; keys are masked.
    pub headers: BTreeMap<String, String>,
    /// The first 64 KiB of the body.
    #[serde(flatten)]
    pub body: Body,
}

/// An event as it is stored and shown.
#[derive(Serialize, Deserialize)]
pub struct KeptEvent {
    /// Its name within the trigger.
    pub id: EventId,
    /// When it came.
    pub at: UnixMs,
    /// What came.
    #[serde(flatten)]
    pub event: Event,
}

/// The answer to [`TriggerEventsCall::Keep`].
#[derive(Serialize, Deserialize)]
pub struct Kept {
    /// The event's name, unless it came too soon after another.
    pub id: Option<EventId>,
}

/// The name of an event within its trigger: `evt_` and its number, counted from 1.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EventId(pub u64);

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "evt_{}", self.0)
    }
}

impl TryFrom<String> for EventId {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, &'static str> {
        let digits = text.strip_prefix("evt_").filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
        digits.and_then(|digits| digits.parse().ok()).map(Self).ok_or("expected `evt_` and a number")
    }
}

impl From<EventId> for String {
    fn from(id: EventId) -> Self {
        id.to_string()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(status: u16) -> Event {
        Event {
            status,
            reason: None,
            detail: None,
            enrollments: Vec::new(),
            headers: BTreeMap::new(),
            body: Body::keep(b"{}", false),
        }
    }

    #[test]
    fn protocol_format_unchanged() {
        let refused = Event {
            reason: Some("stale".to_owned()),
            detail: Some("too old".to_owned()),
            headers: [("a".to_owned(), "b".to_owned())].into(),
            ..event(401)
        };
        let enrolled =
            Event { enrollments: vec!["enr_01kdyak3sejrt5cy4tqkff0492".parse().unwrap()], ..event(202) };
        for (message, pinned) in [
            (
                json!(TriggerEventsCall::Keep(Keep { event: refused, spaced: true })),
                r#"{"keep":{"event":{"status":401,"reason":"stale","detail":"too old","headers":{"a":"b"},"body":"{}"},"spaced":true}}"#,
            ),
            (
                json!(TriggerEventsCall::Keep(Keep { event: event(202), spaced: false })),
                r#"{"keep":{"event":{"status":202,"headers":{},"body":"{}"}}}"#,
            ),
            (json!(TriggerEventsCall::List {}), r#"{"list":{}}"#),
            (json!(TriggerEventsCall::Forget {}), r#"{"forget":{}}"#),
            (
                json!(KeptEvent { id: EventId(7), at: UnixMs(9), event: enrolled }),
                r#"{"id":"evt_7","at":9,"status":202,"enrollments":["enr_01kdyak3sejrt5cy4tqkff0492"],"headers":{},"body":"{}"}"#,
            ),
            (json!(Kept { id: Some(EventId(7)) }), r#"{"id":"evt_7"}"#),
            (json!(Kept { id: None }), r#"{"id":null}"#),
        ] {
            assert_eq!(message.to_string(), pinned);
        }
        let read: KeptEvent =
            serde_json::from_str(r#"{"id":"evt_7","at":9,"status":202,"headers":{},"body":"{}"}"#).unwrap();
        assert!(read.id == EventId(7) && read.event.status == 202);
    }

    #[test]
    fn refuses_what_is_not_an_event_id() {
        for text in ["", "evt_", "evt_-1", "evt_+1", "req_1", "evt_99999999999999999999"] {
            assert!(EventId::try_from(text.to_owned()).is_err(), "{text}");
        }
    }
}
