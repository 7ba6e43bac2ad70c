//! A workflow as HubSpot exports it, read leniently: it is foreign, and has many fields that don't matter.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::{NamedSecret, quoted};
use crate::slug::Slug;

/// HubSpot's ids of the four object types that have a name here.
const OBJECT_TYPES: [(&str, &str); 4] =
    [("0-1", "contact"), ("0-2", "company"), ("0-3", "deal"), ("0-5", "ticket")];

/// Most actions of one workflow; HubSpot's own editor gives up long before.
const MAX_STEPS: usize = 1_000;

/// A workflow.
pub(super) struct Flow<'a> {
    members: &'a Map<String, Value>,
    steps: Vec<Step<'a>>,
    by_id: BTreeMap<String, usize>,
}

/// An action of any type.
pub(super) struct Step<'a> {
    id: Cow<'a, str>,
    members: &'a Map<String, Value>,
}

/// A secret in HubSpot.
pub(super) struct SecretSource {
    /// What its value is; tells secrets apart.
    pub(super) value_is: String,
    /// What its name here might look like.
    pub(super) suggestion: String,
}

/// Where a step leads besides its next one.
pub(super) struct Branch<'a> {
    pub(super) name: String,
    pub(super) target: Cow<'a, str>,
}

impl<'a> Flow<'a> {
    /// Reads a workflow: an object with `actions`.
    ///
    /// # Errors
    /// The field that is wrong, as a pointer, and why.
    pub(super) fn read(value: &'a Value) -> Result<Self, (&'static str, &'static str)> {
        let members = value.as_object().ok_or(("", "expected a workflow, or an array of them"))?;
        let actions = members.get("actions").ok_or((
            "/actions",
            "is required; HubSpot's list of workflows leaves it out, so read each workflow by its id",
        ))?;
        let actions = actions.as_array().ok_or(("/actions", "expected an array"))?;
        if actions.len() > MAX_STEPS {
            return Err(("/actions", "expected at most 1000 actions"));
        }
        let mut steps = Vec::with_capacity(actions.len());
        let mut by_id = BTreeMap::new();
        for action in actions {
            let members = action.as_object().ok_or(("/actions", "expected an array of objects"))?;
            let id = members.get("actionId").and_then(id_of).unwrap_or_default();
            by_id.entry(id.clone().into_owned()).or_insert(steps.len());
            steps.push(Step { id, members });
        }
        Ok(Self { members, steps, by_id })
    }

    pub(super) fn name(&self) -> &'a str {
        self.members.get("name").and_then(Value::as_str).unwrap_or("Imported workflow")
    }

    /// The name here of the objects that it is for.
    pub(super) fn object_type(&self) -> String {
        let id = self.members.get("objectTypeId").and_then(Value::as_str);
        let known = OBJECT_TYPES.iter().find(|(theirs, _)| Some(*theirs) == id);
        match (known, id) {
            (Some((_, ours)), _) => (*ours).to_owned(),
            (None, Some(id)) if id.parse::<Slug>().is_ok() => id.to_owned(),
            _ => "contact".to_owned(),
        }
    }

    /// Whether a field holds anything.
    pub(super) fn says(&self, field: &str) -> bool {
        match self.members.get(field) {
            None | Some(Value::Null) => false,
            Some(Value::Array(items)) => !items.is_empty(),
            Some(Value::Object(members)) => !members.is_empty(),
            Some(_) => true,
        }
    }

    pub(super) fn steps(&self) -> &[Step<'a>] {
        &self.steps
    }

    /// The place of the step with an id; of several the first.
    pub(super) fn find(&self, id: &str) -> Option<usize> {
        self.by_id.get(id).copied()
    }

    /// Where it starts: as it says, else at the first step that nothing leads to.
    pub(super) fn start(&self) -> Option<Cow<'a, str>> {
        if let Some(start) = self.members.get("startActionId").and_then(id_of) {
            return Some(start);
        }
        let led_to: BTreeSet<Cow<'_, str>> = self
            .steps
            .iter()
            .flat_map(|step| step.next().into_iter().chain(step.branches().into_iter().map(|b| b.target)))
            .collect();
        let first = self.steps.iter().find(|step| !led_to.contains(&step.id));
        first.or(self.steps.first()).map(|step| step.id.clone())
    }
}

