//! From an event to records: fields are picked by their pointers and made into values of their types.
//!
//! | type | takes | becomes |
//! |---|---|---|
//! | string | strings, numbers, booleans | a string |
//! | number | numbers, strings that are one in JSON's spelling | a number |
//! | boolean | booleans, `"true"` and `"false"` in any case, 0 and 1 | a boolean |
//! | date | see [`super::moment`] | midnight UTC, Unix milliseconds |
//! | datetime | the same | Unix milliseconds |
//! | enumeration | strings, numbers, booleans, and lists of them | a string, the values of a list joined by `;` |
//!
//! What isn't there, is null, or is an empty string where the type isn't string, is unset: it becomes no
//! property. Anything else is a mistake, and an event with mistakes enrolls nothing.

use serde::Serialize;
use serde_json::{Map, Value};

use super::moment;
use crate::json::{self, Mistake, Node};
use crate::outputs::{MAX_POINTER, is_pointer};
use crate::record::{EnrollmentInput, MAX_ID};

/// Most fields that a trigger maps; more than any form or order has.
pub const MAX_FIELDS: usize = 200;

/// Most events in one request; HubSpot sends up to 100 in a list.
pub const MAX_EVENTS: usize = 100;

/// Longest label, in characters; it is shown on one line.
const MAX_LABEL: usize = 200;

/// Longest text of a value that a mistake quotes.
const MAX_QUOTED: usize = 60;

/// A field of an event, and the property that it becomes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Field {
    pointer: String,
    property: String,
    #[serde(rename = "type")]
    kind: PropertyType,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<String>,
}

/// What a field becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PropertyType {
    /// A string.
    String,
    /// A number.
    Number,
    /// True or false.
    Boolean,
    /// A day: midnight UTC in Unix milliseconds.
    Date,
    /// A point in time in Unix milliseconds.
    Datetime,
    /// One of some values, or several joined by `;` as HubSpot has it.
    Enumeration,
}

impl Field {
    pub(super) fn read(node: Node<'_>) -> Option<Self> {
        let fields = node.fields(&["pointer", "property", "type", "label"])?;
        let pointer = fields.need("pointer", |node| {
            let pointer = node.text(0..=MAX_POINTER)?;
            // The event itself is no value of any type.
            if is_pointer(pointer) && !pointer.is_empty() {
                return Some(pointer.to_owned());
            }
            node.mistake("expected a JSON Pointer below the event, e.g. `/order/id` (RFC 6901)");
            None
        });
        let property =
            fields.need("property", |node| node.text(1..=crate::expr::MAX_NAME).map(str::to_owned));
        let kind = fields.need("type", |node| {
            node.word(&[
                ("string", PropertyType::String),
                ("number", PropertyType::Number),
                ("boolean", PropertyType::Boolean),
                ("date", PropertyType::Date),
                ("datetime", PropertyType::Datetime),
                ("enumeration", PropertyType::Enumeration),
            ])
        });
        let label = fields.maybe("label", |node| node.text(1..=MAX_LABEL).map(str::to_owned));
        Some(Self { pointer: pointer?, property: property?, kind: kind?, label: label? })
    }

    /// Where it is in the event: a JSON Pointer.
    #[must_use]
    pub fn pointer(&self) -> &str {
        &self.pointer
    }

    /// The property that it becomes.
    #[must_use]
    pub fn property(&self) -> &str {
        &self.property
    }

    /// What it becomes.
    #[must_use]
    pub const fn kind(&self) -> PropertyType {
        self.kind
    }
}

impl PropertyType {
    /// Whether a record's id can be of this type.
    #[must_use]
    pub const fn can_be_an_id(self) -> bool {
        matches!(self, Self::String | Self::Number | Self::Enumeration)
    }

    /// Makes a value of this type; `None` where the field is unset.
    fn convert(self, found: &Value) -> Result<Option<Value>, String> {
        match found {
            Value::Null => return Ok(None),
            Value::String(text) if text.trim().is_empty() && self != Self::String => return Ok(None),
            _ => {}
        }
        let value = match self {
            Self::String => scalar_text(found).map(Value::String),
            Self::Number => number(found),
            Self::Boolean => boolean(found).map(Value::Bool),
            Self::Date => moment::date(found).map(Value::from),
            Self::Datetime => moment::datetime(found).map(Value::from),
            Self::Enumeration => enumeration(found).map(Value::String),
        };
        value.map(Some).ok_or_else(|| format!("expected {}, found {}", self.expected(), quoted(found)))
    }

