use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::arbitrary::json_value;

const SHIP: &str = include_str!("../../../../../tests/fixtures/hubspot/ship-closed-deals.json");
const BRANCHES: &str = include_str!("../../../../../tests/fixtures/hubspot/branches.json");

fn imported(value: &Value) -> Import {
    import(value, Policy::PUBLIC).unwrap()
}

fn fixture(text: &str) -> Import {
    imported(&serde_json::from_str(text).unwrap())
}

/// A workflow of one webhook.
fn one(action: &Value) -> Value {
    let mut whole = json!({"type": "WEBHOOK", "actionId": "1", "method": "POST", "webhookUrl": "https://a.example/", "queryParams": []});
    whole.as_object_mut().unwrap().extend(action.as_object().unwrap().clone());
    json!({"name": "W", "objectTypeId": "0-1", "startActionId": "1", "actions": [whole]})
}

/// What is left over, as `action: reason`.
fn left(import: &Import) -> Vec<String> {
    let show = |leftover: &Leftover| {
        format!("{}: {}", leftover.action_id.as_deref().unwrap_or(&leftover.kind), leftover.reason)
    };
    import.not_carried_over.iter().map(show).collect()
}

#[test]
fn a_workflow_becomes_a_draft() {
    let import = fixture(SHIP);
    let expected = json!({
        "name": "Ship closed deals", "object_type": "deal",
        "actions": [
            {"id": "webhook-1", "type": "webhook", "method": "POST", "url": "https://shipping.example/orders?src=crm",
             "auth": {"type": "hubspot_signature", "secret": "hubspot-app-290481", "versions": ["v2", "v3"]},
             "body": {"kind": "properties", "fields": [
                {"name": "ref", "value": {"property": "dealname"}},
                {"name": "channel", "value": {"static": "hubspot"}},
                {"name": "sent_at", "value": {"now": "ms"}},
                {"name": "form", "value": {"event": "hs_form_id"}}]},
             "outputs": [{"name": "order_id", "pointer": "/order_id", "type": "json"}]},
            {"id": "webhook-3", "type": "webhook", "method": "GET", "url": "https://chat.example/notify",
             "auth": {"type": "api_key", "location": "header", "name": "Authorization", "secret": "chat_token"},
             "query": [{"name": "order", "value": {"output": "webhook-1.order_id"}}]},
        ],
        "id": "ship-closed-deals",
    });
    assert_eq!(import.workflows, [expected]);
    assert_eq!(
        left(&import),
        [
            "enrollmentCriteria: who is enrolled is up to whoever calls the API or an inbound trigger",
            "2: there are no delays; the next action follows at once",
            "3: fields are left out: `state`: how an action went isn't in its response; `owner`: records that are \
             associated aren't known; send the value in the `event`",
        ]
    );
    let secret = |name: &str, value_is: &str| NamedSecret { name: name.into(), value_is: value_is.into() };
    assert_eq!(
        import.secrets,
        [
            secret("hubspot-app-290481", "the client secret of HubSpot's app 290481"),
            secret("chat_token", "the value of HubSpot's secret `CHAT_TOKEN`"),
        ]
    );
}

