//! An HTTP request as data: what is rendered once, stored, and sent on every attempt.

use core::fmt;

use serde::{Deserialize, Serialize};

/// The methods that an action may use. Anything else turns into GET in the runtime, so it can't be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "the variants are HTTP's own words")]
pub enum Method {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

impl Method {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 5] = [Self::Get, Self::Post, Self::Put, Self::Patch, Self::Delete];

    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }

    /// Whether a request with this method has a body.
    #[must_use]
    pub const fn has_body(self) -> bool {
        matches!(self, Self::Post | Self::Put | Self::Patch)
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A rendered request: the same on every attempt. What changes per attempt (`webhook-timestamp`,
/// `varde-attempt`, authentication) is added by [`crate::auth::apply`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The HTTP method.
    pub method: Method,
    /// The URL as it goes over the wire: parsed and serialised once, query included.
    pub url: String,
    /// Lower-case names, in the order given; `content-type` and `user-agent` among them.
    pub headers: Vec<(String, String)>,
    /// The body; empty for GET, DELETE and `{"kind": "none"}`.
    pub body: String,
}
