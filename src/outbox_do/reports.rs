//! Operational events: noted in the commit that makes them, handed to senders by the alarm, forgotten once
//! the workflow `operations` has them, or isn't there.

use varde_core::breaker::Turn;
use varde_core::delivery::{AttemptEnd, State};
use varde_core::ids::EnrollmentId;
use varde_core::operations::{self, Happening};
use varde_core::slug::Slug;
use varde_core::time::{SECOND_MS, UnixMs};
use worker::Result;

use super::Outbox;
use super::protocol::{Report, Work};
use super::store::DeliveryRow;
use crate::{ambient, log};

/// How long a sender has to bring a report before another one is asked.
const REPORT_MS: u64 = 35 * SECOND_MS;
/// Reports that one alarm hands over.
const REPORTS_PER_ALARM: u64 = 24;

impl Outbox {
    /// An attempt has ended: it is counted, and the breaker hears of it.
    pub(super) fn attempted(&self, row: &DeliveryRow, end: &AttemptEnd, now: UnixMs) -> Result<()> {
        let action = &row.action;
        let (turn, failing) = {
            let mut memory = self.memory.borrow_mut();
            memory.ledger.attempted(action, end);
            let breaker = &mut memory.ledger.account(action).totals.breaker;
            let turn = breaker.attempted(&end.outcome, end.verdict, end.started_at, now, ambient::fraction());
            (turn, breaker.failing(end.verdict, row.terms.retry.max_age_ms, now))
        };
        match turn {
            Some(Turn::Opened) => self.report(&Happening::BreakerOpen, action, now)?,
            Some(Turn::Closed) => self.report(&Happening::ActionRecovering, action, now)?,
            None => {}
        }
        if failing { self.report(&Happening::ActionFailing, action, now) } else { Ok(()) }
    }

    /// A delivery has ended: people hear of it when its window is used up.
    pub(super) fn report_end(&self, row: &DeliveryRow, now: UnixMs) -> Result<()> {
        let State::Exhausted { reason, .. } = &row.delivery.state else { return Ok(()) };
        let (delivery, record) = (row.id.to_string(), row.record.as_str());
        let happening = Happening::DeliveryExhausted { delivery: &delivery, record, reason };
        self.report(&happening, &row.action, now)
    }

    /// Notes something that people should hear about.
    pub(super) fn report(&self, happening: &Happening<'_>, action: &Slug, now: UnixMs) -> Result<()> {
        let workflow = self.memory.borrow().home.as_ref().map(|home| home.workflow.clone());
        let Some(workflow) = workflow.filter(|workflow| **workflow != *operations::WORKFLOW) else {
            return Ok(());
        };
        // The sender puts it into the shard that its record belongs to.
        let id = EnrollmentId::mint(now, 0, ambient::dice());
        let input = happening.input(&workflow, action, now).to_string();
        self.database()?.insert_report(id, &input, now)?;
        self.memory.borrow_mut().reporting = true;
        Ok(())
    }

    /// Reports that are due, as work for senders; looked at again if it doesn't come back.
    pub(super) fn reports_due(&self, now: UnixMs) -> Result<Vec<Work>> {
        let mut work = Vec::new();
        if !self.memory.borrow().reporting {
            return Ok(work);
        }
        for (id, input) in self.database()?.reports_due(now, REPORTS_PER_ALARM)? {
            match serde_json::value::RawValue::from_string(input) {
                Ok(input) => {
                    self.database()?.postpone_report(id, now.plus_ms(REPORT_MS))?;
                    work.push(Work::Report(Report { id, input }));
                }
                Err(error) => {
                    log::error_about("report_unreadable", &id.to_string(), &error);
                    self.database()?.delete_report(id)?;
                }
            }
        }
        Ok(work)
    }

    /// When the next report is due.
    pub(super) fn next_report(&self) -> Result<Option<UnixMs>> {
        if !self.memory.borrow().reporting {
            return Ok(None);
        }
        let next = self.database()?.first_report()?;
        self.memory.borrow_mut().reporting = next.is_some();
        Ok(next)
    }
}