#[test]
fn a_branch_becomes_a_draft_of_its_own() {
    let import = fixture(BRANCHES);
    let names: Vec<_> = import.workflows.iter().map(|draft| draft["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["Route new contacts", "Route new contacts (Large)"]);
    assert_eq!(import.workflows[0]["actions"][0]["body"], json!({"kind": "all_properties"}));
    let ids = import.workflows[1]["actions"].as_array().unwrap().iter().map(|action| &action["id"]);
    assert_eq!(ids.collect::<Vec<_>>(), ["webhook-30", "webhook-60"]);
    assert_eq!(
        left(&import),
        [
            "timeWindows: webhooks are sent at any time",
            "suppressionListIds: there are no lists; don't enroll whom you don't want",
            "10: it is reached again from action `60`; it stands only where it is reached first",
            "60: it is reached again from action `40`; it stands only where it is reached first",
            "50: it leads to action `99`, which isn't there",
            "20: there are no branches; each one with webhooks is a draft of its own, so enroll by the branch's condition",
            "40: /url: URL must start with `https://` and a host",
            "50: no code is run; what it calls may be a webhook of its own",
            "1: there are no delays; the next action follows at once",
        ]
    );
}

#[test]
fn every_type_of_value_is_carried_over_or_listed() {
    for (value, expected) in [
        (json!({"type": "OBJECT_PROPERTY", "propertyName": "email"}), Ok(json!({"property": "email"}))),
        (json!({"type": "STATIC_VALUE", "staticValue": "a"}), Ok(json!({"static": "a"}))),
        (json!({"type": "STATIC_VALUE", "staticValue": ""}), Ok(json!({"static": ""}))),
        (json!({"type": "STATIC_VALUE", "staticValue": 5}), Ok(json!({"static": 5}))),
        (json!({"type": "STATIC_VALUE", "staticValue": "{{ enrolled_object.email }}"}), Err("tokens")),
        (json!({"type": "STATIC_VALUE"}), Err("no value")),
        (json!({"type": "TIMESTAMP", "timestampType": "EXECUTION_TIME"}), Ok(json!({"now": "ms"}))),
        (json!({"type": "TIMESTAMP", "timestampType": "SUNSET"}), Err("`SUNSET` isn't known")),
        (
            json!({"type": "ENROLLMENT_EVENT_PROPERTY", "enrollmentEventPropertyToken": "order_no"}),
            Ok(json!({"event": "order_no"})),
        ),
        (json!({"type": "ENROLLMENT_EVENT_PROPERTY"}), Err("names no property")),
        (json!({"type": "FIELD_DATA", "actionId": "9", "dataKey": "a"}), Err("`9` isn't an earlier webhook")),
        (json!({"type": "FIELD_DATA", "actionId": "1", "dataKey": "a"}), Err("`1` isn't an earlier webhook")),
        (json!({"type": "FIELD_DATA", "actionId": "1"}), Err("names no field")),
        (json!({"type": "RELATIVE_DATETIME", "timeDelay": {"delta": 1}}), Err("times aren't calculated")),
        (json!({"type": "FETCHED_OBJECT_PROPERTY", "propertyToken": "x"}), Err("associated")),
        (json!({"type": "INCREMENT", "incrementAmount": 1}), Err("changes a property")),
        (json!({"type": "APPEND_OBJECT_PROPERTY", "appendPropertyName": "x"}), Err("changes a property")),
        (json!({"type": "STATIC_APPEND_VALUE", "staticAppendValue": "x"}), Err("changes a property")),
        (json!({"type": "NEW_IN_2027"}), Err("`NEW_IN_2027` aren't known")),
        (json!(null), Err("aren't known")),
    ] {
        let import = imported(&one(&json!({"queryParams": [{"name": "f", "value": value}]})));
        let fields = &import.workflows[0]["actions"][0]["body"]["fields"];
        match expected {
            Ok(expr) => {
                assert_eq!(fields[0], json!({"name": "f", "value": expr}), "{value}");
                assert_eq!(left(&import), [""; 0], "{value}");
            }
            Err(reason) => {
                assert_eq!(fields, &json!([]), "{value}");
                assert!(left(&import)[0].contains(reason), "{value}: {:?}", left(&import));
            }
        }
    }
}

#[test]
fn every_authentication_is_carried_over_or_its_action_isnt() {
    let key = |location: &str| json!({"type": "AUTH_KEY", "location": location, "name": "x-key", "secretName": "K"});
    for (settings, expected) in [
        (json!(null), Ok(json!({"type": "none"}))),
        (key("HEADER"), Ok(json!({"type": "api_key", "location": "header", "name": "x-key", "secret": "k"}))),
        (
            key("QUERY_PARAM"),
            Ok(json!({"type": "api_key", "location": "query", "name": "x-key", "secret": "k"})),
        ),
        (key("COOKIE"), Err("no location")),
        (
            json!({"type": "AUTH_KEY", "location": "HEADER", "name": "host", "secretName": "K"}),
            Err("/auth/name"),
        ),
        (json!({"type": "AUTH_KEY", "location": "HEADER", "name": "x-key"}), Err("no secret")),
        (
            json!({"type": "SIGNATURE", "appId": "7"}),
            Ok(json!({"type": "hubspot_signature", "secret": "hubspot-app-7", "versions": ["v2", "v3"]})),
        ),
        (json!({"type": "OAUTH"}), Err("`OAUTH` isn't known")),
        (json!({}), Err("isn't known")),
    ] {
        let import = imported(&one(&json!({"authSettings": settings})));
        match expected {
            Ok(auth) => assert_eq!(import.workflows[0]["actions"][0]["auth"], auth, "{settings}"),
            Err(reason) => {
                assert!(import.workflows.is_empty() && import.secrets.is_empty(), "{settings}");
                assert!(left(&import)[0].contains(reason), "{settings}: {:?}", left(&import));
            }
        }
    }
}

#[test]
fn what_may_not_be_called_is_listed() {
    for (action, reason) in [
        (json!({"webhookUrl": "http://a.example/"}), "must start with `https://`"),
        (json!({"webhookUrl": "https://127.0.0.1/"}), "not give an IP address"),
        (json!({"webhookUrl": "https://db.internal/"}), "isn't on the public internet"),
        (json!({"webhookUrl": "https://a.example/{{ x }}"}), "written otherwise"),
        (json!({"webhookUrl": null}), "must start with"),
        (json!({"method": "TRACE"}), "/method"),
        (json!({"method": null}), "/method"),
    ] {
        let import = imported(&one(&action));
        assert!(import.workflows.is_empty(), "{action}");
        assert!(left(&import)[0].contains(reason), "{action}: {:?}", left(&import));
    }
}

#[test]
fn names_of_fields_and_outputs_are_made_to_fit() {
    let reference = |name: &str, key: &str| json!({"name": name, "value": {"type": "FIELD_DATA", "actionId": "1", "dataKey": key}});
    let property = json!({"type": "OBJECT_PROPERTY", "propertyName": "p"});
    let long = "k".repeat(100);
    let mut flow = one(&json!({}));
    flow["actions"].as_array_mut().unwrap().push(json!({
        "type": "WEBHOOK", "actionId": 2, "method": "POST", "webhookUrl": "https://b.example/",
        "queryParams": [
            reference("a", "order/id~"), reference("b", "order id~"), reference("c", "order/id~"), reference("d", &long),
            {"name": "a", "value": property}, {"name": "", "value": property}, {"name": "x\ny", "value": property},
        ]}));
    flow["actions"][0]["connection"] = json!({"nextActionId": 2});
    let import = imported(&flow);
    let actions = &import.workflows[0]["actions"];
    let short = "k".repeat(60);
    assert_eq!(
        actions[0]["outputs"],
        json!([
            {"name": "order_id_", "pointer": "/order~1id~0", "type": "json"},
            {"name": "order_id__2", "pointer": "/order id~0", "type": "json"},
            {"name": short, "pointer": format!("/{long}"), "type": "json"},
        ])
    );
    let values: Vec<_> =
        actions[1]["body"]["fields"].as_array().unwrap().iter().map(|f| &f["value"]["output"]).collect();
    let last = format!("webhook-1.{short}");
    assert_eq!(values, ["webhook-1.order_id_", "webhook-1.order_id__2", "webhook-1.order_id_", &last]);
    assert!(
        left(&import)[0].contains("`a`: another field has this name; ``: its name"),
        "{:?}",
        left(&import)
    );
}

#[test]
fn chains_may_be_broken() {
    let hook = |id: &str, next: &str| {
        json!({"type": "WEBHOOK", "actionId": id, "method": "POST", "webhookUrl": "https://a.example/", "queryParams": [],
               "connection": {"edgeType": "STANDARD", "nextActionId": next}})
    };
    let flow =
        |start: Value, actions: Vec<Value>| json!({"name": "W", "startActionId": start, "actions": actions});
    for (flow, drafts, reasons) in [
        (flow(json!("1"), vec![hook("1", "1")]), 1, vec!["1: it is reached again from action `1`"]),
        (flow(json!("1"), vec![hook("1", "2")]), 1, vec!["1: it leads to action `2`, which isn't there"]),
        (flow(json!("9"), vec![hook("1", "1")]), 0, vec!["1: nothing leads to it"]),
        (
            flow(json!("1"), vec![hook("1", "2"), hook("1", "2"), hook("2", "3")]),
            2,
            vec!["2: it leads", "1: another action has its id"],
        ),
        // Without a start it is the one that nothing leads to, or else the first.
        (flow(json!(null), vec![hook("2", "3"), hook("1", "2")]), 2, vec!["2: it leads to action `3`"]),
        (flow(json!(null), vec![hook("2", "1"), hook("1", "2")]), 2, vec!["2: it is reached again"]),
        (flow(json!("1"), vec![]), 0, vec![]),
    ] {
        let import = imported(&flow);
        let found = import.workflows.first().map_or(0, |draft| draft["actions"].as_array().unwrap().len());
        assert_eq!(found, drafts, "{flow}");
        let left = left(&import);
        assert_eq!(left.len(), reasons.len(), "{left:?}");
        for (found, reason) in left.iter().zip(reasons) {
            assert!(found.starts_with(reason), "{found} / {reason}");
        }
    }
}

#[test]
fn a_chain_ends_at_the_most_actions() {
    let hook = |id: usize| {
        json!({"type": "WEBHOOK", "actionId": id.to_string(), "method": "GET", "webhookUrl": "https://a.example/", "queryParams": [],
               "connection": {"nextActionId": (id + 1).to_string()}})
    };
    let actions: Vec<_> = (1..=MAX_ACTIONS + 1).map(hook).collect();
    let import = imported(&json!({"name": "W", "startActionId": "1", "actions": actions}));
    assert_eq!(import.workflows[0]["actions"].as_array().unwrap().len(), MAX_ACTIONS);
    assert!(left(&import).contains(&"21: a workflow has at most 20 actions".to_owned()));
}

#[test]
fn secrets_are_told_apart() {
    let keyed = |name: &str| {
        one(
            &json!({"authSettings": {"type": "AUTH_KEY", "location": "HEADER", "name": "k", "secretName": name}}),
        )
    };
    let import = imported(&json!([keyed("my key"), keyed("MY-KEY"), keyed("my key")]));
    let used: Vec<_> = import.workflows.iter().map(|draft| &draft["actions"][0]["auth"]["secret"]).collect();
    assert_eq!(used, ["my-key", "my-key-2", "my-key"]);
    assert_eq!(import.secrets.len(), 2);
    let ids: Vec<_> = import.workflows.iter().map(|draft| &draft["id"]).collect();
    assert_eq!(ids, ["w", "w-2", "w-3"]);
}

#[test]
fn object_types_have_their_names_here() {
    for (theirs, ours) in [
        (json!("0-1"), "contact"),
        (json!("0-2"), "company"),
        (json!("0-3"), "deal"),
        (json!("0-5"), "ticket"),
        (json!("2-3465404"), "2-3465404"),
        (json!("Ü"), "contact"),
        (json!(null), "contact"),
    ] {
        let mut flow = one(&json!({}));
        flow["objectTypeId"] = theirs;
        assert_eq!(imported(&flow).workflows[0]["object_type"], ours);
    }
}

#[test]
fn what_is_no_export_is_refused_with_its_place() {
    for (value, pointer) in [
        (json!(null), ""),
        (json!("x"), ""),
        (json!({}), "/actions"),
        (json!({"actions": {}}), "/actions"),
        (json!({"actions": [5]}), "/actions"),
        (json!({"actions": vec![json!({}); 1_001]}), "/actions"),
        (json!({"results": 5}), "/results"),
        (json!({"results": [one(&json!({})), {"id": "1"}]}), "/results/1/actions"),
        (json!([[]]), "/0"),
        (json!(vec![json!({}); MAX_WORKFLOWS + 1]), ""),
    ] {
        let mistakes = import(&value, Policy::PUBLIC).unwrap_err();
        assert_eq!(mistakes[0].pointer, pointer, "{value}");
    }
    assert_eq!(imported(&json!([])), Import::default());
}

#[test]
fn answer_format_unchanged() {
    let mut flow = one(&json!({"authSettings": {"type": "SIGNATURE", "appId": 1}}));
    flow["actions"]
        .as_array_mut()
        .unwrap()
        .push(json!({"type": "SINGLE_CONNECTION", "actionId": "2", "actionTypeId": "0-4"}));
    flow["blockedDates"] = json!([{"dayOfMonth": 24}]);
    let pinned = r#"{"workflows":[{"name":"W","object_type":"contact","actions":[{"id":"webhook-1","type":"webhook","method":"POST","url":"https://a.example/","auth":{"type":"hubspot_signature","secret":"hubspot-app-1","versions":["v2","v3"]},"body":{"kind":"all_properties"}}],"id":"w"}],"not_carried_over":[{"workflow":"W","type":"blockedDates","reason":"webhooks are sent on any day"},{"workflow":"W","action_id":"2","type":"SINGLE_CONNECTION","action_type_id":"0-4","reason":"nothing leads to it"}],"secrets":[{"name":"hubspot-app-1","value_is":"the client secret of HubSpot's app 1"}]}"#;
    assert_eq!(serde_json::to_string(&imported(&flow)).unwrap(), pinned);
}

/// Something like an export, often broken.
fn flow() -> impl Strategy<Value = Value> {
    let id = || prop_oneof!["[1-6]".prop_map(Value::from), (1..7_u32).prop_map(Value::from), json_value()];
    let value = prop_oneof![
        ".{0,9}".prop_map(|name| json!({"type": "OBJECT_PROPERTY", "propertyName": name})),
        ".{0,9}".prop_map(|text| json!({"type": "STATIC_VALUE", "staticValue": text})),
        (id(), ".{0,9}").prop_map(|(id, key)| json!({"type": "FIELD_DATA", "actionId": id, "dataKey": key})),
        json_value(),
    ];
    let parameters = proptest::collection::vec(
        (".{0,3}", value).prop_map(|(name, value)| json!({"name": name, "value": value})),
        0..5,
    );
    let action = (
        prop_oneof![Just("WEBHOOK"), Just("LIST_BRANCH"), Just("SINGLE_CONNECTION")],
        id(),
        prop_oneof![Just("GET"), Just("POST"), Just("HEAD")],
        prop_oneof![Just("https://a.example/"), Just("http://a.example/")],
        parameters,
        id(),
        id(),
    )
        .prop_map(|(kind, id, method, url, parameters, next, branch)| {
            json!({"type": kind, "actionId": id, "method": method, "webhookUrl": url, "queryParams": parameters,
                   "connection": {"nextActionId": next}, "listBranches": [{"connection": {"nextActionId": branch}}],
                   "authSettings": {"type": "SIGNATURE", "appId": branch}})
        });
    (proptest::collection::vec(action, 0..8), id(), ".{0,9}")
        .prop_map(|(actions, start, name)| json!({"name": name, "startActionId": start, "actions": actions}))
}

proptest! {
    #[test]
    fn any_json_is_imported_or_refused(value in json_value()) {
        let _ = import(&value, Policy::PUBLIC);
        let _ = import(&json!({"actions": [value.clone()], "startActionId": value}), Policy::PUBLIC);
    }

    #[test]
    fn every_webhook_is_in_a_draft_or_in_the_list(flow in flow()) {
        let import = imported(&flow);
        let mut carried = 0;
        for draft in &import.workflows {
            let mut document = draft.clone();
            document.as_object_mut().unwrap().shift_remove("id");
            let workflow = Workflow::parse(&document, Policy::PUBLIC);
            prop_assert!(workflow.is_ok(), "{:?}", workflow);
            let workflow = workflow.unwrap();
            carried += workflow.actions().len();
            for secret in workflow.secrets() {
                prop_assert!(import.secrets.iter().any(|listed| listed.name == secret.as_str()));
            }
        }
        let left: BTreeSet<&str> = import
            .not_carried_over
            .iter()
            .filter(|left| left.kind == "WEBHOOK")
            .filter_map(|left| left.action_id.as_deref())
            .collect();
        let actions = flow["actions"].as_array().unwrap().iter().filter(|action| action["type"] == "WEBHOOK");
        let ids: Vec<_> = actions.map(|action| flow::id_of(&action["actionId"]).unwrap_or_default()).collect();
        let in_no_list = ids.iter().filter(|id| !left.contains(quoted(id))).count();
        prop_assert!(carried >= in_no_list, "{} of {:?} are in drafts, left are {:?}", carried, ids, left);
    }
}
