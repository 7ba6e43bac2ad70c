//! Enrollments: taken in, committed, answered; their first attempts are made after the answer.

use std::collections::BTreeMap;
use std::rc::Rc;

use futures_channel::oneshot;
use futures_util::FutureExt as _;
use serde_json::value::to_raw_value;
use serde_json::{Value, json};
use varde_core::ids::{EnrollmentId, shard_of};
use varde_core::json::Mistake;
use varde_core::outputs::Outputs;
use varde_core::record::EnrollmentInput;
use varde_core::request::Request as HttpRequest;
use worker::Env;

use crate::config::Config;
use crate::directory::{self, WorkflowView};
use crate::http::call::{Call, MAX_BATCH_BODY_BYTES, MAX_BODY_BYTES};
use crate::http::error::Problem;
use crate::http::listing;
use crate::http::response::Response;
use crate::idempotency;
use crate::outbox_do::LEASES_PER_CALL;
use crate::outbox_do::protocol::{
    Accept, AcceptReply, Accepted, Home, NewEnrollment, OutboxCall, Plan, Terms, TurnCall,
};
use crate::sender::{Errand, Sender, Story, expect_more_work};
use crate::{ambient, log, outbox, plan, sender};

/// Most enrollments in one batch.
const MAX_BATCH: usize = 100;
/// How often an accept is tried: it is safe to repeat, since the edge minted the id.
const ACCEPT_TRIES: u32 = 3;

/// One enrollment on its way to its outbox.
struct Incoming {
    /// Where it stands in the batch.
    place: usize,
    input: EnrollmentInput,
    new: NewEnrollment,
    request: Option<HttpRequest>,
}

/// `POST …/enrollments`.
pub async fn enroll(call: &mut Call, id: &str) -> Result<Response, Problem> {
    let key = call.head.idempotency_key.clone();
    let body = call.json().await?;
    let view = directory::workflow_by_id(&call.env, &call.config, id).await?;
    let input = EnrollmentInput::parse(&body).map_err(Problem::invalid)?;
    let mut accepted = take_in(call, &view, vec![Input { input, key }], MAX_BODY_BYTES).await?;
    let id = accepted.pop().unwrap_or_else(no_result)?;
    Ok(Response::from_json(&accepted_as(id))?.with_status(202))
}

/// An enrollment as somebody asks for it.
pub struct Input {
    /// The record and its event.
    pub input: EnrollmentInput,
    /// Its idempotency key.
    pub key: Option<String>,
}

/// Takes enrollments in, and sees to their first attempts after the answer: their ids or refusals, in the
/// order of the inputs. Each has at most `limit` bytes as JSON.
///
/// # Errors
/// When one of them can't be what it should; then none is taken.
pub async fn take_in(
    call: &Call,
    view: &Rc<WorkflowView>,
    inputs: Vec<Input>,
    limit: usize,
) -> Result<Vec<Result<EnrollmentId, Problem>>, Problem> {
    let count = inputs.len();
    let incoming = inputs.into_iter().enumerate();
    let incoming: Result<Vec<_>, _> =
        incoming.map(|(place, Input { input, key })| prepare(call, view, place, input, key, limit)).collect();
    let mut results = accept_all(call, view, incoming?).await;
    Ok((0..count).map(|place| results.remove(&place).unwrap_or_else(no_result)).collect())
}

fn no_result() -> Result<EnrollmentId, Problem> {
    Err(Problem::internal("an enrollment got no result"))
}

/// The status at its acceptance, so that a repetition gets the same answer.
fn accepted_as(id: EnrollmentId) -> Value {
    json!({"id": id, "status": "running"})
}

/// `POST …/enrollments/batch`: each input stands for itself, a bad one doesn't hold up the others.
pub async fn enroll_batch(call: &mut Call, id: &str) -> Result<Response, Problem> {
    if call.head.idempotency_key.is_some() {
        let detail = "a batch takes an `idempotency_key` in each input, and no Idempotency-Key header";
        return Err(Problem::unprocessable("invalid_idempotency_key", detail));
    }
    let body = call.json_within(MAX_BATCH_BODY_BYTES).await?;
    let view = directory::workflow_by_id(&call.env, &call.config, id).await?;
    let inputs = batch_inputs(&body)?;
    let count = inputs.len();
    let mut results = BTreeMap::new();
    let mut incoming = Vec::with_capacity(count);
    for (place, input) in inputs.into_iter().enumerate() {
        match batch_input(call, &view, place, input) {
            Ok(prepared) => incoming.push(prepared),
            Err(problem) => drop(results.insert(place, Err(problem))),
        }
    }
    results.append(&mut accept_all(call, &view, incoming).await);
    let results: Vec<Value> = (0..count)
        .map(|place| match results.remove(&place) {
            Some(Ok(id)) => accepted_as(id),
            Some(Err(problem)) => problem.to_value(),
            None => Problem::internal("an enrollment got no result").to_value(),
        })
        .collect();
    Ok(Response::from_json(&json!({ "results": results }))?.with_status(202))
}

