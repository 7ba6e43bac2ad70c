//! What is said to the registry. It crosses versions of the Worker while a deploy rolls out, so
//! `protocol_format_unchanged` pins it.
//!
//! Documents and sealed values pass through unread: the edge parses, validates, seals and unseals; the
//! registry keeps, counts versions, and refuses what depends on what it keeps.

mod triggers;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use varde_core::controls::Controls;
use varde_core::ids::ReplayId;
use varde_core::rate::RateLimit;
use varde_core::replay::BulkReplay;
use varde_core::secret::{HostPattern, Sealed, StoredSecret};
use varde_core::slug::Slug;
use varde_core::time::UnixMs;
use varde_core::token::{Scope, TokenHash};

use crate::outbox_do::protocol::Home;

pub use triggers::{
    KnownTriggers, PutTrigger, ResolvedTrigger, StoredTrigger, TriggerCall, TriggerName, TriggerPut,
    TriggerSnapshot,
};

/// What every isolate asks the registry, again and again. By itself, because a runtime compiles what is called:
/// an isolate that only sends needs nothing of [`RegistryCall`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lookup {
    /// All that a Worker needs to run a workflow; answered by [`Resolved`].
    Resolve {
        /// Which.
        workflow: Slug,
        /// The [`Snapshot::revision`] that the caller has.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        known: Option<u64>,
    },
    /// All tokens; answered by [`Tokens`].
    Tokens {
        /// The [`Tokens::Changed::changed_at`] that the caller has.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        known: Option<u64>,
    },
}

/// Any other call to the registry.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RegistryCall {
    /// Create or replace a workflow; answered by [`Put`].
    PutWorkflow(PutWorkflow),
    /// A workflow as it was stored; answered by `Option<`[`StoredWorkflow`]`>`.
    ReadWorkflow {
        /// Which.
        workflow: Slug,
    },
    /// Workflows by id; answered by [`Page`]`<`[`StoredWorkflow`]`>`.
    ListWorkflows(PageQuery),

    /// Pause or resume a workflow or one of its actions; answered by [`Switched`].
    Switch {
        /// Which workflow.
        workflow: Slug,
        /// Which action; absent for the workflow as a whole.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        action: Option<Slug>,
        /// Whether it is paused from now on.
        paused: bool,
    },
    /// An endpoint answered 410: pause its action; answered by `Option<`[`Broadcast`]`>`, `None` when the
    /// workflow or the action is gone, too.
    PauseGone {
        /// The outbox that saw it.
        home: Home,
        /// The action.
        action: Slug,
    },
    /// An outbox makes itself known; answered by the [`Controls`] in force.
    Register(Home),
    /// The next outboxes to look after; answered by `Vec<`[`crate::registry::Swept`]`>`.
    Sweep {},

    /// The outboxes of a workflow; answered by `Option<`[`Broadcast`]`>`.
    Outboxes {
        /// Whose.
        workflow: Slug,
    },
    /// The outboxes in use, of one workflow or of all; answered by [`InUse`].
    InUse {
        /// Whose.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        workflow: Option<Slug>,
        /// Most of them.
        limit: usize,
    },
    /// Keep the order of a bulk replay; answered by `Option<`[`StoredReplay`]`>`.
    StartReplay {
        /// Whose deliveries.
        workflow: Slug,
        /// What is ordered.
        bulk: BulkReplay,
    },
    /// Stop a bulk replay; answered by `Option<`[`StoredReplay`]`>`.
    CancelReplay {
        /// Whose deliveries.
        workflow: Slug,
        /// Which.
        id: ReplayId,
    },
    /// The bulk replays of a workflow, newest first; answered by `Option<Vec<`[`StoredReplay`]`>>`.
    ListReplays {
        /// Whose deliveries.
        workflow: Slug,
    },

    /// First step of a deletion: no more enrollments; answered by `Option<(`[`Closing`]`, `[`Broadcast`]`)>`.
    Close {
        /// Which.
        workflow: Slug,
        /// Whether open deliveries are canceled; there is no way back from that.
        cancel_open: bool,
    },
    /// A deletion is called off; answered by `Option<`[`Broadcast`]`>`, `None` when it isn't this one's turn.
    Reopen(Closing),
    /// Last step of a deletion; answered by [`Removed`].
    Remove(Closing),

    /// Create or replace a secret; answered by [`Kept`]`<`[`SecretView`]`>`.
    PutSecret {
        /// Its name.
        name: Slug,
        /// Its value.
        value: Sealed,
        /// Where it may be sent.
        hosts: Vec<HostPattern>,
    },
    /// Give a secret another value; answered by `Option<`[`SecretView`]`>`.
    RotateSecret(RotateSecret),
    /// Secrets with their sealed values; answered by `Vec<`[`StoredSecret`]`>`, without those that don't exist.
    ReadSecrets {
        /// Which.
        names: Vec<Slug>,
    },
    /// Replace secrets, each unless it was changed in the meantime; answered by how many were replaced.
    ResealSecrets {
        /// What they are, and what they are to be.
        changes: Vec<Resealed>,
    },
    /// Who takes a secret for a key of Standard Webhooks; answered by [`KeyUsers`].
    KeyUsers {
        /// Which.
        name: Slug,
    },
    /// Forget a secret; answered by [`SecretDeleted`].
    DeleteSecret {
        /// Which.
        name: Slug,
    },
    /// Secrets by name; answered by [`Page`]`<`[`SecretView`]`>`.
    ListSecrets(PageQuery),

    /// Keep a token; answered by [`Kept`]`<`[`TokenView`]`>`.
    CreateToken {
        /// What callers will show.
        hash: TokenHash,
        /// What people call it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        /// What it may do.
        scopes: Vec<Scope>,
    },
    /// Forget a token; answered by whether there was one.
    DeleteToken {
        /// Which.
        id: String,
    },
    /// Tokens by id, so oldest first; answered by [`Page`]`<`[`TokenView`]`>`.
    ListTokens(PageQuery),

    /// Something about triggers.
    Trigger(TriggerCall),
}

