//! What a trigger brings: a record, and the event that it came with.
//!
//! ```
//! use varde_core::record::EnrollmentInput;
//!
//! let input = EnrollmentInput::parse(&serde_json::json!({
//!     "record": {"id": 51, "properties": {"email": "zoe@shop.example"}},
//!     "event": {"order_no": "A-1"},
//! }))
//! .unwrap();
//! assert_eq!(input.record().id(), "51");
//! ```

mod all_properties;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::expr::MAX_NAME;
use crate::json::{Mistake, Mistakes, Node};

pub use all_properties::AllProperties;

/// Most properties of a record; HubSpot allows 1,000 custom ones on an object.
pub const MAX_PROPERTIES: usize = 1_000;

/// Longest id of a record, in characters; ids of other systems (UUIDs, e-mail addresses) fit.
pub const MAX_ID: usize = 256;

/// Most versions that are kept of one property; HubSpot itself keeps 45 at most.
pub const MAX_VERSIONS: usize = 100;

/// Latest time of a version: the end of the year 9999, in Unix milliseconds.
const MAX_TIMESTAMP: u64 = 253_402_300_799_999;

/// One enrollment as it was asked for. It is stored with the enrollment, in the shape that it came in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Value")]
pub struct EnrollmentInput {
    record: Record,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<Map<String, Value>>,
}

/// One CRM object, as far as the trigger told.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Record {
    id: String,
    properties: Map<String, Value>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    history: BTreeMap<String, Vec<Version>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    form_submissions: Vec<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    list_memberships: Vec<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    identity_profiles: Vec<Value>,
}

/// A value that a property had, and where it came from.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Version {
    /// The value.
    pub value: Value,
    /// When it was set, in Unix milliseconds.
    pub timestamp: u64,
    /// HubSpot's word for the kind of source, e.g. `API` or `CRM_UI`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_type: Option<String>,
    /// Which source of that kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_id: Option<String>,
    /// The source's name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_label: Option<String>,
}

impl EnrollmentInput {
    /// Reads `{"record": {"id", "properties", …}, "event"?}`.
    ///
    /// # Errors
    ///
    /// All mistakes at once.
    pub fn parse(value: &Value) -> Result<Self, Vec<Mistake>> {
        let mistakes = Mistakes::default();
        let input = Self::read(Node::root(value, &mistakes));
        mistakes.conclude(input)
    }

    /// Reads an enrollment that stands within something else, e.g. a batch.
    pub fn read(node: Node<'_>) -> Option<Self> {
        let fields = node.fields(&["record", "event"])?;
        let record = fields.need("record", Record::read);
        let event = fields.maybe("event", |node| node.object().cloned());
        Some(Self { record: record?, event: event? })
    }

    /// The record to enroll.
    #[must_use]
    pub const fn record(&self) -> &Record {
        &self.record
    }

    /// The data that came with the trigger.
    #[must_use]
    pub const fn event(&self) -> Option<&Map<String, Value>> {
        self.event.as_ref()
    }
}

/// Stored inputs are checked like new ones, so that there is one way in.
impl TryFrom<Value> for EnrollmentInput {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        Self::parse(&value).map_err(|mistakes| {
            mistakes.first().map_or_else(|| "can't be read".to_owned(), ToString::to_string)
        })
    }
}

impl Record {
    /// Reads `{"id", "properties", "history"?, "form_submissions"?, "list_memberships"?,
    /// "identity_profiles"?}`; the last three are arrays passed through unchecked.
    pub fn read(node: Node<'_>) -> Option<Self> {
        let fields = node.fields(&[
            "id",
            "properties",
            "history",
            "form_submissions",
            "list_memberships",
            "identity_profiles",
        ])?;
        let passed_through = |name| {
            fields.or(name, Vec::new(), |node| node.list(usize::MAX, |item| Some(item.value().clone())))
        };
        let id = fields.need("id", read_id);
        let properties = fields.need("properties", read_properties);
        let history = fields.or("history", BTreeMap::new(), read_history);
        let form_submissions = passed_through("form_submissions");
        let list_memberships = passed_through("list_memberships");
        let identity_profiles = passed_through("identity_profiles");
        Some(Self {
            id: id?,
            properties: properties?,
            history: history?,
            form_submissions: form_submissions?,
            list_memberships: list_memberships?,
            identity_profiles: identity_profiles?,
        })
    }

