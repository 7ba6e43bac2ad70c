//! How a bin answers: what a caller may ask for, and what follows for each request.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use varde_core::json::{Mistake, Mistakes, Node};

use super::arrival::RequestId;
use super::protocol::Answer;

/// Longest time that an answer can be kept waiting: past the longest timeout of an action, 28 s, so that
/// every timeout can be provoked.
const MAX_DELAY_MS: u64 = 30_000;
/// Largest scripted body, in bytes: as much as is kept of a request.
const MAX_BODY_BYTES: usize = 64 * 1024;
/// Most failures before the scripted status: as many as a delivery makes attempts at most.
const MAX_FAIL_FIRST: u64 = 1_000;
/// Most scripted headers, as in an action.
const MAX_HEADERS: usize = 50;
/// Longest name of a scripted header, in characters.
const MAX_HEADER_NAME: usize = 256;
/// Longest value of a scripted header, in characters; 50 of them with their names stay below the 128 KB of
/// headers that the platform sends.
const MAX_HEADER_VALUE: usize = 2_048;

/// What the first `fail_first` requests are answered with.
const FAILED_STATUS: u16 = 503;
/// Statuses that have no body (Fetch standard, "null body status"); the runtime refuses to send one.
const BODILESS_STATUSES: [u16; 3] = [204, 205, 304];

/// Why a header can't be scripted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Refusal {
    #[error("can't be scripted: it would act on the browser or on other pages of this origin")]
    Browser,
    #[error("can't be scripted: every scripted answer has a fixed value for it")]
    Fixed,
    #[error("can't be scripted: it belongs to the connection")]
    Connection,
}

/// Headers that can't be scripted (DESIGN section 7), lower-case. Bins are on the origin of the dashboard,
/// and a bin's URL is made to be handed around.
const REFUSED_HEADERS: [(&str, Refusal); 23] = [
    ("set-cookie", Refusal::Browser),
    ("location", Refusal::Browser),
    ("refresh", Refusal::Browser),
    ("clear-site-data", Refusal::Browser),
    ("service-worker-allowed", Refusal::Browser),
    ("strict-transport-security", Refusal::Browser),
    ("alt-svc", Refusal::Browser),
    ("nel", Refusal::Browser),
    ("report-to", Refusal::Browser),
    ("reporting-endpoints", Refusal::Browser),
    ("content-security-policy-report-only", Refusal::Browser),
    ("content-security-policy", Refusal::Fixed),
    ("x-content-type-options", Refusal::Fixed),
    ("connection", Refusal::Connection),
    ("content-length", Refusal::Connection),
    ("keep-alive", Refusal::Connection),
    ("proxy-authenticate", Refusal::Connection),
    ("proxy-authorization", Refusal::Connection),
    ("proxy-connection", Refusal::Connection),
    ("te", Refusal::Connection),
    ("trailer", Refusal::Connection),
    ("transfer-encoding", Refusal::Connection),
    ("upgrade", Refusal::Connection),
];

/// How a bin answers until it is told otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Script {
    /// 200 to 599.
    pub status: u16,
    /// Lower-case names.
    pub headers: BTreeMap<String, String>,
    /// Empty where the status has none.
    pub body: String,
    /// How long the answer waits.
    pub delay_ms: u64,
    /// How many requests are answered 503 before one is answered with `status`; everything else about the
    /// answer is the same.
    pub fail_first: u64,
}

impl Default for Script {
    fn default() -> Self {
        Self { status: 200, headers: BTreeMap::new(), body: String::new(), delay_ms: 0, fail_first: 0 }
    }
}

impl Script {
    /// Reads what a caller wants; a field that is left out has its default.
    ///
    /// # Errors
    /// All mistakes.
    pub fn parse(value: &Value) -> Result<Self, Vec<Mistake>> {
        let mistakes = Mistakes::default();
        let script = Self::read(Node::root(value, &mistakes));
        mistakes.conclude(script)
    }

