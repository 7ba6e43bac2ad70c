//! Workflows: put, read, listed, deleted.

use std::collections::BTreeSet;

use serde_json::value::to_raw_value;
use serde_json::{Map, Value, json};
use varde_core::auth::Auth;
use varde_core::json::{self, Mistake};
use varde_core::secret::{Sealed, StoredSecret};
use varde_core::signature::standard_webhooks::Key;
use varde_core::slug::Slug;
use varde_core::workflow::Workflow;

use crate::directory::DirectoryError;
use crate::http::call::Call;
use crate::http::configuration::{self, ask, gone, page_query, push, workflow_id};
use crate::http::error::Problem;
use crate::http::response::Response;
use crate::http::triggers;
use crate::registry_do::protocol::{
    Broadcast, Closing, Outline, Page, Put, PutWorkflow, RegistryCall, Removed, StoredWorkflow,
};
use crate::triggers::forget_events;
use crate::{directory, log, registry};

/// Fields that an answer has and a document hasn't. A document that was read may be put back with them.
const ANSWERED: [&str; 4] = ["id", "version", "created_at", "updated_at"];

/// `PUT /v1/workflows/{id}`.
pub async fn put(call: &mut Call, id: &str) -> Result<Response, Problem> {
    call.known_query(&[])?;
    let body = call.json().await?;
    let workflow: Slug =
        id.parse().map_err(|error| Problem::invalid_at("", format!("the id in the path: {error}")))?;
    let parsed =
        Workflow::parse(&document(body, &workflow)?, call.config.url_rule).map_err(Problem::invalid)?;
    refuse_unfit_secrets(call, &parsed).await?;
    // In its canonical form, with the defaults of today: they must not change under it.
    let doc = to_raw_value(&parsed.to_json())?;
    let outline = outline_of(&parsed);
    let message = RegistryCall::PutWorkflow(PutWorkflow { workflow: workflow.clone(), doc, outline });
    let reply = ask(call, &message).await?;
    directory::forget(&workflow);
    match reply {
        Put::Stored { created, stored, broadcast } => {
            // Limits have changed, or an action that was paused is gone. The document is in force without it.
            push_quietly(call, broadcast.as_ref()).await;
            configuration::stored(created, &show(&stored)?)
        }
        Put::Refused { missing_secrets, shards } => {
            Err(Problem::invalid(refusals(&parsed, &missing_secrets, shards)))
        }
        Put::TooMany { limit } => Err(Problem::conflict(
            "too_many_workflows",
            format!("there are {limit} workflows, and there can't be more"),
        )),
        Put::Closing => Err(Problem::conflict(
            "workflow_closing",
            format!("workflow `{workflow}` is being deleted; finish that with `DELETE`, or wait a minute"),
        )),
    }
}

/// `GET /v1/workflows/{id}`: as it is stored, whatever this isolate remembers.
pub async fn get(call: &mut Call, id: &str) -> Result<Response, Problem> {
    call.known_query(&[])?;
    let workflow = workflow_id(id)?;
    let found: Option<StoredWorkflow> = ask(call, &RegistryCall::ReadWorkflow { workflow }).await?;
    let found = found.ok_or_else(|| Problem::not_found("workflow", id))?;
    Ok(Response::from_json(&show(&found)?)?)
}

/// `GET /v1/workflows`: by id.
pub async fn list(call: &mut Call) -> Result<Response, Problem> {
    let query = page_query(call)?;
    let page: Page<StoredWorkflow> = ask(call, &RegistryCall::ListWorkflows(query)).await?;
    configuration::list(page, |stored| show(&stored))
}

/// `DELETE /v1/workflows/{id}`: refused while deliveries are open, unless `?open=cancel`.
pub async fn delete(call: &mut Call, id: &str) -> Result<Response, Problem> {
    call.known_query(&["open"])?;
    let cancel_open = match call.query("open").as_deref() {
        None => false,
        Some("cancel") => true,
        Some(other) => {
            let detail = format!("`open` can only be `cancel`, found `{other}`");
            return Err(Problem::unprocessable("invalid_parameter", detail));
        }
    };
    delete_in_steps(call, &workflow_id(id)?, cancel_open).await
}

