//! Routes for the end-to-end tests: counters, panics on demand, rendering. Only with the feature `testing`.

use std::time::Duration;

use serde_json::{Value, json};
use varde_core::endpoint_url::EndpointUrl;
use varde_core::preview::Draft;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;
use worker::Result;

use crate::directory;
use crate::http::call::Call;
use crate::http::error::Problem;
use crate::http::response::Response;
use crate::outbox_do::protocol::{Acknowledged, OutboxCall};
use crate::{metering, outbox, sweep};

/// Largest vector, in bytes: the one that renders a body beyond the limit.
const MAX_VECTOR: usize = 4 * 1_024 * 1_024;

/// Answers a call below `/__testing`.
pub async fn dispatch(call: &mut Call, rest: &[&str]) -> Result<Response, Problem> {
    match rest {
        ["counters"] => Ok(Response::from_json(&metering::counters())?),
        ["fail-statement"] => {
            let n = call.query("n").and_then(|n| n.parse().ok()).unwrap_or(0);
            let panics = call.query("panic").is_some();
            let fault = if panics { metering::Fault::Panic } else { metering::Fault::Error };
            metering::fail_statement(n, call.query("about"), fault);
            Ok(text("ordered"))
        }
        ["registry", state @ ("down" | "up" | "slow")] => {
            let ms = call.query("ms").and_then(|ms| ms.parse().ok()).unwrap_or(0);
            metering::put_registry(match *state {
                "down" => metering::Reach::Down,
                "slow" => metering::Reach::Slow(Duration::from_millis(ms)),
                _ => metering::Reach::Up,
            });
            Ok(text("ordered"))
        }
        ["clock"] => {
            metering::put_clock_ahead(call.query("ahead_ms").and_then(|ms| ms.parse().ok()).unwrap_or(0));
            Ok(text("ordered"))
        }
        ["outbox", state @ ("down" | "up")] => {
            metering::take_outbox_down(*state == "down");
            Ok(text("ordered"))
        }
        ["slots", state @ ("silent" | "given")] => {
            metering::silence_slots(*state == "silent");
            Ok(text("ordered"))
        }
        ["until-fault"] => Ok(Response::from_json(&metering::until_fault())?),
        ["panic"] => panic!("asked to panic at the edge"),
        ["panic-outbox"] => tell_outbox(call, &OutboxCall::Panic { in_alarm: false }).await,
        ["panic-alarm"] => tell_outbox(call, &OutboxCall::Panic { in_alarm: true }).await,
        ["ring"] => tell_outbox(call, &OutboxCall::Ring {}).await,
        ["lose-alarm"] => tell_outbox(call, &OutboxCall::LoseAlarm {}).await,
        ["render"] => render(call).await,
        ["urls"] => urls(call).await,
        ["sweep"] => {
            sweep::sweep(&call.env).await;
            Ok(text("swept"))
        }
        _ => Err(Problem::not_found("test route", &rest.join("/"))),
    }
}

fn text(said: &str) -> Response {
    Response::with_body("text/plain", said)
}

/// Renders a vector of `tests/vectors/render.json` without a workflow, so at any time and with any outputs.
async fn render(call: &mut Call) -> Result<Response, Problem> {
    let draft = Draft::parse(&call.json_within(MAX_VECTOR).await?).map_err(Problem::invalid)?;
    let preview =
        draft.preview().map_err(|reason| Problem::unprocessable(reason.code(), reason.to_string()))?;
    Ok(Response::from_json(&preview.request)?)
}

#[wasm_bindgen]
extern "C" {
    /// The runtime's own parser of URLs.
    #[wasm_bindgen(js_name = URL)]
    type RuntimeUrl;

    #[wasm_bindgen(constructor, catch, js_class = "URL")]
    fn new(text: &str) -> std::result::Result<RuntimeUrl, JsValue>;

    #[wasm_bindgen(method, getter)]
    fn href(this: &RuntimeUrl) -> String;

    #[wasm_bindgen(method, getter)]
    fn host(this: &RuntimeUrl) -> String;

    #[wasm_bindgen(method, getter)]
    fn pathname(this: &RuntimeUrl) -> String;

    #[wasm_bindgen(method, getter)]
    fn search(this: &RuntimeUrl) -> String;
}

/// What the core makes of each URL of a list, and what the runtime makes of the same.
async fn urls(call: &mut Call) -> Result<Response, Problem> {
    let texts: Vec<String> = serde_json::from_value(call.json_within(MAX_VECTOR).await?)?;
    let rows = texts.iter().map(|text| {
        let ours = EndpointUrl::parse(text, call.config.url_rule).map_err(|blocked| blocked.to_string());
        json!({
            "text": text,
            "ours": ours.as_ref().ok().map(EndpointUrl::as_str),
            "host": ours.as_ref().ok().map(EndpointUrl::host),
            "refused": ours.as_ref().err(),
            "theirs": parsed_by_runtime(text),
            "ours_by_theirs": ours.as_ref().ok().map(|url| parsed_by_runtime(url.as_str())),
        })
    });
    Ok(Response::from_json(&rows.collect::<Vec<_>>())?)
}

fn parsed_by_runtime(text: &str) -> Option<Value> {
    let url = RuntimeUrl::new(text).ok()?;
    Some(json!({"href": url.href(), "host": url.host(), "pathname": url.pathname(), "search": url.search()}))
}

async fn tell_outbox(call: &Call, message: &OutboxCall) -> Result<Response, Problem> {
    let id = call.query("workflow").unwrap_or_default();
    let view = directory::workflow_by_id(&call.env, &call.config, &id).await?;
    let shard = call.query("shard").and_then(|shard| shard.parse().ok()).unwrap_or(0);
    let _: Acknowledged = outbox::call(&call.env, &view.uid, shard, message).await?;
    Ok(text("told"))
}
