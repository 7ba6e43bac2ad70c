//! `POST /t/{trigger_id}`: a webhook from somebody else. Verified, mapped, enrolled; or kept to be looked at,
//! with the reason where it was refused.

use serde_json::{Value, json};
use varde_core::ids::EnrollmentId;
use varde_core::inbound::{Published, TriggerId, Unverified, keep};
use varde_core::json as core_json;
use varde_core::secret::{Mask, StoredSecret};
use varde_core::signature::Received;
use varde_core::time::SECOND_MS;
use worker::Headers;

use crate::body::{self, Capped};
use crate::directory::{self, TriggerView};
use crate::http::call::{Call, MAX_BODY_BYTES, is_json};
use crate::http::enrollments::{self, Input};
use crate::http::error::Problem;
use crate::http::response::Response;
use crate::http::triggers::unreachable_events;
use crate::inspector_do::arrival::Body;
use crate::trigger_do::protocol::{Event, Keep, Kept, TriggerEventsCall};
use crate::{ambient, log, pace, triggers};

/// The header that says that two requests are the same event, as Standard Webhooks has it.
const IDEMPOTENCY_HEADER: &str = "webhook-id";

/// Largest input that an event makes, as JSON: its fields are stored as the record's and as the event's, and
/// a row ends at 2 MB.
const MAX_INPUT_BYTES: usize = 1024 * 1024;

/// A request to a trigger, read.
struct Arrival {
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body: Capped,
}

/// Why an event isn't taken: what its sender is told, and what the trigger's owner is.
struct Refusal {
    problem: Problem,
    reason: &'static str,
    detail: String,
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self { reason: problem.code(), detail: problem.detail().to_owned(), problem }
    }
}

impl From<Unverified> for Refusal {
    fn from(why: Unverified) -> Self {
        let problem = if why.is_ours() {
            log::error(why.code(), &why);
            Problem::unavailable(
                "not_verifiable",
                "the trigger's secret can't be used; repeat the request later",
            )
        } else {
            Problem::unverified()
        };
        Self { problem, reason: why.code(), detail: why.to_string() }
    }
}

/// Answers a request to a trigger.
pub async fn receive(call: &mut Call, id: &str) -> Result<Response, Problem> {
    let id: TriggerId = id.parse().map_err(|_| Problem::no_such_trigger())?;
    let view = directory::trigger(&call.env, &call.config, id).await?;
    let admitted = pace::admit(id);
    let mut arrival = Arrival {
        method: call.head.method.clone(),
        url: call.head.url.clone(),
        headers: Headers(call.request.headers()).entries().collect(),
        body: Capped::default(),
    };
    let taken = if let Err(wait_ms) = admitted {
        // Unread: whoever sends too much is to cost little.
        Err(too_fast(wait_ms).into())
    } else {
        arrival.body = body::read_request(&call.request, call.head.content_length(), MAX_BODY_BYTES).await?;
        take(call, id, &view, &arrival).await
    };
    match taken {
        Ok(answer) => Ok(Response::from_json(&answer)?.with_status(202)),
        Err(refusal) => {
            keep_later(call, id, &view, &arrival, &Outcome::Refused(&refusal));
            Err(refusal.problem)
        }
    }
}

fn too_fast(wait_ms: u64) -> Problem {
    let seconds = u32::try_from(wait_ms.div_ceil(SECOND_MS)).unwrap_or(u32::MAX);
    Problem::too_many("rate_limited", "too many events came to this trigger at once", seconds)
}

async fn take(call: &Call, id: TriggerId, view: &TriggerView, arrival: &Arrival) -> Result<Value, Refusal> {
    let kind = header(arrival, "content-type");
    if !kind.is_some_and(is_json) {
        return Err(Problem::unsupported_media_type(kind).into());
    }
    if arrival.body.truncated {
        return Err(Problem::too_large(MAX_BODY_BYTES).into());
    }
    let received = Received {
        method: &arrival.method,
        uri: &arrival.url,
        headers: &arrival.headers,
        body: &arrival.body.bytes,
    };
    let now = ambient::now();
    let secret = view.secret.as_ref().map(|secret| secret.in_force(now));
    view.trigger.verify().check(secret, &received, now)?;
    // Others' JSON need not be tidy: of a doubled key the last one counts.
    let event = core_json::parse_foreign(&arrival.body.bytes)
        .map_err(|error| Problem::bad_request(error.code(), error.to_string()))?;
    match view.trigger.published() {
        None => capture(call, id, view, arrival).await,
        Some(published) => enroll(call, id, view, arrival, published, &event).await,
    }
}

