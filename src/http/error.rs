//! Problem details (RFC 9457), and the only place where errors become HTTP statuses.

use serde::Serialize;
use varde_core::json::Mistake;

use crate::config::ConfigError;
use crate::directory::DirectoryError;
use crate::http::response::Response;
use crate::log;

/// When a full outbox is worth asking again.
const FULL_RETRY_AFTER_S: u32 = 30;

/// What the caller is told when a call fails.
#[derive(Debug, Clone, Serialize)]
pub struct Problem {
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    status: u16,
    detail: String,
    code: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Mistake>,
    #[serde(skip)]
    retry_after_s: Option<u32>,
}

impl Problem {
    fn new(status: u16, code: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        let kind = format!("urn:varde:problem:{code}");
        Self { kind, title, status, detail: detail.into(), code, errors: Vec::new(), retry_after_s: None }
    }

    /// 400: the body isn't JSON.
    pub fn bad_request(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(400, code, "The request can't be read", detail)
    }

    /// 401: no token, or one that isn't known. Says nothing about why.
    pub fn unauthorized() -> Self {
        Self::new(401, "unauthorized", "A valid token is needed", "send `Authorization: Bearer <token>`")
    }

    /// 403: the token is known, its scope is too small.
    pub fn forbidden(needs: &str) -> Self {
        Self::new(
            403,
            "forbidden",
            "The token may not do this",
            format!("a token with the scope `{needs}` is needed"),
        )
    }

    /// 404: `what` with this id doesn't exist.
    pub fn not_found(what: &str, id: &str) -> Self {
        Self::new(404, "not_found", "There is no such thing", format!("there is no {what} `{id}`"))
    }

    /// 404: no trigger has this id. Says it of every id alike, and repeats none: it may be a key.
    pub fn no_such_trigger() -> Self {
        Self::new(404, "not_found", "There is no such thing", "there is no such trigger")
    }

    /// 401: a webhook that doesn't prove who sent it. Says nothing about why: its owner can look.
    pub fn unverified() -> Self {
        Self::new(
            401,
            "unverified",
            "The request isn't accepted",
            "its signature or token isn't right; the reason is in the trigger's list of events",
        )
    }

    /// 404: no call has this method and path.
    pub fn no_such_call(method: &str, path: &str) -> Self {
        Self::new(
            404,
            "no_such_call",
            "There is no such call",
            format!("there is no `{method} {path}` in this API"),
        )
    }

    /// 409: the call is fine, the state of things isn't.
    pub fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(409, code, "It conflicts with what is there", detail)
    }

    /// 413: the body is larger than `limit` bytes.
    pub fn too_large(limit: usize) -> Self {
        Self::new(
            413,
            "too_large",
            "The body is too large",
            format!("the body may have at most {limit} bytes"),
        )
    }

    /// 415: the body isn't declared as JSON.
    pub fn unsupported_media_type(found: Option<&str>) -> Self {
        let found = found.map_or_else(|| "no content type".to_owned(), |found| format!("`{found}`"));
        let detail = format!("expected `Content-Type: application/json`, found {found}");
        Self::new(415, "unsupported_media_type", "The body must be JSON", detail)
    }

    /// 422: the input was read and is wrong, at each of these places.
    pub fn invalid(errors: Vec<Mistake>) -> Self {
        let detail = match errors.as_slice() {
            [one] => {
                format!("{}: {}", if one.pointer.is_empty() { "the body" } else { &one.pointer }, one.message)
            }
            many => format!("{} mistakes, listed in `errors`", many.len()),
        };
        Self { errors, ..Self::new(422, "invalid_input", "The input is invalid", detail) }
    }

    /// 422: the same, with a code of its own.
    pub fn invalid_as(code: &'static str, errors: Vec<Mistake>) -> Self {
        Self { code, kind: format!("urn:varde:problem:{code}"), ..Self::invalid(errors) }
    }

    /// 422 with a single mistake.
    pub fn invalid_at(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self::invalid(vec![Mistake { pointer: pointer.into(), message: message.into() }])
    }

    /// 422 that isn't about one place of the input.
    pub fn unprocessable(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(422, code, "It can't be done", detail)
    }

    /// 429: come back in `retry_after_s`.
    pub fn too_many(code: &'static str, detail: impl Into<String>, retry_after_s: u32) -> Self {
        Self { retry_after_s: Some(retry_after_s), ..Self::new(429, code, "Too much at once", detail) }
    }

    /// 429: too many wrong tokens from one address. Says nothing about the token that came with it.
    pub fn too_many_guesses(retry_after_s: u32) -> Self {
        let detail = "too many wrong tokens came from this address";
        Self::too_many("too_many_wrong_tokens", detail, retry_after_s)
    }

    /// 429: an outbox holds as much as it may.
    pub fn outbox_full() -> Self {
        let detail = "too many deliveries of this workflow are open; nothing was stored";
        Self::too_many("outbox_full", detail, FULL_RETRY_AFTER_S)
    }

    /// 503: a part of Varde can't be reached; nothing was stored unless the detail says so.
    pub fn unavailable(code: &'static str, detail: impl Into<String>) -> Self {
        Self { retry_after_s: Some(1), ..Self::new(503, code, "Try again shortly", detail) }
    }

    /// 500: ours. The cause is logged, not told.
    pub fn internal(cause: &str) -> Self {
        log::error("internal", &cause);
        Self::new(500, "internal", "Something went wrong on our side", "the cause is in the Worker's log")
    }

    /// 500: the deployment isn't finished.
    pub fn misconfigured(error: &ConfigError) -> Self {
        Self::new(500, "misconfigured", "The Worker isn't set up", error.to_string())
    }

    /// Its status.
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// Its slug.
    pub const fn code(&self) -> &'static str {
        self.code
    }

    /// What it says to people.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The problem as JSON, for one item of a batch.
    pub fn to_value(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    /// The answer.
    pub fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = Response::with_body("application/problem+json", body).with_status(self.status);
        if let Some(seconds) = self.retry_after_s {
            response = response.with_header("retry-after", &seconds.to_string());
        }
        if self.status == 401 {
            response = response.with_header("www-authenticate", "Bearer");
        }
        response
    }
}

impl From<worker::Error> for Problem {
    fn from(error: worker::Error) -> Self {
        Self::internal(&error.to_string())
    }
}

impl From<serde_json::Error> for Problem {
    fn from(error: serde_json::Error) -> Self {
        Self::internal(&error.to_string())
    }
}

impl From<DirectoryError> for Problem {
    fn from(error: DirectoryError) -> Self {
        match error {
            DirectoryError::UnknownWorkflow { id } => Self::not_found("workflow", &id),
            DirectoryError::UnknownTrigger => Self::no_such_trigger(),
            DirectoryError::Unreachable { .. } => {
                Self::unavailable("registry_unreachable", "the registry can't be reached; nothing was stored")
            }
            DirectoryError::Config(error) => Self::misconfigured(&error),
            DirectoryError::Sealed { .. } => {
                log::error(error.code(), &error);
                Self::new(500, error.code(), "A secret can't be opened", error.to_string())
            }
            DirectoryError::Broken { reason } => Self::internal(&reason),
        }
    }
}
