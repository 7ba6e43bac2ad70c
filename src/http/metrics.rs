//! `GET /metrics`: Prometheus' text format. All numbers come from the outboxes' rows, so they survive
//! restarts; each outbox in use is one call, so a large deployment asks for one workflow at a time.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use futures_util::StreamExt as _;
use futures_util::stream;
use varde_core::slug::Slug;
use varde_core::time::UnixMs;

use crate::http::call::Call;
use crate::http::configuration::ask;
use crate::http::error::Problem;
use crate::http::response::Response;
use crate::outbox_do::ledger::{ActionMetrics, DURATION_BUCKETS_MS};
use crate::outbox_do::protocol::{Home, OutboxCall};
use crate::registry_do::protocol::{InUse, RegistryCall};
use crate::{ambient, log, outbox};

/// Outboxes that one scrape asks: an invocation may make 1,000 calls, on the free plan 50.
const MAX_OUTBOXES: usize = 500;

/// By workflow and action.
type Metrics = BTreeMap<(Slug, Slug), ActionMetrics>;

/// `GET /metrics?workflow=`.
pub async fn metrics(call: &mut Call) -> Result<Response, Problem> {
    call.known_query(&["workflow"])?;
    let workflow = call
        .query("workflow")
        .map(|id| id.parse::<Slug>().map_err(|_| Problem::not_found("workflow", &id)))
        .transpose()?;
    let message = RegistryCall::InUse { workflow, limit: MAX_OUTBOXES };
    let in_use: InUse = ask(call, &message).await?;
    let env = &call.env;
    let asked = in_use.homes.iter().map(|home| async move {
        let found: worker::Result<BTreeMap<Slug, ActionMetrics>> =
            outbox::call(env, &home.uid, home.shard, &OutboxCall::Metrics {}).await;
        (home, found)
    });
    let answers: Vec<_> = stream::iter(asked).buffer_unordered(outbox::AT_ONCE).collect().await;
    let mut metrics = Metrics::new();
    let mut scraped = 0;
    for (home, found) in answers {
        match found {
            Ok(actions) => {
                scraped += 1;
                add(&mut metrics, home, actions);
            }
            Err(error) => log::error_about("not_scraped", &home.object_name(), &error),
        }
    }
    let text = render(&metrics, scraped, in_use.total, ambient::now());
    Ok(Response::with_body("text/plain; version=0.0.4; charset=utf-8", text))
}

fn add(metrics: &mut Metrics, home: &Home, actions: BTreeMap<Slug, ActionMetrics>) {
    for (action, found) in actions {
        metrics.entry((home.workflow.clone(), action)).or_default().add(&found);
    }
}

