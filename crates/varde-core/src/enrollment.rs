//! Which step of a workflow follows a delivery that has ended.

use crate::workflow::{Action, OnFailure, Workflow};

/// How an enrollment goes on.
#[derive(Debug, Clone, PartialEq)]
pub enum Next<'a> {
    /// With this action.
    Action(&'a Action),
    /// Not at all: that was the last action.
    Completed,
    /// Not at all: it ends early.
    Failed {
        /// `action_failed` or `workflow_changed`.
        reason: &'static str,
    },
}

/// The step after the delivery of action `ended`, in the workflow as it is now: people may have edited it
/// since the enrollment began.
#[must_use]
pub fn next_after<'a>(workflow: &'a Workflow, ended: &str, delivered: bool) -> Next<'a> {
    let mut actions = workflow.actions().iter().skip_while(|action| &**action.id() != ended);
    match actions.next() {
        None => Next::Failed { reason: "workflow_changed" },
        Some(action) if !delivered && action.on_failure() == OnFailure::Stop => {
            Next::Failed { reason: "action_failed" }
        }
        Some(_) => actions.next().map_or(Next::Completed, Next::Action),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::endpoint_url::Policy;

    fn workflow() -> Workflow {
        let action = |id: &str, on_failure: &str| json!({"id": id, "type": "webhook", "method": "GET", "url": "https://example.com/", "on_failure": on_failure});
        let actions = [action("a", "continue"), action("b", "stop"), action("c", "continue")];
        let value = json!({"name": "w", "object_type": "deal", "actions": actions});
        Workflow::parse(&value, Policy::PUBLIC).unwrap()
    }

    #[test]
    fn goes_on_with_the_next_action() {
        let workflow = workflow();
        let [_, second, third] = workflow.actions() else { panic!("three actions") };
        for (ended, delivered, expected) in [
            ("a", true, Next::Action(second)),
            ("a", false, Next::Action(second)),
            ("b", true, Next::Action(third)),
            ("b", false, Next::Failed { reason: "action_failed" }),
            ("c", true, Next::Completed),
            ("c", false, Next::Completed),
            ("removed", true, Next::Failed { reason: "workflow_changed" }),
        ] {
            assert_eq!(next_after(&workflow, ended, delivered), expected, "{ended} {delivered}");
        }
    }
}