/// The answer to [`Lookup::Resolve`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resolved {
    /// There is no such workflow.
    Unknown,
    /// It is as the caller knows it.
    Unchanged {
        /// The registry's revision: what was confirmed at the same one is unchanged, too.
        as_of: u64,
    },
    /// It is this.
    Found {
        /// The registry's revision.
        as_of: u64,
        /// The workflow.
        snapshot: Snapshot,
    },
}

/// A workflow with what it needs to run.
#[derive(Debug, Serialize, Deserialize)]
pub struct Snapshot {
    /// Its internal name.
    pub uid: String,
    /// The registry's revision at its last change: of the document, the controls, or a secret.
    pub revision: u64,
    /// The document.
    pub doc: Box<RawValue>,
    /// Its controls.
    pub controls: Controls,
    /// The secrets that it names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<StoredSecret<Sealed>>,
}

/// The answer to [`Lookup::Tokens`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tokens {
    /// They are as the caller knows them.
    Unchanged {
        /// The registry's revision.
        as_of: u64,
    },
    /// They are these.
    Changed {
        /// The registry's revision.
        as_of: u64,
        /// The registry's revision at their last change.
        changed_at: u64,
        /// Each with what it may do.
        tokens: Vec<(TokenHash, Vec<Scope>)>,
    },
}

/// A workflow to store.
#[derive(Debug, Serialize, Deserialize)]
pub struct PutWorkflow {
    /// Its id.
    pub workflow: Slug,
    /// The document, valid.
    pub doc: Box<RawValue>,
    /// What the registry needs to know of it.
    pub outline: Outline,
}

/// What the registry knows of a document, so that it needn't read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outline {
    /// Number of shards.
    pub shards: u8,
    /// Ids of its actions, in order.
    pub actions: Vec<Slug>,
    /// Names of its secrets, each once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<Slug>,
    /// The rate limits of its actions.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rates: BTreeMap<Slug, RateLimit>,
    /// How long its settled deliveries are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_days: Option<u16>,
}