    /// The id; a whole number in the input is its decimal text here.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// All properties, in the order given.
    #[must_use]
    pub const fn properties(&self) -> &Map<String, Value> {
        &self.properties
    }

    /// What is known of a property's past, newest first.
    #[must_use]
    pub fn versions(&self, property: &str) -> &[Version] {
        self.history.get(property).map_or(&[], Vec::as_slice)
    }
}

fn read_id(node: Node<'_>) -> Option<String> {
    match node.value() {
        Value::Number(number) if number.is_u64() || number.is_i64() => Some(number.to_string()),
        Value::String(_) => node.text(1..=MAX_ID).map(str::to_owned),
        Value::Number(number) => {
            node.mistake(format_args!("expected a string or a whole number, found {number}"));
            None
        }
        _ => {
            node.mistake("expected a string or a whole number");
            None
        }
    }
}

fn read_properties(node: Node<'_>) -> Option<Map<String, Value>> {
    let properties = node.object()?;
    names_are_sound(node)?;
    Some(properties.clone())
}

/// Checks the names of properties, and how many there are.
fn names_are_sound(node: Node<'_>) -> Option<()> {
    let entries = node.entries()?;
    if entries.len() > MAX_PROPERTIES {
        node.mistake(format_args!("expected at most {MAX_PROPERTIES} properties, found {}", entries.len()));
        return None;
    }
    let mut sound = Some(());
    for (name, property) in entries {
        let length = name.chars().count();
        if !(1..=MAX_NAME).contains(&length) || name.chars().any(char::is_control) {
            property.mistake(format_args!(
                "a property's name has 1 to {MAX_NAME} characters, none of them a control character"
            ));
            sound = None;
        }
    }
    sound
}

fn read_history(node: Node<'_>) -> Option<BTreeMap<String, Vec<Version>>> {
    names_are_sound(node)?;
    let read: Vec<_> = node.entries()?.map(|(name, versions)| (name, read_versions(versions))).collect();
    read.into_iter().map(|(name, versions)| Some((name.clone(), versions?))).collect()
}

