//! The Worker: edge, Durable Objects, sender.
#![expect(missing_docs, reason = "skeleton")]
use worker::wasm_bindgen;
use worker::{Context, Env, Request, Response, Result, event};

#[event(fetch)]
async fn fetch(_request: Request, _env: Env, _context: Context) -> Result<Response> {
    Response::ok("varde")
}
