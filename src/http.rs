//! The HTTP API: who may call, and which file answers.

pub mod error;
pub mod response;
pub mod call;
pub mod configuration;
pub mod health;
pub mod workflows;
pub mod enrollments;
pub mod deliveries;
pub mod replays;
pub mod listing;
pub mod stats;
pub mod metrics;
pub mod controls;
pub mod test_action;
pub mod triggers;
pub mod receive;
pub mod secrets;
pub mod master_key;
pub mod tokens;
pub mod import;
pub mod inspector;
#[cfg(feature = "testing")]
pub mod testing;

use std::future::ready;

use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;
use varde_core::token::Scope;
use worker::Method;

use crate::http::call::Call;
use crate::http::error::Problem;
use crate::http::response::Response;

/// Answers one request from outside: an error is an answer, too.
///
/// # Errors
/// When the platform refuses even that.
pub async fn answer(mut call: Call) -> worker::Result<web_sys::Response> {
    let answer = authorize_and_dispatch(&mut call).await;
    let raw = answer.and_then(Response::into_raw).or_else(|problem| problem.into_response().into_raw());
    raw.map_err(|problem| problem.detail().into())
}

async fn authorize_and_dispatch(call: &mut Call) -> Result<Response, Problem> {
    let segments = call.segments();
    let path: Vec<&str> = segments.iter().map(String::as_str).collect();
    let method = Method::from(call.head.method.clone());
    // The bindings take a method that they don't know for GET. A bin records it; the API refuses it.
    if call.head.method != method.as_ref() && path.first() == Some(&"v1") {
        return Err(Problem::no_such_call(&call.head.method, call.url.path()));
    }
    if let Some(scope) = required_scope(&method, &path) {
        call.require(scope).await?;
    }
    match (&method, path.as_slice()) {
        // A short cut to what most calls want: the router needn't be compiled for a first one.
        (Method::Post, ["v1", "workflows", id, "enrollments"]) => enrollments::enroll(call, id).await,
        _ => dispatch(call, &method, &path).await,
    }
}

/// What a call needs; whatever isn't listed needs `admin`.
fn required_scope(method: &Method, path: &[&str]) -> Option<Scope> {
    match (method, path) {
        (_, ["healthz"] | ["inspect" | "t", ..]) => None,
        #[cfg(feature = "testing")]
        (_, ["__testing", ..]) => None,
        (_, ["v1", "tokens", ..]) => Some(Scope::Admin),
        (Method::Post, ["v1", "workflows", _, "enrollments", ..]) => Some(Scope::Enroll),
        (Method::Get, _) => Some(Scope::Read),
        _ => Some(Scope::Admin),
    }
}

