//! What the API shows of the rows: lists, look-ups, stats.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value, json};
use varde_core::delivery::State;
use varde_core::ids::{DeliveryId, EnrollmentId, ReplayId};
use varde_core::json;
use varde_core::outcome::Verdict;
use varde_core::request::Request;
use varde_core::slug::Slug;
use varde_core::time::UnixMs;
use varde_core::unreadable::Unreadable;
use worker::Result;

use super::Outbox;
use super::ledger::{ActionMetrics, Lane, Stats};
use super::protocol::{Page, Query};
use super::store::{AttemptLog, DeliveryRow, EnrollmentRow, Finale, IS_FIRST};
use crate::database::number;

/// Rows that one list call walks at most, so a page may be empty and still carry a cursor.
const WALK_LIMIT: usize = 1_000;
/// Rows that one statement of the walk reads.
const WALK_STEP: usize = 100;

/// What ids of deliveries begin with; those of enrollments are as long.
const PREFIX: &str = "dlv_";

/// A delivery in the API.
#[derive(Debug, Serialize)]
struct DeliveryView {
    id: DeliveryId,
    enrollment: EnrollmentId,
    workflow: String,
    action: String,
    record: String,
    status: &'static str,
    attempt: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_due: Option<UnixMs>,
    created_at: UnixMs,
    #[serde(skip_serializing_if = "Option::is_none")]
    settled_at: Option<UnixMs>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replay_of: Option<DeliveryId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replay: Option<ReplayId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replayed_by: Option<DeliveryId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<Vec<AttemptView>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outputs_note: Option<String>,
}

/// An attempt in the API.
#[derive(Debug, Serialize)]
struct AttemptView {
    number: u32,
    started_at: UnixMs,
    duration_ms: u64,
    #[serde(flatten)]
    outcome: Map<String, Value>,
    verdict: Verdict,
    #[serde(skip_serializing_if = "Option::is_none")]
    response: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_due: Option<UnixMs>,
}

impl Outbox {
    /// One page of deliveries.
    pub(super) fn deliveries(&self, query: &Query) -> Result<Page> {
        self.walk("id", "TRUE", query, |id| {
            // One without a name can't be shown; the log tells of it.
            let Ok(id) = id.parse() else { return Ok(None) };
            let Some(row) = self.database()?.shown_delivery(id)? else { return Ok(None) };
            let wanted = matches(query.status.as_ref(), self.shown_status(&row))
                && matches(query.action.as_ref(), &row.action)
                && matches(query.record.as_ref(), &row.record)
                && in_span(query, row.created_at)
                && (query.replay.is_none() || query.replay == bulk_of(&row));
            if wanted { Ok(Some(to_raw_value(&self.delivery_summary(&row)?)?)) } else { Ok(None) }
        })
    }

    /// One page of enrollments, each with its record and event.
    pub(super) fn enrollments(&self, query: &Query) -> Result<Page> {
        self.walk("enrollment", IS_FIRST, query, |id| {
            let Ok(id) = id.parse() else { return Ok(None) };
            let Some(row) = self.database()?.enrollment(id)? else { return Ok(None) };
            if !matches(query.record.as_ref(), &row.record) || !in_span(query, row.created_at) {
                return Ok(None);
            }
            let view = self.enrollment_value(&row)?;
            if matches(query.status.as_ref(), view["status"].as_str().unwrap_or_default()) {
                return Ok(Some(to_raw_value(&view)?));
            }
            Ok(None)
        })
    }

    /// One delivery with its request and attempts.
    pub(super) fn delivery_view(&self, id: DeliveryId) -> Result<Option<Value>> {
        let database = self.database()?;
        let Some(row) = database.shown_delivery(id)? else { return Ok(None) };
        let mut view = self.delivery_summary(&row)?;
        let sendable = |text: &String| Unreadable::Request.unless::<Request>(text).is_ok();
        let request = database.request(id)?.filter(sendable);
        view.request = request.map(|text| json::from_text(&text)).transpose()?.map(with_header_object);
        let mut attempts: Vec<AttemptView> =
            database.attempts(id)?.into_iter().map(attempt_view).collect::<Result<_>>()?;
        let finale = self.end_of(id)?;
        if let Some(outputs) = finale.as_ref().and_then(|finale| finale.outputs.as_ref()) {
            let outputs: Value = json::from_text(outputs.get())?;
            view.outputs_note = outputs["note"].as_str().map(str::to_owned);
        }
        if let Some(last) = finale.and_then(|finale| finale.attempt) {
            // A delivery that arrived by a late settle has an attempt of that number in the log already.
            attempts.retain(|attempt| attempt.number != last.end.number);
            attempts.push(attempt_view(last)?);
        }
        view.attempts = Some(attempts);
        Ok(Some(serde_json::to_value(view)?))
    }

