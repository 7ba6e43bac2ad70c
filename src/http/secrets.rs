//! Secrets: put, rotated, listed, deleted. A value goes in and never comes out, but for one that was made
//! here, which its answer shows once. The public half of an ed25519 pair is shown always: it is computed
//! here, because the registry never sees a value.

use serde::Serialize;
use serde_json::Value;
use varde_core::json::{Fields, Mistake, Mistakes, Node};
use varde_core::secret::{
    DEFAULT_OVERLAP_MS, Generate, HostPattern, MAX_HOSTS, MAX_OVERLAP_MS, Sealed, Secret, StoredSecret,
};
use varde_core::signature::standard_webhooks::Key;
use varde_core::slug::Slug;
use varde_core::time::{DAY_MS, SECOND_MS, UnixMs};

use crate::http::call::Call;
use crate::http::configuration::{self, ask, gone, page_query, shown_once, stored};
use crate::http::error::Problem;
use crate::http::response::Response;
use crate::registry_do::protocol::{
    Kept, KeyUsers, Page, RegistryCall, RotateSecret, SecretDeleted, SecretView, TriggerName,
};
use crate::{ambient, directory};

/// How far ahead a rotation may be planned; a time in another unit lands beyond it.
const MAX_AHEAD_MS: u64 = 366 * DAY_MS;

const GENERATE: [(&str, Generate); 3] = [
    ("standard_webhooks", Generate::StandardWebhooks),
    ("standard_webhooks_ed25519", Generate::StandardWebhooksEd25519),
    ("token", Generate::Token),
];

/// `PUT /v1/secrets/{name}`: creates a secret, or replaces it at once, hosts and all.
pub async fn put(call: &mut Call, name: &str) -> Result<Response, Problem> {
    call.known_query(&[])?;
    let body = call.json().await?;
    let name: Slug =
        name.parse().map_err(|error| Problem::invalid_at("", format!("the name in the path: {error}")))?;
    let Put { source, hosts } = Put::parse(&body).map_err(Problem::invalid)?;
    let fresh = source.fresh();
    refuse_unfit(call, &name, &fresh).await?;
    let value = seal(call, &name, &fresh.secret)?;
    let reply = ask(call, &RegistryCall::PutSecret { name, value, hosts }).await?;
    directory::forget_all();
    match reply {
        Kept::Stored { created, item } => answer(created, item, &fresh),
        Kept::TooMany { limit } => Err(Problem::conflict(
            "too_many_secrets",
            format!("there are {limit} secrets, and there can't be more"),
        )),
    }
}

/// `POST /v1/secrets/{name}/rotate`: another value, now or later; the former one stays in force for a while.
pub async fn rotate(call: &mut Call, name: &str) -> Result<Response, Problem> {
    call.known_query(&[])?;
    let body = call.json().await?;
    let unknown = || Problem::not_found("secret", name);
    let name: Slug = name.parse().map_err(|_| unknown())?;
    let Rotate { source, overlap_ms, activate_at } =
        Rotate::parse(&body, ambient::now()).map_err(Problem::invalid)?;
    let fresh = source.fresh();
    refuse_unfit(call, &name, &fresh).await?;
    let value = seal(call, &name, &fresh.secret)?;
    let message = RegistryCall::RotateSecret(RotateSecret { name, value, overlap_ms, activate_at });
    let reply = ask::<Option<SecretView>>(call, &message).await?;
    directory::forget_all();
    answer(false, reply.ok_or_else(unknown)?, &fresh)
}

