//! One function for each parser of foreign bytes: it takes any bytes, and holds what comes out to its laws.
//!
//! The fuzzer's targets call these (`fuzz_targets`), and so does a plain test of the core with the committed
//! corpus, which includes this file (`crates/varde-core/tests/fuzz_corpus.rs`). A panic is a finding.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use varde_core::endpoint_url::{EndpointUrl, Policy};
use varde_core::expr::Context;
use varde_core::import::hubspot;
use varde_core::inbound::schema::infer;
use varde_core::inbound::{State, Trigger};
use varde_core::json::{self, Mistakes, Node};
use varde_core::oauth2;
use varde_core::outcome::RetryAfter;
use varde_core::outputs::{self, Output, Outputs};
use varde_core::paste;
use varde_core::preview::Draft;
use varde_core::record::EnrollmentInput;
use varde_core::render::render;
use varde_core::schedule::RetryPolicy;
use varde_core::secret::{Mask, Secret};
use varde_core::signature::doctor::{Case, diagnose};
use varde_core::signature::{Received, hubspot as hubspot_signature, standard_webhooks};
use varde_core::time::UnixMs;
use varde_core::workflow::Workflow;

/// Some moment.
const NOW: UnixMs = UnixMs(1_767_323_045_678);
/// Bytes that the doctor may hash for one input, so that it gets through many.
const HASHED_BYTES: u64 = 100_000;

/// A parser's function.
pub type Target = fn(&[u8]);

/// All of them, by the names of their folders in `corpus`.
pub const TARGETS: [(&str, Target); 11] = [
    ("workflow", workflow),
    ("enrollment", enrollment),
    ("inbound_event", inbound_event),
    ("hubspot_import", hubspot_import),
    ("retry_after", retry_after),
    ("url", url),
    ("signature_headers", signature_headers),
    ("pasted_request", pasted_request),
    ("response", response),
    ("preview", preview),
    ("mask", mask),
];

/// A workflow: what is taken writes itself down as what reads the same, and renders without a panic.
pub fn workflow(bytes: &[u8]) {
    let Ok(value) = json::parse(bytes) else { return };
    let Ok(workflow) = Workflow::parse(&value, Policy::PUBLIC) else { return };
    let written = workflow.to_json();
    assert_eq!(Workflow::parse(&written, Policy::PUBLIC).as_ref(), Ok(&workflow));
    assert_eq!(Workflow::parse_stored(&written).as_ref(), Ok(&workflow));
    let input = json!({
        "record": {"id": "1", "properties": {"a": "../x?y#z", "b": 1.5, "c": null, "d": [1], "e": "\r\n\u{0}é"}},
        "event": {"a": "b"},
    });
    let input = EnrollmentInput::parse(&input).expect("a record like any other");
    for action in workflow.actions() {
        let outputs = Outputs::default();
        let context = Context {
            object_type: workflow.object_type(),
            record: input.record(),
            event: input.event(),
            outputs: &outputs,
            now: NOW,
        };
        let Ok(request) = render(action, &context, Policy::PUBLIC) else { continue };
        assert!(EndpointUrl::parse(&request.url, Policy::PUBLIC).is_ok(), "{}", request.url);
        for (name, value) in &request.headers {
            assert!(
                !name.contains(char::is_control) && !value.contains(['\r', '\n', '\0']),
                "{name}: {value:?}"
            );
        }
    }
}

/// An enrollment: what is taken is stored and read back the same.
pub fn enrollment(bytes: &[u8]) {
    let Ok(value) = json::parse(bytes) else { return };
    let Ok(input) = EnrollmentInput::parse(&value) else { return };
    let stored = serde_json::to_string(&input).expect("an input is JSON");
    assert_eq!(serde_json::from_str::<EnrollmentInput>(&stored).expect("what was stored is read"), input);
}