/// A trigger that listens keeps what comes: the answer means that it is kept.
async fn capture(
    call: &Call,
    id: TriggerId,
    view: &TriggerView,
    arrival: &Arrival,
) -> Result<Value, Refusal> {
    let keep = Keep { event: event_of(view, arrival, &Outcome::Captured), spaced: false };
    let kept: Kept = triggers::call(&call.env, id, &TriggerEventsCall::Keep(keep))
        .await
        .map_err(|_| unreachable_events())?;
    Ok(json!({"id": kept.id}))
}

async fn enroll(
    call: &Call,
    id: TriggerId,
    view: &TriggerView,
    arrival: &Arrival,
    published: Published<'_>,
    event: &Value,
) -> Result<Value, Refusal> {
    let inputs =
        published.enrollments(event).map_err(|why| Problem::invalid_as(why.code(), why.mistakes()))?;
    let workflow = directory::workflow(&call.env, &call.config, &view.workflow).await.map_err(gone_with)?;
    if workflow.uid != view.uid {
        // The workflow of this trigger is gone, and another one has its name.
        return Err(gone_with(Problem::no_such_trigger()).into());
    }
    let key = header(arrival, IDEMPOTENCY_HEADER).filter(|key| !key.is_empty());
    let count = inputs.len();
    let inputs = inputs.into_iter().enumerate().map(|(at, input)| Input {
        input,
        // The events of one list are as many events.
        key: key.map(|key| if count == 1 { key.to_owned() } else { format!("{key}#{at}") }),
    });
    let accepted = enrollments::take_in(call, &workflow, inputs.collect(), MAX_INPUT_BYTES).await?;
    let mut ids = Vec::with_capacity(count);
    for one in accepted {
        // Where one is refused the sender repeats them all; with a key those that were taken count once.
        ids.push(one.map_err(gone_with)?);
    }
    keep_later(call, id, view, arrival, &Outcome::Enrolled(&ids));
    Ok(match ids.as_slice() {
        [one] => json!({"id": one}),
        many => json!({"id": many.first(), "ids": many}),
    })
}

/// A trigger without its workflow is no trigger; whoever calls it needn't know what the workflow is called.
fn gone_with(problem: impl Into<Problem>) -> Problem {
    let problem = problem.into();
    if problem.status() == 404 {
        directory::forget_all();
        return Problem::no_such_trigger();
    }
    problem
}

/// How a request was answered, for the list of events.
enum Outcome<'a> {
    Captured,
    Enrolled(&'a [EnrollmentId]),
    Refused(&'a Refusal),
}

/// Keeps an event after the answer, unless one of its kind was kept within the last second.
fn keep_later(call: &Call, id: TriggerId, view: &TriggerView, arrival: &Arrival, outcome: &Outcome<'_>) {
    if !pace::worth_keeping(id, matches!(outcome, Outcome::Refused(_))) {
        return;
    }
    let keep = Keep { event: event_of(view, arrival, outcome), spaced: true };
    let env = call.env.clone();
    call.context.wait_until(async move {
        let _: worker::Result<Kept> = triggers::call(&env, id, &TriggerEventsCall::Keep(keep)).await;
    });
}

fn event_of(view: &TriggerView, arrival: &Arrival, outcome: &Outcome<'_>) -> Event {
    let mask = Mask::new(view.secret.iter().flat_map(StoredSecret::values));
    let body = match std::str::from_utf8(&arrival.body.bytes) {
        Ok(text) => Body::keep(mask.apply(text).as_bytes(), arrival.body.truncated),
        Err(_) => Body::keep(&arrival.body.bytes, arrival.body.truncated),
    };
    let (status, refusal, enrollments) = match outcome {
        Outcome::Captured => (202, None, Vec::new()),
        Outcome::Enrolled(ids) => (202, None, ids.to_vec()),
        Outcome::Refused(refusal) => (refusal.problem.status(), Some(refusal), Vec::new()),
    };
    Event {
        status,
        reason: refusal.map(|refusal| refusal.reason.to_owned()),
        detail: refusal.map(|refusal| mask.apply(&refusal.detail).into_owned()),
        enrollments,
        headers: keep::headers(&arrival.headers, view.trigger.verify(), &mask),
        body,
    }
}

fn header<'a>(arrival: &'a Arrival, name: &str) -> Option<&'a str> {
    arrival
        .headers
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_str())
}
