//! The configuration model: parsed once at the border into what can't be wrong later.
//!
//! ```
//! use varde_core::endpoint_url::Policy;
//! use varde_core::workflow::Workflow;
//!
//! let value = serde_json::json!({
//!     "name": "Ship closed deals",
//!     "object_type": "deal",
//!     "actions": [{"id": "create-order", "type": "webhook", "method": "POST", "url": "https://shipping.example/orders"}],
//! });
//! let workflow = Workflow::parse(&value, Policy::PUBLIC).unwrap();
//! assert_eq!(workflow.to_json()["retention_days"], 30);
//! assert_eq!(workflow.actions()[0].retry().first_ms, 60_000);
//! ```

mod action;
mod auth;
mod body;
mod header;
mod object_type;
mod retry;
mod url_template;

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

use crate::endpoint_url::Policy;
use crate::expr::Scope;
use crate::ids::MAX_SHARDS;
use crate::json::{Mistake, Mistakes, Node};
use crate::slug::Slug;

pub use crate::rate::RateLimit;
pub use action::{
    Action, DEFAULT_TIMEOUT_MS, MAX_HEADERS, MAX_PARAMETERS, MAX_TIMEOUT_MS, MIN_TIMEOUT_MS, OnFailure,
};
pub use body::{Body, Field, MAX_FIELDS};
pub(crate) use header::header_value;
pub use header::{Header, HeaderName, InvalidHeaderName};
pub use object_type::ObjectType;
pub use retry::read_retry;
pub use url_template::{FillError, UrlTemplate};

/// Most actions of a workflow: with 64 KiB of outputs each, their outputs still fit a row of 2 MB.
pub const MAX_ACTIONS: usize = 20;

/// Longest name of a workflow, in characters; it is shown on one line.
pub const MAX_NAME: usize = 200;

/// How long ended deliveries are kept if the workflow doesn't say.
pub const DEFAULT_RETENTION_DAYS: u16 = 30;

/// Longest that ended deliveries are kept: rows cost money, and a log is no archive.
pub const MAX_RETENTION_DAYS: u16 = 365;

/// A named list of actions for the records of one type.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Workflow {
    name: String,
    object_type: ObjectType,
    ordering: Ordering,
    shards: u8,
    retention_days: u16,
    actions: Vec<Action>,
}

/// Whether deliveries wait for each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Ordering {
    /// They don't.
    #[default]
    None,
    /// The next delivery of the same record to the same action starts after the earlier one has ended.
    Record,
}

impl Workflow {
    /// Reads a workflow, as a user sends it or as [`Workflow::to_json`] wrote it.
    ///
    /// A URL that `policy` doesn't allow is a mistake.
    ///
    /// # Errors
    ///
    /// All mistakes at once.
    pub fn parse(value: &Value, policy: Policy) -> Result<Self, Vec<Mistake>> {
        let mistakes = Mistakes::default();
        let workflow = Self::read(Node::root(value, &mistakes), policy);
        mistakes.conclude(workflow)
    }

    /// Reads a workflow that was parsed when it was stored.
    ///
    /// It must not become unreadable: not when the rule for URLs gets tighter (what may be called is checked
    /// again when a request is rendered), and not when a later version that knew more fields is rolled back.
    ///
    /// # Errors
    ///
    /// All mistakes at once.
    pub fn parse_stored(value: &Value) -> Result<Self, Vec<Mistake>> {
        let mistakes = Mistakes::of_stored();
        let workflow = Self::read(Node::root(value, &mistakes), Policy::WITH_LOOPBACK);
        mistakes.conclude(workflow)
    }

    fn read(node: Node<'_>, policy: Policy) -> Option<Self> {
        let fields =
            node.fields(&["name", "object_type", "ordering", "shards", "retention_days", "actions"])?;
        let name = fields.need("name", |node| node.text(1..=MAX_NAME).map(str::to_owned));
        let object_type = fields.need("object_type", |node| node.parse());
        let ordering = fields.or("ordering", Ordering::None, |node| {
            node.word(&[("none", Ordering::None), ("record", Ordering::Record)])
        });
        let shards = fields.or("shards", 1, |node| node.integer(1..=u64::from(MAX_SHARDS)));
        let retention_days = fields.or("retention_days", u64::from(DEFAULT_RETENTION_DAYS), |node| {
            node.integer(1..=u64::from(MAX_RETENTION_DAYS))
        });
        let actions = fields.need("actions", |node| read_actions(node, policy));
        Some(Self {
            name: name?,
            object_type: object_type?,
            ordering: ordering?,
            shards: u8::try_from(shards?).ok()?,
            retention_days: u16::try_from(retention_days?).ok()?,
            actions: actions?,
        })
    }

