//! What captured events hold: each field with its pointer, its likely type and a sample.
//!
//! Only values are fields: objects are gone into, and so are the first [`MAX_ITEMS`] items of a list, but a
//! list of plain values is one field. An event that is itself a list is that many events. Types are guessed
//! as follows; a person has the last word.
//!
//! - a boolean, and `"true"` or `"false"`, is a boolean;
//! - a number is a number; if its name ends in `date`, `time`, `timestamp`, `_at`, `At` or `_on` and it is
//!   Unix time of the years 2001 to 2100, in seconds or milliseconds, it is a datetime;
//! - a text is a date or a datetime if it is one in ISO 8601 with its hyphens; else a string, even of
//!   digits, because `0047` isn't 47;
//! - a list of plain values is an enumeration; so is a text that came at least [`ENUMERATION_FROM`] times
//!   with at least two values, but at most half as many values as times, none longer than
//!   [`MAX_OPTION`] characters;
//! - null and `""` say nothing;
//! - where events differ: a date and a datetime are a datetime, everything else is a string.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use super::{MAX_FIELDS, PropertyType, moment};
use crate::outputs::MAX_POINTER;

/// Items of a list that are looked at; the others look alike.
pub const MAX_ITEMS: usize = 3;
/// How often a text must have come for its values to count.
pub const ENUMERATION_FROM: usize = 4;
/// Longest value of an enumeration, in characters.
pub const MAX_OPTION: usize = 50;
/// Longest sample, in characters; it is shown on one line.
const MAX_SAMPLE: usize = 200;

/// 2001-09-09 to 2100-01-01, in Unix seconds and in milliseconds.
const TIMES: [core::ops::Range<u64>; 2] =
    [1_000_000_000..4_102_444_800, 1_000_000_000_000..4_102_444_800_000];

/// A field that events have.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Inferred {
    /// Where it is: a JSON Pointer.
    pub pointer: String,
    /// What it seems to be.
    #[serde(rename = "type")]
    pub kind: PropertyType,
    /// The newest value that says something, else null.
    pub sample: Value,
}

/// The fields of events, newest event first, in the order in which they come up; at most [`MAX_FIELDS`].
#[must_use]
pub fn infer<'e>(events: impl IntoIterator<Item = &'e Value>) -> Vec<Inferred> {
    let mut fields = Fields::default();
    for event in events {
        match event {
            Value::Array(items) => items.iter().for_each(|item| fields.walk(&mut String::new(), item)),
            other => fields.walk(&mut String::new(), other),
        }
    }
    fields.seen.into_iter().map(Seen::conclude).collect()
}

#[derive(Default)]
struct Fields<'e> {
    seen: Vec<Seen<'e>>,
    places: BTreeMap<String, usize>,
}

struct Seen<'e> {
    pointer: String,
    kind: Option<PropertyType>,
    sample: Option<&'e Value>,
    times: usize,
    texts: BTreeSet<&'e str>,
}

impl<'e> Fields<'e> {
    fn walk(&mut self, pointer: &mut String, value: &'e Value) {
        let end = pointer.len();
        match value {
            Value::Object(members) => {
                for (key, member) in members {
                    pointer.push('/');
                    pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
                    self.walk(pointer, member);
                    pointer.truncate(end);
                }
            }
            Value::Array(items) if items.iter().any(|item| item.is_object() || item.is_array()) => {
                for (at, item) in items.iter().take(MAX_ITEMS).enumerate() {
                    pointer.push('/');
                    pointer.push_str(&at.to_string());
                    self.walk(pointer, item);
                    pointer.truncate(end);
                }
            }
            leaf => self.note(pointer, leaf),
        }
    }

    fn note(&mut self, pointer: &str, value: &'e Value) {
        // What can't be mapped isn't offered: an event that is no object, and what lies too deep.
        let mappable = !pointer.is_empty()
            && pointer.chars().count() <= MAX_POINTER
            && !pointer.chars().any(char::is_control);
        if !mappable {
            return;
        }
        let at = match self.places.get(pointer) {
            Some(at) => *at,
            None if self.seen.len() == MAX_FIELDS => return,
            None => {
                self.places.insert(pointer.to_owned(), self.seen.len());
                self.seen.push(Seen {
                    pointer: pointer.to_owned(),
                    kind: None,
                    sample: None,
                    times: 0,
                    texts: BTreeSet::new(),
                });
                self.seen.len() - 1
            }
        };
        if let Some(seen) = self.seen.get_mut(at) {
            seen.note(value);
        }
    }
}