/// The answer to [`RegistryCall::PutWorkflow`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Put {
    /// It is stored.
    Stored {
        /// Whether there was none before.
        created: bool,
        /// It.
        stored: StoredWorkflow,
        /// Controls to push, where the document has changed them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        broadcast: Option<Broadcast>,
    },
    /// It doesn't fit to what is there; nothing was stored.
    Refused {
        /// Secrets that don't exist.
        missing_secrets: Vec<Slug>,
        /// The number of shards that the workflow has, where another one was asked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        shards: Option<u8>,
    },
    /// There are this many already.
    TooMany {
        /// The limit.
        limit: u64,
    },
    /// It is being deleted.
    Closing,
}

/// A workflow as people see it.
#[derive(Debug, Serialize, Deserialize)]
pub struct StoredWorkflow {
    /// Its id.
    pub id: Slug,
    /// Counts its documents.
    pub version: u64,
    /// When the first one was stored.
    pub created_at: UnixMs,
    /// When this one was stored.
    pub updated_at: UnixMs,
    /// The document.
    pub doc: Box<RawValue>,
}

/// Controls with the outboxes that must hear of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Broadcast {
    /// The workflow's internal name.
    pub uid: String,
    /// What is in force.
    pub controls: Controls,
    /// The shards in use.
    pub shards: Vec<u8>,
}

/// The answer to [`RegistryCall::InUse`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InUse {
    /// Outboxes of workflows that are there.
    pub homes: Vec<Home>,
    /// How many there are.
    pub total: u64,
}

/// A bulk replay with the outboxes that do it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredReplay {
    /// The workflow's internal name.
    pub uid: String,
    /// What was ordered.
    pub bulk: BulkReplay,
    /// The shards that were in use.
    pub shards: Vec<u8>,
    /// When it was ordered.
    pub created_at: UnixMs,
}

/// The answer to [`RegistryCall::Switch`].
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Switched {
    /// There is no such workflow.
    UnknownWorkflow,
    /// It has no such action.
    UnknownAction,
    /// It is stored; these outboxes must hear of it.
    Stored(Broadcast),
}

/// A deletion under way, named by the controls that closed the workflow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closing {
    /// Which workflow.
    pub workflow: Slug,
    /// Its internal name.
    pub uid: String,
    /// Version of the controls that closed it.
    pub version: u64,
}

/// The answer to [`RegistryCall::Remove`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Removed {
    /// It is gone since before.
    Gone,
    /// It is gone from now on; these outboxes may forget what they hold.
    Erase(Broadcast),
    /// It was reopened, or closed by somebody else, in the meantime.
    Interrupted,
}

/// A rotation of a secret.
#[derive(Debug, Serialize, Deserialize)]
pub struct RotateSecret {
    /// Which.
    pub name: Slug,
    /// Its next value.
    pub value: Sealed,
    /// How long the former value stays in force.
    pub overlap_ms: u64,
    /// When the next value comes into force; at once where absent or past.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activate_at: Option<UnixMs>,
}

/// The answer to [`RegistryCall::KeyUsers`]: those whose deliveries or events would wait for a value that is no key.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyUsers {
    /// Workflows that sign with it, by id.
    pub workflows: Vec<Slug>,
    /// Triggers that verify with it.
    pub triggers: Vec<TriggerName>,
}

/// A secret whose values were sealed anew.
#[derive(Debug, Serialize, Deserialize)]
pub struct Resealed {
    /// As it was read.
    pub was: StoredSecret<Sealed>,
    /// With the same values under another key.
    pub now: StoredSecret<Sealed>,
}

/// A secret as people see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretView {
    /// What workflows call it.
    pub name: Slug,
    /// When it was first stored.
    pub created_at: UnixMs,
    /// Until when the former value counts, where one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_until: Option<UnixMs>,
    /// When the next value comes into force, where one waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activate_at: Option<UnixMs>,
    /// Where it may be sent; anywhere if empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<HostPattern>,
}

/// The answer to [`RegistryCall::DeleteSecret`].
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretDeleted {
    /// It is gone.
    Deleted,
    /// There is none.
    Unknown,
    /// These workflows and triggers name it.
    InUse {
        /// The workflows' ids.
        workflows: Vec<Slug>,
        /// The triggers.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        triggers: Vec<TriggerName>,
    },
}

