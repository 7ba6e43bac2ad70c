//! Every call of the API, on a few screens.

use serde_json::{Map, Value, json};

use crate::describe::{Call, Describer, Needs};
use crate::shapes::{
    BatchInput, BatchResults, Bin, CreateToken, CreateTrigger, Delivery, DeliveryDetail, DryRun, Enroll,
    EnrollBatch, Enrolled, Enrollment, Health, Import, NewToken, Page, PutSecret, PutTrigger, Received,
    Recorded, Replay, ReplayMany, ReplayOne, Resealed, RotateSecret, Script, Secret, Standing, Stats, Test,
    TestDraft, TestResult, Token, Trigger, TriggerEvents, Workflow,
};

use Needs::{Admin, Nothing, Read};

/// The paths object, gathered call by call.
struct Paths<'d> {
    paths: Map<String, Value>,
    describer: &'d mut Describer,
}

impl Paths<'_> {
    fn add(&mut self, method: &str, path: &str, statuses: &[u16], call: Call) {
        let call = call.at(path).refuses(self.describer, statuses);
        let item = self.paths.entry(path).or_insert_with(|| json!({}));
        if let Some(item) = item.as_object_mut() {
            item.insert(method.to_owned(), call.into_value());
        }
    }
}

/// All paths.
pub(crate) fn paths(describer: &mut Describer) -> Value {
    let mut paths = Paths { paths: Map::new(), describer };
    operation(&mut paths);
    workflows(&mut paths);
    pauses(&mut paths);
    enrollments(&mut paths);
    deliveries(&mut paths);
    replays(&mut paths);
    tests(&mut paths);
    triggers(&mut paths);
    secrets(&mut paths);
    tokens(&mut paths);
    inspector(&mut paths);
    Value::Object(paths.paths)
}

/// The groups of calls.
pub(crate) fn tags() -> Value {
    let tag = |name: &str, description: &str| json!({"name": name, "description": description});
    json!([
        tag("workflows", "What is sent, where, and when again."),
        tag("enrollments", "Records going through workflows."),
        tag("deliveries", "Webhooks owed, their attempts, and sending them again."),
        tag("triggers", "URLs that enroll what they receive."),
        tag("secrets", "Values go in and never come out."),
        tag("tokens", "Who may call."),
        tag("inspector", "Request bins that answer as told."),
        tag("operation", "How it runs."),
    ])
}

fn operation(paths: &mut Paths<'_>) {
    let health = paths.describer.schema::<Health>();
    let call = Call::new("health", "operation", Nothing, "Says that the Worker runs.");
    paths.add("get", "/healthz", &[], call.answers(200, "It runs.", Some(health)));
    let call = Call::new("metrics", "operation", Read, "The accounting for Prometheus.").query(
        "workflow",
        json!({"type": "string"}),
        "Only this one.",
    );
    paths.add("get", "/metrics", &[404, 422], call.answers_text(200, "Prometheus text.", "text/plain"));
}

/// What an answer always has, though nobody has to send it.
fn stored(workflow: &Value) -> Value {
    json!({"allOf": [workflow, {"required": [
        "id", "ordering", "shards", "retention_days", "version", "created_at", "updated_at",
    ]}]})
}

fn workflows(paths: &mut Paths<'_>) {
    let workflow = paths.describer.schema::<Workflow>();
    // A page of the stored form has no type of its own.
    let page = json!({
        "type": "object", "additionalProperties": false, "required": ["items", "next_cursor"],
        "properties": {"items": {"type": "array", "items": stored(&workflow)}, "next_cursor": {"type": ["string", "null"]}},
    });
    let call = Call::new("listWorkflows", "workflows", Read, "All workflows, by id.").paged();
    paths.add("get", "/v1/workflows", &[422], call.answers(200, "A page.", Some(page)));

    let call = Call::new("putWorkflow", "workflows", Admin, "Creates or replaces a workflow.")
        .takes(true, workflow.clone())
        .answers(200, "It is replaced.", Some(stored(&workflow)))
        .answers(201, "It is created.", Some(stored(&workflow)));
    paths.add("put", "/v1/workflows/{workflow}", &[409], call);
    let call = Call::new("getWorkflow", "workflows", Read, "One workflow, with all defaults filled in.");
    let call = call.answers(200, "The workflow.", Some(stored(&workflow)));
    paths.add("get", "/v1/workflows/{workflow}", &[404, 422], call);
    let call = Call::new("deleteWorkflow", "workflows", Admin, "Deletes a workflow and its log.")
        .query("open", json!({"const": "cancel"}), "Ends open deliveries; without it they are a conflict.")
        .answers(204, "It is gone.", None);
    paths.add("delete", "/v1/workflows/{workflow}", &[404, 409, 422], call);

    let stats = paths.describer.schema::<Stats>();
    let call = Call::new("stats", "workflows", Read, "The accounting of a workflow.");
    paths.add(
        "get",
        "/v1/workflows/{workflow}/stats",
        &[404],
        call.answers(200, "The numbers.", Some(stats)),
    );

    let import = paths.describer.schema::<Import>();
    let flow = json!({
        "type": ["object", "array"],
        "description": "A workflow as HubSpot's Automation API v4 gives it, an array of them, or an answer with them in `results`.",
    });
    let call = Call::new(
        "importHubspot",
        "workflows",
        Admin,
        "Makes drafts of HubSpot's workflows; stores nothing.",
    )
    .takes(true, flow)
    .answers(200, "Drafts, and what has no counterpart.", Some(import));
    paths.add("post", "/v1/import/hubspot", &[], call);
}

