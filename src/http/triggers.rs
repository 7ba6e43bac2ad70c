//! Triggers: made, mapped, published, deleted; and the events that came to them.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value, json};
use varde_core::inbound::schema::{Inferred, infer};
use varde_core::inbound::{State, Trigger, TriggerId, Verify};
use varde_core::json;
use varde_core::secret::{Sealed, StoredSecret};
use varde_core::signature::standard_webhooks::Key;
use varde_core::slug::Slug;
use worker::Method;

use crate::directory::DirectoryError;
use crate::http::call::Call;
use crate::http::configuration::{self, ask, gone, page_query, workflow_id};
use crate::http::error::Problem;
use crate::http::response::Response;
use crate::registry_do::protocol::{
    Page, PageQuery, PutTrigger, RegistryCall, StoredTrigger, TriggerCall, TriggerPut,
};
use crate::trigger_do::protocol::{KeptEvent, TriggerEventsCall};
use crate::{ambient, directory, triggers};

/// Fields that an answer has and a document hasn't. A document that was read may be put back with them.
const ANSWERED: [&str; 5] = ["id", "workflow", "url", "created_at", "updated_at"];

/// Answers a call below `/v1/workflows/{id}/triggers`.
pub async fn dispatch(
    call: &mut Call,
    method: &Method,
    workflow: &str,
    rest: &[&str],
) -> Result<Response, Problem> {
    match (method, rest) {
        (Method::Post, []) => create(call, workflow).await,
        (Method::Get, []) => list(call, workflow).await,
        (Method::Get, [trigger]) => get(call, workflow, trigger).await,
        (Method::Put, [trigger]) => put(call, workflow, trigger).await,
        (Method::Delete, [trigger]) => delete(call, workflow, trigger).await,
        (Method::Get, [trigger, "events"]) => events(call, workflow, trigger).await,
        (method, _) => Err(Problem::no_such_call(method.as_ref(), call.url.path())),
    }
}

/// `POST …/triggers`: a new URL, which listens.
async fn create(call: &mut Call, workflow: &str) -> Result<Response, Problem> {
    call.known_query(&[])?;
    let body = call.json().await?;
    let workflow = workflow_id(workflow)?;
    let trigger = Trigger::create(&body).map_err(Problem::invalid)?;
    let id = TriggerId::mint(ambient::dice());
    let stored = store(call, workflow, id, &trigger, true).await?;
    configuration::stored(true, &show(call, &stored)?)
}

/// `GET …/triggers`: oldest first.
async fn list(call: &mut Call, workflow: &str) -> Result<Response, Problem> {
    let query = page_query(call)?;
    if query.after.as_ref().is_some_and(|after| after.parse::<u64>().is_err()) {
        let detail = "`cursor` must be the `next_cursor` of an earlier page";
        return Err(Problem::unprocessable("invalid_parameter", detail));
    }
    let page = page_of(call, &workflow_id(workflow)?, query).await?;
    configuration::list(page, |stored| show(call, &stored))
}

/// `GET …/triggers/{tid}`.
async fn get(call: &mut Call, workflow: &str, trigger: &str) -> Result<Response, Problem> {
    call.known_query(&[])?;
    let stored = read(call, workflow, trigger).await?;
    Ok(Response::from_json(&show(call, &stored)?)?)
}

/// `PUT …/triggers/{tid}`: replaces all of it; without `state` it stays in the state that it is in.
async fn put(call: &mut Call, workflow: &str, trigger: &str) -> Result<Response, Problem> {
    call.known_query(&[])?;
    let body = call.json().await?;
    let found = read(call, workflow, trigger).await?;
    let document = document(body, found.id)?;
    let parsed = Trigger::parse(&document, state_of(&found)?).map_err(Problem::invalid)?;
    let stored = store(call, found.workflow, found.id, &parsed, false).await?;
    configuration::stored(false, &show(call, &stored)?)
}

/// `DELETE …/triggers/{tid}`: the URL is unknown from now on, and its events are forgotten.
async fn delete(call: &mut Call, workflow: &str, trigger: &str) -> Result<Response, Problem> {
    call.known_query(&[])?;
    let (workflow, id) = (workflow_id(workflow)?, id_of(trigger)?);
    let deleted: bool = ask_about(call, TriggerCall::Delete { workflow, trigger: id }).await?;
    directory::forget_all();
    if !deleted {
        return Err(Problem::no_such_trigger());
    }
    triggers::forget_events(&call.env, &[id]).await;
    Ok(gone())
}

