//! Inbound triggers: webhooks that other systems send, made into enrollments.
//!
//! In scope: a trigger's configuration ([`Trigger`]); whether a request is from whom it should be
//! ([`Verify`]); what captured events hold ([`schema`]); an event as records ([`Published::enrollments`]);
//! how much a sender may send and what is kept of it ([`keep`], [`pace`]). Out of scope: secrets' values,
//! the time and the request, which the Worker hands in; where events are kept (`trigger_do.rs`).
//!
//! ```
//! use varde_core::inbound::{State, Trigger};
//!
//! let trigger = Trigger::parse(
//!     &serde_json::json!({
//!         "name": "Orders",
//!         "mapping": [
//!             {"pointer": "/customer/email", "property": "email", "type": "string"},
//!             {"pointer": "/placed", "property": "closedate", "type": "date"},
//!         ],
//!         "match": "email",
//!         "state": "published",
//!     }),
//!     State::Listening,
//! )
//! .unwrap();
//! let event = serde_json::json!({"customer": {"email": "zoe@shop.example"}, "placed": "2026-01-02"});
//! let inputs = trigger.published().unwrap().enrollments(&event).unwrap();
//! assert_eq!(inputs[0].record().id(), "zoe@shop.example");
//! assert_eq!(inputs[0].record().properties()["closedate"], 1_767_312_000_000_u64);
//! ```

mod id;
pub mod keep;
mod mapping;
mod moment;
pub mod pace;
pub mod schema;
mod verify;

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

use crate::json::{Mistake, Mistakes, Node};

pub use id::{InvalidTriggerId, TriggerId};
pub use mapping::{Field, MAX_EVENTS, MAX_FIELDS, PropertyType, Published, Unmappable};
pub use verify::{Algorithm, Encoding, TokenPlace, Unverified, Verify};

/// Longest name of a trigger, in characters; it is shown on one line.
pub const MAX_NAME: usize = 200;

/// An URL that enrolls records: who may call it, and what is made of what comes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trigger {
    name: String,
    verify: Verify,
    mapping: Vec<Field>,
    #[serde(rename = "match")]
    match_property: Option<String>,
    state: State,
}

/// What happens to an event that is verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is kept to be looked at, and enrolls nothing.
    Listening,
    /// It enrolls.
    Published,
}

impl Trigger {
    /// Reads what a trigger begins with: `{"name", "verify"?}`. It listens and maps nothing.
    ///
    /// # Errors
    ///
    /// All mistakes at once.
    pub fn create(value: &Value) -> Result<Self, Vec<Mistake>> {
        let mistakes = Mistakes::default();
        let node = Node::root(value, &mistakes);
        let trigger = node.fields(&["name", "verify"]).and_then(|fields| {
            let name = fields.need("name", |node| node.text(1..=MAX_NAME).map(str::to_owned));
            let verify = fields.or("verify", Verify::None, Verify::read);
            Some(Self {
                name: name?,
                verify: verify?,
                mapping: Vec::new(),
                match_property: None,
                state: State::Listening,
            })
        });
        mistakes.conclude(trigger)
    }

    /// Reads `{"name", "verify"?, "mapping"?, "match"?, "state"?}`, as a user sends it or as
    /// [`Trigger::to_json`] wrote it. Without `state` it stays `as_before`, so that an edit of the mapping
    /// can't unpublish by omission.
    ///
    /// # Errors
    ///
    /// All mistakes at once; a published trigger needs a mapping and a match property.
    pub fn parse(value: &Value, as_before: State) -> Result<Self, Vec<Mistake>> {
        let mistakes = Mistakes::default();
        let trigger = Self::read(Node::root(value, &mistakes), as_before);
        mistakes.conclude(trigger)
    }

    /// Reads a trigger that was parsed when it was stored, maybe by a later version that was rolled back:
    /// fields that aren't known are passed over.
    ///
    /// # Errors
    ///
    /// All mistakes at once.
    pub fn parse_stored(value: &Value) -> Result<Self, Vec<Mistake>> {
        let mistakes = Mistakes::of_stored();
        let trigger = Self::read(Node::root(value, &mistakes), State::Listening);
        mistakes.conclude(trigger)
    }