    fn read(node: Node<'_>) -> Option<Self> {
        let default = Self::default();
        let fields = node.fields(&["status", "headers", "body", "delay_ms", "fail_first"])?;
        let status = fields.or("status", 200, |node| node.integer(200..=599));
        let status = status.map(|status| status as u16);
        let headers = fields.or("headers", default.headers, headers_of);
        let body = fields.or("body", default.body, |node| body_of(node, status));
        let delay_ms = fields.or("delay_ms", default.delay_ms, |node| node.integer(0..=MAX_DELAY_MS));
        let fail_first = fields.or("fail_first", default.fail_first, |node| node.integer(0..=MAX_FAIL_FIRST));
        Some(Self {
            status: status?,
            headers: headers?,
            body: body?,
            delay_ms: delay_ms?,
            fail_first: fail_first?,
        })
    }
}

/// A script and where it stands; stored, so `stored_script_format_unchanged` pins it.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Standing {
    /// The script.
    pub script: Script,
    /// The last request before it. The failures are counted from here by the numbers of the requests, so
    /// that no counter has to be written.
    pub after: u64,
}

impl Standing {
    /// How this request is answered.
    pub fn answer(self, id: RequestId) -> Answer {
        let Script { status, headers, body, delay_ms, fail_first } = self.script;
        let failed = id.0.saturating_sub(self.after) <= fail_first;
        Answer { status: if failed { FAILED_STATUS } else { status }, headers, body, delay_ms }
    }
}

fn body_of(node: Node<'_>, status: Option<u16>) -> Option<String> {
    let text = node.string()?;
    if text.len() > MAX_BODY_BYTES {
        node.mistake(format_args!("expected at most {MAX_BODY_BYTES} bytes, found {}", text.len()));
        return None;
    }
    if let Some(status) = status.filter(|status| !text.is_empty() && BODILESS_STATUSES.contains(status)) {
        node.mistake(format_args!("an answer with status {status} has no body"));
        return None;
    }
    Some(text.to_owned())
}

fn headers_of(node: Node<'_>) -> Option<BTreeMap<String, String>> {
    let entries = node.entries()?;
    if entries.len() > MAX_HEADERS {
        node.mistake(format_args!("expected at most {MAX_HEADERS} headers, found {}", entries.len()));
        return None;
    }
    let mut headers = BTreeMap::new();
    let mut whole = true;
    for (name, node) in entries {
        let lower = name.to_ascii_lowercase();
        match (is_allowed_name(&lower, &node), value_of(&node)) {
            (true, Some(_)) if headers.contains_key(&lower) => {
                node.mistake("is given twice; upper and lower case don't tell headers apart");
                whole = false;
            }
            (true, Some(value)) => drop(headers.insert(lower, value)),
            _ => whole = false,
        }
    }
    whole.then_some(headers)
}

fn is_allowed_name(lower: &str, node: &Node<'_>) -> bool {
    if !(1..=MAX_HEADER_NAME).contains(&lower.len()) {
        node.mistake(format_args!(
            "expected a name of 1 to {MAX_HEADER_NAME} characters, found {}",
            lower.len()
        ));
        return false;
    }
    // RFC 9110, section 5.6.2: a token.
    let allowed = |c: &char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(*c);
    if let Some(wrong) = lower.chars().find(|c| !allowed(c)) {
        node.mistake(format_args!("expected a name of letters, digits and !#$%&'*+-.^_`|~, found {wrong:?}"));
        return false;
    }
    let refused = REFUSED_HEADERS.iter().find(|(name, _)| *name == lower);
    if let Some((_, refusal)) = refused {
        node.mistake(refusal);
    }
    refused.is_none()
}