    const fn expected(self) -> &'static str {
        match self {
            Self::String => "a string, a number, true or false",
            Self::Number => "a number",
            Self::Boolean => "true or false",
            Self::Date => "a date (ISO 8601, or Unix time in seconds or milliseconds)",
            Self::Datetime => "a time (ISO 8601, or Unix time in seconds or milliseconds)",
            Self::Enumeration => "a value or a list of values",
        }
    }
}

fn scalar_text(found: &Value) -> Option<String> {
    match found {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(found.to_string()),
        _ => None,
    }
}

fn number(found: &Value) -> Option<Value> {
    match found {
        Value::Number(_) => Some(found.clone()),
        Value::String(text) => json::from_text(text.trim()).ok().filter(Value::is_number),
        _ => None,
    }
}

fn boolean(found: &Value) -> Option<bool> {
    match found {
        Value::Bool(flag) => Some(*flag),
        Value::Number(number) => match number.as_u64() {
            Some(0) => Some(false),
            Some(1) => Some(true),
            _ => None,
        },
        Value::String(text) => match text.trim().to_ascii_lowercase().as_str() {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

fn enumeration(found: &Value) -> Option<String> {
    match found {
        Value::Array(items) => Some(items.iter().map(scalar_text).collect::<Option<Vec<_>>>()?.join(";")),
        scalar => scalar_text(scalar),
    }
}

fn quoted(found: &Value) -> String {
    match found {
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        scalar => {
            let text = scalar.to_string();
            text.char_indices()
                .nth(MAX_QUOTED)
                .map_or_else(|| text.clone(), |(end, _)| format!("{}…", &text[..end]))
        }
    }
}

/// How a published trigger makes records.
#[derive(Debug, Clone, Copy)]
pub struct Published<'a> {
    pub(super) mapping: &'a [Field],
    pub(super) match_property: &'a str,
}

/// Why an event enrolls nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unmappable {
    /// An empty list.
    #[error("the list holds no event")]
    NoEvent,
    /// A list that is too long.
    #[error("a list may hold at most {MAX_EVENTS} events, found {found}")]
    TooManyEvents {
        /// How many.
        found: usize,
    },
    /// The field that says which record it is holds nothing; there may be other mistakes, too.
    #[error("no value at the match field; {}", listed(.mistakes))]
    NoMatch {
        /// Where and what.
        mistakes: Vec<Mistake>,
    },
    /// Fields that can't be what they are mapped to.
    #[error("{}", listed(.mistakes))]
    InvalidFields {
        /// Where and what.
        mistakes: Vec<Mistake>,
    },
}

fn listed(mistakes: &[Mistake]) -> String {
    mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl Unmappable {
    /// A stable slug for answers and the list of events.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoEvent => "no_event",
            Self::TooManyEvents { .. } => "too_many_events",
            Self::NoMatch { .. } => "no_match_value",
            Self::InvalidFields { .. } => "invalid_fields",
        }
    }

    /// What is wrong at which place of the event.
    #[must_use]
    pub fn mistakes(&self) -> Vec<Mistake> {
        match self {
            Self::NoMatch { mistakes } | Self::InvalidFields { mistakes } => mistakes.clone(),
            whole => vec![Mistake { pointer: String::new(), message: whole.to_string() }],
        }
    }
}