    fn read(node: Node<'_>, as_before: State) -> Option<Self> {
        let fields = node.fields(&["name", "verify", "mapping", "match", "state"])?;
        let name = fields.need("name", |node| node.text(1..=MAX_NAME).map(str::to_owned));
        let verify = fields.or("verify", Verify::None, Verify::read);
        let mapping = fields.or("mapping", Vec::new(), read_mapping);
        let match_property = fields.or("match", None, |node| match node.value() {
            Value::Null => Some(None),
            _ => read_match(node, mapping.as_deref()).map(Some),
        });
        let state = fields.or("state", as_before, |node| {
            node.word(&[("listening", State::Listening), ("published", State::Published)])
        });
        let trigger = Self {
            name: name?,
            verify: verify?,
            mapping: mapping?,
            match_property: match_property?,
            state: state?,
        };
        if trigger.state == State::Published {
            trigger.may_be_published(&node)?;
        }
        Some(trigger)
    }

    fn may_be_published(&self, node: &Node<'_>) -> Option<()> {
        if self.mapping.is_empty() {
            node.mistake_at("mapping", "a published trigger maps at least 1 field");
        }
        if self.match_property.is_none() {
            node.mistake_at("match", "a published trigger needs the property that holds the record's id");
        }
        (!self.mapping.is_empty() && self.match_property.is_some()).then_some(())
    }

    /// The canonical form, with all defaults filled in; parses to the same trigger.
    #[must_use]
    pub fn to_json(&self) -> Value {
        serde_json::to_value(self).expect("invariant: a trigger holds nothing that JSON can't")
    }

    /// Its name, for people.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Who may call it.
    #[must_use]
    pub const fn verify(&self) -> &Verify {
        &self.verify
    }

    /// What happens to its events.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// How an event becomes a record, once the trigger is published.
    #[must_use]
    pub fn published(&self) -> Option<Published<'_>> {
        match (self.state, &self.match_property) {
            (State::Published, Some(match_property)) => {
                Some(Published { mapping: &self.mapping, match_property })
            }
            _ => None,
        }
    }
}

fn read_mapping(node: Node<'_>) -> Option<Vec<Field>> {
    let mut properties = BTreeSet::new();
    node.list(MAX_FIELDS, |item| {
        let field = Field::read(item)?;
        if !properties.insert(field.property().to_owned()) {
            item.mistake_at("property", "another field is mapped to this property");
            return None;
        }
        Some(field)
    })
}