/// A trigger in the first line, and an event that it receives.
pub fn inbound_event(bytes: &[u8]) {
    let (first, rest) = split_line(bytes);
    let event = json::parse_foreign(rest).ok();
    let sample = event.clone().unwrap_or_default();
    drop(infer([&sample]));
    let Ok(document) = json::parse(first) else { return };
    let Ok(trigger) = Trigger::parse(&document, State::Listening) else { return };
    let written = trigger.to_json();
    assert_eq!(Trigger::parse(&written, State::Listening).as_ref(), Ok(&trigger));
    assert_eq!(Trigger::parse_stored(&written).as_ref(), Ok(&trigger));
    let (Some(published), Some(event)) = (trigger.published(), event) else { return };
    match published.enrollments(&event) {
        Ok(inputs) => {
            assert!(!inputs.is_empty());
            for input in inputs {
                let stored = serde_json::to_value(&input).expect("an input is JSON");
                assert_eq!(EnrollmentInput::parse(&stored).as_ref(), Ok(&input));
            }
        }
        Err(unmappable) => assert!(!unmappable.mistakes().is_empty()),
    }
}

/// An export of HubSpot's: every draft can be put as it is.
pub fn hubspot_import(bytes: &[u8]) {
    let Ok(value) = json::parse(bytes) else { return };
    let Ok(import) = hubspot::import(&value, Policy::PUBLIC) else { return };
    for draft in &import.workflows {
        let mut document = draft.clone();
        document.as_object_mut().map(|fields| fields.remove("id"));
        let parsed = Workflow::parse(&document, Policy::PUBLIC);
        assert!(parsed.is_ok(), "{parsed:?} of {draft}");
    }
}

/// `Retry-After`: never before the policy's first gap, never past the window.
pub fn retry_after(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let told = RetryAfter::parse(text);
    let policy = RetryPolicy::default();
    for failed in [1, 2, 17, u32::MAX] {
        for now in [UnixMs(0), NOW, UnixMs(u64::MAX)] {
            for dice in [0.0, 0.999_999] {
                if let Some(due) = policy.next_due(failed, UnixMs(now.0.saturating_sub(5)), now, told, dice) {
                    let near_the_end_of_time = now.0 > u64::MAX - policy.max_age_ms;
                    assert!(near_the_end_of_time || due.since_ms(now) >= policy.first_ms);
                    assert!(due.since_ms(now) <= policy.max_age_ms);
                }
            }
        }
    }
}

