//! The core in a browser, as two modules: `verify` checks and explains signatures and reads pasted requests;
//! `preview` renders requests, writes schedules out and validates workflows. They are built apart, so that
//! who verifies a signature doesn't load a template engine.
//!
//! In scope: JSON in, JSON out, failures as `Error`s with a `code`; the TypeScript types. Out of scope:
//! every rule, which is `varde-core`'s; pages, which are `www`'s.
//!
//! An input is a JavaScript value or the text of its JSON. Text is taken as it is: `5.0` stays a float and a
//! doubled key is found, both of which JavaScript's own parser hides.

#[cfg(feature = "verify")]
mod verify;
#[cfg(feature = "preview")]
mod preview;
mod call;
mod failure;

use wasm_bindgen::prelude::wasm_bindgen;

#[cfg(feature = "preview")]
pub use preview::{preview, schedule, validate_action, validate_workflow};
#[cfg(feature = "verify")]
pub use verify::{explain, parse_request, verify};

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = include_str!("types.d.ts");
