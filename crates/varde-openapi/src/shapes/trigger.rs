use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::{Headers, Ms};

/// An inbound trigger to make.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateTrigger {
    /// Its name, for people.
    #[schemars(length(min = 1, max = 200))]
    pub name: String,
    /// How its requests prove where they come from; default none.
    pub verify: Option<Verify>,
}

/// An inbound trigger to replace. What was read may be put back as it is.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PutTrigger {
    /// As in the path.
    #[schemars(extend("readOnly" = true))]
    pub id: Option<String>,
    /// The workflow's id.
    #[schemars(extend("readOnly" = true))]
    pub workflow: Option<String>,
    /// Where it is called.
    #[schemars(extend("readOnly" = true))]
    pub url: Option<String>,
    /// When it was made.
    #[schemars(extend("readOnly" = true))]
    pub created_at: Option<Ms>,
    /// When it was changed last.
    #[schemars(extend("readOnly" = true))]
    pub updated_at: Option<Ms>,
    /// Its name, for people.
    #[schemars(length(min = 1, max = 200))]
    pub name: String,
    /// How its requests prove where they come from; default none.
    pub verify: Option<Verify>,
    /// Which fields become which properties.
    #[schemars(length(max = 200))]
    pub mapping: Option<Vec<MappedField>>,
    /// The property that is the record's id; a published trigger has one.
    #[schemars(extend("x-nullable" = true))]
    pub r#match: Option<String>,
    /// `published` enrolls; without it the trigger stays as it is.
    pub state: Option<TriggerState>,
}

/// An inbound webhook URL of a workflow.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Trigger {
    /// 128 random bits; who knows them can call it.
    pub id: String,
    /// The workflow's id.
    pub workflow: String,
    /// Its name, for people.
    pub name: String,
    /// Where it is called.
    pub url: String,
    /// Whether it enrolls.
    pub state: TriggerState,
    /// How its requests prove where they come from.
    pub verify: Verify,
    /// Which fields become which properties.
    pub mapping: Vec<MappedField>,
    /// The property that is the record's id; null while there is none.
    #[schemars(required, extend("type" = ["string", "null"]))]
    pub r#match: Option<String>,
    /// When it was made.
    pub created_at: Ms,
    /// When it was changed last.
    pub updated_at: Ms,
}

/// Whether a trigger enrolls.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TriggerState {
    /// It records events only.
    Listening,
    /// It enrolls.
    Published,
}

/// How requests to a trigger prove where they come from.
#[derive(Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Verify {
    /// Not at all.
    None,
    /// A fixed text in a header or query parameter.
    Token {
        /// Name of the secret.
        secret: String,
        /// Where it stands.
        location: varde_core::auth::KeyLocation,
        /// Of the header or parameter.
        name: String,
    },
    /// `X-HubSpot-Signature`, version 1.
    HubspotV1 {
        /// Name of the secret.
        secret: String,
    },
    /// `X-HubSpot-Signature`, version 2.
    HubspotV2 {
        /// Name of the secret.
        secret: String,
    },
    /// `X-HubSpot-Signature-v3`.
    HubspotV3 {
        /// Name of the secret.
        secret: String,
    },
    /// `webhook-signature`.
    StandardWebhooks {
        /// Name of the secret.
        secret: String,
    },
    /// An HMAC of the body in a header, as GitHub and Shopify send it.
    Hmac {
        /// Name of the secret.
        secret: String,
        /// The header.
        header: String,
        /// The hash; `sha256` where absent.
        algorithm: Option<HmacAlgorithm>,
        /// How it is written; `hex` where absent.
        encoding: Option<HmacEncoding>,
        /// What stands before it, e.g. `sha256=`.
        prefix: Option<String>,
    },
}

/// The hash of an HMAC.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the variants are the hashes' own names")]
pub enum HmacAlgorithm {
    Sha1,
    Sha256,
    Sha512,
}

/// How an HMAC is written.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the variants are the encodings' own names")]
pub enum HmacEncoding {
    Hex,
    Base64,
}

/// A field of an event that becomes a property.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MappedField {
    /// JSON Pointer into the event.
    pub pointer: String,
    /// The property's name.
    pub property: String,
    /// What it is read as.
    pub r#type: FieldType,
    /// Its name for people.
    pub label: Option<String>,
}

/// What a field is read as.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FieldType {
    /// Text.
    String,
    /// A number.
    Number,
    /// True or false.
    Boolean,
    /// Midnight UTC of a day.
    Date,
    /// A moment.
    Datetime,
    /// One of some words.
    Enumeration,
}

/// What a trigger received last, and what it looks like.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TriggerEvents {
    /// The last events, newest first.
    pub items: Vec<TriggerEvent>,
    /// The fields found in them.
    pub schema: Vec<SchemaField>,
}

/// One event.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TriggerEvent {
    /// Its name within the trigger.
    #[schemars(regex(pattern = "^evt_[0-9]+$"))]
    pub id: String,
    /// When it came.
    pub at: Ms,
    /// The status that it was answered with.
    pub status: u16,
    /// Why it was refused: a stable slug.
    pub reason: Option<String>,
    /// The same in words.
    pub detail: Option<String>,
    /// The enrollments that came of it.
    pub enrollments: Option<Vec<String>>,
    /// Its headers, with keys masked.
    pub headers: Headers,
    /// Its body, to 64 KiB.
    pub body: String,
    /// The exact bytes, where they are no text.
    pub body_base64: Option<String>,
    /// Whether there was more.
    pub truncated: Option<bool>,
}

/// A field found in events.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SchemaField {
    /// JSON Pointer.
    pub pointer: String,
    /// What it looks like.
    pub r#type: FieldType,
    /// One value of it.
    pub sample: Value,
}

/// A request that a trigger took.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Received {
    /// Of the enrollment, or of the event while the trigger only listens.
    pub id: String,
    /// Of all enrollments, where a list of events came.
    pub ids: Option<Vec<String>>,
}
