//! What one attempt met, and what that means. Knows HTTP, not time: when to try again is
//! [`crate::schedule`]'s.

use serde::{Deserialize, Serialize};

use crate::oauth2::Trouble;
use crate::schedule::{RetryAfterUnit, RetryPolicy};
use crate::time::{SECOND_MS, UnixMs};

/// Longest `Retry-After` that is looked at; a longer one isn't a number or a date.
const MAX_RETRY_AFTER_LENGTH: usize = 64;

/// What one attempt met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// The endpoint answered.
    Response {
        /// Its status.
        status: u16,
        /// Its `Retry-After`, where there was one that can be read.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after: Option<RetryAfter>,
    },
    /// No full answer within the action's timeout.
    Timeout,
    /// No connection: refused, reset, DNS or TLS failure.
    Connect,
    /// Nobody came back to tell: the lease ended without a settle.
    Lost,
    /// The URL may not be called; nothing was sent.
    Blocked,
    /// There is no token to authenticate with; the endpoint wasn't called.
    Token {
        /// Why there is none.
        trouble: Trouble,
        /// What the token endpoint answered, where it did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        token_status: Option<u16>,
        /// Its `Retry-After`, where there was one that can be read.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after: Option<RetryAfter>,
    },
}

/// A `Retry-After` header (RFC 9110, section 10.2.3), before its unit is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryAfter {
    /// A number, in the unit that the action's policy says.
    Number(u64),
    /// A date.
    At(UnixMs),
}

/// What an outcome means for the delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The endpoint has it.
    Delivered,
    /// Try again, while the window lasts.
    Retry,
    /// Trying again won't help.
    Reject,
}

impl Outcome {
    /// The verdict under `policy`, by the table of HubSpot's rules and ours: 2xx is delivered; 429, 3xx and
    /// 5xx and everything without an answer is retried; other 4xx and blocked URLs are rejected.
    #[must_use]
    pub fn verdict(&self, policy: &RetryPolicy) -> Verdict {
        match *self {
            Self::Response { status: 200..=299, .. } => Verdict::Delivered,
            Self::Response { status: 429, .. } => Verdict::Retry,
            // A gone endpoint is gone, whatever the list of exceptions says: see `means_gone`.
            Self::Response { status, .. } if status != 410 && policy.also_retry.contains(&status) => {
                Verdict::Retry
            }
            Self::Response { status: 400..=499, .. } | Self::Blocked => Verdict::Reject,
            Self::Response { .. } | Self::Timeout | Self::Connect | Self::Lost => Verdict::Retry,
            Self::Token { trouble, token_status, .. } => trouble.verdict(token_status, policy),
        }
    }

    /// Whether the endpoint says that it no longer exists, so that its action must stop calling.
    #[must_use]
    pub const fn means_gone(&self) -> bool {
        matches!(self, Self::Response { status: 410, .. })
    }

    /// The `Retry-After` that counts: HTTP gives it a meaning with 429 and 503 only.
    #[must_use]
    pub const fn honoured_retry_after(&self) -> Option<RetryAfter> {
        match *self {
            Self::Response { status: 429 | 503, retry_after }
            | Self::Token { token_status: Some(429 | 503), retry_after, .. } => retry_after,
            _ => None,
        }
    }

    /// A stable slug of why an attempt didn't deliver: `http_404`, `gone`, `timeout`, …
    #[must_use]
    pub fn reason(&self) -> String {
        match self {
            Self::Response { status: 410, .. } => "gone".to_owned(),
            Self::Response { status, .. } => format!("http_{status}"),
            Self::Timeout => "timeout".to_owned(),
            Self::Connect => "connect".to_owned(),
            Self::Lost => "lost".to_owned(),
            Self::Blocked => "blocked_url".to_owned(),
            Self::Token { trouble, token_status, .. } => trouble.reason(*token_status),
        }
    }

    /// The same for people, where the endpoint gave no answer that could speak for itself.
    #[must_use]
    pub const fn explanation(&self) -> Option<&'static str> {
        match self {
            Self::Response { .. } => None,
            Self::Timeout => Some("the endpoint gave no full answer within the action's timeout"),
            Self::Connect => {
                Some("no connection to the endpoint: refused, reset, or its name or certificate is wrong")
            }
            Self::Lost => Some("nobody came back to tell"),
            Self::Blocked => Some("the URL may not be called; nothing was sent"),
            Self::Token { .. } => Some("the token endpoint gave no token, so the endpoint wasn't called"),
        }
    }
}

