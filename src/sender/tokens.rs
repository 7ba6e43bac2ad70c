//! Access tokens: remembered by the isolate until they end, and fetched once where several attempts of one
//! invocation want the same one.
//!
//! Attempts of different invocations may fetch the same token side by side: a future that belongs to one of
//! them hangs the others.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{Either, LocalBoxFuture, Shared, select};
use varde_core::auth::{ApplyError, Outgoing};
use varde_core::endpoint_url::{EndpointUrl, Policy};
use varde_core::oauth2::{CacheKey, ClientCredentials, Token, Trouble, read_answer};
use varde_core::outcome::{Outcome, RetryAfter};
use varde_core::secret::SecretInForce;
use varde_core::time::UnixMs;
use worker::Delay;

use super::fetch::{self, Answer, Failure};
use crate::ambient;

/// Tokens that an isolate remembers; some kilobytes each.
const MAX_TOKENS: usize = 256;

thread_local! {
    static SHELF: RefCell<BTreeMap<CacheKey, Rc<Token>>> = const { RefCell::new(BTreeMap::new()) };
}

/// Why there is no token, as an outcome of the attempt that wanted one.
#[derive(Clone)]
pub struct Refusal {
    /// What it met.
    pub outcome: Outcome,
    /// What the token endpoint said, where that may be shown.
    pub answer: Option<Rc<Answer>>,
}

type Fetched = Result<Rc<Token>, Refusal>;

/// The tokens of one invocation.
#[derive(Default)]
pub struct Tokens {
    under_way: RefCell<BTreeMap<CacheKey, Shared<LocalBoxFuture<'static, Fetched>>>>,
}

impl Tokens {
    /// A token for a client: the isolate's, or a new one by `deadline`. `refused` is the one that an endpoint
    /// has just refused; if another attempt has renewed it meanwhile, that one is taken.
    ///
    /// # Errors
    /// When the secret may not go to the token endpoint; nothing was sent.
    pub async fn token(
        &self,
        client: &ClientCredentials,
        secret: SecretInForce<'_>,
        refused: Option<&Rc<Token>>,
        deadline: UnixMs,
        rule: Policy,
    ) -> Result<Fetched, ApplyError> {
        let key = client.cache_key(secret.current);
        let now = ambient::now();
        if let Some(token) = remembered(key, now, refused) {
            return Ok(Ok(token));
        }
        let timeout_ms = deadline.since_ms(now);
        let request = client.token_request(secret)?;
        let fetched = self
            .under_way
            .borrow_mut()
            .entry(key)
            .or_insert_with(|| fetch(request, key, timeout_ms, rule).boxed_local().shared())
            .clone();
        let in_time = select(fetched, Delay::from(Duration::from_millis(timeout_ms))).await;
        self.under_way.borrow_mut().retain(|_, fetch| fetch.peek().is_none());
        Ok(match in_time {
            Either::Left((fetched, _)) => fetched,
            Either::Right(_) => Err(Refusal::without_answer(Trouble::Timeout)),
        })
    }
}

impl Refusal {
    fn without_answer(trouble: Trouble) -> Self {
        Self { outcome: Outcome::Token { trouble, token_status: None, retry_after: None }, answer: None }
    }
}

fn remembered(key: CacheKey, now: UnixMs, refused: Option<&Rc<Token>>) -> Option<Rc<Token>> {
    SHELF.with_borrow_mut(|shelf| {
        if refused.is_some_and(|refused| shelf.get(&key) == Some(refused)) {
            shelf.remove(&key);
        }
        shelf.get(&key).filter(|token| token.is_usable(now)).cloned()
    })
}

fn remember(key: CacheKey, token: &Rc<Token>, now: UnixMs) {
    SHELF.with_borrow_mut(|shelf| {
        shelf.retain(|_, token| token.is_usable(now));
        if shelf.len() >= MAX_TOKENS {
            // Any will do: it is fetched again when it is wanted.
            shelf.pop_first();
        }
        shelf.insert(key, Rc::clone(token));
    });
}

async fn fetch(request: Outgoing<'static>, key: CacheKey, timeout_ms: u64, rule: Policy) -> Fetched {
    let asked_at = ambient::now();
    if EndpointUrl::parse(&request.url, rule).is_err() {
        return Err(Refusal::without_answer(Trouble::Blocked));
    }
    let answer = fetch::call(&request, timeout_ms).await.map_err(|failure| {
        Refusal::without_answer(match failure {
            Failure::Timeout => Trouble::Timeout,
            Failure::Connect => Trouble::Connect,
        })
    })?;
    match read_answer(answer.status, &answer.body.bytes, asked_at) {
        Ok(token) => {
            let token = Rc::new(token);
            remember(key, &token, ambient::now());
            Ok(token)
        }
        Err(trouble) => {
            let retry_after = answer.header("retry-after").and_then(RetryAfter::parse);
            let outcome = Outcome::Token { trouble, token_status: Some(answer.status), retry_after };
            // A success that can't be read may hold a token all the same, under a name that isn't known.
            let answer = (trouble != Trouble::Unreadable).then(|| Rc::new(answer));
            Err(Refusal { outcome, answer })
        }
    }
}

#[cfg(test)]
mod tests {
    use varde_core::secret::Secret;

    use super::*;

    const NOW: UnixMs = UnixMs(1_767_323_045_678);

    fn key(client_id: usize) -> CacheKey {
        let client = ClientCredentials {
            token_url: "https://auth.example/".to_owned(),
            client_id: client_id.to_string(),
            secret: "app".parse().unwrap(),
            scope: None,
        };
        client.cache_key(&Secret::new("password").unwrap())
    }

    fn token(value: &str, expires_in: u32) -> Rc<Token> {
        let body = format!(r#"{{"access_token":"{value}","expires_in":{expires_in}}}"#);
        Rc::new(read_answer(200, body.as_bytes(), NOW).unwrap())
    }

    #[test]
    fn a_token_is_remembered_until_it_ends_or_is_refused() {
        let (first, second) = (token("first", 10), token("second", 10));
        assert_eq!(remembered(key(1), NOW, None), None);
        remember(key(1), &first, NOW);
        assert_eq!(remembered(key(1), NOW, None).as_ref(), Some(&first));
        assert_eq!(remembered(key(2), NOW, None), None);
        assert_eq!(remembered(key(1), NOW.plus_ms(9_000), None), None);

        assert_eq!(remembered(key(1), NOW, Some(&first)), None);
        assert_eq!(remembered(key(1), NOW, None), None, "it is forgotten");
        // Somebody else was faster.
        remember(key(1), &second, NOW);
        assert_eq!(remembered(key(1), NOW, Some(&first)).as_ref(), Some(&second));
    }

    #[test]
    fn a_shelf_is_never_larger_than_its_limit() {
        for at in 0..MAX_TOKENS + 10 {
            remember(key(at), &token("t", 10), NOW);
        }
        assert_eq!(SHELF.with_borrow(BTreeMap::len), MAX_TOKENS);
        remember(key(0), &token("t", 60), NOW.plus_ms(10_000));
        assert_eq!(SHELF.with_borrow(BTreeMap::len), 1, "those that have ended go first");
    }
}
