//! HubSpot's workflows, as its Automation API v4 gives them, made into drafts.
//!
//! An action here follows the one before it, always and at once, so what stands behind a branch becomes a
//! draft of its own, and everything that can't be said here is listed with its reason. Nothing is left out
//! in silence: every `WEBHOOK` action is in a draft or in the list.
//!
//! ```
//! use varde_core::endpoint_url::Policy;
//! use varde_core::import::hubspot;
//!
//! let flow = serde_json::json!({"name": "Ship", "objectTypeId": "0-3", "startActionId": "1", "actions": [
//!     {"type": "WEBHOOK", "actionId": "1", "method": "POST", "webhookUrl": "https://shop.example/orders",
//!      "queryParams": [{"name": "ref", "value": {"type": "OBJECT_PROPERTY", "propertyName": "dealname"}}]},
//! ]});
//! let import = hubspot::import(&flow, Policy::PUBLIC).unwrap();
//! assert_eq!(import.workflows[0]["actions"][0]["body"]["fields"][0]["value"]["property"], "dealname");
//! assert!(import.not_carried_over.is_empty());
//! ```

mod action;
mod flow;
mod names;
mod paths;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Value, json};

use crate::endpoint_url::Policy;
use crate::json::Mistake;
use crate::workflow::{MAX_ACTIONS, Workflow};

use action::{Draft, Reference};
use flow::{Flow, Step};
use names::Names;
use paths::Path;

/// Most workflows in one import: as many as HubSpot gives in one batch.
pub const MAX_WORKFLOWS: usize = 100;

/// Most characters of a foreign text that an answer quotes; it must not dwarf its request.
const MAX_QUOTED: usize = 100;

/// Most fields of one action that are listed as left out; the rest is counted.
const MAX_FIELDS_LISTED: usize = 20;

/// What an import gives.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Import {
    /// Drafts, each fit for `PUT /v1/workflows/{its id}` once its secrets exist.
    pub workflows: Vec<Value>,
    /// What has no counterpart here.
    pub not_carried_over: Vec<Leftover>,
    /// The secrets that the drafts name; their values aren't in an export.
    pub secrets: Vec<NamedSecret>,
}

/// Something that has no counterpart here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Leftover {
    /// Name of the workflow in HubSpot.
    pub workflow: String,
    /// The action's id in HubSpot; absent for what belongs to the workflow as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action_id: Option<String>,
    /// The action's type, or the workflow's field.
    #[serde(rename = "type")]
    pub kind: String,
    /// What kind of `SINGLE_CONNECTION` it is, e.g. `0-1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action_type_id: Option<String>,
    /// Why, for people.
    pub reason: String,
}

/// A secret to create before a draft can be put.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NamedSecret {
    /// Its name here.
    pub name: String,
    /// What its value is, for people.
    pub value_is: String,
}

/// Fields of a workflow that say when it runs, and why they have no counterpart.
const ABOUT_THE_WHOLE: [(&str, &str); 9] = [
    ("enrollmentCriteria", "who is enrolled is up to whoever calls the API or an inbound trigger"),
    ("enrollmentSchedule", "there is no schedule; enroll when it is time"),
    ("timeWindows", "webhooks are sent at any time"),
    ("blockedDates", "webhooks are sent on any day"),
    ("suppressionListIds", "there are no lists; don't enroll whom you don't want"),
    ("suppressionFilterBranch", "there are no filters; don't enroll what you don't want"),
    ("goalFilterBranch", "there are no goals"),
    ("unEnrollmentSetting", "enrollments of other workflows aren't ended"),
    ("eventAnchor", "there is no date to wait for; enroll when it is time"),
];

/// Makes drafts of one workflow, an array of them, or an answer of HubSpot's with them in `results`.
///
/// # Errors
///
/// What isn't an export at all, with its place. What is one, but can't be carried over, is no error.
pub fn import(value: &Value, policy: Policy) -> Result<Import, Vec<Mistake>> {
    let flows = read_flows(value)?;
    let mut importer = Importer { policy, ..Importer::default() };
    for flow in &flows {
        importer.carry_over(flow);
    }
    Ok(importer.import)
}

fn read_flows(value: &Value) -> Result<Vec<Flow<'_>>, Vec<Mistake>> {
    let results = value.get("results").filter(|_| value.get("actions").is_none());
    let (at, items) = match (value, results) {
        (Value::Array(items), _) => ("", items),
        // An answer of HubSpot's; its other fields are about the answer.
        (_, Some(Value::Array(items))) => ("/results", items),
        (_, Some(_)) => return Err(vec![mistake("/results", "expected an array")]),
        _ => {
            return Flow::read(value).map(|flow| vec![flow]).map_err(|wrong| vec![mistake(wrong.0, wrong.1)]);
        }
    };
    if items.len() > MAX_WORKFLOWS {
        let message = format!("expected at most {MAX_WORKFLOWS} workflows, found {}", items.len());
        return Err(vec![mistake(at, &message)]);
    }
    let (mut flows, mut mistakes) = (Vec::new(), Vec::new());
    for (place, item) in items.iter().enumerate() {
        match Flow::read(item) {
            Ok(flow) => flows.push(flow),
            Err((field, message)) => mistakes.push(mistake(&format!("{at}/{place}{field}"), message)),
        }
    }
    if mistakes.is_empty() { Ok(flows) } else { Err(mistakes) }
}

fn mistake(pointer: &str, message: &str) -> Mistake {
    Mistake { pointer: pointer.to_owned(), message: message.to_owned() }
}