/// `GET /v1/secrets`: by name, without values.
pub async fn list(call: &mut Call) -> Result<Response, Problem> {
    let query = page_query(call)?;
    let page: Page<SecretView> = ask(call, &RegistryCall::ListSecrets(query)).await?;
    let names = page.items.iter().map(|secret| secret.name.clone()).collect();
    let sealed: Vec<StoredSecret<Sealed>> = ask(call, &RegistryCall::ReadSecrets { names }).await?;
    let now = ambient::now();
    configuration::list(page, |secret| {
        let stored = sealed.iter().find(|stored| stored.name == secret.name);
        // One that can't be opened is shown without its public keys: that is what the list is looked at for.
        let keys = call.config.master_keys.as_ref().ok().zip(stored).and_then(|(keys, stored)| {
            keys.unseal_all(stored).ok().map(|opened| PublicKeys::of(&opened, now))
        });
        Ok(Answer { secret, keys: keys.unwrap_or_default(), value: None })
    })
}

/// `DELETE /v1/secrets/{name}`: refused while a workflow or a trigger names it.
pub async fn delete(call: &mut Call, name: &str) -> Result<Response, Problem> {
    call.known_query(&[])?;
    let unknown = || Problem::not_found("secret", name);
    let slug: Slug = name.parse().map_err(|_| unknown())?;
    match ask(call, &RegistryCall::DeleteSecret { name: slug }).await? {
        SecretDeleted::Deleted => Ok(gone()),
        SecretDeleted::Unknown => Err(unknown()),
        SecretDeleted::InUse { workflows, triggers } => Err(Problem::conflict(
            "secret_in_use",
            format!("secret `{name}` is used by {}", naming(&workflows, &triggers)),
        )),
    }
}

/// Workflows, and triggers, that are named in a refusal; nobody reads a thousand.
const MAX_NAMED: usize = 10;

fn naming(workflows: &[Slug], triggers: &[TriggerName]) -> String {
    let workflows: Vec<String> = workflows.iter().map(|id| format!("`{id}`")).collect();
    let triggers: Vec<String> = triggers
        .iter()
        .map(|trigger| format!("`{}` of workflow `{}`", trigger.name, trigger.workflow))
        .collect();
    let parts = [("workflow", workflows), ("trigger", triggers)];
    let users: Vec<String> = parts.into_iter().filter_map(|(noun, all)| listing(noun, &all)).collect();
    users.join(" and ")
}

fn listing(noun: &str, all: &[String]) -> Option<String> {
    let named = all.get(..all.len().min(MAX_NAMED)).filter(|named| !named.is_empty())?.join(", ");
    let more = match all.len().saturating_sub(MAX_NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let plural = if all.len() == 1 { "" } else { "s" };
    Some(format!("the {noun}{plural} {named}{more}"))
}

/// Refuses a value that can't be the key that a workflow signs with, or a trigger verifies with: their
/// deliveries would wait, and their events be refused, until somebody looks.
async fn refuse_unfit(call: &Call, name: &Slug, fresh: &Fresh) -> Result<(), Problem> {
    let Err(unfit) = Key::parse_signing(fresh.secret.expose()) else { return Ok(()) };
    let users: KeyUsers = ask(call, &RegistryCall::KeyUsers { name: name.clone() }).await?;
    // A public key verifies, and only that.
    let verifies = Key::parse(fresh.secret.expose()).is_ok();
    let triggers = if verifies { Vec::new() } else { users.triggers };
    if users.workflows.is_empty() && triggers.is_empty() {
        return Ok(());
    }
    let pointer = if fresh.generated { "/generate" } else { "/value" };
    let users = naming(&users.workflows, &triggers);
    let message = format!("it can't be a key for Standard Webhooks, which {users} want of it: {unfit}");
    Err(Problem::invalid_at(pointer, message))
}

fn seal(call: &Call, name: &Slug, secret: &Secret) -> Result<Sealed, Problem> {
    let keys = call.config.master_keys.as_ref().map_err(Problem::misconfigured)?;
    Ok(keys.seal(name, secret, &ambient::random_bytes()))
}

fn answer(created: bool, secret: SecretView, fresh: &Fresh) -> Result<Response, Problem> {
    let key = fresh.secret.public_key();
    // A rotation that is planned has made the next key.
    let keys = if secret.activate_at.is_some() {
        PublicKeys { next: key, ..PublicKeys::default() }
    } else {
        PublicKeys { current: key, ..PublicKeys::default() }
    };
    if fresh.generated {
        shown_once(created, &Answer { secret, keys, value: Some(fresh.secret.expose()) })
    } else {
        stored(created, &Answer { secret, keys, value: None })
    }
}

#[derive(Serialize)]
struct Answer<'a> {
    #[serde(flatten)]
    secret: SecretView,
    #[serde(flatten)]
    keys: PublicKeys,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a str>,
}

