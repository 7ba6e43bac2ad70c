//! Action and context to the request that goes over the wire: rendered once per delivery, sent on every
//! attempt. What changes per attempt is added by [`crate::auth`].
//!
//! ```
//! use varde_core::endpoint_url::Policy;
//! use varde_core::expr::Context;
//! use varde_core::outputs::Outputs;
//! use varde_core::record::EnrollmentInput;
//! use varde_core::render::render;
//! use varde_core::time::UnixMs;
//! use varde_core::workflow::{Action, ObjectType};
//!
//! let action = serde_json::json!({
//!     "id": "rename", "type": "webhook", "method": "PATCH",
//!     "url": "https://api.hubapi.com/crm/v3/objects/contacts/{{ record.id }}",
//!     "body": {"kind": "json", "template": {"properties": {"age": "{{ properties.age + 1 }}"}}},
//! });
//! let action = Action::parse_draft(&action, Policy::PUBLIC).unwrap();
//! let input = EnrollmentInput::parse(&serde_json::json!({"record": {"id": 51, "properties": {"age": 41}}})).unwrap();
//!
//! let context = Context {
//!     object_type: &ObjectType::Contact,
//!     record: input.record(),
//!     event: input.event(),
//!     outputs: &Outputs::default(),
//!     now: UnixMs(0),
//! };
//! let request = render(&action, &context, Policy::PUBLIC).unwrap();
//! assert_eq!(request.url, "https://api.hubapi.com/crm/v3/objects/contacts/51");
//! assert_eq!(request.body, r#"{"properties":{"age":42}}"#);
//! ```

mod body;

use std::borrow::Cow;

use crate::endpoint_url::{BlockedUrl, EndpointUrl, Policy};
use crate::expr::{Context, EvalError, Evaluator, text};
use crate::request::Request;
use crate::workflow::{Action, Body, FillError, header_value};

/// Largest body, in bytes: it is stored in a row, and a row ends at 2 MB.
pub const MAX_BODY: usize = 1_024 * 1_024;

/// Most bytes that all headers of a request have together; servers refuse more.
pub const MAX_HEADER_BYTES: usize = 16 * 1_024;

/// What a request says it comes from, unless the user says otherwise.
pub const USER_AGENT: &str = concat!("Varde/", env!("CARGO_PKG_VERSION"));

/// Why there is no request to send. It ends the delivery as rejected, with no attempt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unsendable {
    /// A value is missing, or a template fails.
    #[error(transparent)]
    Value(#[from] EvalError),
    /// The URL may not be called, or is too long.
    #[error(transparent)]
    Url(#[from] BlockedUrl),
    /// A header's value holds what could end the header.
    #[error("header `{name}` may not hold {found:?}")]
    Header {
        /// Name of the header.
        name: String,
        /// The first such character.
        found: char,
    },
    /// The headers are too large.
    #[error("headers may have at most {MAX_HEADER_BYTES} bytes together, have {found}")]
    HeadersTooLarge {
        /// Their size in bytes, names included.
        found: usize,
    },
    /// The body is larger than [`MAX_BODY`].
    #[error("body may have at most {MAX_BODY} bytes, has more")]
    BodyTooLarge,
}

impl Unsendable {
    /// Stable slug for people and programs; the `reason` of the delivery.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Value(reason) => reason.code(),
            Self::Url(reason) => reason.code(),
            Self::Header { .. } => "invalid_header",
            Self::HeadersTooLarge { .. } | Self::BodyTooLarge => "request_too_large",
        }
    }
}

impl From<FillError> for Unsendable {
    fn from(error: FillError) -> Self {
        match error {
            FillError::Value(reason) => Self::Value(reason),
            FillError::Blocked(reason) => Self::Url(reason),
        }
    }
}

