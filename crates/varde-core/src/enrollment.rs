//! Which step of a workflow follows a delivery that has ended, and which outputs it sees.

use std::borrow::Cow;

use crate::outputs::Outputs;
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

/// The outputs that `action` is rendered from: what earlier actions have picked, and the default of each output
/// that is missing there. It is missing also where no response came at all.
#[must_use]
pub fn outputs_for<'a>(workflow: &Workflow, action: &Action, picked: &'a Outputs) -> Cow<'a, Outputs> {
    let mut outputs = Cow::Borrowed(picked);
    for earlier in workflow.actions().iter().take_while(|earlier| earlier.id() != action.id()) {
        for output in earlier.outputs() {
            let Some(default) = output.default() else { continue };
            if outputs.value(earlier.id(), output.name()).is_none() {
                outputs.to_mut().set(earlier.id(), output.name(), default.clone());
            }
        }
    }
    outputs
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

    #[test]
    fn what_is_missing_has_its_default() {
        let action = |id: &str, outputs: serde_json::Value| json!({"id": id, "type": "webhook", "method": "GET", "url": "https://example.com/", "outputs": outputs});
        let output = |name: &str, default: Option<&str>| {
            let mut output = json!({"name": name, "pointer": "/x", "type": "string"});
            if let Some(default) = default {
                output["default"] = json!(default);
            }
            output
        };
        let declared = json!([output("x", Some("d")), output("y", None), output("z", Some("e"))]);
        let actions = [
            action("a", declared.clone()),
            action("b", json!([])),
            action("c", declared),
            action("d", json!([])),
        ];
        let value = json!({"name": "w", "object_type": "deal", "actions": actions});
        let workflow = Workflow::parse(&value, Policy::PUBLIC).unwrap();
        let [first, second, _, last] = workflow.actions() else { panic!("four actions") };
        let all = json!({"x": "d", "z": "e"});
        for (action, picked, expected) in [
            (first, json!({}), json!({})),
            (second, json!({}), json!({"a": all})),
            (second, json!({"a": {"x": "1"}}), json!({"a": {"x": "1", "z": "e"}})),
            (
                second,
                json!({"a": {"x": null, "z": "2", "y": "3"}}),
                json!({"a": {"x": null, "z": "2", "y": "3"}}),
            ),
            (last, json!({"removed": {"q": 1}}), json!({"a": all, "c": all, "removed": {"q": 1}})),
        ] {
            let picked = Outputs::parse(&picked).unwrap();
            let seen = outputs_for(&workflow, action, &picked);
            assert_eq!(serde_json::to_value(&*seen).unwrap(), expected, "{picked:?}");
        }
        let full = Outputs::parse(&json!({"a": {"x": "1", "z": "2"}})).unwrap();
        assert!(
            matches!(outputs_for(&workflow, second, &full), Cow::Borrowed(_)),
            "nothing is copied in vain"
        );
    }
}