/// `GET …/triggers/{tid}/events`: the last ten, newest first, and what those that were taken hold.
async fn events(call: &mut Call, workflow: &str, trigger: &str) -> Result<Response, Problem> {
    call.known_query(&[])?;
    let stored = read(call, workflow, trigger).await?;
    let kept: Vec<Box<RawValue>> = triggers::call(&call.env, stored.id, &TriggerEventsCall::List {})
        .await
        .map_err(|_| unreachable_events())?;
    let mut taken = Vec::new();
    for event in &kept {
        let KeptEvent { event, .. } = json::from_text(event.get())?;
        let text = event.body.whole_text().filter(|_| event.reason.is_none());
        taken.extend(text.and_then(|text| json::parse_foreign(text.as_bytes()).ok()));
    }
    Ok(Response::from_json(&Events { items: kept, schema: infer(&taken) })?)
}

/// `{"items", "schema"}`.
#[derive(Serialize)]
struct Events {
    items: Vec<Box<RawValue>>,
    schema: Vec<Inferred>,
}

/// The names of a workflow's triggers, for its deletion.
pub async fn names(call: &Call, workflow: &Slug) -> Result<Vec<TriggerId>, Problem> {
    // More than a workflow may have.
    let query = PageQuery { after: None, limit: 100 };
    match page_of(call, workflow, query).await {
        Ok(page) => Ok(page.items.into_iter().map(|stored| stored.id).collect()),
        Err(problem) if problem.status() == 404 => Ok(Vec::new()),
        Err(problem) => Err(problem),
    }
}

/// 503 for a trigger's events.
pub fn unreachable_events() -> Problem {
    Problem::unavailable(
        "trigger_events_unreachable",
        "the trigger's events can't be reached; repeat the call",
    )
}

async fn page_of(call: &Call, workflow: &Slug, query: PageQuery) -> Result<Page<StoredTrigger>, Problem> {
    let question = TriggerCall::List { workflow: workflow.clone(), query };
    let page: Option<Page<StoredTrigger>> = ask_about(call, question).await?;
    page.ok_or_else(|| Problem::not_found("workflow", workflow))
}

async fn read(call: &Call, workflow: &str, trigger: &str) -> Result<StoredTrigger, Problem> {
    let question = TriggerCall::Read { workflow: workflow_id(workflow)?, trigger: id_of(trigger)? };
    let found: Option<StoredTrigger> = ask_about(call, question).await?;
    found.ok_or_else(Problem::no_such_trigger)
}

async fn store(
    call: &Call,
    workflow: Slug,
    id: TriggerId,
    trigger: &Trigger,
    create: bool,
) -> Result<StoredTrigger, Problem> {
    refuse_unfit_secret(call, trigger).await?;
    let secret = trigger.verify().secret();
    let put = PutTrigger {
        workflow: workflow.clone(),
        trigger: id,
        create,
        doc: to_raw_value(&trigger.to_json())?,
        secret: secret.cloned(),
    };
    let reply: TriggerPut = ask_about(call, TriggerCall::Put(put)).await?;
    directory::forget_all();
    match reply {
        TriggerPut::Stored(stored) => Ok(stored),
        TriggerPut::UnknownWorkflow => Err(Problem::not_found("workflow", &workflow)),
        TriggerPut::UnknownTrigger => Err(Problem::no_such_trigger()),
        TriggerPut::Closing => {
            Err(Problem::conflict("workflow_closing", format!("workflow `{workflow}` is being deleted")))
        }
        TriggerPut::MissingSecret => {
            let name = secret.map_or("", Slug::as_str);
            Err(Problem::invalid_at("/verify/secret", format!("there is no secret `{name}`")))
        }
        TriggerPut::TooMany { limit, of_workflow } => {
            let whose = if of_workflow { "the workflow has" } else { "there are" };
            let detail = format!("{whose} {limit} triggers, and there can't be more");
            Err(Problem::conflict("too_many_triggers", detail))
        }
    }
}

/// Refuses a secret that can't be the key that the scheme wants: better now than at the first event. One
/// that doesn't exist is the registry's to refuse.
async fn refuse_unfit_secret(call: &Call, trigger: &Trigger) -> Result<(), Problem> {
    let Verify::StandardWebhooks { secret: name } = trigger.verify() else { return Ok(()) };
    let message = RegistryCall::ReadSecrets { names: vec![name.clone()] };
    let stored: Vec<StoredSecret<Sealed>> = ask(call, &message).await?;
    let Some(stored) = stored.first() else { return Ok(()) };
    let master_keys = call.config.master_keys.as_ref().map_err(Problem::misconfigured)?;
    let value = master_keys
        .unseal(name, &stored.current)
        .map_err(|why| Problem::from(DirectoryError::Sealed { secret: name.clone(), why }))?;
    Key::parse(value.expose()).map(drop).map_err(|error| {
        let message = format!("secret `{name}` can't be a key for Standard Webhooks: {error}");
        Problem::invalid_at("/verify/secret", message)
    })
}