fn read_match(node: Node<'_>, mapping: Option<&[Field]>) -> Option<String> {
    let property = node.text(1..=crate::expr::MAX_NAME)?;
    // Where the mapping itself has mistakes, nothing can be said about this.
    let Some(mapping) = mapping else { return Some(property.to_owned()) };
    match mapping.iter().find(|field| field.property() == property) {
        None => node.mistake(format_args!("no field is mapped to the property {property:?}")),
        Some(field) if !field.kind().can_be_an_id() => {
            node.mistake("a record's id is of type `string`, `number` or `enumeration`");
        }
        Some(_) => return Some(property.to_owned()),
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::arbitrary::json_value;

    fn parse(value: &Value) -> Result<Trigger, Vec<String>> {
        Trigger::parse(value, State::Listening).map_err(|list| list.iter().map(ToString::to_string).collect())
    }

    fn field(pointer: &str, property: &str, kind: &str) -> Value {
        json!({"pointer": pointer, "property": property, "type": kind})
    }

    /// Stored in the registry: change it only with a migration.
    #[test]
    fn trigger_format_unchanged() {
        let least = parse(&json!({"name": "Orders"})).unwrap();
        let canonical =
            r#"{"name":"Orders","verify":{"type":"none"},"mapping":[],"match":null,"state":"listening"}"#;
        assert_eq!(least.to_json().to_string(), canonical);
        assert_eq!(Trigger::create(&json!({"name": "Orders"})).unwrap(), least);
        let full = concat!(
            r#"{"name":"Orders","verify":{"type":"standard_webhooks","secret":"shop"},"#,
            r#""mapping":[{"pointer":"/id","property":"order","type":"number","label":"Order no"},"#,
            r#"{"pointer":"/at","property":"at","type":"datetime"}],"match":"order","state":"published"}"#
        );
        let trigger = parse(&serde_json::from_str(full).unwrap()).unwrap();
        assert_eq!(serde_json::to_string(&trigger).unwrap(), full);
        assert_eq!(parse(&trigger.to_json()).unwrap(), trigger);
        assert_eq!((trigger.name(), trigger.state()), ("Orders", State::Published));
        assert_eq!(trigger.verify().secret().unwrap().as_str(), "shop");
    }

    #[test]
    fn names_all_mistakes() {
        let value = json!({
            "name": "", "verify": {"type": "jwt"}, "mapping": [
                {"pointer": "order", "property": "a", "type": "date"},
                {"pointer": "/a~2", "property": "", "type": "text", "label": "", "unit": "s"},
            ],
            "match": "a", "state": "on", "url": "x",
        });
        assert_eq!(
            parse(&value).unwrap_err(),
            [
                "/url: unknown field; known are `name`, `verify`, `mapping`, `match`, `state`",
                "/name: expected 1 to 200 characters, found 0",
                "/verify/type: expected `none`, `token`, `hubspot_v1`, `hubspot_v2`, `hubspot_v3`, `standard_webhooks` or `hmac`, found \"jwt\"",
                "/mapping/0/pointer: expected a JSON Pointer below the event, e.g. `/order/id` (RFC 6901)",
                "/mapping/1/unit: unknown field; known are `pointer`, `property`, `type`, `label`",
                "/mapping/1/pointer: expected a JSON Pointer below the event, e.g. `/order/id` (RFC 6901)",
                "/mapping/1/property: expected 1 to 256 characters, found 0",
                "/mapping/1/type: expected `string`, `number`, `boolean`, `date`, `datetime` or `enumeration`, found \"text\"",
                "/mapping/1/label: expected 1 to 200 characters, found 0",
                "/state: expected `listening` or `published`, found \"on\"",
            ]
        );
        assert_eq!(
            Trigger::create(&json!({"mapping": []}))
                .unwrap_err()
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>(),
            ["/mapping: unknown field; known are `name`, `verify`", "/name: is required"]
        );
    }

    #[test]
    fn a_match_is_a_mapped_property_that_can_be_an_id() {
        let with = |mapping: Value, match_property: Value| {
            parse(&json!({"name": "T", "mapping": mapping, "match": match_property}))
        };
        let mapping =
            json!([field("/a", "a", "string"), field("/b", "b", "date"), field("/c", "c", "boolean")]);
        assert!(with(mapping.clone(), json!("a")).is_ok());
        assert!(with(mapping.clone(), json!(null)).is_ok());
        assert_eq!(
            with(mapping.clone(), json!("x")).unwrap_err(),
            ["/match: no field is mapped to the property \"x\""]
        );
        for property in ["b", "c"] {
            assert_eq!(
                with(mapping.clone(), json!(property)).unwrap_err(),
                ["/match: a record's id is of type `string`, `number` or `enumeration`"]
            );
        }
        assert_eq!(with(mapping, json!(5)).unwrap_err(), ["/match: expected a string, found a number"]);
        assert_eq!(
            with(json!([field("/a", "a", "string"), field("/b", "a", "string")]), json!(null)).unwrap_err(),
            ["/mapping/1/property: another field is mapped to this property"]
        );
        assert!(with(json!([field("/a", "a", "string"), field("/a", "b", "number")]), json!(null)).is_ok());
    }

    #[test]
    fn is_published_with_a_mapping_and_a_match_only() {
        let trigger = |mapping: Value, match_property: Value| {
            parse(&json!({"name": "T", "mapping": mapping, "match": match_property, "state": "published"}))
        };
        assert_eq!(
            trigger(json!([]), json!(null)).unwrap_err(),
            [
                "/mapping: a published trigger maps at least 1 field",
                "/match: a published trigger needs the property that holds the record's id"
            ]
        );
        assert_eq!(
            trigger(json!([field("/a", "a", "string")]), json!(null)).unwrap_err(),
            ["/match: a published trigger needs the property that holds the record's id"]
        );
        assert!(trigger(json!([field("/a", "a", "string")]), json!("a")).unwrap().published().is_some());
        let listening = json!({"name": "T", "mapping": [field("/a", "a", "string")], "match": "a"});
        assert!(parse(&listening).unwrap().published().is_none());
        assert!(Trigger::parse(&listening, State::Published).unwrap().published().is_some());
    }

    #[test]
    fn fields_are_counted() {
        let mapping =
            |count: usize| (0..count).map(|n| field("/a", &format!("p{n}"), "string")).collect::<Vec<_>>();
        assert!(parse(&json!({"name": "T", "mapping": mapping(MAX_FIELDS)})).is_ok());
        assert_eq!(
            parse(&json!({"name": "T", "mapping": mapping(MAX_FIELDS + 1)})).unwrap_err(),
            ["/mapping: expected at most 200 items, found 201"]
        );
    }

    proptest! {
        #[test]
        fn any_json_is_read_or_refused(value in json_value()) {
            let _ = parse(&value);
            let _ = Trigger::create(&value);
            let _ = parse(&json!({"name": "T", "verify": value, "mapping": value, "match": value, "state": value}));
            let _ = parse(&json!({"name": "T", "mapping": [value], "state": "published"}));
        }
    }
}