impl<'e> Seen<'e> {
    fn note(&mut self, value: &'e Value) {
        let Some(kind) = guess(&self.pointer, value) else { return };
        self.kind = Some(self.kind.map_or(kind, |known| merged(known, kind)));
        self.sample.get_or_insert(value);
        self.times += 1;
        if let Value::String(text) = value {
            self.texts.insert(text);
        }
    }

    fn conclude(self) -> Inferred {
        let kind = match self.kind.unwrap_or(PropertyType::String) {
            PropertyType::String if self.is_enumeration() => PropertyType::Enumeration,
            kind => kind,
        };
        Inferred { pointer: self.pointer, kind, sample: self.sample.map_or(Value::Null, shortened) }
    }

    fn is_enumeration(&self) -> bool {
        self.times >= ENUMERATION_FROM
            && (2..=self.times / 2).contains(&self.texts.len())
            && self.texts.iter().all(|text| text.chars().count() <= MAX_OPTION)
    }
}

fn guess(pointer: &str, value: &Value) -> Option<PropertyType> {
    Some(match value {
        Value::Null | Value::Object(_) => return None,
        Value::Array(items) if items.is_empty() => return None,
        Value::Array(_) => PropertyType::Enumeration,
        Value::Bool(_) => PropertyType::Boolean,
        Value::Number(number) => {
            let is_time =
                number.as_u64().is_some_and(|found| TIMES.iter().any(|range| range.contains(&found)));
            if is_time && names_a_time(pointer) { PropertyType::Datetime } else { PropertyType::Number }
        }
        Value::String(text) => match text.trim() {
            "" => return None,
            "true" | "false" => PropertyType::Boolean,
            text => match moment::kind(text) {
                Some(true) => PropertyType::Datetime,
                Some(false) => PropertyType::Date,
                None => PropertyType::String,
            },
        },
    })
}

fn names_a_time(pointer: &str) -> bool {
    let name = pointer.rsplit('/').next().unwrap_or_default();
    let lower = name.to_ascii_lowercase();
    name.ends_with("At") || ["date", "time", "timestamp", "_at", "_on"].iter().any(|end| lower.ends_with(end))
}

fn merged(one: PropertyType, other: PropertyType) -> PropertyType {
    use PropertyType::{Date, Datetime, String};
    match (one, other) {
        (one, other) if one == other => one,
        (Date, Datetime) | (Datetime, Date) => Datetime,
        _ => String,
    }
}

