use schemars::JsonSchema;
use serde::Serialize;
use varde_core::token::Scope;

use super::Ms;

/// A secret to store: `value` or `generate`.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = [{"required": ["value"]}, {"required": ["generate"]}]))]
pub struct PutSecret {
    /// The value.
    #[schemars(length(min = 1))]
    pub value: Option<String>,
    /// Makes a value, which the answer shows once.
    pub generate: Option<Generate>,
    /// Where it may be sent; anywhere if empty.
    pub hosts: Option<Vec<String>>,
}

/// Another value for a secret: `value` or `generate`.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = [{"required": ["value"]}, {"required": ["generate"]}]))]
pub struct RotateSecret {
    /// The value.
    #[schemars(length(min = 1))]
    pub value: Option<String>,
    /// Makes a value, which the answer shows once.
    pub generate: Option<Generate>,
    /// How long the former value counts beside it.
    pub overlap_s: Option<u64>,
    /// When it comes into force; default now.
    pub activate_at: Option<Ms>,
}

/// What kind of value is made.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Generate {
    /// `whsec_…`, for HMAC.
    StandardWebhooks,
    /// `whsk_…`, for ed25519.
    StandardWebhooksEd25519,
    /// Any long random text.
    Token,
}

/// A secret, without its value.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Secret {
    /// What workflows call it.
    pub name: String,
    /// When it was first stored.
    pub created_at: Ms,
    /// Until when the former value counts.
    pub previous_until: Option<Ms>,
    /// When the next value comes into force.
    pub activate_at: Option<Ms>,
    /// Where it may be sent; anywhere if absent.
    pub hosts: Option<Vec<String>>,
    /// What receivers check ed25519 signatures with, `whpk_…`.
    pub public_key: Option<String>,
    /// The same of the former value, while it counts.
    pub previous_public_key: Option<String>,
    /// The same of the next value, while it waits.
    pub next_public_key: Option<String>,
    /// The value, once, where it was made here.
    pub value: Option<String>,
}

/// What became of the secrets at a change of master keys.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Resealed {
    /// All there are.
    pub secrets: u64,
    /// Those that this call sealed anew.
    pub resealed: u64,
    /// Those that no key opens: their values are to be put again.
    pub unreadable: Vec<Unreadable>,
}

/// A secret that no key opens.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Unreadable {
    /// Its name.
    pub name: String,
    /// Why: `master_key_mismatch`, `sealed_value_changed`, `unknown_sealed_format`.
    pub reason: String,
}

/// A token to make: `scopes`, or `scope` with a single one.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = [{"required": ["scopes"]}, {"required": ["scope"]}]))]
pub struct CreateToken {
    /// What people call it.
    #[schemars(length(min = 1, max = 100))]
    pub name: Option<String>,
    /// What it may do.
    #[schemars(length(min = 1, max = 3), extend("uniqueItems" = true))]
    pub scopes: Option<Vec<Scope>>,
    /// What it may do.
    pub scope: Option<Scope>,
}

/// A token, without its text.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// Names it in calls; says nothing about its text.
    pub id: String,
    /// What people call it.
    pub name: Option<String>,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// When it was made.
    pub created_at: Ms,
}

/// A token that was made.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// Names it in calls; says nothing about its text.
    pub id: String,
    /// The token. It is shown this once.
    #[schemars(regex(pattern = "^vrd_[0-9a-f]{64}$"))]
    pub token: String,
    /// What people call it.
    pub name: Option<String>,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// When it was made.
    pub created_at: Ms,
}
