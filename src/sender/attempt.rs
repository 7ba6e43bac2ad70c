//! One attempt: authenticate, call, classify, mask.

use std::collections::BTreeMap;
use std::rc::Rc;

use futures_util::FutureExt as _;
use serde::Serialize;
use serde_json::{Map, Value};
use varde_core::auth::{self, ApplyError, AttemptStamp, Auth};
use varde_core::endpoint_url::{EndpointUrl, Policy};
use varde_core::oauth2::{self, Token, asks_anew};
use varde_core::outcome::{Outcome, RetryAfter};
use varde_core::outputs::{self, Output, Picked};
use varde_core::request::Request as HttpRequest;
use varde_core::secret::mask::MIN_BYTES_IN_OUTPUTS;
use varde_core::secret::{Mask, Secret, StoredSecret};
use varde_core::shown::masked;

use super::fetch::{self, Answer, Failure};
use super::tokens::{Refusal, Tokens};
use crate::ambient;

/// Response headers that are stored, names and values together.
const MAX_STORED_HEADER_BYTES: usize = 8 * 1024;
/// Response body that is stored with an attempt.
const MAX_STORED_BODY_BYTES: usize = 16 * 1024;

/// How an attempt went.
pub struct Attempted {
    /// What it met.
    pub outcome: Outcome,
    /// How long it took.
    pub duration_ms: u64,
    /// What came back, masked.
    pub response: Option<StoredResponse>,
    /// What was picked from it, where the action has outputs.
    pub outputs: Option<StoredOutputs>,
    /// The tokens that were sent.
    pub tokens: Vec<Rc<Token>>,
}

/// Outputs as they are stored with a delivery.
#[derive(Debug, Serialize)]
pub struct StoredOutputs {
    /// Name to value.
    pub values: Map<String, Value>,
    /// Why some may be missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A response as it is stored with an attempt and shown to people: secret values masked, because endpoints
/// echo them.
#[derive(Debug, Serialize)]
pub struct StoredResponse {
    /// Lower-case names, up to the limit.
    pub headers: BTreeMap<String, String>,
    /// Its first part.
    pub body: String,
    /// Whether there was more.
    pub truncated: bool,
}

/// What an attempt is made of.
pub struct Trial<'a> {
    /// How it proves where it comes from.
    pub auth: &'a Auth,
    /// What to send.
    pub request: &'a HttpRequest,
    /// The whole time that it has, a token's fetching included.
    pub timeout_ms: u64,
    /// What is new on this attempt; `now` is when its time begins.
    pub stamp: AttemptStamp,
    /// The secret that `auth` names.
    pub secret: Option<&'a StoredSecret<Secret>>,
    /// Secrets that an endpoint may echo besides.
    pub others: Vec<&'a StoredSecret<Secret>>,
    /// What hides all these, where somebody has it already.
    pub mask: Option<Rc<Mask>>,
    /// What to pick from the response.
    pub outputs: &'a [Output],
    /// Which URLs may be called.
    pub rule: Policy,
}