/// What receivers check signatures with, where the values are ed25519 keys.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct PublicKeys {
    /// Of the value in force.
    #[serde(rename = "public_key", skip_serializing_if = "Option::is_none")]
    current: Option<String>,
    /// Of the former value, while it counts.
    #[serde(rename = "previous_public_key", skip_serializing_if = "Option::is_none")]
    previous: Option<String>,
    /// Of the next value, while it waits: receivers want to know it before it signs.
    #[serde(rename = "next_public_key", skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

impl PublicKeys {
    fn of(stored: &StoredSecret<Secret>, now: UnixMs) -> Self {
        let in_force = stored.in_force(now);
        let next = stored.pending.as_ref().filter(|pending| pending.activate_at > now);
        Self {
            current: in_force.current.public_key(),
            previous: in_force.previous.and_then(Secret::public_key),
            next: next.and_then(|pending| pending.value.public_key()),
        }
    }
}

/// Where a value comes from.
#[derive(Debug, PartialEq, Eq)]
enum Source {
    /// The caller brings it.
    Given(Secret),
    /// It is made here.
    Made(Generate),
}

struct Fresh {
    secret: Secret,
    generated: bool,
}

impl Source {
    /// `value` or `generate`, one of them.
    fn read(node: &Node<'_>, fields: &Fields<'_>) -> Option<Self> {
        // Never quotes what it found.
        let given = fields.maybe("value", |node| match Secret::new(node.string()?) {
            Ok(secret) => Some(secret),
            Err(invalid) => {
                node.mistake(invalid);
                None
            }
        });
        let made = fields.maybe("generate", |node| node.word(&GENERATE));
        match (given?, made?) {
            (Some(secret), None) => Some(Self::Given(secret)),
            (None, Some(generate)) => Some(Self::Made(generate)),
            (None, None) => {
                node.mistake("expected `value` or `generate`, found neither");
                None
            }
            (Some(_), Some(_)) => {
                node.mistake("expected `value` or `generate`, found both");
                None
            }
        }
    }

    fn fresh(self) -> Fresh {
        match self {
            Self::Given(secret) => Fresh { secret, generated: false },
            Self::Made(generate) => {
                Fresh { secret: generate.value(&ambient::random_bytes()), generated: true }
            }
        }
    }
}

/// `{"value" | "generate", "hosts"?}`.
#[derive(Debug, PartialEq, Eq)]
struct Put {
    source: Source,
    hosts: Vec<HostPattern>,
}

impl Put {
    fn parse(body: &Value) -> Result<Self, Vec<Mistake>> {
        let mistakes = Mistakes::default();
        let node = Node::root(body, &mistakes);
        let put = node.fields(&["value", "generate", "hosts"]).and_then(|fields| {
            let source = Source::read(&node, &fields);
            let hosts = fields.or("hosts", Vec::new(), |node| node.list(MAX_HOSTS, |host| host.parse()));
            Some(Self { source: source?, hosts: hosts? })
        });
        mistakes.conclude(put)
    }
}

/// `{"value" | "generate", "overlap_s"?, "activate_at"?}`.
#[derive(Debug, PartialEq, Eq)]
struct Rotate {
    source: Source,
    overlap_ms: u64,
    activate_at: Option<UnixMs>,
}