impl RetryAfter {
    /// Reads the header's value: digits, or an HTTP date in any of the three formats. Anything else is
    /// `None`, and the schedule counts.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        let value = value.trim();
        if value.is_empty() || value.len() > MAX_RETRY_AFTER_LENGTH {
            return None;
        }
        if value.bytes().all(|byte| byte.is_ascii_digit()) {
            // More digits than a u64 holds mean "very long", not "ignore me".
            return Some(Self::Number(value.parse().unwrap_or(u64::MAX)));
        }
        let date = httpdate::parse_http_date(value).ok()?;
        let since_epoch = date.duration_since(std::time::UNIX_EPOCH).ok()?;
        Some(Self::At(UnixMs(u64::try_from(since_epoch.as_millis()).ok()?)))
    }

    /// Milliseconds from `now` on.
    #[must_use]
    pub const fn gap_ms(self, now: UnixMs, unit: RetryAfterUnit) -> u64 {
        match (self, unit) {
            (Self::Number(ms), RetryAfterUnit::Milliseconds) => ms,
            (Self::Number(seconds), RetryAfterUnit::Seconds) => seconds.saturating_mul(SECOND_MS),
            (Self::At(at), _) => at.since_ms(now),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn answered(status: u16) -> Outcome {
        Outcome::Response { status, retry_after: None }
    }

    const fn no_token(trouble: Trouble, token_status: Option<u16>) -> Outcome {
        Outcome::Token { trouble, token_status, retry_after: None }
    }

    #[test]
    fn a_token_endpoint_s_answer_is_no_endpoint_s() {
        let policy = RetryPolicy::default();
        let gone = no_token(Trouble::Status, Some(410));
        assert_eq!((gone.verdict(&policy), gone.means_gone()), (Verdict::Reject, false));
        assert_eq!(gone.reason(), "token_http_410");
        let busy = Outcome::Token {
            trouble: Trouble::Status,
            token_status: Some(429),
            retry_after: Some(RetryAfter::Number(9)),
        };
        assert_eq!(
            (busy.verdict(&policy), busy.honoured_retry_after()),
            (Verdict::Retry, Some(RetryAfter::Number(9)))
        );
        assert_eq!(no_token(Trouble::Connect, None).verdict(&policy), Verdict::Retry);
    }

    #[test]
    fn only_an_answer_needs_no_explanation() {
        for outcome in [
            Outcome::Timeout,
            Outcome::Connect,
            Outcome::Lost,
            Outcome::Blocked,
            no_token(Trouble::Timeout, None),
        ] {
            assert!(outcome.explanation().is_some(), "{outcome:?}");
        }
        assert_eq!(answered(503).explanation(), None);
    }

    #[test]
    fn verdicts_of_every_status() {
        let policy = RetryPolicy::default();
        for status in 0..=999 {
            let expected = match status {
                200..=299 => Verdict::Delivered,
                429 => Verdict::Retry,
                400..=499 => Verdict::Reject,
                _ => Verdict::Retry,
            };
            assert_eq!(answered(status).verdict(&policy), expected, "{status}");
        }
        for (outcome, expected) in [
            (Outcome::Timeout, Verdict::Retry),
            (Outcome::Connect, Verdict::Retry),
            (Outcome::Lost, Verdict::Retry),
            (Outcome::Blocked, Verdict::Reject),
        ] {
            assert_eq!(outcome.verdict(&policy), expected, "{outcome:?}");
        }
    }

    #[test]
    fn also_retry_widens_but_never_for_gone() {
        let policy = RetryPolicy { also_retry: vec![408, 410, 425], ..RetryPolicy::default() };
        assert_eq!(answered(408).verdict(&policy), Verdict::Retry);
        assert_eq!(answered(425).verdict(&policy), Verdict::Retry);
        assert_eq!(answered(404).verdict(&policy), Verdict::Reject);
        assert_eq!(answered(410).verdict(&policy), Verdict::Reject);
        assert!(answered(410).means_gone() && !answered(404).means_gone());
    }

    #[test]
    fn retry_after_counts_with_429_and_503_only() {
        for status in [200, 301, 404, 429, 500, 502, 503, 530] {
            let outcome = Outcome::Response { status, retry_after: Some(RetryAfter::Number(9)) };
            assert_eq!(outcome.honoured_retry_after().is_some(), status == 429 || status == 503, "{status}");
        }
    }

    #[test]
    fn reads_retry_after() {
        let date = RetryAfter::At(UnixMs(784_111_777_000));
        for (text, expected) in [
            ("1500", Some(RetryAfter::Number(1_500))),
            (" 0 ", Some(RetryAfter::Number(0))),
            ("99999999999999999999999", Some(RetryAfter::Number(u64::MAX))),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(date)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(date)),
            ("Sun Nov  6 08:49:37 1994", Some(date)),
            ("", None),
            ("-1", None),
            ("1.5", None),
            ("1e3", None),
            ("soon", None),
            ("Sun, 06 Nov 1894 08:49:37 GMT", None),
        ] {
            assert_eq!(RetryAfter::parse(text), expected, "{text:?}");
        }
        assert_eq!(RetryAfter::parse(&"1".repeat(65)), None);
    }

    #[test]
    fn outcome_format_unchanged() {
        let with = Outcome::Response { status: 429, retry_after: Some(RetryAfter::Number(1_500)) };
        for (outcome, text) in [
            (answered(200), r#"{"outcome":"response","status":200}"#),
            (with, r#"{"outcome":"response","status":429,"retry_after":{"number":1500}}"#),
            (Outcome::Timeout, r#"{"outcome":"timeout"}"#),
            (Outcome::Blocked, r#"{"outcome":"blocked"}"#),
            (no_token(Trouble::Timeout, None), r#"{"outcome":"token","trouble":"timeout"}"#),
            (
                no_token(Trouble::InvalidClient, Some(401)),
                r#"{"outcome":"token","trouble":"invalid_client","token_status":401}"#,
            ),
        ] {
            assert_eq!(serde_json::to_string(&outcome).unwrap(), text);
            assert_eq!(serde_json::from_str::<Outcome>(text).unwrap(), outcome);
        }
    }

    #[test]
    fn reasons_are_stable() {
        let all = [
            answered(404),
            answered(410),
            answered(302),
            Outcome::Timeout,
            Outcome::Connect,
            Outcome::Lost,
            Outcome::Blocked,
        ];
        assert_eq!(
            all.map(|outcome| outcome.reason()),
            ["http_404", "gone", "http_302", "timeout", "connect", "lost", "blocked_url"]
        );
    }
}