/// The answer to a call that keeps something of which there may be so many.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kept<T> {
    /// It is stored.
    Stored {
        /// Whether there was none before.
        created: bool,
        /// It.
        item: T,
    },
    /// There are this many already.
    TooMany {
        /// The limit.
        limit: u64,
    },
}

/// A token as people see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenView {
    /// Names it in calls; says nothing about its text.
    pub id: String,
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// When it was made.
    pub created_at: UnixMs,
}

/// Which part of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageQuery {
    /// Keys above this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Most items.
    pub limit: usize,
}

/// A part of a list.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page<T> {
    /// By key, lowest first.
    pub items: Vec<T>,
    /// The last item's key, where there is more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// A page out of one item more than it may hold, where there are that many.
    pub fn cut(mut items: Vec<T>, limit: usize, key: impl Fn(&T) -> String) -> Self {
        let more = items.len() > limit;
        items.truncate(limit);
        let next = if more { items.last().map(key) } else { None };
        Self { items, next }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::to_raw_value;
    use serde_json::{Value, json};
    use varde_core::secret::{MasterKey, Secret};

    use super::*;

    fn slug(text: &str) -> Slug {
        text.parse().unwrap()
    }

    fn sealed() -> Sealed {
        let key = MasterKey::from_base64("MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=").unwrap();
        key.seal("app", &Secret::new("key").unwrap(), b"123456789012")
    }

    fn secret() -> StoredSecret<Sealed> {
        StoredSecret::new(slug("app"), sealed(), Vec::new(), UnixMs(1))
    }

    const SEALED: &str = "SEALED";
    const HASH: &str = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae";

    fn closing() -> Closing {
        Closing { workflow: slug("w"), uid: "u".to_owned(), version: 2 }
    }

    fn calls() -> Vec<(RegistryCall, Value)> {
        use RegistryCall as Call;
        let doc = to_raw_value(&json!({"name": "W"})).unwrap();
        let outline = Outline {
            shards: 1,
            actions: vec![slug("a")],
            secrets: vec![slug("app")],
            rates: [(slug("a"), RateLimit::new(20, 1_000).unwrap())].into(),
            retention_days: Some(30),
        };
        let home = Home { workflow: slug("w"), uid: "u".to_owned(), shard: 3 };
        let rotate =
            RotateSecret { name: slug("app"), value: sealed(), overlap_ms: 5, activate_at: Some(UnixMs(7)) };
        let query = || PageQuery { after: Some("a".to_owned()), limit: 100 };
        vec![
            (
                Call::PutWorkflow(PutWorkflow { workflow: slug("w"), doc, outline }),
                json!({"put_workflow": {"workflow": "w", "doc": {"name": "W"},
                    "outline": {"shards": 1, "actions": ["a"], "secrets": ["app"], "rates": {"a": {"requests": 20, "per_ms": 1000}}, "retention_days": 30}}}),
            ),
            (Call::ReadWorkflow { workflow: slug("w") }, json!({"read_workflow": {"workflow": "w"}})),
            (Call::ListWorkflows(query()), json!({"list_workflows": {"after": "a", "limit": 100}})),
            (
                Call::Switch { workflow: slug("w"), action: Some(slug("a")), paused: true },
                json!({"switch": {"workflow": "w", "action": "a", "paused": true}}),
            ),
            (
                Call::PauseGone { home: home.clone(), action: slug("a") },
                json!({"pause_gone": {"home": {"workflow": "w", "uid": "u", "shard": 3}, "action": "a"}}),
            ),
            (Call::Register(home), json!({"register": {"workflow": "w", "uid": "u", "shard": 3}})),
            (Call::Sweep {}, json!({"sweep": {}})),
            (Call::Outboxes { workflow: slug("w") }, json!({"outboxes": {"workflow": "w"}})),
            (
                Call::Close { workflow: slug("w"), cancel_open: true },
                json!({"close": {"workflow": "w", "cancel_open": true}}),
            ),
            (Call::Reopen(closing()), json!({"reopen": {"workflow": "w", "uid": "u", "version": 2}})),
            (Call::Remove(closing()), json!({"remove": {"workflow": "w", "uid": "u", "version": 2}})),
            (
                Call::PutSecret {
                    name: slug("app"),
                    value: sealed(),
                    hosts: vec!["*.a.example".parse().unwrap()],
                },
                json!({"put_secret": {"name": "app", "value": SEALED, "hosts": ["*.a.example"]}}),
            ),
            (
                Call::RotateSecret(rotate),
                json!({"rotate_secret": {"name": "app", "value": SEALED, "overlap_ms": 5, "activate_at": 7}}),
            ),
            (
                Call::ResealSecrets { changes: vec![Resealed { was: secret(), now: secret() }] },
                json!({"reseal_secrets": {"changes": [{
                    "was": {"name": "app", "created_at": 1, "current": SEALED},
                    "now": {"name": "app", "created_at": 1, "current": SEALED},
                }]}}),
            ),
            (Call::KeyUsers { name: slug("app") }, json!({"key_users": {"name": "app"}})),
            (Call::DeleteSecret { name: slug("app") }, json!({"delete_secret": {"name": "app"}})),
            (Call::ListSecrets(query()), json!({"list_secrets": {"after": "a", "limit": 100}})),
            (
                Call::CreateToken {
                    hash: TokenHash::of("foo"),
                    name: Some("ci".to_owned()),
                    scopes: vec![Scope::Enroll],
                },
                json!({"create_token": {"hash": HASH, "name": "ci", "scopes": ["enroll"]}}),
            ),
            (Call::DeleteToken { id: "tok_1".to_owned() }, json!({"delete_token": {"id": "tok_1"}})),
            (Call::ListTokens(query()), json!({"list_tokens": {"after": "a", "limit": 100}})),
        ]
    }

    /// What is expected to hold the sealed value says so by a word.
    fn with_sealed(expected: &Value) -> String {
        let sealed = serde_json::to_string(&sealed()).unwrap();
        expected.to_string().replace(&format!("\"{SEALED}\""), &sealed)
    }

    #[test]
    fn protocol_format_unchanged() {
        for (call, expected) in calls() {
            same(&call, &expected);
        }
        same(
            &Lookup::Resolve { workflow: slug("w"), known: Some(4) },
            &json!({"resolve": {"workflow": "w", "known": 4}}),
        );
        same(&Lookup::Resolve { workflow: slug("w"), known: None }, &json!({"resolve": {"workflow": "w"}}));
        same(&Lookup::Tokens { known: Some(4) }, &json!({"tokens": {"known": 4}}));
    }

    fn same<T: Serialize + serde::de::DeserializeOwned>(answer: &T, expected: &Value) {
        let text = serde_json::to_string(answer).unwrap();
        assert_eq!(text, with_sealed(expected));
        let read: T = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
    }

    #[test]
    fn answers_for_workers_format_unchanged() {
        same(&Resolved::Unknown, &json!("unknown"));
        same(&Resolved::Unchanged { as_of: 9 }, &json!({"unchanged": {"as_of": 9}}));
        let snapshot = Snapshot {
            uid: "u".to_owned(),
            revision: 8,
            doc: to_raw_value(&json!({"name": "W"})).unwrap(),
            controls: Controls { version: 1, ..Controls::default() },
            secrets: vec![secret()],
        };
        same(
            &Resolved::Found { as_of: 9, snapshot },
            &json!({"found": {"as_of": 9, "snapshot": {"uid": "u", "revision": 8,
                "doc": {"name": "W"}, "controls": {"version": 1},
                "secrets": [{"name": "app", "created_at": 1, "current": SEALED}]}}}),
        );
        same(&Tokens::Unchanged { as_of: 9 }, &json!({"unchanged": {"as_of": 9}}));
        let tokens = vec![(TokenHash::of("foo"), vec![Scope::Admin, Scope::Read])];
        same(
            &Tokens::Changed { as_of: 9, changed_at: 3, tokens },
            &json!({"changed": {"as_of": 9, "changed_at": 3, "tokens": [[HASH, ["admin", "read"]]]}}),
        );
    }

    #[test]
    fn answers_for_people_format_unchanged() {
        let controls = Controls { version: 4, closed: true, ..Controls::default() };
        let broadcast = || Broadcast { uid: "u".to_owned(), controls: controls.clone(), shards: vec![0, 5] };
        let pushed = json!({"uid": "u", "controls": {"version": 4, "closed": true}, "shards": [0, 5]});
        let stored = StoredWorkflow {
            id: slug("w"),
            version: 2,
            created_at: UnixMs(3),
            updated_at: UnixMs(4),
            doc: to_raw_value(&json!({"name": "W"})).unwrap(),
        };
        let shown = json!({"id": "w", "version": 2, "created_at": 3, "updated_at": 4, "doc": {"name": "W"}});
        same(
            &Put::Stored { created: true, stored, broadcast: Some(broadcast()) },
            &json!({"stored": {"created": true, "stored": shown, "broadcast": pushed}}),
        );
        same(
            &Put::Refused { missing_secrets: vec![slug("app")], shards: Some(2) },
            &json!({"refused": {"missing_secrets": ["app"], "shards": 2}}),
        );
        same(&Put::TooMany { limit: 5 }, &json!({"too_many": {"limit": 5}}));
        same(&Put::Closing, &json!("closing"));
        same(&Switched::UnknownWorkflow, &json!("unknown_workflow"));
        same(&Switched::UnknownAction, &json!("unknown_action"));
        same(&Switched::Stored(broadcast()), &json!({"stored": pushed}));
        same(&Some((closing(), broadcast())), &json!([{"workflow": "w", "uid": "u", "version": 2}, pushed]));
        same(&Removed::Gone, &json!("gone"));
        same(&Removed::Interrupted, &json!("interrupted"));
        let secret = SecretView {
            name: slug("app"),
            created_at: UnixMs(1),
            previous_until: Some(UnixMs(2)),
            activate_at: Some(UnixMs(3)),
            hosts: vec!["a.example".parse().unwrap()],
        };
        let shown = json!({"name": "app", "created_at": 1, "previous_until": 2, "activate_at": 3, "hosts": ["a.example"]});
        same(
            &Kept::Stored { created: false, item: secret },
            &json!({"stored": {"created": false, "item": shown}}),
        );
        same(&Kept::<SecretView>::TooMany { limit: 5 }, &json!({"too_many": {"limit": 5}}));
        same(&SecretDeleted::Deleted, &json!("deleted"));
        same(&SecretDeleted::Unknown, &json!("unknown"));
        same(
            &SecretDeleted::InUse { workflows: vec![slug("w")], triggers: Vec::new() },
            &json!({"in_use": {"workflows": ["w"]}}),
        );
        let trigger = TriggerName { workflow: slug("w"), name: "Orders".to_owned() };
        same(
            &SecretDeleted::InUse { workflows: Vec::new(), triggers: vec![trigger] },
            &json!({"in_use": {"workflows": [], "triggers": [{"workflow": "w", "name": "Orders"}]}}),
        );
        let token = TokenView {
            id: "tok_1".to_owned(),
            name: None,
            scopes: vec![Scope::Read],
            created_at: UnixMs(1),
        };
        same(
            &Page { items: vec![token], next: Some("tok_1".to_owned()) },
            &json!({"items": [{"id": "tok_1", "scopes": ["read"], "created_at": 1}], "next": "tok_1"}),
        );
    }

    #[test]
    fn a_page_has_a_next_one_only_if_there_is_more() {
        let key = |item: &u8| item.to_string();
        assert_eq!(Page::cut(vec![1, 2, 3], 2, key), Page { items: vec![1, 2], next: Some("2".to_owned()) });
        assert_eq!(Page::cut(vec![1, 2], 2, key), Page { items: vec![1, 2], next: None });
        assert_eq!(Page::cut(vec![], 2, key), Page { items: vec![], next: None });
    }
}
