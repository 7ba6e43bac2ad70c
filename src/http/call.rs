//! One request to the API: its parts, its body within limits, its token.

use std::rc::Rc;

use serde::Deserialize;
use serde_json::Value;
use varde_core::json;
use varde_core::token::{Scope, TokenHash};
use web_sys::Request;
use worker::{Env, Url};

use crate::body::{self, Capped};
use crate::config::Config;
use crate::directory;
use crate::guesses::{self, Network};
use crate::http::error::Problem;
use crate::platform;
use crate::tasks::Context;

/// Largest body of a call; a record of 1,000 properties fits ten times.
pub const MAX_BODY_BYTES: usize = 256 * 1024;
/// Largest body of a batch: 100 records of 40 KiB.
pub const MAX_BATCH_BODY_BYTES: usize = 4 * 1024 * 1024;

/// Most items on a page of a list.
pub const MAX_PAGE: usize = 100;

/// One request to the API.
pub struct Call {
    /// The request: its body, and the headers that few calls look at.
    pub request: Request,
    /// What most calls look at.
    pub head: Head,
    /// Its URL.
    pub url: Url,
    /// The bindings.
    pub env: Env,
    /// Where work goes that outlives the answer.
    pub context: Context,
    /// The settings.
    pub config: Rc<Config>,
}

/// The parts of a request that `takeApart` in `platform.mjs` gives, in its order.
#[derive(Deserialize)]
pub struct Head {
    /// As it was sent.
    pub method: String,
    /// As the platform has it.
    pub url: String,
    /// `Authorization`
    pub authorization: Option<String>,
    /// `Content-Type`
    pub content_type: Option<String>,
    content_length: Option<String>,
    /// `Idempotency-Key`
    pub idempotency_key: Option<String>,
    /// `CF-Connecting-IP`
    pub connecting_ip: Option<String>,
}

impl Head {
    /// How many bytes the body has, where its sender said it.
    pub fn content_length(&self) -> Option<usize> {
        self.content_length.as_deref().and_then(|text| text.parse().ok())
    }
}

impl Call {
    /// Takes a request apart.
    ///
    /// # Errors
    /// When the runtime hands in an URL that can't be parsed.
    pub fn new(request: Request, env: Env, context: Context) -> worker::Result<Self> {
        let config = Config::of(&env);
        let head: Head = json::from_text(&platform::take_apart(&request)?)?;
        Ok(Self { url: Url::parse(&head.url)?, request, head, env, context, config })
    }

    /// The path's segments, percent-decoded, so that `/` inside an id can't become a separator.
    pub fn segments(&self) -> Vec<String> {
        let decode =
            |segment: &str| percent_encoding::percent_decode_str(segment).decode_utf8_lossy().into_owned();
        self.url.path_segments().map(|segments| segments.map(decode).collect()).unwrap_or_default()
    }

    /// The first value of a query parameter.
    pub fn query(&self, name: &str) -> Option<String> {
        self.url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }

    /// Refuses query parameters that the call doesn't know, because a misspelt filter would list everything.
    ///
    /// # Errors
    /// A 422 problem that names the first unknown one.
    pub fn known_query(&self, known: &[&str]) -> Result<(), Problem> {
        match self.url.query_pairs().find(|(key, _)| !known.contains(&key.as_ref())) {
            None => Ok(()),
            Some((key, _)) => {
                let detail = format!("unknown query parameter `{key}`; known are: {}", known.join(", "));
                Err(Problem::unprocessable("unknown_parameter", detail))
            }
        }
    }

    /// How many items a list call wants: `?limit=`, 1 to [`MAX_PAGE`].
    ///
    /// # Errors
    /// A 422 problem for anything else.
    pub fn limit(&self, default: usize) -> Result<usize, Problem> {
        limit_of(self.query("limit").as_deref(), default)
    }

