//! Headers that an action adds.

use core::fmt;
use core::str::FromStr;

use serde::Serialize;

use crate::expr::{Expr, Scope, text};
use crate::json::Node;

/// Longest name of a header, in bytes; servers refuse longer ones.
const MAX_NAME: usize = 128;

/// Headers that belong to one connection (RFC 9110, section 7.6.1), and those that the runtime derives from
/// the request itself.
const OF_THE_CONNECTION: [&str; 13] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Headers that Varde sets itself on every attempt.
const SET_BY_VARDE: [&str; 8] = [
    "varde-attempt",
    "webhook-id",
    "webhook-signature",
    "webhook-timestamp",
    "x-hubspot-request-timestamp",
    "x-hubspot-signature",
    "x-hubspot-signature-v3",
    "x-hubspot-signature-version",
];

/// The name of a header that a user may set: an HTTP token, in lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct HeaderName(String);

/// Why a header can't be set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHeaderName {
    /// Not a token (RFC 9110, section 5.6.2), or too long.
    #[error("expected a header name: 1 to {MAX_NAME} letters, digits and any of !#$%&'*+-.^_`|~")]
    Malformed,
    /// Of the connection, not of the message.
    #[error("this header is set by the connection")]
    OfTheConnection,
    /// Varde's own.
    #[error("this header is set by Varde")]
    SetByVarde,
}

impl HeaderName {
    /// The name, in lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for HeaderName {
    type Err = InvalidHeaderName;

    fn from_str(text: &str) -> Result<Self, InvalidHeaderName> {
        let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        if text.is_empty() || text.len() > MAX_NAME || !text.bytes().all(is_token) {
            return Err(InvalidHeaderName::Malformed);
        }
        let name = text.to_ascii_lowercase();
        if OF_THE_CONNECTION.contains(&name.as_str()) {
            return Err(InvalidHeaderName::OfTheConnection);
        }
        if SET_BY_VARDE.contains(&name.as_str()) {
            return Err(InvalidHeaderName::SetByVarde);
        }
        Ok(Self(name))
    }
}

impl fmt::Display for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A header with a value to fill in; left out when the value is unset.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Header {
    name: HeaderName,
    value: Expr,
}

impl Header {
    /// Reads `{"name", "value": Expr}`.
    pub fn read(node: Node<'_>, scope: &Scope) -> Option<Self> {
        let fields = node.fields(&["name", "value"])?;
        let name = fields.need("name", |node| node.parse());
        let value = fields.need("value", |node| {
            let value = Expr::read(node, scope)?;
            let literal = match &value {
                Expr::Static(value) => Some(text(value)),
                Expr::Template(template) if template.is_plain() => Some(template.source().into()),
                _ => None,
            };
            if let Some(Err(found)) = literal.as_deref().map(header_value) {
                node.mistake(format_args!("a header may not hold {found:?}"));
                return None;
            }
            Some(value)
        });
        Some(Self { name: name?, value: value? })
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &HeaderName {
        &self.name
    }

    /// Where its value comes from.
    #[must_use]
    pub const fn value(&self) -> &Expr {
        &self.value
    }
}

/// A text as the value of a header: without the blanks around it, which aren't part of it (RFC 9110,
/// section 5.5).
///
/// # Errors
///
/// The first control character: one that isn't refused could add a header or a second request.
pub(crate) fn header_value(text: &str) -> Result<&str, char> {
    let value = text.trim_matches([' ', '\t']);
    match value.chars().find(|&c| c.is_control() && c != '\t') {
        Some(found) => Err(found),
        None => Ok(value),
    }
}

/// Reads the name of the header that an API key goes into: what describes the body or the sender is no key.
pub(super) fn read_key_header(node: Node<'_>) -> Option<HeaderName> {
    let name: HeaderName = node.parse()?;
    if matches!(name.as_str(), "content-type" | "user-agent") {
        node.mistake("this header can't hold a key");
        return None;
    }
    Some(name)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::json::Mistakes;

    fn read(value: &Value) -> Result<Header, Vec<String>> {
        let mistakes = Mistakes::default();
        let header = Header::read(Node::root(value, &mistakes), &Scope::default());
        mistakes.conclude(header).map_err(|list| list.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn names_are_lower_case_tokens() {
        for (text, name) in
            [("X-Key", "x-key"), ("a!#$%&'*+-.^_`|~9", "a!#$%&'*+-.^_`|~9"), ("User-Agent", "user-agent")]
        {
            assert_eq!(text.parse::<HeaderName>().unwrap().as_str(), name);
        }
        for bad in ["", "a b", "a:", "a\n", "é", "a(b)", "a/b", "a\"", &"x".repeat(129)] {
            assert_eq!(bad.parse::<HeaderName>(), Err(InvalidHeaderName::Malformed), "{bad:?}");
        }
    }

    #[test]
    fn refuses_what_is_not_the_users() {
        for name in [
            "Host",
            "Content-Length",
            "Transfer-Encoding",
            "Connection",
            "Keep-Alive",
            "TE",
            "Trailer",
            "Upgrade",
            "Proxy-Authorization",
            "Proxy-Authenticate",
            "Proxy-Connection",
            "Expect",
            "HTTP2-Settings",
        ] {
            assert_eq!(name.parse::<HeaderName>(), Err(InvalidHeaderName::OfTheConnection), "{name}");
        }
        for name in [
            "webhook-id",
            "Webhook-Timestamp",
            "WEBHOOK-SIGNATURE",
            "Varde-Attempt",
            "X-HubSpot-Signature",
            "X-HubSpot-Signature-Version",
            "X-HubSpot-Signature-v3",
            "X-HubSpot-Request-Timestamp",
        ] {
            assert_eq!(name.parse::<HeaderName>(), Err(InvalidHeaderName::SetByVarde), "{name}");
        }
        for name in ["Content-Type", "User-Agent", "Authorization", "Cookie", "Accept", "Webhook-Topic"] {
            assert!(name.parse::<HeaderName>().is_ok(), "{name}");
        }
    }

    #[test]
    fn values_hold_no_control_characters() {
        for (text, value) in [
            ("a", Ok("a")),
            (" a\tb ", Ok("a\tb")),
            ("", Ok("")),
            ("Zoë", Ok("Zoë")),
            ("a\r\nb", Err('\r')),
            ("a\0", Err('\0')),
            ("a\u{85}", Err('\u{85}')),
        ] {
            assert_eq!(header_value(text), value, "{text:?}");
        }
        for value in [json!({"static": "a\nb"}), json!({"template": "a\nb"})] {
            let header = json!({"name": "x", "value": value});
            assert_eq!(read(&header), Err(vec![r"/value: a header may not hold '\n'".to_owned()]));
        }
        assert!(read(&json!({"name": "x", "value": {"static": ["a\nb"]}})).is_ok());
    }

    #[test]
    fn reads_and_writes() {
        let header = json!({"name": "x-key", "value": {"property": "key"}});
        assert_eq!(serde_json::to_value(read(&header).unwrap()).unwrap(), header);
        assert_eq!(
            read(&json!({"name": "Host", "val": 1})),
            Err(vec![
                "/val: unknown field; known are `name`, `value`".to_owned(),
                "/name: this header is set by the connection; found \"Host\"".to_owned(),
                "/value: is required".to_owned(),
            ])
        );
    }
}
