//! What calls take and answer.

mod configuration;
mod delivery;
mod import;
mod inspector;
mod record;
mod replay;
mod test_call;
mod trigger;
mod workflow;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use varde_core::json::Mistake;

pub use configuration::*;
pub use delivery::*;
pub use import::*;
pub use inspector::*;
pub use record::*;
pub use replay::*;
pub use test_call::*;
pub use trigger::*;
pub use workflow::*;

/// Unix milliseconds.
pub type Ms = u64;

/// Header names in lower case, and their values.
pub type Headers = BTreeMap<String, String>;

/// Why a call failed (RFC 9457).
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Problem {
    /// `urn:varde:problem:` and the code.
    pub r#type: String,
    /// What kind of problem it is, for people.
    pub title: String,
    /// The HTTP status.
    #[schemars(range(min = 400, max = 599))]
    pub status: u16,
    /// What happened this time, for people.
    pub detail: String,
    /// A stable slug, for programs.
    #[schemars(regex(pattern = "^[a-z][a-z0-9_]*$"))]
    pub code: String,
    /// All mistakes in the input.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub errors: Option<Vec<Mistake>>,
}

/// One page of a list.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "PageOf{T}")]
pub struct Page<T> {
    /// What is on it; may be empty although there is a next page.
    pub items: Vec<T>,
    /// Where the next page begins; null on the last one.
    #[schemars(required, extend("type" = ["string", "null"]))]
    pub next_cursor: Option<String>,
}

/// That the Worker runs.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Health {
    /// Always `ok`.
    #[schemars(extend("const" = "ok"))]
    pub status: String,
    /// The version that runs.
    pub version: String,
}
