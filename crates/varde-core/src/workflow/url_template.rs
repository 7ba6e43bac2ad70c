//! URLs with values to fill in.

use std::borrow::Cow;

use serde::{Serialize, Serializer};

use crate::endpoint_url::{BlockedUrl, EndpointUrl, Policy, authority};
use crate::expr::{EvalError, Evaluator, Scope, Template};
use crate::json::Node;

/// A URL that may hold `{{ }}` in its path and query; scheme, host and port are literal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlTemplate(Template);

/// Why a URL can't be filled in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FillError {
    /// A value is missing, or its template fails.
    #[error(transparent)]
    Value(#[from] EvalError),
    /// Filled in, it is a URL that may not be called.
    #[error(transparent)]
    Blocked(#[from] BlockedUrl),
}

impl UrlTemplate {
    /// Reads a URL, checks it against the rule as far as it is literal, and checks its templates.
    pub fn read(node: Node<'_>, scope: &Scope, policy: Policy) -> Option<Self> {
        let source = node.string()?;
        if let Err(blocked) = check(source, policy) {
            node.mistake(blocked);
            return None;
        }
        if source.contains("{%") || source.contains("{#") {
            node.mistake("a URL may hold `{{ }}` only, not `{% %}` or `{# #}`");
            return None;
        }
        Template::read(node, scope).map(Self)
    }

    /// The URL as it was written.
    #[must_use]
    pub fn source(&self) -> &str {
        self.0.source()
    }

    /// Fills the values in, percent-encoded, and checks the result against the rule.
    ///
    /// # Errors
    ///
    /// A value that is missing, or a URL that may not be called.
    pub fn fill(&self, evaluator: &mut Evaluator<'_>, policy: Policy) -> Result<EndpointUrl, FillError> {
        let filled = evaluator.template_url(&self.0)?;
        let url = EndpointUrl::parse(&filled, policy)?;
        if let Cow::Owned(filled) = &filled {
            if has_dot_segment(filled) {
                return Err(BlockedUrl::DotSegment.into());
            }
            let written = EndpointUrl::parse(origin(self.source()).ok_or(BlockedUrl::Scheme)?, policy)?;
            if !url.same_origin(&written) {
                return Err(BlockedUrl::HostChanged.into());
            }
        }
        Ok(url)
    }
}

impl Serialize for UrlTemplate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

/// Checks what can be checked without values: the URL with an `x` for each of them.
fn check(source: &str, policy: Policy) -> Result<(), BlockedUrl> {
    if !source.contains("{{") {
        return EndpointUrl::parse(source, policy).map(drop);
    }
    let authority = authority(source).ok_or(BlockedUrl::Scheme)?;
    if authority.contains(['{', '}']) {
        return Err(BlockedUrl::HostChanged);
    }
    let mut skeleton = String::with_capacity(source.len());
    let mut rest = source;
    while let Some((literal, code)) = rest.split_once("{{") {
        skeleton.push_str(literal);
        skeleton.push('x');
        rest = code.split_once("}}").map_or("", |(_, after)| after);
    }
    skeleton.push_str(rest);
    EndpointUrl::parse(&skeleton, policy)?;
    if has_dot_segment(&skeleton) { Err(BlockedUrl::DotSegment) } else { Ok(()) }
}

/// Scheme, host and port of a URL's text.
fn origin(text: &str) -> Option<&str> {
    let host = authority(text)?;
    let start = text.find("://")? + 3;
    text.get(..start + host.len())
}

/// Whether the path of a URL's text has a segment that a parser takes away (WHATWG URL, "single-dot" and
/// "double-dot URL path segment"): a value filled in must not move the path.
fn has_dot_segment(text: &str) -> bool {
    let after_origin = origin(text).and_then(|origin| text.get(origin.len()..)).unwrap_or_default();
    let path = after_origin.split(['?', '#']).next().unwrap_or_default();
    path.split('/').any(|segment| {
        let segment = segment.to_ascii_lowercase().replace("%2e", ".");
        segment == "." || segment == ".."
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::expr::Context;
    use crate::json::Mistakes;
    use crate::outputs::Outputs;
    use crate::record::EnrollmentInput;
    use crate::time::UnixMs;
    use crate::workflow::ObjectType;

    fn read(source: &str) -> Result<UrlTemplate, String> {
        let value = json!(source);
        let mistakes = Mistakes::default();
        let url = UrlTemplate::read(Node::root(&value, &mistakes), &Scope::default(), Policy::PUBLIC);
        mistakes.conclude(url).map_err(|list| list[0].message.clone())
    }

    fn fill(source: &str, x: &Value) -> Result<String, FillError> {
        let input = json!({"record": {"id": "51", "properties": {"x": x}}});
        let input = EnrollmentInput::parse(&input).unwrap();
        let context = Context {
            object_type: &ObjectType::Contact,
            record: input.record(),
            event: None,
            outputs: &Outputs::default(),
            now: UnixMs(0),
        };
        read(source).unwrap().fill(&mut Evaluator::new(context), Policy::PUBLIC).map(Into::into)
    }

    #[test]
    fn values_are_filled_into_path_and_query() {
        let patch = "https://api.hubapi.com/crm/v3/objects/contacts/{{ record.id }}";
        for (source, x, filled) in [
            (patch, json!(null), "https://api.hubapi.com/crm/v3/objects/contacts/51"),
            (
                "https://a.example/{{ properties.x }}/y",
                json!("a/b c?d#e&f=g+h%2F"),
                "https://a.example/a%2Fb%20c%3Fd%23e%26f%3Dg%2Bh%252F/y",
            ),
            (
                "https://a.example/p?q={{ properties.x }}&r=1",
                json!("a/b c?d#e&f=g+h"),
                "https://a.example/p?q=a%2Fb%20c%3Fd%23e%26f%3Dg%2Bh&r=1",
            ),
            (
                "https://a.example?q={{ properties.x }}",
                json!("@evil.example"),
                "https://a.example/?q=%40evil.example",
            ),
            ("https://a.example/{{ properties.x }}", json!("../../etc"), "https://a.example/..%2F..%2Fetc"),
            ("https://a.example/v{{ properties.x }}/z", json!(2), "https://a.example/v2/z"),
            ("https://a.example/{{ properties.x }}/z", json!(null), "https://a.example//z"),
            ("https://a.example/{{ properties.x }}#top", json!(true), "https://a.example/true"),
            ("https://a.example/^{{ properties.x }}", json!("^"), "https://a.example/%5E%5E"),
            ("https://a.example/literal", json!("unused"), "https://a.example/literal"),
        ] {
            assert_eq!(fill(source, &x).as_deref(), Ok(filled), "{source}");
        }
    }

    #[test]
    fn values_may_not_move_the_path() {
        for x in [".", ".."] {
            assert_eq!(
                fill("https://a.example/a/{{ properties.x }}/b", &json!(x)),
                Err(BlockedUrl::DotSegment.into())
            );
        }
        assert_eq!(
            fill("https://a.example/a/.{{ properties.x }}", &json!("")),
            Err(BlockedUrl::DotSegment.into())
        );
        assert_eq!(
            fill("https://a.example/a/%2e{{ properties.x }}/b", &json!(".")),
            Err(BlockedUrl::DotSegment.into())
        );
        assert!(fill("https://a.example/a/{{ properties.x }}/b", &json!("...")).is_ok());
        assert!(fill("https://a.example/a?q={{ properties.x }}", &json!("..")).is_ok());
    }

    #[test]
    fn what_is_literal_is_checked_when_saved() {
        for (source, mistake) in [
            ("https://{{ properties.x }}/", "values filled in may not change the host"),
            ("https://a.example{{ properties.x }}/", "values filled in may not change the host"),
            ("https://a.example:{{ properties.x }}/", "values filled in may not change the host"),
            ("https://{{ properties.x }}@a.example/", "values filled in may not change the host"),
            ("{{ properties.x }}://a.example/", "URL must start with `https://` and a host"),
            ("{{ properties.x }}", "URL must start with `https://` and a host"),
            ("http://a.example/{{ properties.x }}", "URL must start with `https://` and a host"),
            ("https://localhost/{{ properties.x }}", "host `localhost` isn't on the public internet"),
            ("https://a.example:25/{{ properties.x }}", "port must be 443 or at least 1024, is 25"),
            (
                "https://a.example/../{{ properties.x }}",
                "path may not hold a `.` or `..` segment where values are filled in",
            ),
            ("https://a.example/\\{{ properties.x }}", "URL may not hold '\\\\'"),
            (
                "https://a.example/{% if a %}{{ b }}{% endif %}",
                "a URL may hold `{{ }}` only, not `{% %}` or `{# #}`",
            ),
            ("https://a.example/{# x #}{{ b }}", "a URL may hold `{{ }}` only, not `{% %}` or `{# #}`"),
            ("https://a.example/{{ b", "line 1: unexpected end of input, expected end of variable block"),
            ("https://a.example/{{ outputs.a.b }}", "output `a.b` isn't declared by an earlier action"),
        ] {
            assert_eq!(read(source).unwrap_err(), mistake, "{source}");
        }
        assert_eq!(
            read("https://a.example/%7B%7Bx%7D%7D").unwrap().source(),
            "https://a.example/%7B%7Bx%7D%7D"
        );
    }

    #[test]
    fn too_long_is_too_large() {
        let error = fill("https://a.example/{{ properties.x }}", &json!("x".repeat(2_031))).unwrap_err();
        assert_eq!(error, BlockedUrl::TooLong { found: 2_049 }.into());
        assert!(fill("https://a.example/{{ properties.x }}", &json!("x".repeat(2_030))).is_ok());
    }

    proptest! {
        /// Whatever is filled in stays in its segment and its parameter.
        #[test]
        fn a_value_stays_where_it_is_put(x in ".{0,30}") {
            prop_assume!(x != "." && x != "..");
            let filled = fill("https://a.example/a/{{ properties.x }}/b?q={{ properties.x }}&r=1", &json!(x)).unwrap();
            let url = url::Url::parse(&filled).unwrap();
            let segments: Vec<_> = url.path_segments().unwrap().collect();
            prop_assert_eq!(segments.len(), 3);
            let decoded = percent_encoding::percent_decode_str(segments[1]).decode_utf8().unwrap();
            prop_assert_eq!(decoded, x.as_str());
            let pairs: Vec<_> = url.query_pairs().into_owned().collect();
            prop_assert_eq!(pairs, [("q".to_owned(), x), ("r".to_owned(), "1".to_owned())]);
        }
    }
}