impl Published<'_> {
    /// The enrollments of what was received: one, or one for each event of a list, as HubSpot sends them. The
    /// pointers of the mapping then count from each event.
    ///
    /// # Errors
    ///
    /// [`Unmappable`] with all mistakes at once; one wrong event holds up the list, so that whoever sends
    /// it again sends all of it.
    pub fn enrollments(&self, body: &Value) -> Result<Vec<EnrollmentInput>, Unmappable> {
        let Value::Array(events) = body else { return Ok(vec![self.collect(&[("", body)])?.remove(0)]) };
        match events.len() {
            0 => Err(Unmappable::NoEvent),
            found if found > MAX_EVENTS => Err(Unmappable::TooManyEvents { found }),
            count => {
                let places: Vec<String> = (0..count).map(|at| format!("/{at}")).collect();
                self.collect(&places.iter().map(String::as_str).zip(events).collect::<Vec<_>>())
            }
        }
    }

    fn collect(&self, events: &[(&str, &Value)]) -> Result<Vec<EnrollmentInput>, Unmappable> {
        let mut outcome = Reading::default();
        let inputs: Vec<_> =
            events.iter().filter_map(|(place, event)| self.read(place, event, &mut outcome)).collect();
        let Reading { mut mistakes, no_match } = outcome;
        mistakes.truncate(json::MAX_MISTAKES);
        if no_match {
            Err(Unmappable::NoMatch { mistakes })
        } else if !mistakes.is_empty() || inputs.len() != events.len() {
            Err(Unmappable::InvalidFields { mistakes })
        } else {
            Ok(inputs)
        }
    }

    fn read(&self, place: &str, event: &Value, outcome: &mut Reading) -> Option<EnrollmentInput> {
        let mut properties = Map::new();
        let mut id = None;
        let before = outcome.mistakes.len();
        for field in self.mapping {
            let is_match = field.property == self.match_property;
            let mut mistake = |message: String| {
                outcome.mistakes.push(Mistake { pointer: format!("{place}{}", field.pointer), message });
            };
            let value =
                match event.pointer(&field.pointer).map_or(Ok(None), |found| field.kind.convert(found)) {
                    Ok(value) => value,
                    Err(message) => {
                        mistake(message);
                        continue;
                    }
                };
            if is_match {
                match value.as_ref().map(id_of) {
                    None | Some(Ok(None)) => {
                        mistake(format!(
                            "there is no value here, and `{}` says which record it is",
                            field.property
                        ));
                        outcome.no_match = true;
                    }
                    Some(Ok(found)) => id = found,
                    Some(Err(message)) => mistake(message),
                }
            }
            if let Some(value) = value {
                properties.insert(field.property.clone(), value);
            }
        }
        if outcome.mistakes.len() > before {
            return None;
        }
        let input = serde_json::json!({"record": {"id": id?, "properties": properties}, "event": properties});
        match EnrollmentInput::parse(&input) {
            Ok(input) => Some(input),
            Err(mistakes) => {
                // Of the input, not of the event, but the words are right.
                outcome.mistakes.extend(
                    mistakes.into_iter().map(|mistake| Mistake { pointer: place.to_owned(), ..mistake }),
                );
                None
            }
        }
    }
}

#[derive(Default)]
struct Reading {
    mistakes: Vec<Mistake>,
    no_match: bool,
}