/// Nothing may be accepted between the count and the removal, so the outboxes are closed first, and opened
/// again if something is open. If this dies on the way, the registry opens them after a minute; if open
/// deliveries are already being canceled, the call has to be repeated.
async fn delete_in_steps(call: &Call, workflow: &Slug, cancel_open: bool) -> Result<Response, Problem> {
    let unknown = || Problem::not_found("workflow", workflow);
    if !cancel_open {
        // Most refusals end here, with nothing closed.
        let outboxes: Option<Broadcast> =
            ask(call, &RegistryCall::Outboxes { workflow: workflow.clone() }).await?;
        refuse_open(open_in(call, &outboxes.ok_or_else(unknown)?).await?)?;
    }
    let its_triggers = triggers::names(call, workflow).await?;
    let close = RegistryCall::Close { workflow: workflow.clone(), cancel_open };
    let closed: Option<(Closing, Broadcast)> = ask(call, &close).await?;
    let (closing, broadcast) = closed.ok_or_else(unknown)?;
    directory::forget(workflow);
    if broadcast.controls.cancel_open {
        push(call, &broadcast).await?;
    } else if let Err(problem) = close_empty(call, &broadcast).await {
        let reopened: Option<Broadcast> = ask(call, &RegistryCall::Reopen(closing)).await?;
        directory::forget(workflow);
        push_quietly(call, reopened.as_ref()).await;
        return Err(problem);
    }
    let removed = ask(call, &RegistryCall::Remove(closing)).await?;
    directory::forget_all();
    match removed {
        Removed::Gone => {}
        // Only so that they forget what they hold; the sweep tells those that are missed.
        Removed::Erase(broadcast) => push_quietly(call, Some(&broadcast)).await,
        Removed::Interrupted => {
            let detail = "another call changed the workflow meanwhile; nothing was deleted";
            return Err(Problem::unavailable("deletion_interrupted", detail));
        }
    }
    forget_events(&call.env, &its_triggers).await;
    Ok(gone())
}

/// Closes outboxes in which nothing is open.
async fn close_empty(call: &Call, broadcast: &Broadcast) -> Result<(), Problem> {
    registry::push(&call.env, broadcast).await.map_err(|missed| {
        log::error("controls_not_everywhere", &missed);
        let detail = "not all of the workflow's outboxes can be reached; nothing was deleted";
        Problem::unavailable("outbox_unreachable", detail)
    })?;
    refuse_open(open_in(call, broadcast).await?)
}

async fn open_in(call: &Call, broadcast: &Broadcast) -> Result<u64, Problem> {
    registry::open_count(&call.env, broadcast).await.map_err(|missed| {
        log::error("outbox_unreachable", &missed);
        Problem::unavailable("outbox_unreachable", "what is open couldn't be counted; nothing was deleted")
    })
}

fn refuse_open(open: u64) -> Result<(), Problem> {
    if open == 0 {
        return Ok(());
    }
    let deliveries = if open == 1 { "1 delivery is".to_owned() } else { format!("{open} deliveries are") };
    Err(Problem::conflict(
        "open_deliveries",
        format!("{deliveries} open; wait, or cancel with `?open=cancel`"),
    ))
}

/// Pushes controls that no answer depends on; what is missed is left to the sweep.
async fn push_quietly(call: &Call, broadcast: Option<&Broadcast>) {
    if let Some(broadcast) = broadcast
        && let Err(missed) = registry::push(&call.env, broadcast).await
    {
        log::error("controls_not_everywhere", &missed);
    }
}

/// The document in a body: without the fields that only answers have.
fn document(mut body: Value, workflow: &Slug) -> Result<Value, Problem> {
    let Some(fields) = body.as_object_mut() else { return Ok(body) };
    if let Some(id) = fields.get("id").filter(|id| id.as_str() != Some(workflow)) {
        return Err(Problem::invalid_at(
            "/id",
            format!("expected `{workflow}` as in the path, or nothing, found {id}"),
        ));
    }
    for name in ANSWERED {
        fields.shift_remove(name);
    }
    Ok(body)
}

fn outline_of(workflow: &Workflow) -> Outline {
    let secrets: BTreeSet<&Slug> = workflow.secrets().collect();
    Outline {
        shards: workflow.shards(),
        actions: workflow.actions().iter().map(|action| action.id().clone()).collect(),
        secrets: secrets.into_iter().cloned().collect(),
        rates: workflow
            .actions()
            .iter()
            .filter_map(|action| Some((action.id().clone(), action.rate_limit()?)))
            .collect(),
        retention_days: Some(workflow.retention_days()),
    }
}

