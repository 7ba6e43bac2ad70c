//! An answer of the API as data: it becomes the platform's in one crossing, at the end.

use serde::Serialize;

use crate::http::error::Problem;
use crate::platform;

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Response {
    /// 200, with a value as JSON.
    ///
    /// # Errors
    /// When it can't be serialised.
    pub fn from_json<T: Serialize + ?Sized>(value: &T) -> serde_json::Result<Self> {
        Ok(Self::with_body("application/json", serde_json::to_vec(value)?))
    }

    /// 200, with a body.
    pub fn with_body(content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::empty(200).with_body_bytes(body.into()).with_header("content-type", content_type)
    }

    /// No body.
    pub const fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    /// The same with another status.
    #[must_use]
    pub fn with_status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    /// The same with a header in place of one of that name, which is in lower case.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same with another body.
    #[must_use]
    pub fn with_body_bytes(self, body: Vec<u8>) -> Self {
        Self { body, ..self }
    }

    /// As the platform wants it.
    ///
    /// # Errors
    /// When it takes the status or a header for malformed.
    pub fn into_raw(self) -> Result<web_sys::Response, Problem> {
        let headers = platform::headers_json(&self.headers)?;
        platform::respond(self.status, &headers, &self.body)
            .map_err(|error| Problem::from(worker::Error::from(error)))
    }
}
