//! API tokens: made, listed, deleted.

use serde::Serialize;
use serde_json::Value;
use varde_core::json::{Mistake, Mistakes, Node};
use varde_core::token::{Scope, Token};

use crate::http::call::Call;
use crate::http::configuration::{self, ask, gone, page_query, shown_once};
use crate::http::error::Problem;
use crate::http::response::Response;
use crate::registry_do::protocol::{Kept, Page, RegistryCall, TokenView};
use crate::{ambient, directory};

/// Longest name, in characters.
const MAX_NAME: usize = 100;

/// `POST /v1/tokens`: the answer shows the token, once.
pub async fn create(call: &mut Call) -> Result<Response, Problem> {
    call.known_query(&[])?;
    let body = call.json().await?;
    let Create { name, scopes } = Create::parse(&body).map_err(Problem::invalid)?;
    let token = Token::mint(&ambient::random_bytes());
    let reply = ask(call, &RegistryCall::CreateToken { hash: token.hash(), name, scopes }).await?;
    directory::forget_all();
    match reply {
        Kept::Stored { item, .. } => shown_once(true, &Answer::new(&item, &token)),
        Kept::TooMany { limit } => Err(Problem::conflict(
            "too_many_tokens",
            format!("there are {limit} tokens, and there can't be more"),
        )),
    }
}

/// `GET /v1/tokens`: oldest first, without what they consist of.
pub async fn list(call: &mut Call) -> Result<Response, Problem> {
    let query = page_query(call)?;
    let page: Page<TokenView> = ask(call, &RegistryCall::ListTokens(query)).await?;
    configuration::list(page, Ok)
}

/// `DELETE /v1/tokens/{id}`: nobody gets in by it any more.
pub async fn delete(call: &mut Call, id: &str) -> Result<Response, Problem> {
    call.known_query(&[])?;
    let found = ask::<bool>(call, &RegistryCall::DeleteToken { id: id.to_owned() }).await?;
    directory::forget_all();
    if found { Ok(gone()) } else { Err(Problem::not_found("token", id)) }
}

#[derive(Serialize)]
struct Answer<'a> {
    id: &'a str,
    token: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    scopes: &'a [Scope],
    created_at: u64,
}

impl<'a> Answer<'a> {
    fn new(view: &'a TokenView, token: &'a Token) -> Self {
        Self {
            id: &view.id,
            token: token.expose(),
            name: view.name.as_deref(),
            scopes: &view.scopes,
            created_at: view.created_at.0,
        }
    }
}

/// `{"name"?, "scopes"}`, or `"scope"` with a single one.
#[derive(Debug, PartialEq, Eq)]
struct Create {
    name: Option<String>,
    /// At least one, each once.
    scopes: Vec<Scope>,
}

impl Create {
    fn parse(body: &Value) -> Result<Self, Vec<Mistake>> {
        let words = Scope::ALL.map(|scope| (scope.as_str(), scope));
        let mistakes = Mistakes::default();
        let node = Node::root(body, &mistakes);
        let create = node.fields(&["name", "scopes", "scope"]).and_then(|fields| {
            let name = fields.maybe("name", |node| node.text(1..=MAX_NAME).map(str::to_owned));
            let scope = fields.maybe("scope", |node| node.word(&words));
            if let Some(Some(scope)) = scope
                && body.get("scopes").is_none()
            {
                return Some(Self { name: name?, scopes: vec![scope] });
            }
            let scopes = fields.need("scopes", |node| {
                let scopes = node.list(words.len(), |scope| scope.word(&words))?;
                let twice = (1..scopes.len()).any(|at| scopes[..at].contains(&scopes[at]));
                if scopes.is_empty() || twice {
                    node.mistake(format_args!("expected 1 to {} different scopes", words.len()));
                    return None;
                }
                Some(scopes)
            });
            if scope?.is_some() {
                node.mistake("expected `scopes` or `scope`, found both");
                return None;
            }
            Some(Self { name: name?, scopes: scopes? })
        });
        mistakes.conclude(create)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use varde_core::time::UnixMs;

    use super::*;

    #[test]
    fn takes_scopes_and_a_name() {
        let create = |body: Value| Create::parse(&body).unwrap();
        let nameless = Create { name: None, scopes: vec![Scope::Enroll] };
        assert_eq!(create(json!({"scopes": ["enroll"]})), nameless);
        assert_eq!(create(json!({"scope": "enroll"})), nameless);
        let all =
            Create { name: Some("ci".to_owned()), scopes: vec![Scope::Read, Scope::Admin, Scope::Enroll] };
        assert_eq!(create(json!({"name": "ci", "scopes": ["read", "admin", "enroll"]})), all);
    }

    #[test]
    fn refuses_other_bodies() {
        let cases = [
            (json!({}), vec!["/scopes"]),
            (json!({"scopes": []}), vec!["/scopes"]),
            (json!({"scopes": ["read", "read"]}), vec!["/scopes"]),
            (json!({"scopes": ["read", "write"]}), vec!["/scopes/1"]),
            (json!({"scopes": "read"}), vec!["/scopes"]),
            (json!({"scope": "read", "scopes": ["read"]}), vec![""]),
            (json!({"scopes": ["read"], "name": ""}), vec!["/name"]),
            (
                json!({"scopes": ["Admin"], "name": "x".repeat(101), "expires": 1}),
                vec!["/expires", "/name", "/scopes/0"],
            ),
            (json!([]), vec![""]),
        ];
        for (body, expected) in cases {
            let mistakes = Create::parse(&body).unwrap_err();
            let pointers: Vec<_> = mistakes.iter().map(|mistake| mistake.pointer.as_str()).collect();
            assert_eq!(pointers, expected, "{body}");
        }
    }

    #[test]
    fn answer_format_unchanged() {
        let token = Token::mint(&[0xab; 32]);
        let view = TokenView {
            id: "tok_1".to_owned(),
            name: None,
            scopes: vec![Scope::Enroll],
            created_at: UnixMs(5),
        };
        let answer = serde_json::to_string(&Answer::new(&view, &token)).unwrap();
        let hex = "ab".repeat(32);
        assert_eq!(
            answer,
            format!(r#"{{"id":"tok_1","token":"vrd_{hex}","scopes":["enroll"],"created_at":5}}"#)
        );
        assert_eq!(
            serde_json::to_string(&view).unwrap(),
            r#"{"id":"tok_1","scopes":["enroll"],"created_at":5}"#
        );
    }
}