/// Renders the request of an action.
///
/// The URL is parsed, checked against the rule and serialised once, parameters appended; unset values are
/// left out of the query and the headers, and empty in a body.
///
/// # Errors
///
/// Why nothing can be sent.
pub fn render(action: &Action, context: &Context<'_>, policy: Policy) -> Result<Request, Unsendable> {
    let mut evaluator = Evaluator::new(*context);
    let url = render_url(action, &mut evaluator, policy)?;
    let headers = render_headers(action, &mut evaluator)?;
    let body = body::render(action.body(), &mut evaluator)?;
    Ok(Request { method: action.method(), url: url.into(), headers, body })
}

fn render_url<'a>(
    action: &'a Action,
    evaluator: &mut Evaluator<'a>,
    policy: Policy,
) -> Result<EndpointUrl, Unsendable> {
    let url = action.url().fill(evaluator, policy)?;
    let mut parameters = Vec::with_capacity(action.query().len());
    for parameter in action.query() {
        if let Some(value) = evaluator.value(parameter.value())?.filter(|value| !value.is_null()) {
            parameters.push((parameter.name(), value));
        }
    }
    let texts: Vec<_> = parameters.iter().map(|(name, value)| (*name, text(value))).collect();
    Ok(url.with_parameters(texts.iter().map(|(name, text)| (*name, text.as_ref())))?)
}

fn render_headers<'a>(
    action: &'a Action,
    evaluator: &mut Evaluator<'a>,
) -> Result<Vec<(String, String)>, Unsendable> {
    let mut headers: Vec<(String, String)> = Vec::with_capacity(action.headers().len() + 2);
    for header in action.headers() {
        let Some(value) = evaluator.value(header.value())?.filter(|value| !value.is_null()) else { continue };
        let name = header.name().as_str().to_owned();
        match header_value(&text(&value)) {
            Ok(value) => headers.push((name, value.to_owned())),
            Err(found) => return Err(Unsendable::Header { name, found }),
        }
    }
    let defaults =
        [("content-type", content_type(action.body())), ("user-agent", Some(Cow::Borrowed(USER_AGENT)))];
    for (name, value) in defaults {
        if let Some(value) = value
            && !headers.iter().any(|(set, _)| set == name)
        {
            headers.push((name.to_owned(), value.into_owned()));
        }
    }
    let found = headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    if found > MAX_HEADER_BYTES {
        return Err(Unsendable::HeadersTooLarge { found });
    }
    Ok(headers)
}

