//! Trying an action out: sent once, with the request and the response shown. Nothing is enrolled, stored or
//! retried.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};
use varde_core::auth::{ApplyError, AttemptStamp, apply};
use varde_core::enrollment;
use varde_core::expr::{Context as Values, Scope};
use varde_core::ids::DeliveryId;
use varde_core::json::{Fields, Mistakes, Node};
use varde_core::oauth2::Token;
use varde_core::outcome::{Outcome, Verdict};
use varde_core::outputs::Outputs;
use varde_core::record::Record;
use varde_core::request::Request as HttpRequest;
use varde_core::secret::{Secret, StoredSecret};
use varde_core::shown::{ShownRequest, masked};
use varde_core::time::UnixMs;
use varde_core::workflow::{Action, ObjectType};
use varde_core::{curl, render};

use crate::http::call::Call;
use crate::http::error::Problem;
use crate::http::response::Response;
use crate::sender::{Attempted, StoredResponse, Tokens, Trial};
use crate::{ambient, directory};

/// `POST /v1/workflows/{id}/actions/{aid}/test`.
pub async fn saved(call: &mut Call, workflow: &str, action: &str) -> Result<Response, Problem> {
    call.known_query(&[])?;
    let body = call.json().await?;
    let view = directory::workflow_by_id(&call.env, &call.config, workflow).await?;
    let found = view.workflow.actions().iter().find(|known| known.id().as_str() == action);
    let found = found.ok_or_else(|| Problem::not_found("action", action))?;
    let mistakes = Mistakes::default();
    let node = Node::root(&body, &mistakes);
    let input = node.fields(&["record", "event", "outputs"]).and_then(Input::read);
    let mut input = mistakes.conclude(input).map_err(Problem::invalid)?;
    input.outputs = enrollment::outputs_for(&view.workflow, found, &input.outputs).into_owned();
    let secrets = view.secrets.values().collect();
    send(call, &Test { action: found, object_type: view.workflow.object_type(), input, secrets }).await
}

/// `POST /v1/test`: an action that isn't saved, and perhaps never will be.
pub async fn draft(call: &mut Call) -> Result<Response, Problem> {
    call.known_query(&[])?;
    let body = call.json().await?;
    let mistakes = Mistakes::default();
    let node = Node::root(&body, &mistakes);
    let read = node.fields(&["action", "object_type", "record", "event", "outputs"]).and_then(|fields| {
        let action = fields.need("action", |node| Action::read(node, &Scope::draft(), call.config.url_rule));
        let object_type: Option<ObjectType> = fields.need("object_type", |node| node.parse());
        let input = Input::read(fields);
        Some((action?, object_type?, input?))
    });
    let (action, object_type, input) = mistakes.conclude(read).map_err(Problem::invalid)?;
    let secret = match action.auth().secret() {
        Some(name) => directory::secret(&call.env, &call.config, name).await?,
        None => None,
    };
    let secrets = secret.iter().collect();
    send(call, &Test { action: &action, object_type: &object_type, input, secrets }).await
}

/// What an action is tried out with.
struct Input {
    record: Record,
    event: Option<Map<String, Value>>,
    outputs: Outputs,
}

struct Test<'a> {
    action: &'a Action,
    object_type: &'a ObjectType,
    input: Input,
    /// The one that the action names, and others that might be echoed.
    secrets: Vec<&'a StoredSecret<Secret>>,
}

/// The answer: 200, whatever the endpoint did.
#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    outcome: Map<String, Value>,
    verdict: Verdict,
    /// Why it wasn't delivered.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// The same for people, where there is no answer that tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'static str>,
    request: ShownRequest,
    response: Option<ShownResponse>,
    duration_ms: u64,
    outputs: Map<String, Value>,
    /// Why some may be missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    outputs_note: Option<String>,
    curl: String,
}

#[derive(Serialize)]
struct ShownResponse {
    status: u16,
    headers: BTreeMap<String, String>,
    body: String,
    truncated: bool,
}

impl Input {
    fn read(fields: Fields<'_>) -> Option<Self> {
        let record = fields.need("record", Record::read);
        let event = fields.maybe("event", |node| node.object().cloned());
        let outputs = fields.or("outputs", Outputs::default(), Outputs::read);
        Some(Self { record: record?, event: event?, outputs: outputs? })
    }
}

async fn send(call: &Call, test: &Test<'_>) -> Result<Response, Problem> {
    let now = ambient::now();
    let request = rendered(call, test, now)?;
    let auth = test.action.auth();
    let secret =
        auth.secret().and_then(|name| test.secrets.iter().copied().find(|secret| secret.name == *name));
    let trial = Trial {
        auth,
        request: &request,
        timeout_ms: test.action.timeout_ms(),
        stamp: AttemptStamp { delivery: DeliveryId::mint(now, 0, ambient::dice()), number: 1, now },
        secret,
        others: test.secrets.clone(),
        mask: None,
        outputs: test.action.outputs(),
        rule: call.config.url_rule,
    };
    let attempted = trial.make(&Tokens::default()).await.map_err(|error| unsendable(&error))?;
    let report = report(&trial, attempted, test.action).map_err(|error| unsendable(&error))?;
    Ok(Response::from_json(&report)?)
}

fn rendered(call: &Call, test: &Test<'_>, now: UnixMs) -> Result<HttpRequest, Problem> {
    let Input { record, event, outputs } = &test.input;
    let values = Values { object_type: test.object_type, record, event: event.as_ref(), outputs, now };
    render::render(test.action, &values, call.config.url_rule)
        .map_err(|unsendable| Problem::unprocessable(unsendable.code(), unsendable.to_string()))
}

fn unsendable(error: &ApplyError) -> Problem {
    Problem::unprocessable(error.code(), error.to_string())
}

fn report(trial: &Trial<'_>, attempted: Attempted, action: &Action) -> Result<Report, ApplyError> {
    let Attempted { outcome, duration_ms, response, outputs, tokens } = attempted;
    let mask = trial.mask(&tokens);
    // The same stamp gives the same signatures as on the wire.
    let in_force = trial.secret.map(|secret| secret.in_force(trial.stamp.now));
    let token = Token::placeholder();
    let outgoing = apply(trial.auth, trial.request, in_force, Some(&token), &trial.stamp)?;
    let request = ShownRequest::of(trial.auth, trial.request, &outgoing, &mask);
    let status = match outcome {
        Outcome::Response { status, .. } | Outcome::Token { token_status: Some(status), .. } => Some(status),
        _ => None,
    };
    let response = status.zip(response).map(|(status, response)| {
        let StoredResponse { headers, body, truncated } = response;
        ShownResponse { status, headers, body, truncated }
    });
    let verdict = outcome.verdict(action.retry());
    let (mut outputs, outputs_note) = outputs.map(|picked| (picked.values, picked.note)).unwrap_or_default();
    outputs.values_mut().for_each(|value| masked(value, &mask));
    Ok(Report {
        outcome: described(&outcome),
        verdict,
        reason: (verdict != Verdict::Delivered).then(|| outcome.reason()),
        error: outcome.explanation(),
        request,
        response,
        duration_ms,
        outputs,
        outputs_note,
        curl: curl::command(trial.auth, trial.request, &trial.stamp, &mask),
    })
}

/// The outcome in the words of an attempt in a delivery's log, less what the response tells.
fn described(outcome: &Outcome) -> Map<String, Value> {
    let mut described = match serde_json::to_value(outcome) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    for told in ["status", "retry_after"] {
        described.remove(told);
    }
    described
}