/// One metric: its name, type, help, and what it shows of an action.
struct Family {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    samples: fn(&ActionMetrics, UnixMs) -> Vec<(&'static str, u64)>,
}

const FAMILIES: [Family; 6] = [
    Family {
        name: "varde_deliveries_accepted_total",
        kind: "counter",
        help: "Deliveries taken in.",
        samples: |metrics, _| vec![("", metrics.counts.accepted)],
    },
    Family {
        name: "varde_deliveries_ended_total",
        kind: "counter",
        help: "Deliveries by how they ended.",
        samples: |metrics, _| {
            vec![
                ("status=\"delivered\"", metrics.counts.delivered),
                ("status=\"rejected\"", metrics.counts.rejected),
                ("status=\"exhausted\"", metrics.counts.exhausted),
                ("status=\"canceled\"", metrics.counts.canceled),
            ]
        },
    },
    Family {
        name: "varde_deliveries_open",
        kind: "gauge",
        help: "Deliveries that haven't ended.",
        samples: |metrics, _| vec![("", metrics.counts.open)],
    },
    Family {
        name: "varde_attempts_total",
        kind: "counter",
        help: "Attempts by what they met.",
        samples: |metrics, _| {
            vec![
                ("outcome=\"response\"", metrics.outcomes.response),
                ("outcome=\"timeout\"", metrics.outcomes.timeout),
                ("outcome=\"connect\"", metrics.outcomes.connect),
                ("outcome=\"lost\"", metrics.outcomes.lost),
                ("outcome=\"blocked\"", metrics.outcomes.blocked),
                ("outcome=\"token\"", metrics.outcomes.token),
            ]
        },
    },
    Family {
        name: "varde_queue_age_seconds",
        kind: "gauge",
        help: "How long the longest waiting delivery has been due.",
        samples: |metrics, now| vec![("", metrics.oldest_due.map_or(0, |due| now.since_ms(due) / 1_000))],
    },
    Family {
        name: "varde_breaker_open",
        kind: "gauge",
        help: "Shards in which the action's circuit breaker is open.",
        samples: |metrics, _| vec![("", metrics.open_breakers)],
    },
];

fn render(metrics: &Metrics, scraped: usize, total: u64, now: UnixMs) -> String {
    let mut text = String::new();
    for family in &FAMILIES {
        head(&mut text, family.name, family.kind, family.help);
        for ((workflow, action), found) in metrics {
            for (label, value) in (family.samples)(found, now) {
                let label = if label.is_empty() { String::new() } else { format!(",{label}") };
                line(
                    &mut text,
                    family.name,
                    &format!("workflow=\"{workflow}\",action=\"{action}\"{label}"),
                    value,
                );
            }
        }
    }
    durations(&mut text, metrics);
    head(&mut text, "varde_outboxes", "gauge", "Outboxes in use.");
    let _ = writeln!(text, "varde_outboxes {total}");
    head(&mut text, "varde_outboxes_scraped", "gauge", "Outboxes that these numbers come from.");
    let _ = writeln!(text, "varde_outboxes_scraped {scraped}");
    text
}

fn durations(text: &mut String, metrics: &Metrics) {
    const NAME: &str = "varde_attempt_duration_seconds";
    head(text, NAME, "histogram", "How long attempts took.");
    for ((workflow, action), found) in metrics {
        let labels = format!("workflow=\"{workflow}\",action=\"{action}\"");
        let mut below = 0;
        for (end_ms, count) in DURATION_BUCKETS_MS.iter().zip(found.outcomes.durations) {
            below += count;
            let end = *end_ms as f64 / 1_000.0;
            line(text, &format!("{NAME}_bucket"), &format!("{labels},le=\"{end}\""), below);
        }
        let total = found.outcomes.total();
        line(text, &format!("{NAME}_bucket"), &format!("{labels},le=\"+Inf\""), total);
        let seconds = found.outcomes.duration_ms as f64 / 1_000.0;
        let _ = writeln!(text, "{NAME}_sum{{{labels}}} {seconds}");
        line(text, &format!("{NAME}_count"), &labels, total);
    }
}

fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

/// Slugs need no escapes.
fn line(text: &mut String, name: &str, labels: &str, value: u64) {
    let _ = writeln!(text, "{name}{{{labels}}} {value}");
}

#[cfg(test)]
mod tests {
    use varde_core::outcome::Outcome;

    use super::*;
    use crate::outbox_do::ledger::{Counts, Outcomes};

    #[test]
    fn text_format_unchanged() {
        let mut outcomes = Outcomes::default();
        outcomes.count(&Outcome::Timeout, 28_000);
        outcomes.count(&Outcome::Response { status: 200, retry_after: None }, 80);
        let counts = Counts { accepted: 3, delivered: 1, open: 2, ..Counts::default() };
        let found = ActionMetrics { counts, outcomes, oldest_due: Some(UnixMs(4_000)), open_breakers: 1 };
        let key = ("ship".parse().unwrap(), "tell".parse().unwrap());
        let text = render(&[(key, found)].into(), 1, 2, UnixMs(9_500));
        for expected in [
            "# TYPE varde_deliveries_accepted_total counter",
            "varde_deliveries_accepted_total{workflow=\"ship\",action=\"tell\"} 3",
            "varde_deliveries_ended_total{workflow=\"ship\",action=\"tell\",status=\"delivered\"} 1",
            "varde_attempts_total{workflow=\"ship\",action=\"tell\",outcome=\"timeout\"} 1",
            "varde_queue_age_seconds{workflow=\"ship\",action=\"tell\"} 5",
            "varde_breaker_open{workflow=\"ship\",action=\"tell\"} 1",
            "varde_attempt_duration_seconds_bucket{workflow=\"ship\",action=\"tell\",le=\"0.05\"} 0",
            "varde_attempt_duration_seconds_bucket{workflow=\"ship\",action=\"tell\",le=\"0.1\"} 1",
            "varde_attempt_duration_seconds_bucket{workflow=\"ship\",action=\"tell\",le=\"+Inf\"} 2",
            "varde_attempt_duration_seconds_sum{workflow=\"ship\",action=\"tell\"} 28.08",
            "varde_attempt_duration_seconds_count{workflow=\"ship\",action=\"tell\"} 2",
            "varde_outboxes 2",
            "varde_outboxes_scraped 1",
        ] {
            assert!(text.lines().any(|line| line == expected), "{expected}\n{text}");
        }
    }
}