    /// The canonical form, with all defaults filled in; parses to the same workflow.
    #[must_use]
    pub fn to_json(&self) -> Value {
        serde_json::to_value(self).expect("invariant: a workflow holds nothing that JSON can't")
    }

    /// Its name, for people.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What kind of records go through it.
    #[must_use]
    pub const fn object_type(&self) -> &ObjectType {
        &self.object_type
    }

    /// Whether deliveries wait for each other.
    #[must_use]
    pub const fn ordering(&self) -> Ordering {
        self.ordering
    }

    /// How many outboxes share its deliveries, 1 to [`MAX_SHARDS`].
    #[must_use]
    pub const fn shards(&self) -> u8 {
        self.shards
    }

    /// Days that ended deliveries are kept.
    #[must_use]
    pub const fn retention_days(&self) -> u16 {
        self.retention_days
    }

    /// Its steps, in order; at least one.
    #[must_use]
    pub fn actions(&self) -> &[Action] {
        &self.actions
    }

    /// The first step.
    #[must_use]
    pub fn first_action(&self) -> &Action {
        self.actions.first().expect("invariant: a workflow has an action")
    }

    /// The action with an id.
    #[must_use]
    pub fn action(&self, id: &str) -> Option<&Action> {
        self.actions.iter().find(|action| action.id().as_str() == id)
    }

    /// The secrets that its actions need; one that several need comes several times.
    pub fn secrets(&self) -> impl Iterator<Item = &Slug> {
        self.actions.iter().filter_map(|action| action.auth().secret())
    }
}

