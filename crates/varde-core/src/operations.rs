//! Operational events: what people should hear about their workflows, as records of the workflow
//! [`WORKFLOW`], if they have made one. So they have signatures, retries and a log like any webhook.

use serde_json::{Map, Value, json};

use crate::time::UnixMs;

/// The id of the workflow that gets them. Nothing about itself is ever told.
pub const WORKFLOW: &str = "operations";

/// Something that people should hear about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happening<'a> {
    /// A delivery's window is used up.
    DeliveryExhausted {
        /// Which.
        delivery: &'a str,
        /// Its record.
        record: &'a str,
        /// A stable slug.
        reason: &'a str,
    },
    /// An endpoint is gone: its action was paused.
    ActionPaused {
        /// A stable slug.
        reason: &'a str,
    },
    /// An action has done nothing but fail for a day, or for half of its window; its deliveries go on being
    /// tried.
    ActionFailing,
    /// An action's circuit breaker has opened.
    BreakerOpen,
    /// It has closed: the endpoint answers again.
    ActionRecovering,
}

impl Happening<'_> {
    /// Its name in the event: a stable slug.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::DeliveryExhausted { .. } => "delivery.exhausted",
            Self::ActionPaused { .. } => "action.paused",
            Self::ActionFailing => "action.failing",
            Self::BreakerOpen => "breaker.open",
            Self::ActionRecovering => "action.recovering",
        }
    }

    /// What makes two events of one record the same, where each shard tells of one thing: the outbox of
    /// [`WORKFLOW`] takes it for an `Idempotency-Key`, so people hear of it once in 24 hours. `name` is an
    /// event's `type`.
    #[must_use]
    pub fn once(name: &str) -> Option<&'static str> {
        let failing = Self::ActionFailing.name();
        (name == failing).then_some(failing)
    }

    /// The enrollment's input: a record whose id is the subject's, and whose properties are the event.
    #[must_use]
    pub fn input(&self, workflow: &str, action: &str, at: UnixMs) -> Value {
        let mut event = Map::new();
        event.insert("type".to_owned(), json!(self.name()));
        event.insert("workflow".to_owned(), json!(workflow));
        event.insert("action".to_owned(), json!(action));
        event.insert("at".to_owned(), json!(at));
        let subject = match self {
            Self::DeliveryExhausted { delivery, record, reason } => {
                event.insert("delivery".to_owned(), json!(delivery));
                event.insert("record".to_owned(), json!(record));
                event.insert("reason".to_owned(), json!(reason));
                (*delivery).to_owned()
            }
            Self::ActionPaused { reason } => {
                event.insert("reason".to_owned(), json!(reason));
                format!("{workflow}/{action}")
            }
            Self::ActionFailing | Self::BreakerOpen | Self::ActionRecovering => {
                format!("{workflow}/{action}")
            }
        };
        json!({"record": {"id": subject, "properties": event}, "event": event})
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::EnrollmentInput;

    #[test]
    fn format_unchanged() {
        let exhausted =
            Happening::DeliveryExhausted { delivery: "dlv_1", record: "51", reason: "window_used_up" };
        let properties = r#"{"type":"delivery.exhausted","workflow":"ship","action":"tell","at":7,"delivery":"dlv_1","record":"51","reason":"window_used_up"}"#;
        assert_eq!(
            exhausted.input("ship", "tell", UnixMs(7)).to_string(),
            format!(r#"{{"record":{{"id":"dlv_1","properties":{properties}}},"event":{properties}}}"#)
        );
        let paused = Happening::ActionPaused { reason: "gone" }.input("ship", "tell", UnixMs(7));
        assert_eq!(
            (&paused["record"]["id"], &paused["event"]["reason"]),
            (&json!("ship/tell"), &json!("gone"))
        );
    }

    #[test]
    fn each_can_be_enrolled() {
        for happening in [
            Happening::DeliveryExhausted { delivery: "dlv_1", record: "51", reason: "window_used_up" },
            Happening::ActionPaused { reason: "gone" },
            Happening::ActionFailing,
            Happening::BreakerOpen,
            Happening::ActionRecovering,
        ] {
            let input = EnrollmentInput::parse(&happening.input("ship", "tell", UnixMs(7))).unwrap();
            assert_eq!(input.event().unwrap()["type"], happening.name());
        }
    }

    #[test]
    fn only_what_each_shard_tells_of_one_thing_is_told_once() {
        assert_eq!(Happening::once(Happening::ActionFailing.name()), Some("action.failing"));
        for often in [
            Happening::DeliveryExhausted { delivery: "dlv_1", record: "51", reason: "window_used_up" },
            Happening::ActionPaused { reason: "gone" },
            Happening::BreakerOpen,
            Happening::ActionRecovering,
        ] {
            assert_eq!(Happening::once(often.name()), None);
        }
    }
}
