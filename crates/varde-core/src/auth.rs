//! How a request proves where it comes from; applied anew on every attempt.

use serde::{Deserialize, Serialize};

use crate::slug::Slug;

/// The authentication of one action. It names its secret; the value comes in at [`apply`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Auth {
    /// Nothing is added.
    #[default]
    None,
    /// `X-HubSpot-Signature` (v1 or v2) and `X-HubSpot-Signature-v3`.
    HubspotSignature {
        /// Name of the app's client secret.
        secret: Slug,
        /// Which versions are sent; v1 and v2 share headers, so one of them at most.
        versions: Vec<HubspotVersion>,
    },
    /// `webhook-signature`, one per secret in force.
    StandardWebhooks {
        /// Name of a `whsec_…` secret.
        secret: Slug,
    },
    /// The stored value as it is, in a header or a query parameter.
    ApiKey {
        /// Where it goes.
        location: KeyLocation,
        /// Header or parameter name.
        name: String,
        /// Name of the secret.
        secret: Slug,
    },
    /// `Authorization: Bearer <value>`.
    Bearer {
        /// Name of the secret.
        secret: Slug,
    },
    /// `Authorization: Basic base64(username:value)`.
    Basic {
        /// User name; holds no colon.
        username: String,
        /// Name of the secret that is the password.
        secret: Slug,
    },
}

/// A version of HubSpot's request signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the variants are HubSpot's own words")]
pub enum HubspotVersion {
    V1,
    V2,
    V3,
}

/// Where an API key goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyLocation {
    /// A request header.
    Header,
    /// A parameter appended to the URL's query.
    Query,
}

impl Auth {
    /// The secret that it needs, if any.
    #[must_use]
    pub const fn secret(&self) -> Option<&Slug> {
        match self {
            Self::None => None,
            Self::HubspotSignature { secret, .. }
            | Self::StandardWebhooks { secret }
            | Self::ApiKey { secret, .. }
            | Self::Bearer { secret }
            | Self::Basic { secret, .. } => Some(secret),
        }
    }
}