impl Trial<'_> {
    /// Makes the attempt: once, or twice within its time where the endpoint wants another token.
    ///
    /// # Errors
    /// When the request can't be authenticated; nothing was sent to the endpoint.
    pub async fn make(&self, tokens: &Tokens) -> Result<Attempted, ApplyError> {
        let deadline = self.stamp.now.plus_ms(self.timeout_ms);
        let in_force = self.secret.map(|secret| secret.in_force(self.stamp.now));
        if EndpointUrl::parse(&self.request.url, self.rule).is_err() {
            return Ok(self.without_answer(Outcome::Blocked));
        }
        let mut used: Vec<Rc<Token>> = Vec::new();
        loop {
            if let (Auth::Oauth2ClientCredentials(client), Some(secret)) = (self.auth, in_force) {
                let token = tokens.token(client, secret, used.last(), deadline, self.rule).boxed_local();
                match token.await? {
                    Ok(token) => used.push(token),
                    Err(refusal) => return Ok(self.refused(&refusal, &used)),
                }
            }
            let token = used.last().map(Rc::as_ref);
            let outgoing = auth::apply(self.auth, self.request, in_force, token, &self.stamp)?;
            let changed = outgoing.url != self.request.url;
            if changed && EndpointUrl::parse(&outgoing.url, self.rule).is_err() {
                return Ok(self.without_answer(Outcome::Blocked));
            }
            match fetch::call(&outgoing, deadline.since_ms(ambient::now())).await {
                Ok(answer) if token.is_some() && asks_anew(answer.status, used.len() > 1) => {}
                Ok(answer) => return Ok(self.answered(&answer, used)),
                Err(Failure::Timeout) => return Ok(self.without_answer(Outcome::Timeout)),
                Err(Failure::Connect) => return Ok(self.without_answer(Outcome::Connect)),
            }
        }
    }

    /// Hides every secret that the attempt has to do with, and the tokens that were got for one.
    pub fn mask(&self, tokens: &[Rc<Token>]) -> Rc<Mask> {
        match &self.mask {
            Some(mask) if !matches!(self.auth, Auth::Oauth2ClientCredentials(_)) => Rc::clone(mask),
            _ => Rc::new(self.mask_of(tokens, 0)),
        }
    }

    /// Hides those of them that have at least so many bytes.
    fn mask_of(&self, tokens: &[Rc<Token>], min_bytes: usize) -> Mask {
        let secrets = self.others.iter().copied().chain(self.secret);
        let values: Vec<&Secret> = secrets.flat_map(StoredSecret::values).collect();
        let spelled: Vec<Secret> = match self.auth {
            Auth::Oauth2ClientCredentials(_) => values.iter().copied().map(oauth2::spelling).collect(),
            _ => Vec::new(),
        };
        let tokens = tokens.iter().map(|token| token.value());
        let all = values.into_iter().chain(&spelled).chain(tokens);
        Mask::new(all.filter(|value| value.expose().len() >= min_bytes))
    }

    fn answered(&self, answer: &Answer, tokens: Vec<Rc<Token>>) -> Attempted {
        let retry_after = answer.header("retry-after").and_then(RetryAfter::parse);
        let outputs = (!self.outputs.is_empty()).then(|| {
            let Picked { mut values, note } = outputs::pick(self.outputs, &answer.body.bytes);
            // Outputs are stored, shown and sent on: an endpoint that echoes mustn't carry a key there.
            let mask = self.mask_of(&tokens, MIN_BYTES_IN_OUTPUTS);
            values.values_mut().for_each(|value| masked(value, &mask));
            StoredOutputs { values, note: note.map(|note| note.to_string()) }
        });
        Attempted {
            response: Some(stored(answer, &self.mask(&tokens))),
            outputs,
            tokens,
            ..self.without_answer(Outcome::Response { status: answer.status, retry_after })
        }
    }

    fn refused(&self, refusal: &Refusal, tokens: &[Rc<Token>]) -> Attempted {
        let response = refusal.answer.as_deref().map(|answer| stored(answer, &self.mask(tokens)));
        Attempted { response, ..self.without_answer(refusal.outcome) }
    }

    fn without_answer(&self, outcome: Outcome) -> Attempted {
        let duration_ms = ambient::now().since_ms(self.stamp.now);
        Attempted { outcome, duration_ms, response: None, outputs: None, tokens: Vec::new() }
    }
}

fn stored(answer: &Answer, mask: &Mask) -> StoredResponse {
    let mut room = MAX_STORED_HEADER_BYTES;
    let mut headers = BTreeMap::new();
    for (name, value) in &answer.headers {
        room = room.saturating_sub(name.len() + value.len());
        if room == 0 {
            break;
        }
        headers.insert(name.clone(), mask.apply(value).into_owned());
    }
    let kept = &answer.body.bytes[..answer.body.bytes.len().min(MAX_STORED_BODY_BYTES)];
    let truncated = answer.body.truncated || kept.len() < answer.body.bytes.len();
    let text = String::from_utf8_lossy(kept);
    let body = if truncated { mask.apply_to_cut(&text) } else { mask.apply(&text) };
    StoredResponse { headers, body: body.into_owned(), truncated }
}
