//! Pausing and resuming a workflow, or one of its actions.

use serde_json::{Value, json};
use varde_core::slug::Slug;

use crate::directory;
use crate::http::call::Call;
use crate::http::configuration::{ask, push, workflow_id};
use crate::http::error::Problem;
use crate::http::response::Response;
use crate::registry_do::protocol::{RegistryCall, Switched};

/// `POST …/actions/{aid}/pause`: its open deliveries are held, and new ones, too. Answers when all outboxes
/// know.
pub async fn pause(call: &mut Call, id: &str, action: &str) -> Result<Response, Problem> {
    switch(call, id, Some(action), true).await
}

/// `POST …/actions/{aid}/resume`: what was held goes on, whoever or whatever paused it.
pub async fn resume(call: &mut Call, id: &str, action: &str) -> Result<Response, Problem> {
    switch(call, id, Some(action), false).await
}

/// `POST /v1/workflows/{id}/pause`: all its actions.
pub async fn pause_all(call: &mut Call, id: &str) -> Result<Response, Problem> {
    switch(call, id, None, true).await
}

/// `POST /v1/workflows/{id}/resume`: all its actions, but for those that are paused by themselves.
pub async fn resume_all(call: &mut Call, id: &str) -> Result<Response, Problem> {
    switch(call, id, None, false).await
}

async fn switch(call: &mut Call, id: &str, action: Option<&str>, paused: bool) -> Result<Response, Problem> {
    call.known_query(&[])?;
    if let Some(body) = call.optional_json().await? {
        refuse_content(&body)?;
    }
    let workflow = workflow_id(id)?;
    let unknown_action = || Problem::not_found("action", action.unwrap_or_default());
    let slug: Option<Slug> = action.map(str::parse).transpose().map_err(|_| unknown_action())?;
    let message = RegistryCall::Switch { workflow: workflow.clone(), action: slug.clone(), paused };
    let reply = ask(call, &message).await?;
    directory::forget(&workflow);
    match reply {
        Switched::UnknownWorkflow => Err(Problem::not_found("workflow", id)),
        Switched::UnknownAction => Err(unknown_action()),
        Switched::Stored(broadcast) => {
            push(call, &broadcast).await?;
            let shown = match &slug {
                Some(action) => shown(action, broadcast.controls.pause_reason(action)),
                None => shown(&workflow, broadcast.controls.all_paused.as_deref()),
            };
            Ok(Response::from_json(&shown)?)
        }
    }
}

/// Nothing can be said about it, so whatever is said was meant for something else.
pub fn refuse_content(body: &Value) -> Result<(), Problem> {
    match body.as_object().map(|fields| fields.keys().next()) {
        Some(None) => Ok(()),
        Some(Some(field)) => Err(Problem::invalid_at(format!("/{field}"), "unknown field; none are known")),
        None => Err(Problem::invalid_at("", "expected no body, or an empty object")),
    }
}

fn shown(id: &Slug, reason: Option<&str>) -> Value {
    match reason {
        None => json!({"id": id, "state": "active"}),
        Some(reason) => json!({"id": id, "state": "paused", "reason": reason}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answer_format_unchanged() {
        let action = "tell-chat".parse().unwrap();
        assert_eq!(shown(&action, None).to_string(), r#"{"id":"tell-chat","state":"active"}"#);
        let paused = r#"{"id":"tell-chat","state":"paused","reason":"gone"}"#;
        assert_eq!(shown(&action, Some("gone")).to_string(), paused);
    }

    #[test]
    fn takes_no_content() {
        assert!(refuse_content(&json!({})).is_ok());
        for content in [json!({"reason": "x"}), json!([]), json!(null), json!("x")] {
            assert!(refuse_content(&content).is_err(), "{content}");
        }
    }
}