/// Refuses secrets that can't be the keys that the document wants of them: better now than at the first
/// delivery. Those that don't exist are the registry's to refuse.
async fn refuse_unfit_secrets(call: &Call, workflow: &Workflow) -> Result<(), Problem> {
    let keys: Vec<(usize, &Slug)> = workflow
        .actions()
        .iter()
        .enumerate()
        .filter_map(|(at, action)| match action.auth() {
            Auth::StandardWebhooks { secret } => Some((at, secret)),
            _ => None,
        })
        .collect();
    if keys.is_empty() {
        return Ok(());
    }
    let master_keys = call.config.master_keys.as_ref().map_err(Problem::misconfigured)?;
    let names = keys.iter().map(|(_, name)| (*name).clone()).collect();
    let stored: Vec<StoredSecret<Sealed>> = ask(call, &RegistryCall::ReadSecrets { names }).await?;
    let mut mistakes = Vec::new();
    for (at, name) in keys {
        let Some(secret) = stored.iter().find(|secret| secret.name == *name) else { continue };
        let value = master_keys
            .unseal(name, &secret.current)
            .map_err(|why| Problem::from(DirectoryError::Sealed { secret: name.clone(), why }))?;
        if let Err(error) = Key::parse_signing(value.expose()) {
            let message = format!("secret `{name}` can't be a key for Standard Webhooks: {error}");
            mistakes.push(Mistake { pointer: format!("/actions/{at}/auth/secret"), message });
        }
    }
    if mistakes.is_empty() { Ok(()) } else { Err(Problem::invalid(mistakes)) }
}

/// What the registry refused, at the places that say so.
fn refusals(workflow: &Workflow, missing_secrets: &[Slug], shards: Option<u8>) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    if let Some(found) = shards {
        let message = format!("the number of shards is fixed when a workflow is created; it is {found}");
        mistakes.push(Mistake { pointer: "/shards".to_owned(), message });
    }
    for (at, action) in workflow.actions().iter().enumerate() {
        if let Some(secret) = action.auth().secret().filter(|name| missing_secrets.contains(name)) {
            let message = format!("there is no secret `{secret}`");
            mistakes.push(Mistake { pointer: format!("/actions/{at}/auth/secret"), message });
        }
    }
    mistakes
}

/// The document with what the registry knows of it.
fn show(stored: &StoredWorkflow) -> Result<Map<String, Value>, Problem> {
    let doc: Map<String, Value> = json::from_text(stored.doc.get())?;
    let mut shown = Map::new();
    shown.insert("id".to_owned(), json!(stored.id));
    shown.extend(doc);
    shown.insert("version".to_owned(), json!(stored.version));
    shown.insert("created_at".to_owned(), json!(stored.created_at));
    shown.insert("updated_at".to_owned(), json!(stored.updated_at));
    Ok(shown)
}

#[cfg(test)]
mod tests {
    use varde_core::time::UnixMs;

    use super::*;

    #[test]
    fn a_document_that_was_read_can_be_put_back() {
        let doc = json!({"name": "W", "actions": []});
        let stored = StoredWorkflow {
            id: "w".parse().unwrap(),
            version: 3,
            created_at: UnixMs(1),
            updated_at: UnixMs(2),
            doc: to_raw_value(&doc).unwrap(),
        };
        let id = stored.id.clone();
        let shown = Value::Object(show(&stored).unwrap_or_default());
        let expected = r#"{"id":"w","name":"W","actions":[],"version":3,"created_at":1,"updated_at":2}"#;
        assert_eq!(shown.to_string(), expected);
        assert_eq!(document(shown, &id).ok(), Some(doc));
    }

    #[test]
    fn a_document_of_another_workflow_is_refused() {
        let id = "w".parse().unwrap();
        assert!(document(json!({"id": "v", "name": "W"}), &id).is_err());
        assert!(document(json!({"id": 5}), &id).is_err());
        assert_eq!(document(json!({"id": "w", "name": "W"}), &id).ok(), Some(json!({"name": "W"})));
        assert_eq!(document(json!([1]), &id).ok(), Some(json!([1])), "left to the parser");
    }

    #[test]
    fn counts_open_deliveries_in_its_refusal() {
        assert!(refuse_open(0).is_ok());
        for (open, expected) in [(1, "1 delivery is open"), (2, "2 deliveries are open")] {
            let problem = refuse_open(open).unwrap_err().to_value();
            assert_eq!((&problem["status"], &problem["code"]), (&json!(409), &json!("open_deliveries")));
            assert!(problem["detail"].as_str().unwrap_or_default().starts_with(expected), "{problem}");
        }
    }
}
