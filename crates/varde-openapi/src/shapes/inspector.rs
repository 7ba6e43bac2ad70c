use schemars::JsonSchema;
use serde::Serialize;

use super::{Headers, Ms};

/// A request bin.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bin {
    /// 128 random bits; who knows them can write to the bin.
    #[schemars(regex(pattern = "^[0-9a-f]{32}$"))]
    pub id: String,
    /// Records what it is sent, under any path below it.
    pub url: String,
}

/// A request that a bin recorded.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Recorded {
    /// Its name within the bin.
    #[schemars(regex(pattern = "^req_[0-9]+$"))]
    pub id: String,
    /// When it came.
    pub at: Ms,
    /// As it was sent.
    pub method: String,
    /// All of it.
    pub url: String,
    /// Values of a repeated name are joined by commas.
    pub headers: Headers,
    /// As text.
    pub body: String,
    /// The exact bytes, where they are no text.
    pub body_base64: Option<String>,
    /// Whether there was more than 64 KiB.
    pub truncated: Option<bool>,
    /// The status that it was answered with.
    pub answered: u16,
}

/// How a bin answers.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// Default 200.
    #[schemars(range(min = 200, max = 599))]
    pub status: Option<u16>,
    /// None that would act on a browser.
    #[schemars(extend("maxProperties" = 50))]
    pub headers: Option<Headers>,
    /// At most 64 KiB.
    pub body: Option<String>,
    /// How long the answer waits.
    #[schemars(range(max = 30_000))]
    pub delay_ms: Option<u64>,
    /// How many requests are answered 503 first.
    #[schemars(range(max = 1_000))]
    pub fail_first: Option<u64>,
}
