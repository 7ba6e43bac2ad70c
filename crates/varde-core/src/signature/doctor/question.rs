//! A question to the doctor as JSON: what a form or a pasted request makes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::key::MAX_SECRETS;
use super::{Case, Check, Diagnosis, QUICK_BYTES, Scheme, THOROUGH_BYTES, diagnose, verify_all};
use crate::json::{Mistake, Mistakes, Node};
use crate::signature::Received;
use crate::time::UnixMs;

/// Most headers of a request; servers take fewer.
pub const MAX_HEADERS: usize = 200;
/// Largest body, in bytes; senders of webhooks stay far below.
pub const MAX_BODY: usize = 4 * 1_024 * 1_024;
/// Most public addresses that are tried.
pub const MAX_PUBLIC_URLS: usize = 6;
/// Latest time that JavaScript's `Date` knows, in Unix milliseconds.
const MAX_NOW: u64 = 8_640_000_000_000_000;

/// A request that somebody asks about, with everything it may be signed with. It has no `Debug`, so that
/// no secret gets into a log.
#[derive(Clone)]
pub struct Question {
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    secrets: Vec<String>,
    previous_secrets: Vec<String>,
    scheme: Option<Scheme>,
    signature: Option<String>,
    public_urls: Vec<String>,
    now: Option<UnixMs>,
    thorough: bool,
}

impl Question {
    /// Reads `{"method", "url", "headers"?, "body"? | "body_base64"?, "secrets"?, "previous_secrets"?,
    /// "scheme"?, "signature"?, "public_urls"?, "now"?, "thorough"?}`; headers are `[name, value]` pairs.
    ///
    /// # Errors
    ///
    /// All mistakes at once.
    pub fn parse(value: &Value) -> Result<Self, Vec<Mistake>> {
        let mistakes = Mistakes::default();
        let question = Self::read(Node::root(value, &mistakes));
        mistakes.conclude(question)
    }

    fn read(node: Node<'_>) -> Option<Self> {
        let fields = node.fields(&[
            "method",
            "url",
            "headers",
            "body",
            "body_base64",
            "secrets",
            "previous_secrets",
            "scheme",
            "signature",
            "public_urls",
            "now",
            "thorough",
        ])?;
        let text = |node: Node<'_>| node.string().map(str::to_owned);
        let secrets = |node: Node<'_>| node.list(MAX_SECRETS, |item| item.string().map(str::to_owned));
        let urls = |node: Node<'_>| node.list(MAX_PUBLIC_URLS, |item| item.string().map(str::to_owned));
        let method = fields.need("method", text);
        let url = fields.need("url", text);
        let headers = fields.or("headers", Vec::new(), |node| node.list(MAX_HEADERS, read_header));
        let as_text = fields.maybe("body", |node| bounded(node, node.string()?.as_bytes().to_vec()));
        let as_bytes = fields.maybe("body_base64", read_base64);
        let current = fields.or("secrets", Vec::new(), secrets);
        let previous = fields.or("previous_secrets", Vec::new(), secrets);
        let scheme = fields.maybe("scheme", |node| node.word(&Scheme::WORDS));
        let signature = fields.maybe("signature", text);
        let public_urls = fields.or("public_urls", Vec::new(), urls);
        let now = fields.maybe("now", |node| node.integer(0..=MAX_NOW).map(UnixMs));
        let thorough = fields.or("thorough", false, |node| node.boolean());
        let body = match (as_text?, as_bytes?) {
            (Some(_), Some(_)) => {
                node.mistake_at("body_base64", "stands beside `body`; leave one of them out");
                return None;
            }
            (as_text, as_bytes) => as_text.or(as_bytes).unwrap_or_default(),
        };
        Some(Self {
            method: method?,
            url: url?,
            headers: headers?,
            body,
            secrets: current?,
            previous_secrets: previous?,
            scheme: scheme?,
            signature: signature?,
            public_urls: public_urls?,
            now: now?,
            thorough: thorough?,
        })
    }

    /// Checks the request by each scheme in question; see [`verify_all`].
    #[must_use]
    pub fn verify(&self) -> Vec<Check> {
        self.ask(verify_all)
    }

