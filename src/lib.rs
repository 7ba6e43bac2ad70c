//! The Worker: core decides, the object remembers, the edge talks.
//!
//! In scope: HTTP in (`http`), HTTP out (`sender`), configuration (`registry_do`, seen through
//! `directory`), deliveries (`outbox_do`), request bins (`inspector_do`), events of triggers (`trigger_do`). Out of scope: every rule about
//! retries, signatures and requests is `varde-core`'s.

mod ambient;
mod patience;
mod log;
mod config;
mod metering;
mod platform;
mod tasks;
mod database;
mod objects;
mod body;
mod http;
mod idempotency;
mod pace;
mod guesses;
mod directory;
mod plan;
mod sender;
mod registry;
mod registry_do;
mod outbox;
mod outbox_do;
mod inspector_do;
mod trigger_do;
mod triggers;
mod sweep;

use futures_util::FutureExt as _;
use js_sys::Function;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;
use web_sys::Request;
use worker::{Env, ScheduleContext, ScheduledEvent, event};

use crate::http::call::Call;
use crate::tasks::Context;

/// Requests from outside, and those of the `Sender` entrypoint: only `entry.mjs` can say which.
#[wasm_bindgen]
pub fn serve(request: Request, env: Env, context: JsValue, from_alarm: bool, done: Function) {
    let context = Context::from(context);
    tasks::work_for(done, async move {
        // Each is a future by itself, as the answers of the API are.
        let answer = if from_alarm {
            sender::serve(request.into(), env, &context).boxed_local().await.map(web_sys::Response::from)
        } else {
            match Call::new(request, env, context) {
                Ok(call) => http::answer(call).boxed_local().await,
                Err(error) => Err(error),
            }
        };
        answer.map(JsValue::from).map_err(|error| {
            log::error("no_answer", &error);
            JsValue::from(error)
        })
    });
}

/// Every five minutes.
#[event(scheduled)]
async fn scheduled(_event: ScheduledEvent, env: Env, _context: ScheduleContext) {
    sweep::sweep(&env).await;
}