fn pauses(paths: &mut Paths<'_>) {
    let standing = paths.describer.schema::<Standing>();
    let nothing = json!({"type": "object", "maxProperties": 0});
    for (path, id, what) in [
        ("/v1/workflows/{workflow}", "Workflow", "a workflow"),
        ("/v1/workflows/{workflow}/actions/{action}", "Action", "an action"),
    ] {
        for (verb, does) in [("pause", "Holds"), ("resume", "Lets go on")] {
            let summary = format!("{does} the deliveries of {what}; answers when all outboxes know.");
            let call = Call::new(&format!("{verb}{id}"), "workflows", Admin, &summary)
                .takes(false, nothing.clone())
                .answers(200, "How it stands.", Some(standing.clone()));
            paths.add("post", &format!("{path}/{verb}"), &[404], call);
        }
    }
}

fn time() -> Value {
    json!({"type": "integer", "minimum": 0})
}

fn enrollments(paths: &mut Paths<'_>) {
    let (enroll, enrolled) = (paths.describer.schema::<Enroll>(), paths.describer.schema::<Enrolled>());
    let page = paths.describer.schema::<Page<Enrollment>>();
    let statuses = json!({"enum": ["running", "completed", "failed", "canceled"]});
    let call = Call::new("listEnrollments", "enrollments", Read, "Enrollments, newest first.")
        .query("status", statuses, "Only those that stand so.")
        .query("record", json!({"type": "string"}), "Only those of this record.")
        .query("since", time(), "Only those created at or after.")
        .query("until", time(), "Only those created before.")
        .paged();
    paths.add(
        "get",
        "/v1/workflows/{workflow}/enrollments",
        &[404, 422],
        call.answers(200, "A page.", Some(page)),
    );
    let call = Call::new("enroll", "enrollments", Needs::Enroll, "Enrolls a record.")
        .header("Idempotency-Key", "The same key enrolls the record once in 24 hours.")
        .takes(true, enroll)
        .answers(202, "It is committed, and can't be lost.", Some(enrolled));
    paths.add("post", "/v1/workflows/{workflow}/enrollments", &[404, 409, 429], call);

    let mut batch = paths.describer.schema::<EnrollBatch>();
    let input = paths.describer.schema::<BatchInput>();
    batch = json!({"allOf": [batch], "x-input": input});
    let results = paths.describer.schema::<BatchResults>();
    let call = Call::new("enrollBatch", "enrollments", Needs::Enroll, "Enrolls up to 100 records.")
        .takes(true, batch)
        .answers(202, "What became of each.", Some(results));
    paths.add("post", "/v1/workflows/{workflow}/enrollments/batch", &[404], call);
    let one = paths.describer.schema::<Enrollment>();
    let call = Call::new("getEnrollment", "enrollments", Read, "One enrollment with its deliveries.");
    paths.add(
        "get",
        "/v1/workflows/{workflow}/enrollments/{enrollment}",
        &[404],
        call.answers(200, "The enrollment.", Some(one)),
    );
}

