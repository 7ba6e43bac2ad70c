//! What is said to the registry about triggers. Documents pass through unread, as workflows do.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use varde_core::inbound::TriggerId;
use varde_core::secret::{Sealed, StoredSecret};
use varde_core::slug::Slug;
use varde_core::time::UnixMs;

use super::PageQuery;

/// A call about triggers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TriggerCall {
    /// Which triggers there are; answered by [`KnownTriggers`].
    Known {
        /// The [`KnownTriggers::Changed::changed_at`] that the caller has.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        known: Option<u64>,
    },
    /// All that a Worker needs to take an event; answered by [`ResolvedTrigger`].
    Resolve {
        /// Which.
        trigger: TriggerId,
        /// The [`TriggerSnapshot::revision`] that the caller has.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        known: Option<u64>,
    },
    /// Create or replace a trigger; answered by [`TriggerPut`].
    Put(PutTrigger),
    /// A trigger as it was stored; answered by `Option<`[`StoredTrigger`]`>`.
    Read {
        /// Of which workflow.
        workflow: Slug,
        /// Which.
        trigger: TriggerId,
    },
    /// The triggers of a workflow, oldest first; answered by `Option<Page<`[`StoredTrigger`]`>>`, `None` when
    /// there is no such workflow.
    List {
        /// Of which workflow.
        workflow: Slug,
        /// Which part.
        query: PageQuery,
    },
    /// Forget a trigger; answered by whether there was one.
    Delete {
        /// Of which workflow.
        workflow: Slug,
        /// Which.
        trigger: TriggerId,
    },
}

/// The answer to [`TriggerCall::Known`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KnownTriggers {
    /// They are as the caller knows them.
    Unchanged {
        /// The registry's revision.
        as_of: u64,
    },
    /// They are these.
    Changed {
        /// The registry's revision.
        as_of: u64,
        /// The registry's revision when one last came or went.
        changed_at: u64,
        /// Their names.
        triggers: Vec<TriggerId>,
    },
}

/// The answer to [`TriggerCall::Resolve`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResolvedTrigger {
    /// There is no such trigger.
    Unknown,
    /// It is as the caller knows it.
    Unchanged {
        /// The registry's revision.
        as_of: u64,
    },
    /// It is this.
    Found {
        /// The registry's revision.
        as_of: u64,
        /// The trigger.
        snapshot: Box<TriggerSnapshot>,
    },
}

/// A trigger with what it needs.
#[derive(Debug, Serialize, Deserialize)]
pub struct TriggerSnapshot {
    /// Its workflow's id.
    pub workflow: Slug,
    /// Its workflow's internal name.
    pub uid: String,
    /// The registry's revision at its last change: of the document, or of its secret.
    pub revision: u64,
    /// The document.
    pub doc: Box<RawValue>,
    /// The secret that it names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<StoredSecret<Sealed>>,
}

/// A trigger to store.
#[derive(Debug, Serialize, Deserialize)]
pub struct PutTrigger {
    /// Of which workflow.
    pub workflow: Slug,
    /// Which.
    pub trigger: TriggerId,
    /// Whether it is new; else it must be there.
    pub create: bool,
    /// The document, valid.
    pub doc: Box<RawValue>,
    /// The secret that it names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<Slug>,
}

/// The answer to [`TriggerCall::Put`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TriggerPut {
    /// It is stored.
    Stored(StoredTrigger),
    /// There is no such workflow.
    UnknownWorkflow,
    /// The workflow has no such trigger.
    UnknownTrigger,
    /// The workflow is being deleted.
    Closing,
    /// The secret that it names doesn't exist.
    MissingSecret,
    /// There are this many already.
    TooMany {
        /// The limit.
        limit: u64,
        /// Whether it is the workflow's, not the deployment's.
        of_workflow: bool,
    },
}

/// A trigger as people see it.
#[derive(Debug, Serialize, Deserialize)]
pub struct StoredTrigger {
    /// Its name.
    pub id: TriggerId,
    /// Its workflow.
    pub workflow: Slug,
    /// When it was made.
    pub created_at: UnixMs,
    /// When it was last changed.
    pub updated_at: UnixMs,
    /// The document.
    pub doc: Box<RawValue>,
}

/// A trigger as a refusal names it: its id is a key and stays out of texts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TriggerName {
    /// Its workflow.
    pub workflow: Slug,
    /// What people call it.
    pub name: String,
}

#[cfg(test)]
mod tests {
    use serde_json::value::to_raw_value;
    use serde_json::{Value, json};
    use varde_core::secret::{MasterKey, Secret};

    use super::*;
    use crate::registry_do::protocol::{Page, RegistryCall};

    const ID: &str = "00000000000000000000000000000005";

    fn slug(text: &str) -> Slug {
        text.parse().unwrap()
    }

    fn id() -> TriggerId {
        ID.parse().unwrap()
    }