fn shortened(value: &Value) -> Value {
    match value {
        Value::String(text) => match text.char_indices().nth(MAX_SAMPLE) {
            Some((end, _)) => Value::String(format!("{}…", &text[..end])),
            None => value.clone(),
        },
        Value::Array(items) => Value::Array(items.iter().take(MAX_ITEMS).map(shortened).collect()),
        scalar => scalar.clone(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::arbitrary::json_value;
    use crate::inbound::{State, Trigger};

    fn inferred(events: &[Value]) -> Vec<(String, String, Value)> {
        infer(events)
            .into_iter()
            .map(|field| {
                let kind = serde_json::to_value(field.kind).unwrap().as_str().unwrap().to_owned();
                (field.pointer, kind, field.sample)
            })
            .collect()
    }

    fn field(pointer: &str, kind: &str, sample: Value) -> (String, String, Value) {
        (pointer.to_owned(), kind.to_owned(), sample)
    }

    #[test]
    fn fields_are_leaves_with_types_and_samples() {
        let event = json!({
            "id": 820_982_911, "email": "zoe@shop.example", "paid": true, "gift": "false", "note": null, "zip": "0047",
            "customer": {"born": "1990-05-17", "a/b~c": ""},
            "created_at": "2026-01-02T03:04:05+01:00", "occurredAt": 1_767_323_045_678_u64, "closedate": 1_767_323_045,
            "phone": 1_767_323_045, "tags": ["new", "vip"], "nothing": [],
            "items": [{"sku": "A"}, {"sku": "B"}, {"sku": "C"}, {"sku": "D"}],
        });
        assert_eq!(
            inferred(&[event]),
            [
                field("/id", "number", json!(820_982_911)),
                field("/email", "string", json!("zoe@shop.example")),
                field("/paid", "boolean", json!(true)),
                field("/gift", "boolean", json!("false")),
                field("/note", "string", json!(null)),
                field("/zip", "string", json!("0047")),
                field("/customer/born", "date", json!("1990-05-17")),
                field("/customer/a~1b~0c", "string", json!(null)),
                field("/created_at", "datetime", json!("2026-01-02T03:04:05+01:00")),
                field("/occurredAt", "datetime", json!(1_767_323_045_678_u64)),
                field("/closedate", "datetime", json!(1_767_323_045)),
                field("/phone", "number", json!(1_767_323_045)),
                field("/tags", "enumeration", json!(["new", "vip"])),
                field("/nothing", "string", json!(null)),
                field("/items/0/sku", "string", json!("A")),
                field("/items/1/sku", "string", json!("B")),
                field("/items/2/sku", "string", json!("C")),
            ]
        );
    }

    #[test]
    fn events_are_merged_newest_first() {
        let events = [
            json!({"a": null, "when": "2026-01-02", "mixed": 5, "new": 1}),
            json!({"a": 5, "when": "2026-01-01T10:00:00Z", "mixed": "5", "old": "x"}),
        ];
        assert_eq!(
            inferred(&events),
            [
                field("/a", "number", json!(5)),
                field("/when", "datetime", json!("2026-01-02")),
                field("/mixed", "string", json!(5)),
                field("/new", "number", json!(1)),
                field("/old", "string", json!("x")),
            ]
        );
    }

    #[test]
    fn texts_that_repeat_are_an_enumeration() {
        let events = |texts: &[&str]| texts.iter().map(|text| json!({"s": text})).collect::<Vec<_>>();
        let long = "x".repeat(MAX_OPTION + 1);
        for (texts, kind) in [
            (&["paid", "open", "paid", "open"][..], "enumeration"),
            (&["paid", "open", "paid", "open", "paid", "void"], "enumeration"),
            (&["paid", "open", "paid"], "string"),
            (&["paid", "paid", "paid", "paid"], "string"),
            (&["paid", "open", "void", "open"], "string"),
            (&[&long, "open", &long, "open"], "string"),
            (&["2026-01-01", "2026-01-02", "2026-01-01", "2026-01-02"], "date"),
        ] {
            assert_eq!(inferred(&events(texts))[0].1, kind, "{texts:?}");
        }
    }

    #[test]
    fn a_list_is_that_many_events() {
        let event = json!([{"objectId": 1}, {"objectId": 2, "propertyName": "email"}]);
        assert_eq!(
            inferred(&[event]),
            [field("/objectId", "number", json!(1)), field("/propertyName", "string", json!("email")),]
        );
        assert_eq!(inferred(&[json!([]), json!(5), json!("x"), json!(null), json!({})]), []);
    }

    #[test]
    fn samples_fields_and_pointers_have_limits() {
        let [(_, _, sample)] = &inferred(&[json!({"s": "é".repeat(500)})])[..] else { panic!("one field") };
        assert_eq!(sample, &json!(format!("{}…", "é".repeat(MAX_SAMPLE))));
        let wide: serde_json::Map<_, _> = (0..MAX_FIELDS + 5).map(|n| (format!("f{n}"), json!(n))).collect();
        assert_eq!(inferred(&[Value::Object(wide)]).len(), MAX_FIELDS);
        assert_eq!(
            inferred(&[json!({"k".repeat(MAX_POINTER): 1, "ok": 1})]),
            [field("/ok", "number", json!(1))]
        );
    }

    #[test]
    fn schema_format_unchanged() {
        let text = serde_json::to_string(&infer(&[json!({"a": {"b": "2026-01-02"}})])).unwrap();
        assert_eq!(text, r#"[{"pointer":"/a/b","type":"date","sample":"2026-01-02"}]"#);
    }

    proptest! {
        #[test]
        fn every_field_can_be_mapped(events in proptest::collection::vec(json_value(), 0..4)) {
            for field in infer(&events) {
                let value = json!({"pointer": field.pointer, "property": "p", "type": field.kind});
                let trigger = json!({"name": "T", "mapping": [value]});
                prop_assert!(Trigger::parse(&trigger, State::Listening).is_ok(), "{}", trigger);
            }
        }
    }
}
