//! `GET /healthz`.

use serde_json::json;

use crate::http::error::Problem;
use crate::http::response::Response;

/// 200 while the Worker runs; looks at nothing else, so that a probe costs nothing.
pub fn health() -> Result<Response, Problem> {
    Ok(Response::from_json(&json!({"status": "ok", "version": env!("CARGO_PKG_VERSION")}))?)
}