fn read_actions(node: Node<'_>, policy: Policy) -> Option<Vec<Action>> {
    let mut scope = Scope::default();
    let mut ids = BTreeSet::new();
    let actions = node.list(MAX_ACTIONS, |item| {
        let action = Action::read(item, &scope, policy);
        // Taken from the input, not from the action: what uses the outputs of an action with a mistake
        // somewhere isn't itself a mistake.
        let id = item.value().get("id").and_then(Value::as_str).unwrap_or_default();
        for output in item.value().get("outputs").and_then(Value::as_array).into_iter().flatten() {
            if let Some(name) = output.get("name").and_then(Value::as_str) {
                scope.declare(id, name);
            }
        }
        if let Some(action) = &action
            && !ids.insert(action.id().clone())
        {
            item.mistake_at("id", "another action has this id");
            return None;
        }
        action
    })?;
    if actions.is_empty() {
        node.mistake("expected at least 1 action");
        return None;
    }
    Some(actions)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::arbitrary::json_value;

    pub(super) fn parse(value: &Value) -> Result<Workflow, Vec<String>> {
        Workflow::parse(value, Policy::PUBLIC).map_err(|list| list.iter().map(ToString::to_string).collect())
    }

    pub(super) fn action(id: &str) -> Value {
        json!({"id": id, "type": "webhook", "method": "POST", "url": "https://shop.example/"})
    }

    pub(super) fn workflow(actions: &[Value]) -> Value {
        json!({"name": "W", "object_type": "deal", "actions": actions})
    }

    /// Every object of a workflow that isn't a place for people's own names, with a field more.
    fn of_a_later_version(value: &Value) -> Value {
        match value {
            Value::Array(items) => items.iter().map(of_a_later_version).collect(),
            Value::Object(fields) if fields.len() > 1 => {
                let more = std::iter::once(("of_a_later_version".to_owned(), json!(1)));
                let fields = fields.iter().map(|(name, value)| (name.clone(), of_a_later_version(value)));
                Value::Object(fields.chain(more).collect())
            }
            other => other.clone(),
        }
    }

    #[test]
    fn a_stored_workflow_may_be_of_a_later_version() {
        let later = of_a_later_version(&example());
        let workflow = Workflow::parse_stored(&later).unwrap();
        assert_eq!(Ok(workflow), parse(&example()));
        assert!(parse(&later).unwrap_err().iter().all(|mistake| mistake.contains("unknown field")));
        let mut url = example();
        url["actions"][0]["url"] = json!("http://127.0.0.1:1/");
        assert!(parse(&url).is_err() && Workflow::parse_stored(&url).is_ok());
        assert!(Workflow::parse_stored(&json!({"name": "W"})).is_err());
    }

    /// The example of the design document.
    fn example() -> Value {
        json!({"name": "Ship closed deals", "object_type": "deal", "ordering": "none", "shards": 1, "retention_days": 30,
         "actions": [
          {"id": "create-order", "type": "webhook", "method": "POST", "url": "https://shipping.example/orders?src=crm",
           "auth": {"type": "hubspot_signature", "secret": "shipping-app"},
           "body": {"kind": "properties", "fields": [{"name": "ref", "value": {"property": "dealname"}}]},
           "outputs": [{"name": "order_id", "pointer": "/order/id", "type": "string"}]},
          {"id": "tell-chat", "type": "webhook", "method": "GET", "url": "https://chat.example/notify",
           "query": [{"name": "order", "value": {"output": "create-order.order_id"}}],
           "auth": {"type": "bearer", "secret": "chat-token"}, "timeout_ms": 10000,
           "rate_limit": {"requests": 20, "per_ms": 1000}, "retry": {"first_ms": 60000}, "on_failure": "continue"}]})
    }

    /// Stored in the registry: change it only with a migration.
    #[test]
    fn workflow_format_unchanged() {
        let retry = r#""retry":{"first_ms":60000,"factor":2.0,"max_ms":28800000,"max_age_ms":259200000,"jitter":0.1,"retry_after_unit":"milliseconds","also_retry":[]}"#;
        let canonical = format!(
            concat!(
                r#"{{"name":"Ship closed deals","object_type":"deal","ordering":"none","shards":1,"retention_days":30,"actions":["#,
                r#"{{"id":"create-order","type":"webhook","method":"POST","url":"https://shipping.example/orders?src=crm","#,
                r#""auth":{{"type":"hubspot_signature","secret":"shipping-app","versions":["v2","v3"]}},"headers":[],"query":[],"#,
                r#""body":{{"kind":"properties","fields":[{{"name":"ref","value":{{"property":"dealname"}}}}]}},"#,
                r#""outputs":[{{"name":"order_id","pointer":"/order/id","type":"string"}}],"timeout_ms":25000,{retry},"on_failure":"continue"}},"#,
                r#"{{"id":"tell-chat","type":"webhook","method":"GET","url":"https://chat.example/notify","#,
                r#""auth":{{"type":"bearer","secret":"chat-token"}},"headers":[],"#,
                r#""query":[{{"name":"order","value":{{"output":"create-order.order_id"}}}}],"body":{{"kind":"none"}},"#,
                r#""outputs":[],"timeout_ms":10000,"rate_limit":{{"requests":20,"per_ms":1000}},{retry},"on_failure":"continue"}}]}}"#,
            ),
            retry = retry
        );
        let workflow = parse(&example()).unwrap();
        assert_eq!(serde_json::to_string(&workflow).unwrap(), canonical);
        assert_eq!(workflow.to_json().to_string(), canonical);
        assert_eq!(parse(&workflow.to_json()).unwrap(), workflow);
    }

    #[test]
    fn names_all_mistakes_of_the_frame() {
        let value = json!({"name": "", "object_type": "Deal", "ordering": "time", "shards": 65, "retention_days": 0, "actions": [], "id": "x"});
        assert_eq!(parse(&value), Err(vec![
            "/id: unknown field; known are `name`, `object_type`, `ordering`, `shards`, `retention_days`, `actions`".to_owned(),
            "/name: expected 1 to 200 characters, found 0".to_owned(),
            "/object_type: expected `contact`, `company`, `deal`, `ticket` or the name of a custom object (1 to 63 of a-z, 0-9, `-` and `_`, starting with a letter or digit); found \"Deal\"".to_owned(),
            "/ordering: expected `none` or `record`, found \"time\"".to_owned(),
            "/shards: expected a whole number from 1 to 64, found 65".to_owned(),
            "/retention_days: expected a whole number from 1 to 365, found 0".to_owned(),
            "/actions: expected at least 1 action".to_owned(),
        ]));
        assert_eq!(parse(&json!({})).unwrap_err().len(), 3);
        assert_eq!(parse(&json!([])), Err(vec![": expected an object, found an array".to_owned()]));
    }

    #[test]
    fn counts_actions_and_wants_unique_ids() {
        let actions: Vec<_> = (0..=MAX_ACTIONS).map(|n| action(&format!("a{n}"))).collect();
        assert!(parse(&workflow(&actions[..MAX_ACTIONS])).is_ok());
        assert_eq!(
            parse(&workflow(&actions)),
            Err(vec!["/actions: expected at most 20 items, found 21".to_owned()])
        );
        let doubled = workflow(&[action("a"), action("b"), action("a")]);
        assert_eq!(parse(&doubled), Err(vec!["/actions/2/id: another action has this id".to_owned()]));
    }

    #[test]
    fn outputs_come_from_earlier_actions() {
        let with_output = |id: &str, name: &str| {
            let mut value = action(id);
            value["outputs"] = json!([{"name": name, "pointer": "/x", "type": "json"}]);
            value
        };
        let using = |id: &str, body: Value| {
            let mut value = action(id);
            value["body"] = json!({"kind": "json", "template": body});
            value
        };
        let uses = json!({"a": ["{{ outputs.login.token }}"]});
        assert!(parse(&workflow(&[with_output("login", "token"), using("b", uses.clone())])).is_ok());
        for order in [
            vec![using("b", uses.clone()), with_output("login", "token")],
            vec![with_output("login", "other"), using("b", uses.clone())],
        ] {
            let mistakes = parse(&workflow(&order)).unwrap_err();
            assert_eq!(mistakes.len(), 1, "{mistakes:?}");
            assert!(
                mistakes[0].ends_with(
                    "/body/template/a/0: output `login.token` isn't declared by an earlier action"
                )
            );
        }
        let mut own = with_output("login", "token");
        own["url"] = json!("https://shop.example/{{ outputs.login.token }}");
        assert_eq!(
            parse(&workflow(&[own])),
            Err(vec!["/actions/0/url: output `login.token` isn't declared by an earlier action".to_owned()])
        );
    }

    #[test]
    fn a_mistake_in_one_action_is_none_in_the_next() {
        let mut broken = action("login");
        broken["timeout_ms"] = json!(1);
        broken["outputs"] = json!([{"name": "token", "pointer": "/x", "type": "json"}]);
        let mut next = action("b");
        next["query"] = json!([{"name": "t", "value": {"output": "login.token"}}]);
        let mistakes = parse(&workflow(&[broken, next])).unwrap_err();
        assert_eq!(mistakes, ["/actions/0/timeout_ms: expected a whole number from 1000 to 28000, found 1"]);
    }

    #[test]
    fn finds_its_way_through_the_actions() {
        let workflow = parse(&example()).unwrap();
        assert_eq!(workflow.action("tell-chat").unwrap().timeout_ms(), 10_000);
        assert!(workflow.action("nope").is_none());
        assert_eq!(workflow.first_action().id().as_str(), "create-order");
        assert_eq!(workflow.secrets().map(Slug::as_str).collect::<Vec<_>>(), ["shipping-app", "chat-token"]);
    }

    #[test]
    fn a_stored_workflow_is_read_under_a_tighter_policy() {
        let mut local = action("a");
        local["url"] = json!("http://127.0.0.1:8787/inspect/x");
        let value = workflow(&[local]);
        assert_eq!(parse(&value).unwrap_err().len(), 1);
        assert!(Workflow::parse(&value, Policy::WITH_LOOPBACK).is_ok());
    }

    /// Workflows that are almost right: a field of the example is replaced.
    fn almost_right() -> impl Strategy<Value = Value> {
        const POINTERS: [&str; 24] = [
            "/name",
            "/object_type",
            "/ordering",
            "/shards",
            "/retention_days",
            "/actions",
            "/actions/0",
            "/actions/0/id",
            "/actions/0/type",
            "/actions/0/method",
            "/actions/0/url",
            "/actions/0/auth",
            "/actions/0/auth/type",
            "/actions/0/auth/secret",
            "/actions/0/body",
            "/actions/0/body/kind",
            "/actions/0/body/fields/0",
            "/actions/0/body/fields/0/value",
            "/actions/0/outputs/0",
            "/actions/0/outputs/0/pointer",
            "/actions/1/query",
            "/actions/1/rate_limit",
            "/actions/1/retry",
            "/actions/1/on_failure",
        ];
        (0..POINTERS.len(), json_value()).prop_map(|(at, value)| {
            let mut workflow = example();
            *workflow.pointer_mut(POINTERS[at]).unwrap() = value;
            workflow
        })
    }

    proptest! {
        #[test]
        fn any_json_is_read_or_refused(value in json_value()) {
            if let Err(mistakes) = parse(&value) {
                prop_assert!(!mistakes.is_empty());
            }
        }

        #[test]
        fn what_is_read_is_stored_and_read_again(value in almost_right()) {
            match parse(&value) {
                Ok(workflow) => prop_assert_eq!(parse(&workflow.to_json()).unwrap(), workflow),
                Err(mistakes) => prop_assert!(!mistakes.iter().any(|mistake| mistake.contains("can't be read"))),
            }
        }
    }
}