#[derive(Default)]
struct Importer {
    policy: Policy,
    import: Import,
    ids: Names,
    secret_names: Names,
    /// Their names here, by what they are in HubSpot.
    secrets: BTreeMap<String, String>,
    listed_secrets: BTreeSet<String>,
}

impl Importer {
    fn carry_over(&mut self, flow: &Flow<'_>) {
        for (field, reason) in ABOUT_THE_WHOLE {
            if flow.says(field) {
                self.leave(flow, None, field, None, reason);
            }
        }
        let paths = paths::paths(flow, &mut |step, reason| self.leave_step(flow, step, reason));
        for path in &paths {
            self.carry_path_over(flow, path);
        }
    }

    /// Makes a draft of the webhooks that follow each other.
    fn carry_path_over(&mut self, flow: &Flow<'_>, path: &Path<'_>) {
        let name = names::title(flow.name(), path.branch.as_deref());
        let mut drafts: Vec<(Draft, &Step<'_>)> = Vec::new();
        let mut ids = Names::default();
        for &step in &path.steps {
            if step.kind() != "WEBHOOK" {
                self.leave_step(flow, step, step.why_not());
                continue;
            }
            if drafts.len() == MAX_ACTIONS {
                let reason = format!("a workflow has at most {MAX_ACTIONS} actions");
                self.leave_step(flow, step, &reason);
                continue;
            }
            let id = ids.pick(&format!("webhook-{}", step.id()), "webhook");
            match self.carry_action_over(flow, step, &id, &drafts) {
                Ok((draft, used)) => {
                    for Reference { action, output } in used {
                        if let Some((earlier, _)) = drafts.get_mut(action) {
                            earlier.declare(output);
                        }
                    }
                    drafts.push((draft, step));
                }
                Err(reason) => self.leave_step(flow, step, &reason),
            }
        }
        if drafts.is_empty() {
            return;
        }
        let actions: Vec<Value> = drafts.iter().map(|(draft, _)| draft.to_json()).collect();
        let mut document = json!({"name": name, "object_type": flow.object_type(), "actions": actions});
        // Each action was read by itself; whatever they may be together, no draft goes out that can't be put.
        if let Err(mistakes) = Workflow::parse(&document, self.policy) {
            for (_, step) in drafts {
                self.leave_step(flow, step, &reasons(&mistakes));
            }
            return;
        }
        for (draft, _) in &drafts {
            self.name_secret(draft);
        }
        document["id"] = json!(self.ids.pick(&name, "imported"));
        self.import.workflows.push(document);
    }

    /// Makes an action, or says why it can't be one. Fields that can't be carried over are listed and left
    /// out.
    fn carry_action_over(
        &mut self,
        flow: &Flow<'_>,
        step: &Step<'_>,
        id: &str,
        earlier: &[(Draft, &Step<'_>)],
    ) -> Result<(Draft, Vec<Reference>), String> {
        let (auth, secret) = step.auth(&mut |source| self.secret(source))?;
        let (fields, used, unsaid) = action::fields(step, earlier);
        let draft = Draft::new(id, step, auth, secret, fields);
        draft.check(self.policy).map_err(|mistakes| reasons(&mistakes))?;
        if !unsaid.is_empty() {
            let more = match unsaid.len().saturating_sub(MAX_FIELDS_LISTED) {
                0 => String::new(),
                more => format!("; and {more} more"),
            };
            let listed = unsaid.iter().take(MAX_FIELDS_LISTED).map(String::as_str).collect::<Vec<_>>();
            self.leave_step(flow, step, &format!("fields are left out: {}{more}", listed.join("; ")));
        }
        Ok((draft, used))
    }

    /// The name here of a secret there.
    fn secret(&mut self, source: flow::SecretSource) -> NamedSecret {
        let names = &mut self.secret_names;
        let known = self.secrets.entry(source.value_is.clone());
        let name = known.or_insert_with(|| names.pick(&source.suggestion, "hubspot-secret")).clone();
        NamedSecret { name, value_is: source.value_is }
    }

    /// Lists the secret of an action, once.
    fn name_secret(&mut self, draft: &Draft) {
        let Some(secret) = draft.secret() else { return };
        if self.listed_secrets.insert(secret.name.clone()) {
            self.import.secrets.push(secret.clone());
        }
    }

    fn leave_step(&mut self, flow: &Flow<'_>, step: &Step<'_>, reason: &str) {
        self.leave(flow, Some(step.id()), step.kind(), step.action_type_id(), reason);
    }

    fn leave(
        &mut self,
        flow: &Flow<'_>,
        action_id: Option<&str>,
        kind: &str,
        action_type_id: Option<&str>,
        reason: &str,
    ) {
        self.import.not_carried_over.push(Leftover {
            workflow: names::title(flow.name(), None),
            action_id: action_id.map(|id| quoted(id).to_owned()),
            kind: quoted(kind).to_owned(),
            action_type_id: action_type_id.map(|id| quoted(id).to_owned()),
            reason: reason.to_owned(),
        });
    }
}

fn reasons(mistakes: &[Mistake]) -> String {
    mistakes.iter().map(Mistake::to_string).collect::<Vec<_>>().join("; ")
}

/// The beginning of a foreign text, for a reason.
fn quoted(text: &str) -> &str {
    text.char_indices().nth(MAX_QUOTED).map_or(text, |(end, _)| text.get(..end).unwrap_or(text))
}

#[cfg(test)]
mod tests;