fn read_versions(node: Node<'_>) -> Option<Vec<Version>> {
    let mut versions = node.list(MAX_VERSIONS, |item| {
        let fields = item.fields(&["value", "timestamp", "source_type", "source_id", "source_label"])?;
        let text = |name| {
            fields.or(name, None, |node| {
                if node.value().is_null() {
                    Some(None)
                } else {
                    node.string().map(|text| Some(text.to_owned()))
                }
            })
        };
        let value = fields.need("value", |node| Some(node.value().clone()));
        let timestamp = fields.need("timestamp", |node| node.integer(0..=MAX_TIMESTAMP));
        let (source_type, source_id, source_label) =
            (text("source_type"), text("source_id"), text("source_label"));
        Some(Version {
            value: value?,
            timestamp: timestamp?,
            source_type: source_type?,
            source_id: source_id?,
            source_label: source_label?,
        })
    })?;
    versions.sort_by_key(|version| core::cmp::Reverse(version.timestamp));
    Some(versions)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::arbitrary::json_value;

    fn mistakes(value: &Value) -> Vec<String> {
        EnrollmentInput::parse(value).unwrap_err().iter().map(ToString::to_string).collect()
    }

    fn full() -> Value {
        json!({
            "record": {
                "id": "51",
                "properties": {"email": "zoe@shop.example", "age": 42, "vip": true, "gone": null, "tags": ["a"]},
                "history": {"email": [
                    {"value": "zoe@shop.example", "timestamp": 200, "source_type": "API", "source_id": "x", "source_label": "y"},
                    {"value": "zoe@old.example", "timestamp": 100},
                ]},
                "form_submissions": [{"form-id": "f"}],
                "list_memberships": [{"static-list-id": 1}],
                "identity_profiles": [{"vid": 51}],
            },
            "event": {"order_no": "A-1"},
        })
    }

    #[test]
    fn enrollment_format_unchanged() {
        let input = EnrollmentInput::parse(&full()).unwrap();
        assert_eq!(serde_json::to_string(&input).unwrap(), full().to_string());
        let least = json!({"record": {"id": "1", "properties": {}}});
        let input = EnrollmentInput::parse(&least).unwrap();
        assert_eq!(serde_json::to_string(&input).unwrap(), r#"{"record":{"id":"1","properties":{}}}"#);
        assert_eq!(serde_json::from_value::<EnrollmentInput>(least).unwrap(), input);
        assert!(serde_json::from_value::<EnrollmentInput>(json!({"record": {}})).is_err());
    }

    #[test]
    fn ids_are_strings_or_whole_numbers() {
        for (id, text) in [
            (json!("a b"), "a b"),
            (json!(51), "51"),
            (json!(-5), "-5"),
            (json!(u64::MAX), "18446744073709551615"),
        ] {
            let input = EnrollmentInput::parse(&json!({"record": {"id": id, "properties": {}}})).unwrap();
            assert_eq!(input.record().id(), text);
        }
        for (id, mistake) in [
            (json!(1.5), "/record/id: expected a string or a whole number, found 1.5"),
            (json!(null), "/record/id: expected a string or a whole number"),
            (json!([]), "/record/id: expected a string or a whole number"),
            (json!(""), "/record/id: expected 1 to 256 characters, found 0"),
            (json!("x".repeat(257)), "/record/id: expected 1 to 256 characters, found 257"),
            (json!("a\nb"), r"/record/id: expected no control characters, found '\n'"),
        ] {
            assert_eq!(mistakes(&json!({"record": {"id": id, "properties": {}}})), [mistake]);
        }
    }

    #[test]
    fn names_all_mistakes() {
        let value = json!({
            "record": {
                "properties": {"": 1, "a\tb": 2, "ok": 3},
                "history": {"p": [{"timestamp": -1, "source_id": 5, "by": "x"}], "q": {}},
                "list_memberships": 5,
            },
            "event": [],
            "extra": 1,
        });
        assert_eq!(
            mistakes(&value),
            [
                "/extra: unknown field; known are `record`, `event`",
                "/record/id: is required",
                "/record/properties/: a property's name has 1 to 256 characters, none of them a control character",
                "/record/properties/a\tb: a property's name has 1 to 256 characters, none of them a control character",
                "/record/history/p/0/by: unknown field; known are `value`, `timestamp`, `source_type`, `source_id`, `source_label`",
                "/record/history/p/0/value: is required",
                "/record/history/p/0/timestamp: expected a whole number from 0 to 253402300799999, found -1",
                "/record/history/p/0/source_id: expected a string, found a number",
                "/record/history/q: expected an array, found an object",
                "/record/list_memberships: expected an array, found a number",
                "/event: expected an object, found an array",
            ]
        );
    }

    #[test]
    fn properties_are_counted() {
        let properties =
            |count: usize| (0..count).map(|n| (format!("p{n}"), json!(n))).collect::<Map<_, _>>();
        let input = |count| json!({"record": {"id": 1, "properties": properties(count)}});
        assert!(EnrollmentInput::parse(&input(MAX_PROPERTIES)).is_ok());
        assert_eq!(
            mistakes(&input(MAX_PROPERTIES + 1)),
            ["/record/properties: expected at most 1000 properties, found 1001"]
        );
    }

    #[test]
    fn versions_are_sorted_newest_first() {
        let value = json!({"record": {"id": 1, "properties": {}, "history": {"p": [
            {"value": "old", "timestamp": 1}, {"value": "new", "timestamp": 3, "source_type": null}, {"value": "mid", "timestamp": 2},
        ]}}});
        let input = EnrollmentInput::parse(&value).unwrap();
        let values: Vec<_> = input.record().versions("p").iter().map(|version| &version.value).collect();
        assert_eq!(values, ["new", "mid", "old"]);
        assert!(input.record().versions("q").is_empty());
    }

    proptest! {
        #[test]
        fn any_json_is_read_or_refused(value in json_value()) {
            let _ = EnrollmentInput::parse(&value);
            let _ = EnrollmentInput::parse(&json!({"record": value}));
            let _ = EnrollmentInput::parse(&json!({"record": {"id": value, "properties": value, "history": value}}));
        }

        #[test]
        fn what_is_read_is_stored_and_read_again(value in json_value(), name in "[a-z]{1,9}") {
            let value = json!({"record": {"id": 1, "properties": {name.clone(): value}}, "event": {name: value}});
            let input = EnrollmentInput::parse(&value).unwrap();
            let stored = serde_json::to_string(&input).unwrap();
            prop_assert_eq!(serde_json::from_str::<EnrollmentInput>(&stored).unwrap(), input);
        }
    }
}
