//! Reads an action's authentication.

use crate::auth::{Auth, HubspotVersion, KeyLocation};
use crate::endpoint_url::{EndpointUrl, Policy};
use crate::expr::MAX_NAME;
use crate::json::{Fields, Node};
use crate::oauth2::ClientCredentials;
use crate::slug::Slug;

use super::header::read_key_header;

/// Longest user name for Basic authentication, in characters.
const MAX_USERNAME: usize = 256;

/// Longest client id and longest scope, in characters; both go into one request with the secret.
const MAX_CLIENT_TEXT: usize = 1_024;

#[derive(Clone, Copy)]
enum Kind {
    None,
    HubspotSignature,
    StandardWebhooks,
    ApiKey,
    Bearer,
    Basic,
    Oauth2ClientCredentials,
}

pub(super) fn read_auth(node: Node<'_>, policy: Policy) -> Option<Auth> {
    let kind = node.tag(
        "type",
        &[
            ("none", Kind::None),
            ("hubspot_signature", Kind::HubspotSignature),
            ("standard_webhooks", Kind::StandardWebhooks),
            ("api_key", Kind::ApiKey),
            ("bearer", Kind::Bearer),
            ("basic", Kind::Basic),
            ("oauth2_client_credentials", Kind::Oauth2ClientCredentials),
        ],
    )?;
    match kind {
        Kind::None => node.fields(&["type"]).map(|_| Auth::None),
        Kind::HubspotSignature => {
            let fields = node.fields(&["type", "secret", "versions"])?;
            let secret = read_secret(fields);
            let versions = fields.or("versions", vec![HubspotVersion::V2, HubspotVersion::V3], read_versions);
            Some(Auth::HubspotSignature { secret: secret?, versions: versions? })
        }
        Kind::StandardWebhooks => {
            Some(Auth::StandardWebhooks { secret: read_secret(node.fields(&["type", "secret"])?)? })
        }
        Kind::ApiKey => read_api_key(node.fields(&["type", "location", "name", "secret"])?),
        Kind::Bearer => Some(Auth::Bearer { secret: read_secret(node.fields(&["type", "secret"])?)? }),
        Kind::Basic => {
            let fields = node.fields(&["type", "username", "secret"])?;
            let username = fields.need("username", |node| {
                let username = node.text(0..=MAX_USERNAME)?;
                if username.contains(':') {
                    // RFC 7617, section 2: the first colon ends the user name.
                    node.mistake("a user name may not hold a colon");
                    return None;
                }
                Some(username.to_owned())
            });
            let secret = read_secret(fields);
            Some(Auth::Basic { username: username?, secret: secret? })
        }
        Kind::Oauth2ClientCredentials => {
            read_oauth2(node.fields(&["type", "token_url", "client_id", "secret", "scope"])?, policy)
        }
    }
}

fn read_secret(fields: Fields<'_>) -> Option<Slug> {
    fields.need("secret", |node| node.parse())
}

fn read_api_key(fields: Fields<'_>) -> Option<Auth> {
    let location = fields.need("location", |node| {
        node.word(&[("header", KeyLocation::Header), ("query", KeyLocation::Query)])
    });
    let name = fields.need("name", |node| match location {
        Some(KeyLocation::Header) => read_key_header(node).map(|name| name.as_str().to_owned()),
        Some(KeyLocation::Query) | None => node.text(1..=MAX_NAME).map(str::to_owned),
    });
    let secret = read_secret(fields);
    Some(Auth::ApiKey { location: location?, name: name?, secret: secret? })
}

fn read_oauth2(fields: Fields<'_>, policy: Policy) -> Option<Auth> {
    let token_url = fields.need("token_url", |node| match EndpointUrl::parse(node.string()?, policy) {
        Ok(url) => Some(url.into()),
        Err(blocked) => {
            node.mistake(blocked);
            None
        }
    });
    let client_id = fields.need("client_id", |node| {
        // RFC 6749, appendix A.1.
        let client_id = node.text(1..=MAX_CLIENT_TEXT)?;
        visible(&node, client_id, |byte| matches!(byte, b' '..=b'~'), "visible ASCII characters and spaces")
    });
    let secret = read_secret(fields);
    let scope = fields.maybe("scope", |node| {
        // RFC 6749, section 3.3.
        let scope = node.text(1..=MAX_CLIENT_TEXT)?;
        let allowed = |byte| matches!(byte, b' ' | b'!' | b'#'..=b'[' | b']'..=b'~');
        visible(&node, scope, allowed, "visible ASCII characters but `\"` and `\\`, and spaces")
    });
    Some(Auth::Oauth2ClientCredentials(Box::new(ClientCredentials {
        token_url: token_url?,
        client_id: client_id?,
        secret: secret?,
        scope: scope?,
    })))
}

fn visible(node: &Node<'_>, text: &str, allowed: impl Fn(u8) -> bool, expected: &str) -> Option<String> {
    if text.bytes().all(allowed) {
        return Some(text.to_owned());
    }
    node.mistake(format_args!("expected {expected}"));
    None
}

