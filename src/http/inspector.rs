//! Request bins: made, looked at, told how to answer; and the calls that they are there for.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use worker::{Delay, Headers};

use crate::ambient;
use crate::body;
use crate::http::call::{Call, MAX_PAGE};
use crate::http::error::Problem;
use crate::http::response::Response;
use crate::inspector_do::arrival::{Arrival, Body, RequestId};
use crate::inspector_do::protocol::{Answer, BinId, InspectorCall};
use crate::inspector_do::script::Script;
use crate::{log, objects};

/// Bytes of a body that are read: as much as the largest webhook that Varde sends, so that its sender isn't
/// cut off in the middle. What is beyond is refused by closing the stream.
const MAX_READ_BYTES: usize = 1024 * 1024;

/// `POST /v1/inspect`.
pub async fn create(call: &mut Call) -> Result<Response, Problem> {
    match call.optional_json().await? {
        None => {}
        Some(Value::Object(fields)) if fields.is_empty() => {}
        Some(_) => return Err(Problem::invalid_at("", "expected no body, or an empty object")),
    }
    let id = BinId::mint(ambient::dice());
    ask::<bool>(call, id, &InspectorCall::Create {}).await?;
    let url = format!("{}/inspect/{id}", call.url.origin().ascii_serialization());
    Ok(Response::from_json(&json!({"id": id.to_string(), "url": url}))?.with_status(201))
}

/// `GET /v1/inspect/{bin}/requests`: newest first.
pub async fn requests(call: &mut Call, bin: &str) -> Result<Response, Problem> {
    call.known_query(&["limit", "cursor"])?;
    let limit = call.limit(MAX_PAGE)? as u64;
    let before = before_of(call.query("cursor").as_deref())?;
    let page: Option<Box<RawValue>> =
        ask(call, id_of(bin)?, &InspectorCall::Requests { before, limit }).await?;
    let page = page.ok_or_else(|| unknown(bin))?;
    Ok(Response::from_json(&page)?)
}

/// `PUT /v1/inspect/{bin}/reply`: answers with the script, defaults filled in.
pub async fn script(call: &mut Call, bin: &str) -> Result<Response, Problem> {
    let id = id_of(bin)?;
    let script = Script::parse(&call.json().await?).map_err(Problem::invalid)?;
    if !ask::<bool>(call, id, &InspectorCall::Script(script.clone())).await? {
        return Err(unknown(bin));
    }
    Ok(Response::from_json(&script)?)
}

/// `DELETE /v1/inspect/{bin}`.
pub async fn delete(call: &mut Call, bin: &str) -> Result<Response, Problem> {
    if !ask::<bool>(call, id_of(bin)?, &InspectorCall::Delete {}).await? {
        return Err(unknown(bin));
    }
    Ok(Response::empty(204))
}

/// Any method on `/inspect/{bin}/…`: records the request and answers as told.
pub async fn record(call: &mut Call, bin: &str) -> Result<Response, Problem> {
    let id = id_of(bin)?;
    let arrival = arrival_of(call).await?;
    let answer: Option<Answer> = ask(call, id, &InspectorCall::Record(arrival)).await?;
    let answer = answer.ok_or_else(|| unknown(bin))?;
    if answer.delay_ms > 0 {
        Delay::from(Duration::from_millis(answer.delay_ms)).await;
    }
    Ok(respond(answer))
}

async fn arrival_of(call: &Call) -> Result<Arrival, Problem> {
    let read = body::read_stream(call.request.body(), MAX_READ_BYTES)
        .await
        .map_err(|_| Problem::bad_request("broken_body", "the body ended before its end"))?;
    let body = Body::keep(&read.bytes, read.truncated);
    Ok(Arrival {
        method: call.head.method.clone(),
        url: call.head.url.clone(),
        headers: joined(Headers(call.request.headers()).entries()),
        body,
    })
}

/// Headers as an object. What the runtime doesn't join itself is joined as RFC 9110, section 5.3, says.
fn joined(headers: impl Iterator<Item = (String, String)>) -> BTreeMap<String, String> {
    let mut object = BTreeMap::<String, String>::new();
    for (name, value) in headers {
        let name = name.to_ascii_lowercase();
        match object.get_mut(&name) {
            Some(known) => known.extend([", ", &value]),
            None => drop(object.insert(name, value)),
        }
    }
    object
}

fn respond(answer: Answer) -> Response {
    let mut response = Response::empty(answer.status);
    if !answer.body.is_empty() {
        response = response.with_header("content-type", "text/plain; charset=utf-8");
    }
    for (name, value) in &answer.headers {
        response = response.with_header(&name.to_ascii_lowercase(), value);
    }
    // Bins are on the origin of the dashboard: whatever is scripted, a browser runs nothing of it there.
    response
        .with_header("content-security-policy", "sandbox")
        .with_header("x-content-type-options", "nosniff")
        .with_body_bytes(answer.body.into_bytes())
}

async fn ask<Reply: DeserializeOwned>(
    call: &Call,
    id: BinId,
    question: &InspectorCall,
) -> Result<Reply, Problem> {
    objects::call(&call.env, "INSPECTOR", &id.to_string(), question).await.map_err(|_| {
        // The error names the bin, and may quote what it holds; both are secrets.
        log::error("inspector_unreachable", &"a request bin couldn't be asked");
        Problem::unavailable("inspector_unreachable", "the request bin can't be reached")
    })
}

fn id_of(bin: &str) -> Result<BinId, Problem> {
    bin.parse().map_err(|_| unknown(bin))
}

fn unknown(bin: &str) -> Problem {
    Problem::not_found("request bin", bin)
}

fn before_of(query: Option<&str>) -> Result<Option<RequestId>, Problem> {
    query.map(str::parse).transpose().map_err(|_| {
        Problem::unprocessable("invalid_parameter", "`cursor` must be the `next_cursor` of an earlier page")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused<T>(outcome: Result<T, Problem>) -> Option<u64> {
        serde_json::to_value(outcome.err()?).unwrap()["status"].as_u64()
    }

    #[test]
    fn repeated_headers_are_joined_in_order() {
        let headers = [("Accept", "*/*"), ("set-cookie", "b=1"), ("x", ""), ("set-cookie", "a=2")];
        let object = joined(headers.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(
            serde_json::to_string(&object).unwrap(),
            r#"{"accept":"*/*","set-cookie":"b=1, a=2","x":""}"#
        );
    }

    #[test]
    fn a_cursor_is_the_name_of_a_request() {
        assert_eq!(before_of(None).unwrap(), None);
        assert_eq!(before_of(Some("req_5")).unwrap(), Some(RequestId(5)));
        assert_eq!(refused(before_of(Some("5"))), Some(422));
    }

    #[test]
    fn what_is_not_a_bin_id_is_unknown_without_asking_anybody() {
        for text in ["", "x", "0123456789ABCDEF0123456789ABCDEF", "../v1"] {
            assert_eq!(refused(id_of(text)), Some(404), "{text}");
        }
    }
}
