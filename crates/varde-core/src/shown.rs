//! A request as people see it: as it goes over the wire, but for the keys in it.
//!
//! Keys are hidden where the authentication puts them, however short they are, and wherever else a
//! [`Mask`] finds them. Signatures are shown: they say nothing about their secrets, and people compare them.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::auth::{Auth, KeyLocation, Outgoing, with_encoded_parameter};
use crate::request::{Method, Request};
use crate::secret::Mask;
use crate::secret::mask::MASK;

/// A request with its keys masked, in the words of HubSpot's test panel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShownRequest {
    /// The HTTP method.
    pub method: Method,
    /// The URL as sent, but for keys.
    pub url: String,
    /// Lower-case names and values as sent, but for keys.
    pub http_headers: Map<String, Value>,
    /// The body as sent, but for keys.
    pub body: String,
}

impl ShownRequest {
    /// Shows what `auth` made of `request`.
    #[must_use]
    pub fn of(auth: &Auth, request: &Request, outgoing: &Outgoing<'_>, mask: &Mask) -> Self {
        let (key_header, hidden) = match auth {
            Auth::ApiKey { location: KeyLocation::Header, name, .. } => {
                (Some(name.as_str()), MASK.to_owned())
            }
            Auth::Bearer { .. } | Auth::Oauth2ClientCredentials(_) => {
                (Some("authorization"), format!("Bearer {MASK}"))
            }
            Auth::Basic { .. } => (Some("authorization"), format!("Basic {MASK}")),
            Auth::ApiKey { location: KeyLocation::Query, .. }
            | Auth::None
            | Auth::HubspotSignature { .. }
            | Auth::StandardWebhooks { .. } => (None, String::new()),
        };
        let url = match auth {
            Auth::ApiKey { location: KeyLocation::Query, name, .. } => {
                with_encoded_parameter(&mask.apply(&request.url), name, MASK)
            }
            _ => mask.apply(&outgoing.url).into_owned(),
        };
        let headers = outgoing.headers.iter().map(|(name, value)| {
            let is_key = key_header.is_some_and(|key| name.eq_ignore_ascii_case(key));
            let shown = if is_key { hidden.clone() } else { mask.apply(value).into_owned() };
            (name.to_string(), Value::String(shown))
        });
        Self {
            method: outgoing.method,
            url,
            http_headers: headers.collect(),
            body: mask.apply(&outgoing.body).into_owned(),
        }
    }
}

/// Masks every text in a JSON value, names included.
pub fn masked(value: &mut Value, mask: &Mask) {
    match value {
        Value::String(text) => *text = mask.apply(text).into_owned(),
        Value::Array(items) => items.iter_mut().for_each(|item| masked(item, mask)),
        Value::Object(fields) => {
            *fields = core::mem::take(fields)
                .into_iter()
                .map(|(name, mut value)| {
                    masked(&mut value, mask);
                    (mask.apply(&name).into_owned(), value)
                })
                .collect();
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::auth::{AttemptStamp, HubspotVersion, apply};
    use crate::ids::DeliveryId;
    use crate::oauth2::{ClientCredentials, Token};
    use crate::secret::{Secret, SecretInForce};
    use crate::slug::Slug;
    use crate::time::UnixMs;

    fn name() -> Slug {
        "shop".parse().unwrap()
    }

    fn shown(auth: &Auth, value: &str) -> Value {
        let request = Request {
            method: Method::Post,
            url: "https://shop.example/a?b=hunter2".to_owned(),
            headers: vec![("x-also".to_owned(), "Key hunter2".to_owned())],
            body: r#"{"key":"hunter2"}"#.to_owned(),
        };
        let secret = Secret::new(value).unwrap();
        let in_force = SecretInForce { current: &secret, previous: None, hosts: &[] };
        let now = UnixMs(1_767_323_045_678);
        let stamp = AttemptStamp { delivery: DeliveryId::mint(now, 0, 1), number: 1, now };
        let token = Token::placeholder();
        let outgoing = apply(auth, &request, Some(in_force), Some(&token), &stamp).unwrap();
        serde_json::to_value(ShownRequest::of(auth, &request, &outgoing, &Mask::new([&secret]))).unwrap()
    }

    #[test]
    fn shown_request_format_unchanged() {
        let shown = shown(&Auth::Bearer { secret: name() }, "hunter2");
        let expected = json!({
            "method": "POST",
            "url": "https://shop.example/a?b=***",
            "http_headers": {
                "x-also": "Key ***",
                "authorization": "Bearer ***",
                "webhook-id": "dlv_01kdyak3se0000000000000001",
                "webhook-timestamp": "1767323045",
                "varde-attempt": "1",
            },
            "body": r#"{"key":"***"}"#,
        });
        assert_eq!(shown.to_string(), expected.to_string());
    }

    #[test]
    fn a_key_is_hidden_in_its_place_however_short() {
        let key =
            |location, name: &str| Auth::ApiKey { location, name: name.to_owned(), secret: self::name() };
        let oauth2 = Auth::Oauth2ClientCredentials(Box::new(ClientCredentials {
            token_url: "https://auth.example/".to_owned(),
            client_id: "varde".to_owned(),
            secret: name(),
            scope: None,
        }));
        for value in ["k", "abc", "hunter2"] {
            for (auth, pointer, expected) in [
                (Auth::Bearer { secret: name() }, "/http_headers/authorization", "Bearer ***"),
                (oauth2.clone(), "/http_headers/authorization", "Bearer ***"),
                (
                    Auth::Basic { username: "u".to_owned(), secret: name() },
                    "/http_headers/authorization",
                    "Basic ***",
                ),
                (key(KeyLocation::Header, "x-key"), "/http_headers/x-key", "***"),
            ] {
                assert_eq!(shown(&auth, value).pointer(pointer), Some(&json!(expected)), "{auth:?}");
            }
            let url = shown(&key(KeyLocation::Query, "the key"), value)["url"].clone();
            assert!(url.as_str().unwrap().ends_with("&the%20key=***"), "{url}");
        }
    }

    #[test]
    fn masks_every_text_in_a_value() {
        let mask = Mask::new([&Secret::new("hunter2").unwrap()]);
        let mut value = json!({"a": ["hunter2", 5, null], "hunter2": {"b": "Bearer hunter2"}, "c": "x"});
        masked(&mut value, &mask);
        assert_eq!(value, json!({"a": ["***", 5, null], "***": {"b": "Bearer ***"}, "c": "x"}));
    }

    #[test]
    fn signatures_are_shown() {
        let auth = Auth::HubspotSignature { secret: name(), versions: vec![HubspotVersion::V2] };
        let shown = shown(&auth, "hunter2");
        let signature = shown["http_headers"]["x-hubspot-signature"].as_str().unwrap();
        assert_eq!(signature.len(), 64, "{signature}");
    }
}