fn read_versions(node: Node<'_>) -> Option<Vec<HubspotVersion>> {
    use HubspotVersion::{V1, V2, V3};
    let versions = node.list(3, |item| item.word(&[("v1", V1), ("v2", V2), ("v3", V3)]))?;
    let times = |version| versions.iter().filter(|&&other| other == version).count();
    if versions.is_empty() {
        node.mistake("expected at least one version");
    } else if times(V1) > 0 && times(V2) > 0 {
        node.mistake("v1 and v2 share their headers; pick one of them");
    } else if versions.iter().any(|&version| times(version) > 1) {
        node.mistake("expected each version once");
    } else {
        return Some(versions);
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::json::Mistakes;

    fn read(value: &Value) -> Result<Auth, Vec<String>> {
        let mistakes = Mistakes::default();
        let auth = read_auth(Node::root(value, &mistakes), Policy::PUBLIC);
        mistakes.conclude(auth).map_err(|list| list.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn auth_format_unchanged() {
        for text in [
            r#"{"type":"none"}"#,
            r#"{"type":"hubspot_signature","secret":"app","versions":["v1"]}"#,
            r#"{"type":"hubspot_signature","secret":"app","versions":["v2","v3"]}"#,
            r#"{"type":"hubspot_signature","secret":"app","versions":["v3","v1"]}"#,
            r#"{"type":"standard_webhooks","secret":"s"}"#,
            r#"{"type":"api_key","location":"header","name":"authorization","secret":"s"}"#,
            r#"{"type":"api_key","location":"query","name":"Key No 1","secret":"s"}"#,
            r#"{"type":"bearer","secret":"s"}"#,
            r#"{"type":"basic","username":"","secret":"s"}"#,
            r#"{"type":"basic","username":"zoë","secret":"s"}"#,
            r#"{"type":"oauth2_client_credentials","token_url":"https://auth.example/token","client_id":"varde","secret":"s"}"#,
            r#"{"type":"oauth2_client_credentials","token_url":"https://auth.example/?a=b","client_id":"a b:c","secret":"s","scope":"a https://x/.default"}"#,
        ] {
            let auth = read(&serde_json::from_str(text).unwrap()).unwrap();
            assert_eq!(serde_json::to_string(&auth).unwrap(), text);
        }
    }

    #[test]
    fn fills_in_defaults() {
        let auth = read(&json!({"type": "hubspot_signature", "secret": "app"})).unwrap();
        let Auth::HubspotSignature { versions, .. } = auth else { panic!("{auth:?}") };
        assert_eq!(versions, [HubspotVersion::V2, HubspotVersion::V3]);
        let auth =
            read(&json!({"type": "api_key", "location": "header", "name": "X-Key", "secret": "s"})).unwrap();
        assert!(matches!(auth, Auth::ApiKey { name, .. } if name == "x-key"));
    }

    #[test]
    fn says_what_is_wrong() {
        for (value, mistakes) in [
            (json!({}), vec!["/type: is required"]),
            (
                json!({"type": "oauth1", "token_url": "x"}),
                vec![
                    "/type: expected `none`, `hubspot_signature`, `standard_webhooks`, `api_key`, `bearer`, `basic` or `oauth2_client_credentials`, found \"oauth1\"",
                ],
            ),
            (
                json!({"type": "oauth2_client_credentials", "token_url": "http://127.0.0.1/", "client_id": "ø", "scope": "a\\b", "audience": "x"}),
                vec![
                    "/audience: unknown field; known are `type`, `token_url`, `client_id`, `secret`, `scope`",
                    "/token_url: URL must start with `https://` and a host",
                    "/client_id: expected visible ASCII characters and spaces",
                    "/secret: is required",
                    "/scope: expected visible ASCII characters but `\"` and `\\`, and spaces",
                ],
            ),
            (json!({"type": "none", "secret": "s"}), vec!["/secret: unknown field; known are `type`"]),
            (json!({"type": "bearer"}), vec!["/secret: is required"]),
            (
                json!({"type": "bearer", "secret": "A b"}),
                vec![
                    "/secret: expected 1 to 63 of a-z, 0-9, `-` and `_`, starting with a letter or digit; found \"A b\"",
                ],
            ),
            (
                json!({"type": "hubspot_signature", "secret": "s", "versions": []}),
                vec!["/versions: expected at least one version"],
            ),
            (
                json!({"type": "hubspot_signature", "secret": "s", "versions": ["v2", "v1"]}),
                vec!["/versions: v1 and v2 share their headers; pick one of them"],
            ),
            (
                json!({"type": "hubspot_signature", "secret": "s", "versions": ["v3", "v3"]}),
                vec!["/versions: expected each version once"],
            ),
            (
                json!({"type": "hubspot_signature", "secret": "s", "versions": ["v4"]}),
                vec!["/versions/0: expected `v1`, `v2` or `v3`, found \"v4\""],
            ),
            (
                json!({"type": "basic", "username": "a:b", "secret": "s"}),
                vec!["/username: a user name may not hold a colon"],
            ),
            (
                json!({"type": "api_key", "location": "body", "secret": "s"}),
                vec!["/location: expected `header` or `query`, found \"body\"", "/name: is required"],
            ),
            (
                json!({"type": "api_key", "location": "header", "name": "Host", "secret": "s"}),
                vec!["/name: this header is set by the connection; found \"Host\""],
            ),
            (
                json!({"type": "api_key", "location": "header", "name": "webhook-id", "secret": "s"}),
                vec!["/name: this header is set by Varde; found \"webhook-id\""],
            ),
            (
                json!({"type": "api_key", "location": "header", "name": "Content-Type", "secret": "s"}),
                vec!["/name: this header can't hold a key"],
            ),
        ] {
            assert_eq!(read(&value), Err(mistakes.into_iter().map(str::to_owned).collect()));
        }
    }
}
