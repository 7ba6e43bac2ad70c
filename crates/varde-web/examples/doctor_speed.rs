//! How long the doctor takes: `cargo run --release -p varde-web --example doctor_speed`.
//!
//! It is given a secret that explains nothing, so that it searches to its bound.
#![expect(clippy::unwrap_used, reason = "a measurement that can't start has nothing to say")]

use std::time::Instant;

use serde_json::json;
use varde_core::signature::doctor::Question;

fn main() {
    for bytes in [1_000, 10_000, 100_000, 1_000_000] {
        for (scheme, header, signature) in [
            ("hubspot_v3", "x-hubspot-signature-v3", "K36dawei4A+QBNolUOqo7s91KQDWQ5MXZ/QufNYuk/Y="),
            ("standard_webhooks", "webhook-signature", "v1,K36dawei4A+QBNolUOqo7s91KQDWQ5MXZ/QufNYuk/Y="),
        ] {
            let line = json!({"name": "Jørgen", "email": "jane@example.com", "amount": 12.5, "tags": ["a/b", "<c>"]});
            let lines = vec![line.clone(); bytes / line.to_string().len() + 1];
            let question = json!({
                "method": "POST", "url": "https://hooks.example/in/a?b=1%202&a=x%40y",
                "body": serde_json::to_string(&lines).unwrap(),
                "headers": [
                    [header, signature], ["x-hubspot-request-timestamp", "1767323045678"],
                    ["webhook-timestamp", "1767323045"], ["webhook-id", "msg_1"],
                ],
                "secrets": ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"], "now": 1_767_323_046_000_u64,
            });
            let question = Question::parse(&question).unwrap();
            let mut times: Vec<_> = (0..9)
                .map(|_| {
                    let started = Instant::now();
                    let diagnosis = question.diagnose();
                    (started.elapsed(), diagnosis.search)
                })
                .collect();
            times.sort_by_key(|(time, _)| *time);
            let (median, search) = times[4];
            println!("{bytes:>9} bytes, {scheme}: {median:.1?}, {search:?}");
        }
    }
}