fn deliveries(paths: &mut Paths<'_>) {
    let page = paths.describer.schema::<Page<Delivery>>();
    let statuses =
        json!({"enum": ["scheduled", "in_flight", "held", "delivered", "rejected", "exhausted", "canceled"]});
    let call = Call::new("listDeliveries", "deliveries", Read, "Deliveries, newest first.")
        .query("status", statuses, "Only those that stand so.")
        .query("action", json!({"type": "string"}), "Only those of this action.")
        .query("record", json!({"type": "string"}), "Only those of this record.")
        .query("since", time(), "Only those created at or after.")
        .query("until", time(), "Only those created before.")
        .query("replay", json!({"type": "string"}), "Only those that this bulk replay asked for.")
        .paged();
    paths.add(
        "get",
        "/v1/workflows/{workflow}/deliveries",
        &[404, 422],
        call.answers(200, "A page.", Some(page)),
    );
    let detail = paths.describer.schema::<DeliveryDetail>();
    let path = "/v1/workflows/{workflow}/deliveries/{delivery}";
    let call = Call::new("getDelivery", "deliveries", Read, "One delivery with its request and attempts.");
    paths.add("get", path, &[404], call.answers(200, "The delivery.", Some(detail.clone())));
    let call = Call::new("cancelDelivery", "deliveries", Admin, "Ends an open delivery.");
    let call = call.answers(200, "The delivery as it is now.", Some(detail));
    paths.add("post", &format!("{path}/cancel"), &[404, 409], call);
    let (replay, detail) =
        (paths.describer.schema::<ReplayOne>(), paths.describer.schema::<DeliveryDetail>());
    let call =
        Call::new("replayDelivery", "deliveries", Admin, "Makes a new delivery of one that has ended.")
            .takes(false, replay)
            .answers(202, "The new delivery; it names the old one.", Some(detail));
    paths.add("post", &format!("{path}/replay"), &[404, 409, 429], call);
}

fn replays(paths: &mut Paths<'_>) {
    let (many, replay) = (paths.describer.schema::<ReplayMany>(), paths.describer.schema::<Replay>());
    let dry_run = paths.describer.schema::<DryRun>();
    let page = paths.describer.schema::<Page<Replay>>();
    let path = "/v1/workflows/{workflow}/replays";
    let call = Call::new("listReplays", "deliveries", Read, "The bulk replays of a workflow, newest first.");
    paths.add("get", path, &[404, 422], call.answers(200, "All of them.", Some(page)));
    let call = Call::new("replayMany", "deliveries", Admin, "Makes new deliveries of many that have ended.")
        .takes(true, many)
        .answers(200, "A dry run: how many there are.", Some(dry_run))
        .answers(202, "It has begun.", Some(replay.clone()));
    paths.add("post", path, &[404, 409], call);
    let path = "/v1/workflows/{workflow}/replays/{replay}";
    let call = Call::new("getReplay", "deliveries", Read, "How far a bulk replay is.");
    paths.add("get", path, &[404, 422], call.answers(200, "The replay.", Some(replay.clone())));
    let call = Call::new("cancelReplay", "deliveries", Admin, "Stops a bulk replay where it is.");
    paths.add(
        "post",
        &format!("{path}/cancel"),
        &[404, 409, 422],
        call.answers(200, "The replay.", Some(replay)),
    );
}

fn tests(paths: &mut Paths<'_>) {
    let (test, result) = (paths.describer.schema::<Test>(), paths.describer.schema::<TestResult>());
    let call = Call::new("testAction", "workflows", Admin, "Sends an action's webhook once; stores nothing.")
        .takes(true, test)
        .answers(200, "What was sent, and what came back.", Some(result.clone()));
    paths.add("post", "/v1/workflows/{workflow}/actions/{action}/test", &[404], call);
    let draft = paths.describer.schema::<TestDraft>();
    let call =
        Call::new("testDraft", "workflows", Admin, "Sends the webhook of an action that isn't saved, once.")
            .takes(true, draft)
            .answers(200, "What was sent, and what came back.", Some(result));
    paths.add("post", "/v1/test", &[], call);
}

fn triggers(paths: &mut Paths<'_>) {
    let (create, put) = (paths.describer.schema::<CreateTrigger>(), paths.describer.schema::<PutTrigger>());
    let (trigger, page) = (paths.describer.schema::<Trigger>(), paths.describer.schema::<Page<Trigger>>());
    let path = "/v1/workflows/{workflow}/triggers";
    let call = Call::new("listTriggers", "triggers", Read, "The inbound triggers of a workflow.").paged();
    paths.add("get", path, &[404, 422], call.answers(200, "A page.", Some(page)));
    let call = Call::new("createTrigger", "triggers", Admin, "Makes an URL that listens.")
        .takes(true, create)
        .answers(201, "It listens.", Some(trigger.clone()));
    paths.add("post", path, &[404, 409], call);
    let path = "/v1/workflows/{workflow}/triggers/{trigger}";
    let call = Call::new("getTrigger", "triggers", Read, "One trigger.");
    paths.add("get", path, &[404], call.answers(200, "The trigger.", Some(trigger.clone())));
    let call = Call::new("putTrigger", "triggers", Admin, "Maps, matches, publishes.")
        .takes(true, put)
        .answers(200, "The trigger.", Some(trigger));
    paths.add("put", path, &[404, 409], call);
    let call = Call::new("deleteTrigger", "triggers", Admin, "Ends a trigger; its URL is gone.");
    paths.add("delete", path, &[404], call.answers(204, "It is gone.", None));
    let events = paths.describer.schema::<TriggerEvents>();
    let call =
        Call::new("triggerEvents", "triggers", Read, "What a trigger received last, and what it looks like.");
    paths.add("get", &format!("{path}/events"), &[404], call.answers(200, "The events.", Some(events)));
    let received = paths.describer.schema::<Received>();
    let call = Call::new("receive", "triggers", Nothing, "Receives a webhook.")
        .takes(true, json!({}))
        .answers(202, "It is taken.", Some(received));
    paths.add("post", "/t/{trigger}", &[401, 404, 409, 429], call);
}