async fn ask_about<Reply: DeserializeOwned>(call: &Call, about: TriggerCall) -> Result<Reply, Problem> {
    ask(call, &RegistryCall::Trigger(about)).await
}

fn id_of(trigger: &str) -> Result<TriggerId, Problem> {
    trigger.parse().map_err(|_| Problem::no_such_trigger())
}

/// The state in a stored document.
fn state_of(stored: &StoredTrigger) -> Result<State, Problem> {
    let doc: Value = json::from_text(stored.doc.get())?;
    let published = doc.get("state").and_then(Value::as_str) == Some("published");
    Ok(if published { State::Published } else { State::Listening })
}

/// The document in a body: without the fields that only answers have.
fn document(mut body: Value, id: TriggerId) -> Result<Value, Problem> {
    let Some(fields) = body.as_object_mut() else { return Ok(body) };
    if fields.get("id").is_some_and(|found| found.as_str() != Some(&id.to_string())) {
        return Err(Problem::invalid_at("/id", "expected the id in the path, or nothing"));
    }
    for name in ANSWERED {
        fields.shift_remove(name);
    }
    Ok(body)
}

/// The document with what the registry knows of it, and the URL to call.
fn show(call: &Call, stored: &StoredTrigger) -> Result<Map<String, Value>, Problem> {
    shown(&call.url.origin().ascii_serialization(), stored)
}

fn shown(origin: &str, stored: &StoredTrigger) -> Result<Map<String, Value>, Problem> {
    let mut doc: Map<String, Value> = json::from_text(stored.doc.get())?;
    let mut shown = Map::new();
    shown.insert("id".to_owned(), json!(stored.id));
    shown.insert("workflow".to_owned(), json!(stored.workflow));
    shown.extend(doc.shift_remove_entry("name"));
    shown.insert("url".to_owned(), json!(format!("{origin}/t/{}", stored.id)));
    shown.extend(doc.shift_remove_entry("state"));
    shown.extend(doc);
    shown.insert("created_at".to_owned(), json!(stored.created_at));
    shown.insert("updated_at".to_owned(), json!(stored.updated_at));
    Ok(shown)
}

#[cfg(test)]
mod tests {
    use varde_core::time::UnixMs;

    use super::*;

    fn stored(state: State) -> StoredTrigger {
        let field = json!({"pointer": "/a", "property": "a", "type": "string"});
        let doc = json!({"name": "T", "mapping": [field], "match": "a", "state": state});
        let trigger = Trigger::parse(&doc, State::Listening).unwrap();
        StoredTrigger {
            id: TriggerId::mint(5),
            workflow: "w".parse().unwrap(),
            created_at: UnixMs(1),
            updated_at: UnixMs(2),
            doc: to_raw_value(&trigger.to_json()).unwrap(),
        }
    }

    #[test]
    fn a_trigger_that_was_read_can_be_put_back() {
        for state in [State::Listening, State::Published] {
            let stored = stored(state);
            let shown = Value::Object(shown("https://varde.example", &stored).unwrap_or_default());
            let word = shown["state"].as_str().unwrap_or_default().to_owned();
            let expected = format!(
                concat!(
                    r#"{{"id":"00000000000000000000000000000005","workflow":"w","name":"T","#,
                    r#""url":"https://varde.example/t/00000000000000000000000000000005","state":"{}","#,
                    r#""verify":{{"type":"none"}},"mapping":[{{"pointer":"/a","property":"a","type":"string"}}],"#,
                    r#""match":"a","created_at":1,"updated_at":2}}"#
                ),
                word
            );
            assert_eq!(shown.to_string(), expected);
            let doc = document(shown, stored.id).unwrap_or_default();
            let trigger = Trigger::parse(&doc, State::Listening).unwrap();
            assert_eq!(trigger.to_json().to_string(), stored.doc.get());
            assert_eq!(state_of(&stored).ok(), Some(state));
        }
    }

    #[test]
    fn a_document_of_another_trigger_is_refused_and_its_id_not_told() {
        let other = TriggerId::mint(6).to_string();
        let problem = document(json!({"id": other, "name": "T"}), TriggerId::mint(5)).unwrap_err().to_value();
        assert_eq!((&problem["status"], &problem["errors"][0]["pointer"]), (&json!(422), &json!("/id")));
        assert!(!problem.to_string().contains(&other));
        assert_eq!(document(json!([1]), TriggerId::mint(5)).ok(), Some(json!([1])), "left to the parser");
    }
}