impl Rotate {
    fn parse(body: &Value, now: UnixMs) -> Result<Self, Vec<Mistake>> {
        let mistakes = Mistakes::default();
        let node = Node::root(body, &mistakes);
        let rotate = node.fields(&["value", "generate", "overlap_s", "activate_at"]).and_then(|fields| {
            let source = Source::read(&node, &fields);
            let overlap_s = fields.or("overlap_s", DEFAULT_OVERLAP_MS / SECOND_MS, |node| {
                node.integer(0..=MAX_OVERLAP_MS / SECOND_MS)
            });
            let latest = now.plus_ms(MAX_AHEAD_MS);
            let activate_at = fields.maybe("activate_at", |node| node.integer(0..=latest.0));
            Some(Self {
                source: source?,
                overlap_ms: overlap_s?.saturating_mul(SECOND_MS),
                activate_at: activate_at?.map(UnixMs),
            })
        });
        mistakes.conclude(rotate)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use varde_core::time::HOUR_MS;

    use super::*;

    const NOW: UnixMs = UnixMs(1_767_323_045_678);

    fn given(value: &str) -> Source {
        Source::Given(Secret::new(value).unwrap())
    }

    fn pointers(mistakes: Vec<Mistake>) -> Vec<String> {
        mistakes.into_iter().map(|mistake| mistake.pointer).collect()
    }

    #[test]
    fn takes_a_value_or_makes_one() {
        let put = |body: Value| Put::parse(&body).unwrap();
        assert_eq!(put(json!({"value": "abc"})), Put { source: given("abc"), hosts: Vec::new() });
        let hosts = ["api.example", "*.shipping.example"].map(|host| host.parse().unwrap()).into();
        let body = json!({"generate": "token", "hosts": ["api.example", "*.shipping.example"]});
        assert_eq!(put(body), Put { source: Source::Made(Generate::Token), hosts });
        let made = Put { source: Source::Made(Generate::StandardWebhooks), hosts: Vec::new() };
        assert_eq!(put(json!({"generate": "standard_webhooks", "hosts": []})), made);
    }

    #[test]
    fn refuses_other_bodies() {
        let cases = [
            (json!({}), vec![""]),
            (json!({"value": "a", "generate": "token"}), vec![""]),
            (json!({"value": ""}), vec!["/value"]),
            (json!({"value": 5, "hosts": ["https://a.example"]}), vec!["/value", "/hosts/0"]),
            (json!({"value": "a\n", "host": "a"}), vec!["/host", "/value"]),
            (json!({"value": null}), vec!["/value"]),
            (json!({"generate": "rsa"}), vec!["/generate"]),
            (json!({"value": "a", "hosts": ["a.example", "b:1", 5]}), vec!["/hosts/1", "/hosts/2"]),
            (json!({"value": "a", "hosts": vec!["a.example"; MAX_HOSTS + 1]}), vec!["/hosts"]),
            (json!({"value": "a", "overlap_s": 1}), vec!["/overlap_s"]),
            (json!("a"), vec![""]),
        ];
        for (body, expected) in cases {
            assert_eq!(pointers(Put::parse(&body).unwrap_err()), expected, "{body}");
        }
    }

    #[test]
    fn a_mistake_never_quotes_the_value() {
        for body in
            [json!({"value": "hunter2\n"}), json!({"value": "hunter2\u{7}!"}), json!({"value": ["hunter2"]})]
        {
            let mistakes = Put::parse(&body).unwrap_err();
            assert!(
                !mistakes.is_empty() && mistakes.iter().all(|mistake| !mistake.message.contains("hunter")),
                "{body}"
            );
        }
    }

    #[test]
    fn rotates_at_once_with_a_day_of_overlap_unless_told_otherwise() {
        let rotate = |body: Value| Rotate::parse(&body, NOW).unwrap();
        let plain = Rotate { source: given("abc"), overlap_ms: DAY_MS, activate_at: None };
        assert_eq!(rotate(json!({"value": "abc"})), plain);
        let planned = Rotate { source: given("abc"), overlap_ms: HOUR_MS, activate_at: Some(NOW.plus_ms(5)) };
        assert_eq!(rotate(json!({"value": "abc", "overlap_s": 3600, "activate_at": NOW.0 + 5})), planned);
        assert_eq!(rotate(json!({"value": "abc", "overlap_s": 0})).overlap_ms, 0);
    }

    #[test]
    fn refuses_rotations_out_of_bounds() {
        let cases = [
            (json!({}), vec![""]),
            (json!({"value": "a", "overlap_s": 30 * 24 * 3600 + 1}), vec!["/overlap_s"]),
            (
                json!({"value": "a", "overlap_s": -1, "activate_at": "now"}),
                vec!["/overlap_s", "/activate_at"],
            ),
            (json!({"value": "a", "activate_at": NOW.0 * 1_000}), vec!["/activate_at"]),
            (json!({"value": "a", "hosts": []}), vec!["/hosts"]),
        ];
        for (body, expected) in cases {
            assert_eq!(pointers(Rotate::parse(&body, NOW).unwrap_err()), expected, "{body}");
        }
    }

    #[test]
    fn answer_format_unchanged() {
        let secret = SecretView {
            name: "app".parse().unwrap(),
            created_at: UnixMs(1),
            previous_until: Some(UnixMs(2)),
            activate_at: None,
            hosts: Vec::new(),
        };
        let text =
            |keys, value| serde_json::to_string(&Answer { secret: secret.clone(), keys, value }).unwrap();
        assert_eq!(text(PublicKeys::default(), None), r#"{"name":"app","created_at":1,"previous_until":2}"#);
        let keys = PublicKeys { current: Some("whpk_a".to_owned()), ..PublicKeys::default() };
        assert_eq!(
            text(keys, Some("abc")),
            r#"{"name":"app","created_at":1,"previous_until":2,"public_key":"whpk_a","value":"abc"}"#
        );
    }

    #[test]
    fn public_keys_of_all_that_counts_or_will() {
        let pair = |dice: u8| Generate::StandardWebhooksEd25519.value(&[dice; 32]);
        let mut stored = StoredSecret::new("app".parse().unwrap(), pair(1), Vec::new(), UnixMs(1));
        assert_eq!(
            PublicKeys::of(&stored, NOW),
            PublicKeys { current: pair(1).public_key(), ..PublicKeys::default() }
        );
        stored.rotate(pair(2), HOUR_MS, NOW, NOW);
        stored.rotate(pair(3), HOUR_MS, NOW.plus_ms(DAY_MS), NOW);
        let keys = PublicKeys::of(&stored, NOW);
        assert_eq!(keys.current, pair(2).public_key());
        assert_eq!(keys.previous, pair(1).public_key());
        assert_eq!(keys.next, pair(3).public_key());
        let keys = PublicKeys::of(&stored, NOW.plus_ms(DAY_MS));
        assert_eq!(keys.current, pair(3).public_key());
        assert_eq!((keys.previous, keys.next), (pair(2).public_key(), None));
        let plain =
            StoredSecret::new("app".parse().unwrap(), Generate::Token.value(&[1; 32]), Vec::new(), NOW);
        assert_eq!(PublicKeys::of(&plain, NOW), PublicKeys::default());
    }

    #[test]
    fn names_ten_workflows_at_most() {
        let ids =
            |count: usize| -> Vec<Slug> { (0..count).map(|n| format!("w{n}").parse().unwrap()).collect() };
        assert_eq!(naming(&ids(1), &[]), "the workflow `w0`");
        assert_eq!(naming(&ids(2), &[]), "the workflows `w0`, `w1`");
        assert!(naming(&ids(12), &[]).ends_with("`w9` and 2 more"), "{}", naming(&ids(12), &[]));
        let trigger = TriggerName { workflow: "w".parse().unwrap(), name: "Orders".to_owned() };
        assert_eq!(naming(&[], std::slice::from_ref(&trigger)), "the trigger `Orders` of workflow `w`");
        assert_eq!(
            naming(&ids(1), &[trigger.clone(), trigger]),
            "the workflow `w0` and the triggers `Orders` of workflow `w`, `Orders` of workflow `w`"
        );
    }
}