/// `GET …/enrollments`.
pub async fn list(call: &mut Call, id: &str) -> Result<Response, Problem> {
    listing::list(call, id, &["status", "record", "since", "until", "limit", "cursor"], &listing::ENROLLMENTS)
        .await
}

/// `GET …/enrollments/{eid}`.
pub async fn get(call: &mut Call, id: &str, enrollment: &str) -> Result<Response, Problem> {
    let view = directory::workflow_by_id(&call.env, &call.config, id).await?;
    let unknown = || Problem::not_found("enrollment", enrollment);
    let enrollment_id: EnrollmentId = enrollment.parse().map_err(|_| unknown())?;
    let look_up = OutboxCall::Enrollment { id: enrollment_id };
    let found: Option<Value> = outbox::call(&call.env, &view.uid, enrollment_id.shard(), &look_up).await?;
    Ok(Response::from_json(&found.ok_or_else(unknown)?)?)
}

fn batch_inputs(body: &Value) -> Result<Vec<&Value>, Problem> {
    let Some(object) = body.as_object() else {
        return Err(Problem::invalid_at("", "expected an object"));
    };
    let mut mistakes: Vec<Mistake> = object
        .keys()
        .filter(|key| *key != "inputs")
        .map(|key| Mistake {
            pointer: format!("/{key}"),
            message: "unknown field; known are: inputs".to_owned(),
        })
        .collect();
    match object.get("inputs").and_then(Value::as_array) {
        None => {
            mistakes.push(Mistake { pointer: "/inputs".to_owned(), message: "expected an array".to_owned() });
        }
        Some(inputs) if inputs.is_empty() || inputs.len() > MAX_BATCH => {
            let message = format!("expected 1 to {MAX_BATCH} inputs, found {}", inputs.len());
            mistakes.push(Mistake { pointer: "/inputs".to_owned(), message });
        }
        Some(inputs) if mistakes.is_empty() => return Ok(inputs.iter().collect()),
        Some(_) => {}
    }
    Err(Problem::invalid(mistakes))
}

/// One input of a batch: an enrollment with its idempotency key inside.
fn batch_input(call: &Call, view: &WorkflowView, place: usize, input: &Value) -> Result<Incoming, Problem> {
    let at = |mistakes: Vec<Mistake>| {
        let below =
            |mistake: Mistake| Mistake { pointer: format!("/inputs/{place}{}", mistake.pointer), ..mistake };
        Problem::invalid(mistakes.into_iter().map(below).collect())
    };
    let mut input = input.clone();
    let key = match input.as_object_mut().and_then(|object| object.shift_remove("idempotency_key")) {
        None | Some(Value::Null) => None,
        Some(Value::String(key)) => Some(key),
        Some(_) => {
            let pointer = "/idempotency_key".to_owned();
            return Err(at(vec![Mistake { pointer, message: "expected a string".to_owned() }]));
        }
    };
    let parsed = EnrollmentInput::parse(&input).map_err(at)?;
    prepare(call, view, place, parsed, key, MAX_BODY_BYTES)
}

/// Renders the first action and mints the id.
fn prepare(
    call: &Call,
    view: &WorkflowView,
    place: usize,
    input: EnrollmentInput,
    key: Option<String>,
    limit: usize,
) -> Result<Incoming, Problem> {
    let record = input.record().id().to_owned();
    let shard = shard_of(&record, view.workflow.shards());
    let raw = to_raw_value(&input)?;
    if raw.get().len() > limit {
        return Err(Problem::too_large(limit));
    }
    let idempotency = key.map(|key| idempotency::used(&key, &record, raw.get())).transpose()?;
    let (first, request) = plan::plan_first(&view.workflow, &input, ambient::now(), call.config.url_rule)?;
    let new = NewEnrollment { id: ambient::mint_enrollment(shard), record, input: raw, idempotency, first };
    Ok(Incoming { place, input, new, request })
}

/// What became of the enrollments of a batch, by their places.
type Results = BTreeMap<usize, Result<EnrollmentId, Problem>>;