fn value_of(node: &Node<'_>) -> Option<String> {
    let text = node.text(0..=MAX_HEADER_VALUE)?;
    // RFC 9110, section 5.5: beyond ASCII everybody reads something else.
    if let Some(wrong) = text.chars().find(|c| !c.is_ascii()) {
        node.mistake(format_args!("expected ASCII characters, found {wrong:?}"));
        return None;
    }
    Some(text.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn mistakes(value: &Value) -> Vec<String> {
        let list = Script::parse(value).expect_err("a mistake");
        list.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn everything_has_a_default() {
        assert_eq!(Script::parse(&json!({})), Ok(Script::default()));
        let failing = Script { fail_first: 2, ..Script::default() };
        assert_eq!(Script::parse(&json!({"fail_first": 2})), Ok(failing));
    }

    #[test]
    fn reads_a_whole_script() {
        let value = json!({"status": 418, "headers": {"X-Shop": "north", "content-type": "application/json"},
            "body": "{\"tea\":true}", "delay_ms": 30_000, "fail_first": 1_000});
        let headers = [("content-type", "application/json"), ("x-shop", "north")];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let body = "{\"tea\":true}".to_owned();
        assert_eq!(
            Script::parse(&value),
            Ok(Script { status: 418, headers, body, delay_ms: 30_000, fail_first: 1_000 })
        );
    }

    #[test]
    fn has_bounds() {
        for (value, expected) in [
            (json!([]), ": expected an object, found an array"),
            (json!({"status": 199}), "/status: expected a whole number from 200 to 599, found 199"),
            (json!({"status": 600}), "/status: expected a whole number from 200 to 599, found 600"),
            (json!({"status": "200"}), "/status: expected a whole number from 200 to 599, found a string"),
            (json!({"delay_ms": 30_001}), "/delay_ms: expected a whole number from 0 to 30000, found 30001"),
            (json!({"fail_first": -1}), "/fail_first: expected a whole number from 0 to 1000, found -1"),
            (json!({"fail_first": 1_001}), "/fail_first: expected a whole number from 0 to 1000, found 1001"),
            (json!({"body": {}}), "/body: expected a string, found an object"),
            (json!({"body": "é".repeat(32 * 1024 + 1)}), "/body: expected at most 65536 bytes, found 65538"),
            (json!({"headers": []}), "/headers: expected an object, found an array"),
            (json!({"headers": {"a": 1}}), "/headers/a: expected a string, found a number"),
            (
                json!({"colour": "blue"}),
                "/colour: unknown field; known are `status`, `headers`, `body`, `delay_ms`, `fail_first`",
            ),
        ] {
            assert_eq!(mistakes(&value), [expected], "{value}");
        }
        assert!(Script::parse(&json!({"body": "é".repeat(32 * 1024)})).is_ok());
    }

    #[test]
    fn names_all_mistakes_at_once() {
        let value =
            json!({"status": 1, "headers": {"Location": "/", "b": "\n", "c": "ok"}, "delay_ms": 0.5, "x": 1});
        let pointers: Vec<String> =
            Script::parse(&value).unwrap_err().into_iter().map(|mistake| mistake.pointer).collect();
        assert_eq!(pointers, ["/x", "/status", "/headers/Location", "/headers/b", "/delay_ms"]);
    }

    #[test]
    fn a_status_without_a_body_has_none() {
        for status in BODILESS_STATUSES {
            let found = mistakes(&json!({"status": status, "body": "x"}));
            assert_eq!(found, [format!("/body: an answer with status {status} has no body")]);
            assert!(Script::parse(&json!({"status": status, "body": ""})).is_ok());
        }
    }

    #[test]
    fn what_acts_on_a_browser_or_the_connection_cannot_be_scripted() {
        for name in [
            "Set-Cookie",
            "location",
            "Clear-Site-Data",
            "service-worker-allowed",
            "Content-Security-Policy",
            "Refresh",
            "strict-transport-security",
            "X-Content-Type-Options",
            "Content-Length",
            "Transfer-Encoding",
            "connection",
            "Keep-Alive",
            "TE",
            "Upgrade",
            "Trailer",
            "Proxy-Authenticate",
        ] {
            let found = mistakes(&json!({"headers": {name: "x"}}));
            assert_eq!(found.len(), 1, "{name}: {found:?}");
            assert!(found[0].starts_with(&format!("/headers/{name}: can't be scripted")), "{}", found[0]);
        }
        for name in ["Retry-After", "X-Set-Cookie", "WWW-Authenticate", "ETag", "Access-Control-Allow-Origin"]
        {
            assert!(Script::parse(&json!({"headers": {name: "x"}})).is_ok(), "{name}");
        }
    }

    #[test]
    fn refused_headers_are_found_by_their_lower_case_name() {
        for (name, _) in REFUSED_HEADERS {
            assert_eq!(name, name.to_ascii_lowercase());
        }
    }

    #[test]
    fn header_names_are_tokens() {
        for (name, expected) in [
            ("", "/headers/: expected a name of 1 to 256 characters, found 0"),
            ("a b", "/headers/a b: expected a name of letters, digits and !#$%&'*+-.^_`|~, found ' '"),
            ("a:", "/headers/a:: expected a name of letters, digits and !#$%&'*+-.^_`|~, found ':'"),
            ("å", "/headers/å: expected a name of letters, digits and !#$%&'*+-.^_`|~, found 'å'"),
            (
                "a\r\nb",
                "/headers/a\r\nb: expected a name of letters, digits and !#$%&'*+-.^_`|~, found '\\r'",
            ),
        ] {
            assert_eq!(mistakes(&json!({"headers": {name: "x"}})), [expected]);
        }
        assert_eq!(mistakes(&json!({"headers": {"a".repeat(257): "x"}})).len(), 1);
        assert!(Script::parse(&json!({"headers": {"a".repeat(256): "x", "!#$%&'*+-.^_`|~9z": "x"}})).is_ok());
    }

    #[test]
    fn header_values_are_lines_of_ascii() {
        for wrong in ["a\nb", "a\r", "\0", "\t", "\u{7f}", "\u{85}", "é", "€"] {
            assert_eq!(mistakes(&json!({"headers": {"a": wrong}})).len(), 1, "{wrong:?}");
        }
        let longest = "x".repeat(MAX_HEADER_VALUE);
        assert!(Script::parse(&json!({"headers": {"a": longest, "b": "", "c": "~ !"}})).is_ok());
        assert_eq!(mistakes(&json!({"headers": {"a": format!("{longest}x")}})).len(), 1);
    }

    #[test]
    fn headers_are_counted_and_not_doubled() {
        let many = |count: usize| -> Value { (0..count).map(|n| (format!("h{n}"), json!("x"))).collect() };
        assert!(Script::parse(&json!({"headers": many(50)})).is_ok());
        assert_eq!(
            mistakes(&json!({"headers": many(51)})),
            ["/headers: expected at most 50 headers, found 51"]
        );
        let doubled = mistakes(&json!({"headers": {"a": "1", "A": "2"}}));
        assert_eq!(doubled, ["/headers/A: is given twice; upper and lower case don't tell headers apart"]);
    }

    #[test]
    fn the_first_requests_after_the_script_fail() {
        let standing = |fail_first| {
            let script =
                Script { status: 202, body: "b".to_owned(), delay_ms: 9, fail_first, ..Script::default() };
            Standing { script, after: 10 }
        };
        for (fail_first, number, expected) in [
            (0, 11, 202),
            (1, 11, 503),
            (1, 12, 202),
            (2, 12, 503),
            (2, 13, 202),
            (1_000, 1_010, 503),
            (1_000, 1_011, 202),
        ] {
            let answer = standing(fail_first).answer(RequestId(number));
            assert_eq!(answer.status, expected, "{fail_first} {number}");
            assert_eq!((answer.body.as_str(), answer.delay_ms), ("b", 9));
        }
    }

    #[test]
    fn stored_script_format_unchanged() {
        let script = Script {
            status: 418,
            headers: [("a".to_owned(), "b".to_owned())].into(),
            body: "c".to_owned(),
            delay_ms: 5,
            fail_first: 2,
        };
        assert_eq!(
            serde_json::to_string(&Standing { script, after: 7 }).unwrap(),
            r#"{"script":{"status":418,"headers":{"a":"b"},"body":"c","delay_ms":5,"fail_first":2},"after":7}"#
        );
    }
}