    fn stored() -> StoredTrigger {
        StoredTrigger {
            id: id(),
            workflow: slug("w"),
            created_at: UnixMs(3),
            updated_at: UnixMs(4),
            doc: to_raw_value(&json!({"name": "T"})).unwrap(),
        }
    }

    fn same<T: Serialize + serde::de::DeserializeOwned>(message: &T, expected: &Value) {
        let text = serde_json::to_string(message).unwrap();
        assert_eq!(text, expected.to_string());
        assert_eq!(serde_json::to_string(&serde_json::from_str::<T>(&text).unwrap()).unwrap(), text);
    }

    #[test]
    fn trigger_calls_format_unchanged() {
        let put = |secret: Option<Slug>| PutTrigger {
            workflow: slug("w"),
            trigger: id(),
            create: true,
            doc: to_raw_value(&json!({"name": "T"})).unwrap(),
            secret,
        };
        let query = PageQuery { after: Some("1".to_owned()), limit: 100 };
        for (call, expected) in [
            (TriggerCall::Known { known: None }, json!({"known": {}})),
            (TriggerCall::Known { known: Some(3) }, json!({"known": {"known": 3}})),
            (
                TriggerCall::Resolve { trigger: id(), known: Some(4) },
                json!({"resolve": {"trigger": ID, "known": 4}}),
            ),
            (TriggerCall::Resolve { trigger: id(), known: None }, json!({"resolve": {"trigger": ID}})),
            (
                TriggerCall::Put(put(Some(slug("s")))),
                json!({"put": {"workflow": "w", "trigger": ID, "create": true, "doc": {"name": "T"}, "secret": "s"}}),
            ),
            (
                TriggerCall::Put(put(None)),
                json!({"put": {"workflow": "w", "trigger": ID, "create": true, "doc": {"name": "T"}}}),
            ),
            (
                TriggerCall::Read { workflow: slug("w"), trigger: id() },
                json!({"read": {"workflow": "w", "trigger": ID}}),
            ),
            (
                TriggerCall::List { workflow: slug("w"), query },
                json!({"list": {"workflow": "w", "query": {"after": "1", "limit": 100}}}),
            ),
            (
                TriggerCall::Delete { workflow: slug("w"), trigger: id() },
                json!({"delete": {"workflow": "w", "trigger": ID}}),
            ),
        ] {
            same(&RegistryCall::Trigger(call), &json!({ "trigger": expected }));
        }
    }

    #[test]
    fn trigger_answers_format_unchanged() {
        same(&KnownTriggers::Unchanged { as_of: 9 }, &json!({"unchanged": {"as_of": 9}}));
        same(
            &KnownTriggers::Changed { as_of: 9, changed_at: 3, triggers: vec![id()] },
            &json!({"changed": {"as_of": 9, "changed_at": 3, "triggers": [ID]}}),
        );
        same(&ResolvedTrigger::Unknown, &json!("unknown"));
        same(&ResolvedTrigger::Unchanged { as_of: 9 }, &json!({"unchanged": {"as_of": 9}}));
        let key = MasterKey::from_base64("MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=").unwrap();
        let sealed = key.seal("s", &Secret::new("key").unwrap(), b"123456789012");
        let shown = serde_json::to_value(&sealed).unwrap();
        let snapshot = |secret| {
            Box::new(TriggerSnapshot {
                workflow: slug("w"),
                uid: "u".to_owned(),
                revision: 8,
                doc: to_raw_value(&json!({"name": "T"})).unwrap(),
                secret,
            })
        };
        same(
            &ResolvedTrigger::Found { as_of: 9, snapshot: snapshot(None) },
            &json!({"found": {"as_of": 9, "snapshot": {"workflow": "w", "uid": "u", "revision": 8, "doc": {"name": "T"}}}}),
        );
        let secret = StoredSecret::new(slug("s"), sealed, Vec::new(), UnixMs(1));
        same(
            &ResolvedTrigger::Found { as_of: 9, snapshot: snapshot(Some(secret)) },
            &json!({"found": {"as_of": 9, "snapshot": {"workflow": "w", "uid": "u", "revision": 8, "doc": {"name": "T"},
                "secret": {"name": "s", "created_at": 1, "current": shown}}}}),
        );
        let shown =
            json!({"id": ID, "workflow": "w", "created_at": 3, "updated_at": 4, "doc": {"name": "T"}});
        same(&TriggerPut::Stored(stored()), &json!({"stored": shown}));
        same(&TriggerPut::UnknownWorkflow, &json!("unknown_workflow"));
        same(&TriggerPut::UnknownTrigger, &json!("unknown_trigger"));
        same(&TriggerPut::Closing, &json!("closing"));
        same(&TriggerPut::MissingSecret, &json!("missing_secret"));
        same(
            &TriggerPut::TooMany { limit: 20, of_workflow: true },
            &json!({"too_many": {"limit": 20, "of_workflow": true}}),
        );
        same(
            &Page { items: vec![stored()], next: Some("1".to_owned()) },
            &json!({"items": [shown], "next": "1"}),
        );
    }
}