fn secrets(paths: &mut Paths<'_>) {
    let (secret, page) = (paths.describer.schema::<Secret>(), paths.describer.schema::<Page<Secret>>());
    let call = Call::new("listSecrets", "secrets", Read, "All secrets, without values.").paged();
    paths.add("get", "/v1/secrets", &[422], call.answers(200, "A page.", Some(page)));
    let put = paths.describer.schema::<PutSecret>();
    let call = Call::new("putSecret", "secrets", Admin, "Stores a secret, or replaces it at once.")
        .takes(true, put)
        .answers(200, "It is replaced.", Some(secret.clone()))
        .answers(201, "It is stored.", Some(secret.clone()));
    paths.add("put", "/v1/secrets/{secret}", &[409], call);
    let call = Call::new("deleteSecret", "secrets", Admin, "Deletes a secret that no workflow names.");
    paths.add("delete", "/v1/secrets/{secret}", &[404, 409, 422], call.answers(204, "It is gone.", None));
    let rotate = paths.describer.schema::<RotateSecret>();
    let call = Call::new(
        "rotateSecret",
        "secrets",
        Admin,
        "Gives a secret another value; the former one counts for a while.",
    )
    .takes(true, rotate)
    .answers(200, "It is rotated.", Some(secret));
    paths.add("post", "/v1/secrets/{secret}/rotate", &[404], call);
    let (nothing, resealed) =
        (json!({"type": "object", "maxProperties": 0}), paths.describer.schema::<Resealed>());
    let call = Call::new(
        "reseal",
        "secrets",
        Admin,
        "Seals all secrets under the master key in force; does nothing where that is so.",
    )
    .takes(false, nothing)
    .answers(200, "What became of them.", Some(resealed));
    paths.add("post", "/v1/master-key/reseal", &[], call);
}

fn tokens(paths: &mut Paths<'_>) {
    let (create, new) = (paths.describer.schema::<CreateToken>(), paths.describer.schema::<NewToken>());
    let page = paths.describer.schema::<Page<Token>>();
    let call = Call::new("listTokens", "tokens", Admin, "All tokens, without their text.").paged();
    paths.add("get", "/v1/tokens", &[422], call.answers(200, "A page.", Some(page)));
    let call = Call::new("createToken", "tokens", Admin, "Makes a token, and shows it once.")
        .takes(true, create)
        .answers(201, "It is made.", Some(new));
    paths.add("post", "/v1/tokens", &[409], call);
    let call = Call::new("deleteToken", "tokens", Admin, "Takes a token out of force.");
    paths.add("delete", "/v1/tokens/{token}", &[404, 422], call.answers(204, "It is gone.", None));
}

fn inspector(paths: &mut Paths<'_>) {
    let (bin, page) = (paths.describer.schema::<Bin>(), paths.describer.schema::<Page<Recorded>>());
    let nothing = json!({"type": "object", "maxProperties": 0});
    let call = Call::new("createBin", "inspector", Admin, "Makes a request bin.")
        .takes(false, nothing)
        .answers(201, "It records.", Some(bin));
    paths.add("post", "/v1/inspect", &[], call);
    let call = Call::new("listRequests", "inspector", Read, "What a bin recorded, newest first.").paged();
    paths.add("get", "/v1/inspect/{bin}/requests", &[404, 422], call.answers(200, "A page.", Some(page)));
    let script = paths.describer.schema::<Script>();
    let call = Call::new("scriptBin", "inspector", Admin, "Says how a bin answers.")
        .takes(true, script.clone())
        .answers(200, "The script, with defaults filled in.", Some(script));
    paths.add("put", "/v1/inspect/{bin}/reply", &[404], call);
    let call = Call::new("deleteBin", "inspector", Admin, "Deletes a bin and what it recorded.");
    paths.add("delete", "/v1/inspect/{bin}", &[404], call.answers(204, "It is gone.", None));
}