fn content_type(body: &Body) -> Option<Cow<'_, str>> {
    match body {
        Body::AllProperties | Body::Properties { .. } | Body::Json { .. } => Some("application/json".into()),
        Body::Form { .. } => Some("application/x-www-form-urlencoded".into()),
        Body::Text { content_type, .. } => Some(content_type.into()),
        Body::None => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::outputs::Outputs;
    use crate::record::EnrollmentInput;
    use crate::time::UnixMs;
    use crate::workflow::ObjectType;

    fn rendered_with(changes: &Value, properties: &Value, policy: Policy) -> Result<Request, Unsendable> {
        let mut value =
            json!({"id": "a", "type": "webhook", "method": "POST", "url": "https://shop.example/"});
        for (name, change) in changes.as_object().unwrap() {
            value[name] = change.clone();
        }
        let action = Action::parse_draft(&value, Policy::WITH_LOOPBACK).unwrap();
        let input = json!({"record": {"id": "51", "properties": properties}, "event": {"no": "A-1"}});
        let input = EnrollmentInput::parse(&input).unwrap();
        let outputs = Outputs::parse(&json!({"login": {"token": "t0k", "nil": null}})).unwrap();
        let context = Context {
            object_type: &ObjectType::Deal,
            record: input.record(),
            event: input.event(),
            outputs: &outputs,
            now: UnixMs(1_767_323_045_678),
        };
        render(&action, &context, policy)
    }

    fn rendered(changes: &Value) -> Result<Request, Unsendable> {
        let properties = json!({
            "email": "zoe@shop.example", "age": 42, "rate": 1.5, "vip": true, "gone": null,
            "tags": ["a", "b"], "two": "a\nb", "name": "Zoë & Co",
        });
        rendered_with(changes, &properties, Policy::PUBLIC)
    }

    fn header<'r>(request: &'r Request, name: &str) -> Option<&'r str> {
        let mut found = request.headers.iter().filter(|(set, _)| set == name);
        let value = found.next().map(|(_, value)| value.as_str());
        assert!(found.next().is_none(), "{name} twice");
        value
    }

    #[test]
    fn bodies_keep_types_and_unset_is_empty() {
        let fields = json!([
            {"name": "E mail", "value": {"property": "email"}},
            {"name": "age", "value": {"property": "age"}},
            {"name": "rate", "value": {"property": "rate"}},
            {"name": "vip", "value": {"property": "vip"}},
            {"name": "tags", "value": {"property": "tags"}},
            {"name": "gone", "value": {"property": "gone"}},
            {"name": "never", "value": {"event": "never"}},
            {"name": "nothing", "value": {"static": null}},
            {"name": "nil", "value": {"output": "login.nil"}},
            {"name": "more", "value": {"template": "{{ properties.age + 1 }}"}},
            {"name": "text", "value": {"template": "{{ properties.age }} years"}},
        ]);
        for (body, content_type, expected) in [
            (
                json!({"kind": "properties", "fields": fields}),
                "application/json",
                r#"{"E mail":"zoe@shop.example","age":42,"rate":1.5,"vip":true,"tags":["a","b"],"gone":"","never":"","nothing":null,"nil":null,"more":43,"text":"42 years"}"#,
            ),
            (
                json!({"kind": "form", "fields": fields}),
                "application/x-www-form-urlencoded",
                "E+mail=zoe%40shop.example&age=42&rate=1.5&vip=true&tags=%5B%22a%22%2C%22b%22%5D&gone=&never=&nothing=&nil=&more=43&text=42+years",
            ),
            (json!({"kind": "form", "fields": []}), "application/x-www-form-urlencoded", ""),
            (json!({"kind": "properties", "fields": []}), "application/json", "{}"),
            (
                json!({"kind": "json", "template": {"b": ["{{ properties.vip }}"], "a": {"n": 1}}}),
                "application/json",
                r#"{"b":[true],"a":{"n":1}}"#,
            ),
            (
                json!({"kind": "text", "content_type": "text/csv", "template": "{{ record.id }};{{ properties.name }}\r\n"}),
                "text/csv",
                "51;Zoë & Co\r\n",
            ),
            (
                json!({"kind": "all_properties"}),
                "application/json",
                concat!(
                    r#"{"dealId":51,"portalId":0,"properties":{"email":{"value":"zoe@shop.example","timestamp":null,"source":null,"sourceId":null},"#,
                    r#""age":{"value":42,"timestamp":null,"source":null,"sourceId":null},"rate":{"value":1.5,"timestamp":null,"source":null,"sourceId":null},"#,
                    r#""vip":{"value":true,"timestamp":null,"source":null,"sourceId":null},"gone":{"value":"","timestamp":null,"source":null,"sourceId":null},"#,
                    r#""tags":{"value":["a","b"],"timestamp":null,"source":null,"sourceId":null},"two":{"value":"a\nb","timestamp":null,"source":null,"sourceId":null},"#,
                    r#""name":{"value":"Zoë & Co","timestamp":null,"source":null,"sourceId":null}}}"#,
                ),
            ),
        ] {
            let request = rendered(&json!({"body": body})).unwrap();
            assert_eq!(request.body, expected);
            assert_eq!(header(&request, "content-type"), Some(content_type));
        }
        let request = rendered(&json!({"body": {"kind": "none"}})).unwrap();
        assert_eq!((request.body.as_str(), header(&request, "content-type")), ("", None));
    }

    #[test]
    fn queries_leave_out_what_is_unset() {
        let query = json!([
            {"name": "e", "value": {"property": "email"}},
            {"name": "gone", "value": {"property": "gone"}},
            {"name": "never", "value": {"event": "never"}},
            {"name": "nil", "value": {"output": "login.nil"}},
            {"name": "empty", "value": {"static": ""}},
            {"name": "a b", "value": {"property": "name"}},
            {"name": "e", "value": {"property": "vip"}},
        ]);
        for method in ["GET", "DELETE", "POST"] {
            let request =
                rendered(&json!({"method": method, "url": "https://shop.example/p?src=crm", "query": query}))
                    .unwrap();
            assert_eq!(
                request.url,
                "https://shop.example/p?src=crm&e=zoe%40shop.example&empty=&a%20b=Zo%C3%AB%20%26%20Co&e=true"
            );
            assert_eq!(request.method.as_str(), method);
        }
        let plain = rendered(&json!({"method": "GET"})).unwrap();
        assert_eq!((plain.url.as_str(), plain.body.as_str()), ("https://shop.example/", ""));
        assert_eq!(plain.headers, [("user-agent".to_owned(), USER_AGENT.to_owned())]);
    }

    #[test]
    fn headers_are_lower_case_and_the_users_win() {
        let headers = json!([
            {"name": "Authorization", "value": {"template": "Bearer {{ outputs.login.token }}"}},
            {"name": "X-Name", "value": {"property": "name"}},
            {"name": "X-Gone", "value": {"property": "gone"}},
            {"name": "X-Age", "value": {"property": "age"}},
            {"name": "X-Blank", "value": {"static": " a "}},
            {"name": "User-Agent", "value": {"static": "Mine/1"}},
        ]);
        let request =
            rendered(&json!({"headers": headers, "body": {"kind": "json", "template": 1}})).unwrap();
        let expected = [
            ("authorization", "Bearer t0k"),
            ("x-name", "Zoë & Co"),
            ("x-age", "42"),
            ("x-blank", "a"),
            ("user-agent", "Mine/1"),
            ("content-type", "application/json"),
        ];
        assert_eq!(request.headers, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let custom = json!([{"name": "Content-Type", "value": {"static": "application/vnd.api+json"}}]);
        let request = rendered(&json!({"headers": custom})).unwrap();
        assert_eq!(header(&request, "content-type"), Some("application/vnd.api+json"));
        assert_eq!(header(&request, "user-agent"), Some(USER_AGENT));
    }

    #[test]
    fn nothing_is_sent_when_something_is_wrong() {
        let headers = |value: Value| json!({"headers": [{"name": "X-A", "value": value}]});
        for (changes, code, message) in [
            (
                json!({"query": [{"name": "t", "value": {"output": "login.nope"}}]}),
                "missing_output",
                "output `login.nope` is missing and has no default",
            ),
            (
                json!({"url": "https://shop.example/{{ outputs.nope.x }}"}),
                "missing_output",
                "output `nope.x` is missing and has no default",
            ),
            (
                json!({"body": {"kind": "text", "template": "{{ outputs.login.nope }}"}}),
                "missing_output",
                "output `login.nope` is missing and has no default",
            ),
            (
                headers(json!({"output": "login.nope"})),
                "missing_output",
                "output `login.nope` is missing and has no default",
            ),
            (headers(json!({"property": "two"})), "invalid_header", r"header `x-a` may not hold '\n'"),
            (headers(json!({"template": "{{ 'x' * 20000 }}"})), "request_too_large", ""),
            (json!({"body": {"kind": "text", "template": "{{ 1 // 0 }}"}}), "template_failed", ""),
            (
                json!({"url": "http://127.0.0.1:8080/"}),
                "blocked_url",
                "URL must start with `https://` and a host",
            ),
            (
                json!({"url": "https://shop.example/{{ '.' }}/x"}),
                "blocked_url",
                "path may not hold a `.` or `..` segment where values are filled in",
            ),
            (
                json!({"url": "https://shop.example/{{ 'x' * 2100 }}"}),
                "request_too_large",
                "URL may have at most 2048 bytes, has 2121",
            ),
            (
                json!({"query": [{"name": "t", "value": {"template": "{{ 'x' * 2100 }}"}}]}),
                "request_too_large",
                "",
            ),
        ] {
            let error = rendered(&changes).unwrap_err();
            assert_eq!(error.code(), code, "{error}");
            assert!(message.is_empty() || error.to_string() == message, "{error}");
        }
        assert!(
            rendered_with(&json!({"url": "http://127.0.0.1:8080/"}), &json!({}), Policy::WITH_LOOPBACK)
                .is_ok()
        );
    }

    #[test]
    fn a_body_may_have_a_mebibyte() {
        let half = "x".repeat(MAX_BODY / 2 - 10);
        let properties = json!({"half": half});
        let field = |name: &str| json!({"name": name, "value": {"property": "half"}});
        for kind in ["properties", "form"] {
            let body = |count: usize| {
                let fields: Vec<_> = (0..count).map(|n| field(&format!("f{n}"))).collect();
                rendered_with(&json!({"body": {"kind": kind, "fields": fields}}), &properties, Policy::PUBLIC)
            };
            assert!(body(2).is_ok());
            for count in [3, 1_000] {
                assert_eq!(body(count), Err(Unsendable::BodyTooLarge), "{kind} {count}");
            }
        }
        let text = |times: usize| {
            let template = "{{ properties.half }}".repeat(times);
            rendered_with(
                &json!({"body": {"kind": "text", "template": template}}),
                &properties,
                Policy::PUBLIC,
            )
        };
        assert!(text(2).is_ok());
        assert_eq!(text(3).unwrap_err().code(), "request_too_large");
    }

    #[test]
    fn the_same_inputs_make_the_same_request() {
        let changes =
            json!({"body": {"kind": "json", "template": {"at": "{{ now.ms }}", "no": "{{ event.no }}"}}});
        let first = rendered(&changes).unwrap();
        assert_eq!(first, rendered(&changes).unwrap());
        assert_eq!(first.body, r#"{"at":1767323045678,"no":"A-1"}"#);
    }

    mod laws {
        use proptest::prelude::*;

        use super::*;
        use crate::arbitrary::json_value;

        proptest! {
            /// The body of `static` fields reads back as what was given, in the given order.
            #[test]
            fn static_values_keep_their_types(values in proptest::collection::vec(json_value(), 0..5)) {
                let fields: Vec<_> = values.iter().enumerate()
                    .map(|(n, value)| json!({"name": format!("f{n}"), "value": {"static": value}})).collect();
                let request = rendered(&json!({"body": {"kind": "properties", "fields": fields}})).unwrap();
                let body: Value = serde_json::from_str(&request.body).unwrap();
                prop_assert_eq!(body.as_object().unwrap().values().cloned().collect::<Vec<_>>(), values);
            }

            /// No value can add a header or a second line.
            #[test]
            fn headers_stay_on_their_line(value in r"\PC{0,10}[\x00-\x1f]?\PC{0,10}") {
                let headers = json!([{"name": "x-a", "value": {"property": "x"}}]);
                match rendered_with(&json!({"headers": headers}), &json!({"x": value}), Policy::PUBLIC) {
                    Ok(request) => prop_assert!(!header(&request, "x-a").unwrap().contains(['\r', '\n', '\0'])),
                    Err(error) => prop_assert_eq!(error.code(), "invalid_header"),
                }
            }

            #[test]
            fn a_form_reads_back(pairs in proptest::collection::vec((".{1,8}", ".{0,8}"), 0..6)) {
                let pairs: Vec<_> = pairs.into_iter().filter(|(name, _)| !name.chars().any(char::is_control)).collect();
                let fields: Vec<_> = pairs.iter()
                    .map(|(name, value)| json!({"name": name, "value": {"static": value}})).collect();
                let request = rendered(&json!({"body": {"kind": "form", "fields": fields}})).unwrap();
                let read: Vec<_> = form_urlencoded::parse(request.body.as_bytes()).into_owned().collect();
                prop_assert_eq!(read, pairs);
            }
        }
    }
}