/// The router, on one screen. Each answer is a future by itself: a runtime compiles a function when it is first
/// called, and all answers in one were a fifth of what a first request had to have compiled.
#[inline(never)]
fn dispatch<'a>(
    call: &'a mut Call,
    method: &'a Method,
    path: &'a [&'a str],
) -> LocalBoxFuture<'a, Result<Response, Problem>> {
    use Method::{Delete, Get, Head, Post, Put};
    match (method, path) {
        (Get | Head, ["healthz"]) => ready(health::health()).boxed_local(),
        (Get, ["metrics"]) => metrics::metrics(call).boxed_local(),

        (Get, ["v1", "workflows"]) => workflows::list(call).boxed_local(),
        (Put, ["v1", "workflows", id]) => workflows::put(call, id).boxed_local(),
        (Get, ["v1", "workflows", id]) => workflows::get(call, id).boxed_local(),
        (Delete, ["v1", "workflows", id]) => workflows::delete(call, id).boxed_local(),

        (Post, ["v1", "workflows", id, "pause"]) => controls::pause_all(call, id).boxed_local(),
        (Post, ["v1", "workflows", id, "resume"]) => controls::resume_all(call, id).boxed_local(),
        (Post, ["v1", "workflows", id, "actions", action, "pause"]) => {
            controls::pause(call, id, action).boxed_local()
        }
        (Post, ["v1", "workflows", id, "actions", action, "resume"]) => {
            controls::resume(call, id, action).boxed_local()
        }
        (Post, ["v1", "workflows", id, "actions", action, "test"]) => {
            test_action::saved(call, id, action).boxed_local()
        }
        (Post, ["v1", "test"]) => test_action::draft(call).boxed_local(),
        (Get, ["v1", "workflows", id, "stats"]) => stats::stats(call, id).boxed_local(),

        (Get, ["v1", "workflows", id, "enrollments"]) => enrollments::list(call, id).boxed_local(),
        (Post, ["v1", "workflows", id, "enrollments"]) => enrollments::enroll(call, id).boxed_local(),
        (Post, ["v1", "workflows", id, "enrollments", "batch"]) => {
            enrollments::enroll_batch(call, id).boxed_local()
        }
        (Get, ["v1", "workflows", id, "enrollments", enrollment]) => {
            enrollments::get(call, id, enrollment).boxed_local()
        }

        (Get, ["v1", "workflows", id, "deliveries"]) => deliveries::list(call, id).boxed_local(),
        (Get, ["v1", "workflows", id, "deliveries", delivery]) => {
            deliveries::get(call, id, delivery).boxed_local()
        }
        (Post, ["v1", "workflows", id, "deliveries", delivery, "cancel"]) => {
            deliveries::cancel(call, id, delivery).boxed_local()
        }
        (Post, ["v1", "workflows", id, "deliveries", delivery, "replay"]) => {
            replays::replay(call, id, delivery).boxed_local()
        }
        (Get, ["v1", "workflows", id, "replays"]) => replays::list(call, id).boxed_local(),
        (Post, ["v1", "workflows", id, "replays"]) => replays::start(call, id).boxed_local(),
        (Get, ["v1", "workflows", id, "replays", replay]) => replays::get(call, id, replay).boxed_local(),
        (Post, ["v1", "workflows", id, "replays", replay, "cancel"]) => {
            replays::cancel(call, id, replay).boxed_local()
        }

        (method, ["v1", "workflows", id, "triggers", rest @ ..]) => {
            triggers::dispatch(call, method, id, rest).boxed_local()
        }
        (Post, ["t", id]) => receive::receive(call, id).boxed_local(),

        (Get, ["v1", "secrets"]) => secrets::list(call).boxed_local(),
        (Put, ["v1", "secrets", name]) => secrets::put(call, name).boxed_local(),
        (Delete, ["v1", "secrets", name]) => secrets::delete(call, name).boxed_local(),
        (Post, ["v1", "secrets", name, "rotate"]) => secrets::rotate(call, name).boxed_local(),

        (Post, ["v1", "master-key", "reseal"]) => master_key::reseal(call).boxed_local(),

        (Get, ["v1", "tokens"]) => tokens::list(call).boxed_local(),
        (Post, ["v1", "tokens"]) => tokens::create(call).boxed_local(),
        (Delete, ["v1", "tokens", id]) => tokens::delete(call, id).boxed_local(),

        (Post, ["v1", "import", "hubspot"]) => import::hubspot(call).boxed_local(),

        (Post, ["v1", "inspect"]) => inspector::create(call).boxed_local(),
        (Get, ["v1", "inspect", bin, "requests"]) => inspector::requests(call, bin).boxed_local(),
        (Put, ["v1", "inspect", bin, "reply"]) => inspector::script(call, bin).boxed_local(),
        (Delete, ["v1", "inspect", bin]) => inspector::delete(call, bin).boxed_local(),
        (_, ["inspect", bin, ..]) => inspector::record(call, bin).boxed_local(),

        #[cfg(feature = "testing")]
        (_, ["__testing", rest @ ..]) => testing::dispatch(call, rest).boxed_local(),

        (method, _) => ready(Err(Problem::no_such_call(method.as_ref(), call.url.path()))).boxed_local(),
    }
}