/// Commits enrollments, shard by shard, and sees to their first attempts. Both are done whether or not the
/// caller waits for the answer: one who hangs up in the middle doesn't take the attempts along.
async fn accept_all(call: &Call, view: &Rc<WorkflowView>, incoming: Vec<Incoming>) -> Results {
    let mut by_shard: BTreeMap<u8, Vec<Incoming>> = BTreeMap::new();
    for one in incoming {
        by_shard.entry(one.new.id.shard()).or_default().push(one);
    }
    // Together the shards may hand out no more than one invocation can use.
    let share = (LEASES_PER_CALL / by_shard.len().max(1)).max(1);
    let mut leases_left = LEASES_PER_CALL;
    let mut accepts = Vec::with_capacity(by_shard.len());
    for (shard, incoming) in by_shard {
        let leases = share.min(leases_left);
        leases_left -= leases;
        let home = Home { workflow: view.id.clone(), uid: view.uid.clone(), shard };
        let intake =
            Intake { env: call.env.clone(), config: Rc::clone(&call.config), view: Rc::clone(view), home };
        let (done, results) = oneshot::channel();
        call.context.wait_until(async move {
            let (results, errands) = intake.accept(incoming, leases).await;
            // Who hung up needs no answer.
            drop(done.send(results));
            if !errands.is_empty() {
                sender::let_the_answer_go_first().await;
                Sender::new(intake.env, intake.config, intake.home).run(errands).boxed_local().await;
            }
        });
        accepts.push(results);
    }
    // Those of a shard whose work panicked have no result.
    futures_util::future::join_all(accepts).await.into_iter().flat_map(Result::unwrap_or_default).collect()
}

/// What takes enrollments into an outbox, longer than the call lives.
struct Intake {
    env: Env,
    config: Rc<Config>,
    view: Rc<WorkflowView>,
    home: Home,
}

impl Intake {
    async fn accept(&self, incoming: Vec<Incoming>, leases: usize) -> (Results, Vec<Errand>) {
        let mut news = Vec::with_capacity(incoming.len());
        let mut known = Vec::with_capacity(incoming.len());
        for one in incoming {
            known.push((one.place, one.new.id, one.input, one.request));
            news.push(one.new);
        }
        let plans: Vec<_> =
            news.iter().map(|new| (new.first.action.clone(), terms_of(&new.first.plan))).collect();
        let about = match news.as_slice() {
            [new] => new.id.to_string(),
            _ => self.home.object_name(),
        };
        let accept = TurnCall::Accept(Accept { home: self.home.clone(), enrollments: news, leases });
        let Ok(reply) = self.accept_with_patience(&accept, &about).await else {
            let unavailable =
                || Problem::unavailable("outbox_unreachable", "the enrollment was not confirmed; repeat it");
            return (known.into_iter().map(|(place, ..)| (place, Err(unavailable()))).collect(), Vec::new());
        };
        if reply.leases.len() < known.len() {
            // Those without wait for their turn, for room, for a pause to end.
            expect_more_work(self.home.object_name());
        }
        let mut errands = Vec::new();
        let mut results = BTreeMap::new();
        for (((place, id, input, request), (action, terms)), result) in
            known.into_iter().zip(plans).zip(reply.results)
        {
            results.insert(place, answer_to(&self.view, &result));
            let ticket = reply.leases.iter().find(|ticket| ticket.delivery == id.first_delivery()).copied();
            if let (Some(ticket), Some(terms), Some(request)) = (ticket, terms, request) {
                let story = Some(Rc::new(Story { input, outputs: Outputs::default() }));
                errands.push(Errand { ticket, action, terms, request, story });
            }
        }
        (results, errands)
    }

    /// An accept is safe to repeat, so a passing fault of the outbox is no reason to bother the caller.
    async fn accept_with_patience(&self, accept: &TurnCall, about: &str) -> worker::Result<AcceptReply> {
        let name = self.home.object_name();
        let mut tries = 1;
        loop {
            match outbox::tell(&self.env, &name, accept).await {
                Err(error) if tries < ACCEPT_TRIES => {
                    log::error_about("accept_repeated", about, &error);
                    tries += 1;
                }
                result => return result,
            }
        }
    }
}

fn terms_of(plan: &Plan) -> Option<Terms> {
    match plan {
        Plan::Send { terms, .. } => Some(terms.clone()),
        Plan::Unsendable { .. } => None,
    }
}

fn answer_to(view: &WorkflowView, result: &Accepted) -> Result<EnrollmentId, Problem> {
    match result {
        Accepted::Enrolled { id } => Ok(*id),
        Accepted::KeyReused { id } => Err(Problem::conflict(
            "idempotency_key_reused",
            format!("this Idempotency-Key was used for another input, by enrollment {id}"),
        )),
        Accepted::Failed => {
            Err(Problem::unavailable("not_stored", "the enrollment could not be stored; repeat it"))
        }
        Accepted::Full => Err(Problem::outbox_full()),
        Accepted::Closed => {
            directory::forget(&view.id);
            Err(Problem::not_found("workflow", &view.id))
        }
    }
}
