//! Reads an action's retry policy and rate limit. The rules themselves are [`crate::schedule`]'s.

use core::ops::RangeInclusive;

use crate::json::Node;
use crate::rate::RateLimit;
use crate::schedule::{
    MAX_FACTOR, MAX_GAP_MS, MAX_JITTER, MAX_WINDOW_MS, MIN_FIRST_MS, RetryAfterUnit, RetryPolicy,
};
use crate::time::{DAY_MS, SECOND_MS};

/// Most statuses in `also_retry`: all of 4xx.
const MAX_STATUSES: usize = 100;

/// Most requests that a rate limit can allow; beyond it a limit limits nothing here.
const MAX_REQUESTS: u64 = 1_000_000;

/// The windows that a rate limit can count in: tokens are granted a second at a time, and nobody waits
/// longer than a day for the next.
const WINDOW_MS: RangeInclusive<u64> = SECOND_MS..=DAY_MS;

pub(super) fn read_rate_limit(node: Node<'_>) -> Option<RateLimit> {
    let fields = node.fields(&["requests", "per_ms"])?;
    let requests = fields.need("requests", |node| node.integer(1..=MAX_REQUESTS));
    let per_ms = fields.need("per_ms", |node| node.integer(WINDOW_MS));
    RateLimit::new(u32::try_from(requests?).ok()?, per_ms?)
}

/// Reads a retry policy, each field with its default.
pub fn read_retry(node: Node<'_>) -> Option<RetryPolicy> {
    let fields = node.fields(&[
        "first_ms",
        "factor",
        "max_ms",
        "max_age_ms",
        "jitter",
        "retry_after_unit",
        "also_retry",
    ])?;
    let default = RetryPolicy::default();
    let first_ms = fields.or("first_ms", default.first_ms, |node| node.integer(MIN_FIRST_MS..=MAX_GAP_MS));
    let factor = fields.or("factor", default.factor, |node| node.number(1.0..=MAX_FACTOR));
    let max_ms = fields.or("max_ms", default.max_ms, |node| {
        let max_ms = node.integer(MIN_FIRST_MS..=MAX_GAP_MS)?;
        match first_ms {
            Some(first_ms) if first_ms > max_ms => {
                node.mistake(format_args!(
                    "must be at least `first_ms`, which is {first_ms}; found {max_ms}"
                ));
                None
            }
            _ => Some(max_ms),
        }
    });
    let max_age_ms = fields.or("max_age_ms", default.max_age_ms, |node| node.integer(0..=MAX_WINDOW_MS));
    let jitter = fields.or("jitter", default.jitter, |node| node.number(0.0..=MAX_JITTER));
    let retry_after_unit = fields.or("retry_after_unit", default.retry_after_unit, |node| {
        node.word(&[("milliseconds", RetryAfterUnit::Milliseconds), ("seconds", RetryAfterUnit::Seconds)])
    });
    let also_retry = fields.or("also_retry", default.also_retry, |node| {
        let mut statuses = node.list(MAX_STATUSES, |item| u16::try_from(item.integer(400..=499)?).ok())?;
        statuses.sort_unstable();
        statuses.dedup();
        Some(statuses)
    });
    Some(RetryPolicy {
        first_ms: first_ms?,
        factor: factor?,
        max_ms: max_ms?,
        max_age_ms: max_age_ms?,
        jitter: jitter?,
        retry_after_unit: retry_after_unit?,
        also_retry: also_retry?,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::json::Mistakes;

    fn read<T>(value: &Value, read: impl FnOnce(Node<'_>) -> Option<T>) -> Result<T, Vec<String>> {
        let mistakes = Mistakes::default();
        let outcome = read(Node::root(value, &mistakes));
        mistakes.conclude(outcome).map_err(|list| list.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn each_field_has_its_default() {
        assert_eq!(read(&json!({}), read_retry), Ok(RetryPolicy::default()));
        let given = json!({"first_ms": 100, "factor": 1, "max_ms": 100, "max_age_ms": 0, "jitter": 0, "retry_after_unit": "seconds", "also_retry": [425, 408, 425]});
        assert_eq!(
            read(&given, read_retry),
            Ok(RetryPolicy {
                first_ms: 100,
                factor: 1.0,
                max_ms: 100,
                max_age_ms: 0,
                jitter: 0.0,
                retry_after_unit: RetryAfterUnit::Seconds,
                also_retry: vec![408, 425],
            })
        );
    }

    #[test]
    fn each_field_has_its_range() {
        for (field, bad, mistake) in [
            ("first_ms", json!(99), "expected a whole number from 100 to 28800000, found 99"),
            ("first_ms", json!(28_800_001), "expected a whole number from 100 to 28800000, found 28800001"),
            ("factor", json!(0.9), "expected a number from 1 to 10, found 0.9"),
            ("factor", json!(10.1), "expected a number from 1 to 10, found 10.1"),
            ("max_ms", json!(28_800_001), "expected a whole number from 100 to 28800000, found 28800001"),
            ("max_ms", json!(1_000), "must be at least `first_ms`, which is 60000; found 1000"),
            (
                "max_age_ms",
                json!(604_800_001),
                "expected a whole number from 0 to 604800000, found 604800001",
            ),
            ("jitter", json!(0.51), "expected a number from 0 to 0.5, found 0.51"),
            ("jitter", json!(-0.1), "expected a number from 0 to 0.5, found -0.1"),
            ("retry_after_unit", json!("minutes"), "expected `milliseconds` or `seconds`, found \"minutes\""),
            ("also_retry", json!(408), "expected an array, found a number"),
        ] {
            assert_eq!(read(&json!({field: bad}), read_retry), Err(vec![format!("/{field}: {mistake}")]));
        }
        assert_eq!(
            read(&json!({"also_retry": [500, 399, 499, 400]}), read_retry),
            Err(vec![
                "/also_retry/0: expected a whole number from 400 to 499, found 500".to_owned(),
                "/also_retry/1: expected a whole number from 400 to 499, found 399".to_owned(),
            ])
        );
        assert_eq!(read(&json!({"tries": 3}), read_retry).unwrap_err().len(), 1);
    }

    #[test]
    fn rate_limits_have_both_parts() {
        let limit = read(&json!({"requests": 20, "per_ms": 1000}), read_rate_limit).unwrap();
        assert_eq!((limit.requests(), limit.per_ms()), (20, 1_000));
        assert_eq!(serde_json::to_string(&limit).unwrap(), r#"{"requests":20,"per_ms":1000}"#);
        assert_eq!(
            read(&json!({"requests": 0, "per_ms": 999}), read_rate_limit),
            Err(vec![
                "/requests: expected a whole number from 1 to 1000000, found 0".to_owned(),
                "/per_ms: expected a whole number from 1000 to 86400000, found 999".to_owned(),
            ])
        );
        assert_eq!(
            read(&json!({"requests": 1}), read_rate_limit),
            Err(vec!["/per_ms: is required".to_owned()])
        );
    }
}
