use schemars::JsonSchema;
use serde::Serialize;
use varde_core::import::hubspot::{Leftover, NamedSecret};

use super::Workflow;

/// What an import gives.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Import {
    /// Drafts, each fit for `PUT /v1/workflows/{its id}` once its secrets exist.
    pub workflows: Vec<Workflow>,
    /// What has no counterpart here.
    pub not_carried_over: Vec<Leftover>,
    /// The secrets that the drafts name; their values aren't in an export.
    pub secrets: Vec<NamedSecret>,
}