impl<'a> Step<'a> {
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn kind(&self) -> &'a str {
        self.text("type").unwrap_or("unknown")
    }

    pub(super) fn action_type_id(&self) -> Option<&'a str> {
        self.text("actionTypeId")
    }

    pub(super) fn text(&self, field: &str) -> Option<&'a str> {
        self.members.get(field).and_then(Value::as_str)
    }

    /// `queryParams`.
    pub(super) fn parameters(&self) -> &'a [Value] {
        self.members.get("queryParams").and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// Why it has no counterpart, if it isn't a webhook.
    pub(super) fn why_not(&self) -> &'static str {
        match (self.kind(), self.action_type_id()) {
            ("STATIC_BRANCH" | "LIST_BRANCH" | "AB_TEST_BRANCH", _) => {
                "there are no branches; each one with webhooks is a draft of its own, so enroll by the branch's condition"
            }
            ("CUSTOM_CODE", _) => "no code is run; what it calls may be a webhook of its own",
            ("SINGLE_CONNECTION", Some("0-1")) => "there are no delays; the next action follows at once",
            _ => "only webhooks are sent",
        }
    }

    /// The id of the step that follows.
    pub(super) fn next(&self) -> Option<Cow<'a, str>> {
        self.members.get("connection").and_then(target_of)
    }

    /// Where the branches lead.
    pub(super) fn branches(&self) -> Vec<Branch<'a>> {
        let mut branches = Vec::new();
        let lists = [("staticBranches", "branchValue"), ("listBranches", "branchName")];
        for (list, label) in lists {
            for branch in self.list(list) {
                let name = branch.get(label).and_then(Value::as_str).unwrap_or("unnamed branch");
                let target = branch.get("connection").and_then(target_of);
                branches.extend(target.map(|target| Branch { name: name.to_owned(), target }));
            }
        }
        for (at, branch) in self.list("testBranches").iter().enumerate() {
            let name = format!("test branch {}", at + 1);
            branches.extend(target_of(branch).map(|target| Branch { name, target }));
        }
        let name = self.text("defaultBranchName").unwrap_or("none met").to_owned();
        let default = self.members.get("defaultBranch").and_then(target_of);
        branches.extend(default.map(|target| Branch { name, target }));
        branches
    }

    fn list(&self, field: &str) -> &'a [Value] {
        self.members.get(field).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// `authSettings` as our `auth`; `name` gives the secret's name here.
    pub(super) fn auth(
        &self,
        name: &mut dyn FnMut(SecretSource) -> NamedSecret,
    ) -> Result<(Value, Option<NamedSecret>), String> {
        let settings = match self.members.get("authSettings") {
            None | Some(Value::Null) => return Ok((json!({"type": "none"}), None)),
            Some(settings) => settings,
        };
        let text = |field: &str| settings.get(field).and_then(Value::as_str);
        match text("type") {
            Some("AUTH_KEY") => {
                let location = match text("location") {
                    Some("HEADER") => "header",
                    Some("QUERY_PARAM") => "query",
                    _ => return Err("its API key has no location that is known".to_owned()),
                };
                let (Some(key), Some(secret)) = (text("name"), text("secretName")) else {
                    return Err("its API key names no header or parameter, or no secret".to_owned());
                };
                let value_is = format!("the value of HubSpot's secret `{}`", quoted(secret));
                let secret = name(SecretSource { value_is, suggestion: secret.to_owned() });
                let auth =
                    json!({"type": "api_key", "location": location, "name": key, "secret": secret.name});
                Ok((auth, Some(secret)))
            }
            Some("SIGNATURE") => {
                let app = settings.get("appId").and_then(id_of).unwrap_or_default();
                let value_is = format!("the client secret of HubSpot's app {}", quoted(&app));
                let secret = name(SecretSource { value_is, suggestion: format!("hubspot-app-{app}") });
                let auth =
                    json!({"type": "hubspot_signature", "secret": secret.name, "versions": ["v2", "v3"]});
                Ok((auth, Some(secret)))
            }
            other => Err(format!("its authentication `{}` isn't known", quoted(other.unwrap_or_default()))),
        }
    }
}

/// HubSpot's ids are digits in a string; some tools make numbers of them.
pub(super) fn id_of(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Number(number) => Some(Cow::Owned(number.to_string())),
        _ => None,
    }
}

fn target_of(connection: &Value) -> Option<Cow<'_, str>> {
    connection.get("nextActionId").and_then(id_of)
}