    /// Checks it, and explains what isn't accepted; see [`diagnose`].
    #[must_use]
    pub fn diagnose(&self) -> Diagnosis {
        self.ask(diagnose)
    }

    fn ask<T>(&self, ask: impl FnOnce(&Case<'_>) -> T) -> T {
        let (secrets, previous, public_urls) =
            (texts(&self.secrets), texts(&self.previous_secrets), texts(&self.public_urls));
        let received =
            Received { method: &self.method, uri: &self.url, headers: &self.headers, body: &self.body };
        ask(&Case {
            previous_secrets: &previous,
            scheme: self.scheme,
            signature: self.signature.as_deref(),
            now: self.now,
            public_urls: &public_urls,
            max_hashed_bytes: if self.thorough { THOROUGH_BYTES } else { QUICK_BYTES },
            ..Case::new(received, &secrets)
        })
    }
}

fn texts(list: &[String]) -> Vec<&str> {
    list.iter().map(String::as_str).collect()
}

fn read_header(node: Node<'_>) -> Option<(String, String)> {
    let pair: Vec<String> = node.list(2, |item| item.string().map(str::to_owned))?;
    if let Ok([name, value]) = <[String; 2]>::try_from(pair) {
        return Some((name, value));
    }
    node.mistake("expected a header as `[name, value]`");
    None
}

fn read_base64(node: Node<'_>) -> Option<Vec<u8>> {
    let Ok(bytes) = STANDARD.decode(node.string()?) else {
        node.mistake("expected base64 (RFC 4648, section 4)");
        return None;
    };
    bounded(node, bytes)
}

fn bounded(node: Node<'_>, bytes: Vec<u8>) -> Option<Vec<u8>> {
    if bytes.len() > MAX_BODY {
        node.mistake(format_args!("expected at most {MAX_BODY} bytes, found {}", bytes.len()));
        return None;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn github(secret: &str) -> Value {
        json!({
            "method": "POST", "url": "https://a.example/", "body": "Hello, World!", "secrets": [secret],
            "headers": [["X-Hub-Signature-256",
                "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"]],
        })
    }

    fn mistakes(value: &Value) -> Vec<String> {
        let found = Question::parse(value).err().unwrap_or_default();
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn asks_about_what_was_given() {
        let right = Question::parse(&github("It's a Secret to Everybody")).unwrap();
        assert_eq!(json!(right.verify()[0])["verdict"], "valid");
        let wrong = Question::parse(&github("It's a Secret to Everybody\n")).unwrap();
        assert_eq!(json!(wrong.diagnose())["findings"][0]["mistakes"][0]["code"], "secret_trimmed");
    }

    #[test]
    fn bytes_come_in_base64() {
        let mut value = github("It's a Secret to Everybody");
        value["body_base64"] = json!("SGVsbG8sIFdvcmxkIQ==");
        assert_eq!(mistakes(&value), ["/body_base64: stands beside `body`; leave one of them out"]);
        value.as_object_mut().unwrap().remove("body");
        assert_eq!(json!(Question::parse(&value).unwrap().verify()[0])["verdict"], "valid");
    }

    #[test]
    fn names_all_mistakes_at_once() {
        let value = json!({
            "method": 5, "headers": [["a"], ["b", 1], ["c", "d", "e"]], "body_base64": "?", "scheme": "v4",
            "secrets": ["a", 1], "now": -1, "colour": "red",
        });
        let found = mistakes(&value);
        let pointers: Vec<_> = found.iter().map(|line| line.split(':').next().unwrap()).collect();
        assert_eq!(
            pointers,
            [
                "/colour",
                "/method",
                "/url",
                "/headers/0",
                "/headers/1/1",
                "/headers/2",
                "/body_base64",
                "/secrets/1",
                "/scheme",
                "/now"
            ]
        );
    }

    #[test]
    fn a_huge_body_is_refused() {
        let value = json!({"method": "POST", "url": "", "body": "x".repeat(MAX_BODY + 1)});
        assert_eq!(mistakes(&value), ["/body: expected at most 4194304 bytes, found 4194305"]);
    }
}
