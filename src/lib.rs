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

use web_sys::{Request, Response};
use worker::{Context, Env, Result, ScheduleContext, ScheduledEvent, event};

use crate::http::call::Call;

/// Requests from outside, and the `Sender` entrypoint's: `entry.mjs` runs this for both, and gives the
/// sender one value in its env that no request can.
#[event(fetch)]
async fn fetch(request: Request, env: Env, context: Context) -> Result<Response> {
    if platform::is_sender(env.as_ref()) {
        return Ok(sender::serve(request.into(), env, &context).await?.into());
    }
    http::answer(Call::new(request, env, context)?).await
}

/// Every five minutes.
#[event(scheduled)]
async fn scheduled(_event: ScheduledEvent, env: Env, _context: ScheduleContext) {
    sweep::sweep(&env).await;
}