/// A URL: what is taken is written so that it reads as itself, and leads to a public name.
pub fn url(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for policy in [Policy::PUBLIC, Policy::WITH_LOOPBACK] {
        let Ok(url) = EndpointUrl::parse(text, policy) else { continue };
        assert_eq!(EndpointUrl::parse(url.as_str(), policy).as_ref(), Ok(&url));
        assert!(url.as_str().bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#' && byte != b'\\'));
        let loopback = policy.allow_loopback && matches!(url.host(), "127.0.0.1" | "localhost");
        let address = url.host().trim_end_matches('.').parse::<std::net::IpAddr>();
        assert!(loopback || (url.host().contains('.') && address.is_err()), "{url}");
        assert!(loopback || url.as_str().starts_with("https://"), "{url}");
        if let Ok(longer) = url.clone().with_parameters([("n", text)]) {
            assert_eq!(longer.host(), url.host());
            assert_eq!(EndpointUrl::parse(longer.as_str(), policy).as_ref(), Ok(&longer));
        }
    }
}

/// A secret in the first line, headers, an empty line, a body: checked by every scheme, and explained. What is
/// signed with the secret is accepted.
pub fn signature_headers(bytes: &[u8]) {
    let (first, rest) = split_line(bytes);
    let Ok(secret) = std::str::from_utf8(first) else { return };
    let (head, body) = match rest.windows(2).position(|two| two == b"\n\n") {
        Some(at) => (&rest[..at], &rest[at + 2..]),
        None => (rest, &[][..]),
    };
    let headers: Vec<(String, String)> = String::from_utf8_lossy(head)
        .lines()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let received = Received { method: "POST", uri: "https://hooks.example/in?a=b", headers: &headers, body };
    for version in
        [hubspot_signature::Version::V1, hubspot_signature::Version::V2, hubspot_signature::Version::V3]
    {
        drop(hubspot_signature::verify(version, &[secret.as_bytes()], &received, NOW));
    }
    if let Ok(key) = standard_webhooks::Key::parse(secret) {
        drop(standard_webhooks::verify(&[&key], &received, NOW));
        let timestamp = (NOW.0 / 1_000).to_string();
        let message = standard_webhooks::Message { id: "msg_1", timestamp: &timestamp, body };
        if let Ok(signature) = standard_webhooks::sign(&key, &message) {
            let signed = [
                (standard_webhooks::ID_HEADER, "msg_1".to_owned()),
                (standard_webhooks::TIMESTAMP_HEADER, timestamp.clone()),
                (standard_webhooks::SIGNATURE_HEADER, signature),
            ]
            .map(|(name, value)| (name.to_owned(), value));
            let received = Received { headers: &signed, ..received };
            assert_eq!(standard_webhooks::verify(&[&key], &received, NOW), Ok(()));
        }
    }
    drop(diagnose(&Case {
        max_hashed_bytes: HASHED_BYTES,
        now: Some(NOW),
        ..Case::new(received, &[secret])
    }));
}

/// A raw request, a curl command or a HAR entry, as people paste it.
pub fn pasted_request(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match paste::parse(text) {
        Ok(pasted) => drop(serde_json::to_value(&pasted).expect("a request is JSON")),
        Err(error) => drop(error.to_string()),
    }
}

/// What an endpoint or a token endpoint answers: outputs are of their type and within their size.
pub fn response(bytes: &[u8]) {
    let mistakes = Mistakes::default();
    let declared: Vec<Output> = ["string", "number", "boolean", "json"]
        .into_iter()
        .flat_map(|kind| [("/a", kind), ("/a/0/b", kind), ("", kind)])
        .enumerate()
        .filter_map(|(at, (pointer, kind))| {
            let output = json!({"name": format!("o{at}"), "pointer": pointer, "type": kind});
            Output::read(Node::root(&output, &mistakes))
        })
        .collect();
    let picked = outputs::pick(&declared, bytes);
    let size: usize = picked.values.values().map(|value| value.to_string().len()).sum();
    assert!(size <= outputs::MAX_BYTES);
    let one: Map<String, Value> = picked.values;
    let all = BTreeMap::from([("a", one)]);
    let stored = serde_json::to_value(&all).expect("outputs are JSON");
    assert!(Outputs::parse(&stored).is_ok());
    for status in [200, 400, 401, 500] {
        drop(oauth2::read_answer(status, bytes, NOW));
    }
}

/// An action that is being edited, with its record: rendered as a page shows it.
pub fn preview(bytes: &[u8]) {
    let Ok(value) = json::parse(bytes) else { return };
    let Ok(draft) = Draft::parse(&value) else { return };
    if let Ok(preview) = draft.preview() {
        drop(serde_json::to_string(&preview).expect("a preview is JSON"));
    }
}

/// A secret in the first line, and a text to hide it in: nothing of it is left as it is.
pub fn mask(bytes: &[u8]) {
    let (first, rest) = split_line(bytes);
    let (Ok(value), Ok(text)) = (std::str::from_utf8(first), std::str::from_utf8(rest)) else { return };
    let Ok(secret) = Secret::new(value) else { return };
    let mask = Mask::new([&secret]);
    drop(mask.apply_to_cut(text));
    // Stars would stand beside the mask's own.
    if value.len() >= varde_core::secret::mask::MIN_BYTES && !value.contains('*') {
        let hidden = mask.apply(text);
        assert!(!hidden.contains(value), "{hidden}");
    }
}

fn split_line(bytes: &[u8]) -> (&[u8], &[u8]) {
    match bytes.iter().position(|&byte| byte == b'\n') {
        Some(at) => (&bytes[..at], &bytes[at + 1..]),
        None => (bytes, &[]),
    }
}