    /// One enrollment with its deliveries.
    pub(super) fn enrollment_view(&self, id: EnrollmentId) -> Result<Option<Value>> {
        self.database()?.enrollment(id)?.map(|row| self.enrollment_value(&row)).transpose()
    }

    /// The accounting of this outbox.
    pub(super) fn stats(&self) -> Result<Stats> {
        let actions: Vec<_> = self.memory.borrow().ledger.accounts.keys().cloned().collect();
        let mut oldest = None;
        for action in &actions {
            for lane in [Lane::Scheduled, Lane::Held, Lane::Blocked] {
                let due = self.database()?.first_waking(lane, action)?;
                oldest = [oldest, due].into_iter().flatten().min();
            }
        }
        let memory = self.memory.borrow();
        let mut stats = memory.ledger.stats(&memory.controls, oldest);
        for (action, counts) in &mut stats.actions {
            if let Some(reason) = memory.pause_reason(action) {
                "paused".clone_into(&mut counts.state);
                counts.reason = Some(reason.to_owned());
            }
        }
        Ok(stats)
    }

    /// The numbers for monitoring.
    pub(super) fn metrics(&self) -> Result<BTreeMap<Slug, ActionMetrics>> {
        let mut metrics = self.memory.borrow().ledger.metrics();
        for (action, found) in &mut metrics {
            found.oldest_due = self.database()?.first_waking(Lane::Scheduled, action)?;
        }
        Ok(metrics)
    }

    /// Walks the deliveries that are `wanted` downwards by their ids, until the page is full or enough of them were
    /// looked at. What they are named by in the page is in the column `name`.
    fn walk(
        &self,
        name: &str,
        wanted: &str,
        query: &Query,
        pick: impl Fn(&str) -> Result<Option<Box<RawValue>>>,
    ) -> Result<Page> {
        // `~` sorts after every character of an id.
        let before = query.before.as_deref().and_then(|name| name.get(PREFIX.len()..)).unwrap_or("~");
        let mut below = format!("{PREFIX}{before}");
        let mut scanned_to = None;
        let mut items = Vec::new();
        let sql =
            format!("SELECT id, {name} FROM deliveries WHERE id < ? AND {wanted} ORDER BY id DESC LIMIT ?");
        for _ in 0..WALK_LIMIT / WALK_STEP {
            let rows =
                self.database()?.rows(&sql, vec![Value::from(below.as_str()), number(WALK_STEP as u64)])?;
            let last_step = rows.len() < WALK_STEP;
            for mut row in rows {
                below = row.text()?;
                let name = row.text()?;
                scanned_to = Some(name.clone());
                if let Some(item) = pick(&name)? {
                    items.push((name, item));
                    if items.len() == query.limit {
                        return Ok(Page { items, scanned_to });
                    }
                }
            }
            if last_step {
                return Ok(Page { items, scanned_to: None });
            }
        }
        Ok(Page { items, scanned_to })
    }

    fn delivery_summary(&self, row: &DeliveryRow) -> Result<DeliveryView> {
        let state = &row.delivery.state;
        let status = self.shown_status(row);
        let breaker = self.memory.borrow_mut().ledger.account(&row.action).totals.breaker;
        let waits = match *state {
            State::Scheduled { due, .. } if status == "scheduled" => Some(due),
            _ => None,
        };
        let reason = if row.unreadable.is_some() || row.set_aside {
            Some(self.why_aside(row)?)
        } else if status == "held" {
            self.memory.borrow().pause_reason(&row.action).map(str::to_owned)
        } else if waits.is_some() && breaker.open().is_some() {
            Some("breaker_open".to_owned())
        } else {
            state.reason().map(str::to_owned)
        };
        let next_due = waits.map(|due| breaker.next_at(due));
        Ok(DeliveryView {
            id: row.id,
            enrollment: row.enrollment,
            workflow: self
                .memory
                .borrow()
                .home
                .as_ref()
                .map(|home| home.workflow.to_string())
                .unwrap_or_default(),
            action: row.action.to_string(),
            record: row.record.clone(),
            status,
            attempt: state.attempt(),
            next_due,
            created_at: row.created_at,
            settled_at: self.end_of(row.id)?.map(|finale| finale.settled_at),
            reason,
            replay_of: row.replay.map(|replay| replay.delivery),
            replay: row.replay.and_then(|replay| replay.bulk),
            replayed_by: row.replayed_by,
            request: None,
            attempts: None,
            outputs_note: None,
        })
    }