/// The id in a match property; `None` in an empty text.
fn id_of(value: &Value) -> Result<Option<String>, String> {
    match value {
        Value::String(text) if text.trim().is_empty() => Ok(None),
        Value::String(text) => match text.chars().count() {
            found if found > MAX_ID => {
                Err(format!("a record's id has at most {MAX_ID} characters, found {found}"))
            }
            _ if text.chars().any(char::is_control) => {
                Err("a record's id holds no control characters".to_owned())
            }
            _ => Ok(Some(text.clone())),
        },
        Value::Number(number) if number.is_u64() || number.is_i64() => Ok(Some(number.to_string())),
        other => Err(format!("a record's id is a whole number or a text, found {}", quoted(other))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::arbitrary::json_value;
    use crate::inbound::{State, Trigger};

    const TYPES: [(&str, PropertyType); 6] = [
        ("string", PropertyType::String),
        ("number", PropertyType::Number),
        ("boolean", PropertyType::Boolean),
        ("date", PropertyType::Date),
        ("datetime", PropertyType::Datetime),
        ("enumeration", PropertyType::Enumeration),
    ];

    fn trigger(mapping: &[(&str, &str, &str)], match_property: &str) -> Trigger {
        let mapping: Vec<Value> = mapping
            .iter()
            .map(|(pointer, property, kind)| json!({"pointer": pointer, "property": property, "type": kind}))
            .collect();
        let value = json!({"name": "T", "mapping": mapping, "match": match_property, "state": "published"});
        Trigger::parse(&value, State::Listening).unwrap()
    }

    fn mapped(trigger: &Trigger, event: &Value) -> Result<Vec<EnrollmentInput>, (&'static str, Vec<String>)> {
        trigger
            .published()
            .unwrap()
            .enrollments(event)
            .map_err(|error| (error.code(), error.mistakes().iter().map(ToString::to_string).collect()))
    }

    #[test]
    fn values_become_what_they_are_mapped_to() {
        let cases = [
            ("string", json!("a b "), json!("a b ")),
            ("string", json!(""), json!("")),
            ("string", json!(1.5), json!("1.5")),
            ("string", json!(true), json!("true")),
            ("number", json!(18_446_744_073_709_551_615_u64), json!(18_446_744_073_709_551_615_u64)),
            ("number", json!(5.0), json!(5.0)),
            ("number", json!(" -1.5e3 "), json!(-1500.0)),
            ("number", json!("42"), json!(42)),
            ("boolean", json!(false), json!(false)),
            ("boolean", json!("TRUE"), json!(true)),
            ("boolean", json!(0), json!(false)),
            ("boolean", json!(1), json!(true)),
            ("date", json!("2026-01-02T23:00:00-05:00"), json!(1_767_312_000_000_u64)),
            ("date", json!(1_767_323_045), json!(1_767_312_000_000_u64)),
            ("date", json!("1969-12-31"), json!(-86_400_000)),
            ("datetime", json!("2026-01-02T03:04:05+01:00"), json!(1_767_319_445_000_u64)),
            ("datetime", json!("1767323045678"), json!(1_767_323_045_678_u64)),
            ("enumeration", json!("paid"), json!("paid")),
            ("enumeration", json!(3), json!("3")),
            ("enumeration", json!(["a", 2, true]), json!("a;2;true")),
            ("enumeration", json!([]), json!("")),
        ];
        for (kind, found, expected) in cases {
            let trigger = trigger(&[("/id", "id", "string"), ("/v", "v", kind)], "id");
            let input = mapped(&trigger, &json!({"id": "1", "v": found})).unwrap().remove(0);
            assert_eq!(input.record().properties()["v"], expected, "{kind} {found}");
            assert_eq!(input.event().unwrap(), input.record().properties());
        }
    }

    #[test]
    fn what_is_unset_becomes_no_property() {
        for (kind, _) in TYPES {
            let trigger = trigger(&[("/id", "id", "number"), ("/v/w", "v", kind)], "id");
            for event in [json!({"id": 1}), json!({"id": 1, "v": 5}), json!({"id": 1, "v": {"w": null}})] {
                let input = mapped(&trigger, &event).unwrap().remove(0);
                assert_eq!(
                    serde_json::to_string(&input).unwrap(),
                    r#"{"record":{"id":"1","properties":{"id":1}},"event":{"id":1}}"#
                );
            }
            let empty = mapped(&trigger, &json!({"id": 1, "v": {"w": " "}})).unwrap().remove(0);
            assert_eq!(empty.record().properties().contains_key("v"), kind == "string");
        }
    }

    #[test]
    fn other_values_are_mistakes_with_their_places() {
        let kinds = ["number", "boolean", "date", "datetime"];
        let mapping: Vec<(String, &str)> = kinds.iter().map(|kind| (format!("/{kind}"), *kind)).collect();
        let mut mapping: Vec<(&str, &str, &str)> =
            mapping.iter().map(|(pointer, kind)| (pointer.as_str(), *kind, *kind)).collect();
        mapping.extend([("/id", "id", "string"), ("/list/0", "e", "enumeration"), ("/a~1b", "s", "string")]);
        let event = json!({
            "id": "1", "number": "five", "boolean": 2, "date": "x".repeat(80), "datetime": {}, "list": [[["x"]]],
            "a/b": ["s"],
        });
        let long = format!("\"{}…", "x".repeat(59));
        assert_eq!(
            mapped(&trigger(&mapping, "id"), &event).unwrap_err(),
            ("invalid_fields", vec![
                "/number: expected a number, found \"five\"".to_owned(),
                "/boolean: expected true or false, found 2".to_owned(),
                format!("/date: expected a date (ISO 8601, or Unix time in seconds or milliseconds), found {long}"),
                "/datetime: expected a time (ISO 8601, or Unix time in seconds or milliseconds), found an object".to_owned(),
                "/list/0: expected a value or a list of values, found an array".to_owned(),
                "/a~1b: expected a string, a number, true or false, found an array".to_owned(),
            ])
        );
    }

    #[test]
    fn the_match_property_is_the_id() {
        for (kind, found, expected) in [
            ("string", json!("zoe@shop.example"), Ok("zoe@shop.example")),
            ("string", json!(51), Ok("51")),
            ("number", json!("51"), Ok("51")),
            ("number", json!(-5), Ok("-5")),
            ("enumeration", json!(["a", "b"]), Ok("a;b")),
            ("string", json!(null), Err("no_match_value")),
            ("string", json!(" "), Err("no_match_value")),
            ("number", json!(""), Err("no_match_value")),
            ("enumeration", json!([]), Err("no_match_value")),
            ("number", json!(5.5), Err("invalid_fields")),
            ("number", json!("x"), Err("invalid_fields")),
            ("string", json!("a\nb"), Err("invalid_fields")),
            ("string", json!("x".repeat(MAX_ID + 1)), Err("invalid_fields")),
        ] {
            let trigger = trigger(&[("/order/email", "email", kind)], "email");
            let outcome = mapped(&trigger, &json!({"order": {"email": found}}));
            let id = outcome.as_ref().map(|inputs| inputs[0].record().id()).map_err(|(code, _)| *code);
            assert_eq!(id, expected, "{kind} {found}");
        }
        let trigger = trigger(&[("/order/email", "email", "string"), ("/n", "n", "number")], "email");
        assert_eq!(
            mapped(&trigger, &json!({"n": "x"})).unwrap_err(),
            (
                "no_match_value",
                vec![
                    "/order/email: there is no value here, and `email` says which record it is".to_owned(),
                    "/n: expected a number, found \"x\"".to_owned(),
                ]
            )
        );
        for event in [json!("text"), json!(5), json!(null)] {
            assert_eq!(mapped(&trigger, &event).unwrap_err().0, "no_match_value");
        }
    }

    #[test]
    fn a_list_is_that_many_events() {
        let trigger = trigger(&[("/objectId", "id", "number"), ("/at", "at", "datetime")], "id");
        let inputs = mapped(&trigger, &json!([{"objectId": 1}, {"objectId": 2, "at": 0}])).unwrap();
        assert_eq!(inputs.iter().map(|input| input.record().id()).collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(
            mapped(&trigger, &json!([{"objectId": 1}, {"at": "x"}, 5])).unwrap_err(),
            (
                "no_match_value",
                vec![
                    "/1/objectId: there is no value here, and `id` says which record it is".to_owned(),
                    "/1/at: expected a time (ISO 8601, or Unix time in seconds or milliseconds), found \"x\""
                        .to_owned(),
                    "/2/objectId: there is no value here, and `id` says which record it is".to_owned(),
                ]
            )
        );
        assert_eq!(
            mapped(&trigger, &json!([])).unwrap_err(),
            ("no_event", vec![": the list holds no event".to_owned()])
        );
        let event = json!({"objectId": 1});
        assert_eq!(mapped(&trigger, &json!(vec![&event; MAX_EVENTS])).unwrap().len(), MAX_EVENTS);
        assert_eq!(
            mapped(&trigger, &json!(vec![&event; MAX_EVENTS + 1])).unwrap_err(),
            ("too_many_events", vec![": a list may hold at most 100 events, found 101".to_owned()])
        );
    }

    #[test]
    fn errors_are_readable_in_one_line() {
        let trigger = trigger(&[("/id", "id", "string"), ("/n", "n", "number")], "id");
        let error = trigger.published().unwrap().enrollments(&json!({"n": true})).unwrap_err();
        assert_eq!(
            error.to_string(),
            "no value at the match field; /id: there is no value here, and `id` says which record it is; /n: expected a number, found true"
        );
    }

    proptest! {
        #[test]
        fn any_event_is_mapped_or_refused(event in json_value(), value in json_value()) {
            let mapping: Vec<(String, &str)> = TYPES.iter().map(|(kind, _)| (format!("/{kind}"), *kind)).collect();
            let mapping: Vec<(&str, &str, &str)> = mapping.iter().map(|(pointer, kind)| (pointer.as_str(), *kind, *kind)).collect();
            let trigger = trigger(&mapping, "string");
            let of_value: Map<_, _> = TYPES.iter().map(|(kind, _)| ((*kind).to_owned(), value.clone())).collect();
            for event in [event, Value::Object(of_value)] {
                if let Err(error) = trigger.published().unwrap().enrollments(&event) {
                    prop_assert!(!error.mistakes().is_empty());
                }
            }
        }
    }
}