    /// Lets the call pass if its token has `scope`.
    ///
    /// # Errors
    /// 401 without a known token, 403 when its scope is too small, 429 after too many wrong ones, 503 when that
    /// can't be found out.
    pub async fn require(&self, scope: Scope) -> Result<(), Problem> {
        let header = self.head.authorization.as_deref().unwrap_or_default();
        let token = header
            .split_once(' ')
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.trim())
            .filter(|token| !token.is_empty())
            .ok_or_else(Problem::unauthorized)?;
        let presented = TokenHash::of(token);
        let network = Network::of(self.head.connecting_ip.as_deref().unwrap_or_default());
        guesses::admit(&network, presented).map_err(Problem::too_many_guesses)?;
        let Some(held) = directory::scopes_of(&self.env, &self.config, presented).await? else {
            guesses::wrong(&self.env, &network).await.map_err(Problem::too_many_guesses)?;
            return Err(Problem::unauthorized());
        };
        guesses::right(presented);
        if held.iter().any(|held| held.allows(scope)) {
            Ok(())
        } else {
            Err(Problem::forbidden(scope.as_str()))
        }
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// 415, 413 or 400.
    pub async fn json(&mut self) -> Result<Value, Problem> {
        self.json_within(MAX_BODY_BYTES).await
    }

    /// The body as JSON of at most `limit` bytes.
    ///
    /// # Errors
    /// 415, 413 or 400.
    pub async fn json_within(&mut self, limit: usize) -> Result<Value, Problem> {
        let kind = self.head.content_type.as_deref();
        if !kind.is_some_and(is_json) {
            return Err(Problem::unsupported_media_type(kind));
        }
        let body = self.body_within(limit).await?;
        parse(&body)
    }

    /// The body as JSON, or `None` where there is no body at all.
    ///
    /// # Errors
    /// 415, 413 or 400.
    pub async fn optional_json(&mut self) -> Result<Option<Value>, Problem> {
        let body = self.body_within(MAX_BODY_BYTES).await?;
        if body.is_empty() {
            return Ok(None);
        }
        let kind = self.head.content_type.as_deref();
        if !kind.is_some_and(is_json) {
            return Err(Problem::unsupported_media_type(kind));
        }
        parse(&body).map(Some)
    }

    async fn body_within(&mut self, limit: usize) -> Result<Vec<u8>, Problem> {
        match body::read_request(&self.request, self.head.content_length(), limit).await? {
            Capped { truncated: true, .. } => Err(Problem::too_large(limit)),
            Capped { bytes, .. } => Ok(bytes),
        }
    }
}

fn limit_of(text: Option<&str>, default: usize) -> Result<usize, Problem> {
    let Some(text) = text else { return Ok(default) };
    text.parse().ok().filter(|limit| (1..=MAX_PAGE).contains(limit)).ok_or_else(|| {
        let detail = format!("`limit` must be a whole number from 1 to {MAX_PAGE}, found `{text}`");
        Problem::unprocessable("invalid_parameter", detail)
    })
}

/// Whether a content type is JSON: `application/json` or `application/…+json`.
pub fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

fn parse(body: &[u8]) -> Result<Value, Problem> {
    json::parse(body).map_err(|error| Problem::bad_request(error.code(), error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_have_1_to_100_items() {
        assert_eq!(limit_of(None, 50).ok(), Some(50));
        for (text, limit) in [("1", 1), ("100", 100), ("007", 7)] {
            assert_eq!(limit_of(Some(text), 50).ok(), Some(limit));
        }
        for text in ["0", "101", "", "-1", "ten", "1.5"] {
            let problem = limit_of(Some(text), 50).unwrap_err().to_value();
            assert_eq!(problem["status"], 422);
            let detail = problem["detail"].as_str().unwrap_or_default();
            assert!(detail.ends_with(&format!("found `{text}`")), "{detail}");
        }
    }

    #[test]
    fn knows_json_media_types() {
        for good in ["application/json", "Application/JSON; charset=utf-8", "application/cloudevents+json"] {
            assert!(is_json(good), "{good}");
        }
        for bad in ["", "text/plain", "application/jsonp", "text/json+x", "application/x-www-form-urlencoded"]
        {
            assert!(!is_json(bad), "{bad}");
        }
    }
}