    /// A delivery of a paused action shows as held, also in the moment before its row says so.
    fn shown_status(&self, row: &DeliveryRow) -> &'static str {
        let paused = self.memory.borrow().pause_reason(&row.action).is_some();
        match row.delivery.state {
            _ if row.set_aside => "held",
            State::Scheduled { .. } if paused => "held",
            ref state => state.status(),
        }
    }

    /// How a delivery ended, as far as that can be read.
    fn end_of(&self, id: DeliveryId) -> Result<Option<Finale>> {
        Ok(self.database()?.finale(id)?.and_then(std::result::Result::ok))
    }

    /// Why a delivery was set aside, or will be.
    fn why_aside(&self, row: &DeliveryRow) -> Result<String> {
        let why = match row.unreadable {
            Some(why) => why,
            None => self.database()?.sendable(row.id)?.err().unwrap_or(Unreadable::Row),
        };
        Ok(why.code().to_owned())
    }

    fn deliveries_of(&self, ids: impl Iterator<Item = DeliveryId>) -> Result<Vec<DeliveryRow>> {
        let shown = |id| self.database().and_then(|database| database.shown_delivery(id));
        ids.filter_map(|id| shown(id).transpose()).collect()
    }

    fn enrollment_value(&self, row: &EnrollmentRow) -> Result<Value> {
        let deliveries = self.deliveries_of(row.delivery_ids())?;
        let replays = self.deliveries_of(row.course.replays.iter().copied())?;
        let status = status_of(row, &deliveries);
        let mut views: Vec<DeliveryView> =
            deliveries.iter().map(|delivery| self.delivery_summary(delivery)).collect::<Result<_>>()?;
        let ended_at =
            if status == "running" { None } else { views.iter().filter_map(|view| view.settled_at).max() };
        for replay in &replays {
            views.push(self.delivery_summary(replay)?);
        }
        let (outputs, unreadable_outputs) = self.outputs_of(row)?;
        let outputs: Value = json::from_text(outputs.get())?;
        let input = Unreadable::Enrollment.unless::<Value>(&row.input);
        let aside = row.is_set_aside().then(|| {
            let why = row.unreadable.or(unreadable_outputs).unwrap_or(Unreadable::Enrollment);
            why.code()
        });
        let input = input.unwrap_or_else(|_| json!({"record": {"id": row.record, "properties": {}}}));
        let mut view = json!({
            "id": row.id,
            "workflow": views.first().map(|view| view.workflow.clone()),
            "status": status,
            "record": input["record"],
            "outputs": outputs,
            "deliveries": views,
            "created_at": row.created_at,
        });
        if let Some(event) = input.get("event").filter(|event| !event.is_null()) {
            view["event"] = event.clone();
        }
        if let Some(reason) = aside.or(row.course.reason.as_deref()) {
            view["reason"] = json!(reason);
        }
        if let Some(ended_at) = ended_at {
            view["ended_at"] = json!(ended_at);
        }
        Ok(view)
    }
}

/// Told by its course where that says something, else by its deliveries.
fn status_of<'a>(row: &'a EnrollmentRow, deliveries: &[DeliveryRow]) -> &'a str {
    if let Some(ended) = &row.course.ended {
        return ended;
    }
    let running =
        row.next_due.is_some() || deliveries.iter().any(|delivery| delivery.delivery.state.is_open());
    if running { "running" } else { "completed" }
}

fn attempt_view(log: AttemptLog) -> Result<AttemptView> {
    let mut outcome = match serde_json::to_value(log.end.outcome)? {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    outcome.remove("retry_after");
    Ok(AttemptView {
        number: log.end.number,
        started_at: log.end.started_at,
        duration_ms: log.end.duration_ms,
        outcome,
        verdict: log.end.verdict,
        response: log.response,
        next_due: log.end.next_due,
    })
}

/// The stored list of headers as the API's object.
fn with_header_object(mut request: Value) -> Value {
    if let Value::Array(pairs) = request["headers"].take() {
        let object: Map<String, Value> = pairs
            .into_iter()
            .filter_map(|mut pair| Some((pair[0].as_str()?.to_owned(), pair[1].take())))
            .collect();
        request["headers"] = Value::Object(object);
    }
    request
}

fn matches(wanted: Option<&String>, found: &str) -> bool {
    wanted.is_none_or(|wanted| wanted == found)
}

fn bulk_of(row: &DeliveryRow) -> Option<String> {
    Some(row.replay?.bulk?.to_string())
}

fn in_span(query: &Query, at: UnixMs) -> bool {
    query.since.is_none_or(|since| at.0 >= since) && query.until.is_none_or(|until| at.0 < until)
}
