//! Lists over all shards of a workflow: one page, newest first, and where the next one begins.

use serde_json::value::RawValue;
use varde_core::ids::{DeliveryId, EnrollmentId};

use crate::directory;
use crate::http::call::Call;
use crate::http::error::Problem;
use crate::http::response::Response;
use crate::outbox;
use crate::outbox_do::protocol::{OutboxCall, Page, Query};

/// Items on a page when the caller doesn't say.
const DEFAULT_LIMIT: usize = 50;

/// Answers a list call; `known` are its query parameters.
pub async fn list(call: &mut Call, id: &str, known: &[&str], kind: &Kind) -> Result<Response, Problem> {
    call.known_query(known)?;
    let query = query_of(call, kind)?;
    let view = directory::workflow_by_id(&call.env, &call.config, id).await?;
    let shards = 0..view.workflow.shards();
    let limit = query.limit;
    let message = (kind.look_up)(query);
    let pages: Vec<Page> = outbox::call_all(&call.env, &view.uid, shards, &message).await?;
    let (items, next_cursor) = merge(pages, limit);
    let body = serde_json::json!({"items": items, "next_cursor": next_cursor});
    Ok(Response::from_json(&body)?)
}

fn query_of(call: &Call, kind: &Kind) -> Result<Query, Problem> {
    let number = |name: &str| match call.query(name) {
        None => Ok(None),
        Some(text) => text.parse::<u64>().map(Some).map_err(|_| {
            Problem::unprocessable(
                "invalid_parameter",
                format!("`{name}` must be a whole number, found `{text}`"),
            )
        }),
    };
    let limit = call.limit(DEFAULT_LIMIT)?;
    let status = call.query("status");
    if let Some(unknown) = status.as_deref().filter(|status| !kind.statuses.contains(status)) {
        let detail = format!("`status` must be one of {}, found `{unknown}`", kind.statuses.join(", "));
        return Err(Problem::unprocessable("invalid_parameter", detail));
    }
    let before = call.query("cursor");
    // A cursor is the last id that was shown; anything else would silently show everything, or nothing.
    if before.as_deref().is_some_and(|cursor| !(kind.is_id)(cursor)) {
        let detail = "`cursor` must be a `next_cursor` of this list";
        return Err(Problem::unprocessable("invalid_parameter", detail));
    }
    Ok(Query {
        before,
        limit,
        status,
        action: call.query("action"),
        record: call.query("record"),
        replay: call.query("replay"),
        since: number("since")?,
        until: number("until")?,
    })
}

/// What is listed.
pub struct Kind {
    look_up: fn(Query) -> OutboxCall,
    is_id: fn(&str) -> bool,
    statuses: &'static [&'static str],
}

/// Deliveries.
pub const DELIVERIES: Kind = Kind {
    look_up: OutboxCall::Deliveries,
    is_id: |text| text.parse::<DeliveryId>().is_ok(),
    statuses: &["scheduled", "in_flight", "held", "delivered", "rejected", "exhausted", "canceled"],
};

/// Enrollments.
pub const ENROLLMENTS: Kind = Kind {
    look_up: OutboxCall::Enrollments,
    is_id: |text| text.parse::<EnrollmentId>().is_ok(),
    statuses: &["running", "completed", "failed", "canceled"],
};

/// One page out of one of each shard. Ids below the highest point that some shard stopped at haven't been
/// looked at everywhere yet, so the page ends there.
fn merge(pages: Vec<Page>, limit: usize) -> (Vec<Box<RawValue>>, Option<String>) {
    let stop = pages.iter().filter_map(|page| page.scanned_to.clone()).max();
    let mut found: Vec<(String, Box<RawValue>)> = pages.into_iter().flat_map(|page| page.items).collect();
    found.sort_by(|(one, _), (other, _)| other.cmp(one));
    if let Some(stop) = &stop {
        found.retain(|(id, _)| id >= stop);
    }
    let cut = found.len() > limit;
    found.truncate(limit);
    let cursor = if cut { found.last().map(|(id, _)| id.clone()) } else { stop };
    (found.into_iter().map(|(_, item)| item).collect(), cursor)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(ids: &[&str], scanned_to: Option<&str>) -> Page {
        let item = |id: &&str| ((*id).to_owned(), RawValue::from_string(format!("\"{id}\"")).unwrap());
        Page { items: ids.iter().map(item).collect(), scanned_to: scanned_to.map(str::to_owned) }
    }

    fn merged(pages: Vec<Page>, limit: usize) -> (Vec<String>, Option<String>) {
        let (items, cursor) = merge(pages, limit);
        (items.iter().map(|item| item.get().trim_matches('"').to_owned()).collect(), cursor)
    }

    #[test]
    fn newest_first_over_all_shards() {
        let pages = vec![page(&["f", "c", "a"], None), page(&["e", "d", "b"], None)];
        assert_eq!(merged(pages, 10), (["f", "e", "d", "c", "b", "a"].map(str::to_owned).into(), None));
    }

    #[test]
    fn a_full_page_ends_at_its_last_item() {
        let pages = vec![page(&["f", "c"], Some("c")), page(&["e", "d"], Some("d"))];
        assert_eq!(merged(pages, 2), (["f", "e"].map(str::to_owned).into(), Some("e".to_owned())));
    }

    #[test]
    fn nothing_below_an_unfinished_walk_is_shown() {
        let pages = vec![page(&["f", "a"], None), page(&["e"], Some("d"))];
        assert_eq!(merged(pages, 10), (["f", "e"].map(str::to_owned).into(), Some("d".to_owned())));
        let pages = vec![page(&[], Some("d")), page(&["b"], None)];
        assert_eq!(merged(pages, 10), (vec![], Some("d".to_owned())), "empty, and it goes on");
    }

    #[test]
    fn pages_together_show_everything_once() {
        // 60 ids over 3 shards, walked with a limit of 7.
        let all: Vec<String> = (0..60).map(|n| format!("{n:02}")).collect();
        let mut cursor = "~".to_owned();
        let mut seen = Vec::new();
        loop {
            let pages = (0..3).map(|shard| {
                let below: Vec<&str> = all
                    .iter()
                    .rev()
                    .map(String::as_str)
                    .filter(|id| *id < cursor.as_str() && id.parse::<usize>().unwrap() % 3 == shard)
                    .collect();
                let shown = &below[..below.len().min(7)];
                page(shown, (shown.len() == 7).then(|| shown[6]))
            });
            let (items, next) = merged(pages.collect(), 7);
            seen.extend(items);
            match next {
                Some(next) => cursor = next,
                None => break,
            }
        }
        seen.reverse();
        assert_eq!(seen, all);
    }
}
