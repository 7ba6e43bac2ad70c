//! Taking enrollments in: one insert of each, leases for the first few, one commit.

use futures_util::FutureExt as _;
use varde_core::auth::Auth;
use varde_core::delivery::{Circumstances, Delivery, Event, LEASE_GRACE_MS};
use varde_core::ids::{DeliveryId, EnrollmentId};
use varde_core::replay::ReplayOf;
use varde_core::schedule::RetryPolicy;
use varde_core::time::{DAY_MS, UnixMs};
use worker::Result;

use super::protocol::{Accepted, Home, NewEnrollment, Plan, Planned, Terms, Ticket};
use super::store::{After, DeliveryRow, Finale};
use super::{OPEN_LIMIT, Outbox};
use crate::registry;

/// How long an idempotency key is remembered.
const IDEMPOTENCY_MS: u64 = DAY_MS;

/// Whose delivery is created.
pub(super) struct Owner<'a> {
    pub enrollment: EnrollmentId,
    pub record: &'a str,
}

impl Outbox {
    /// Stores one enrollment with its first delivery: its result, and what was created.
    pub(super) fn accept_one(
        &self,
        new: &NewEnrollment,
        lease: bool,
        now: UnixMs,
    ) -> Result<(Accepted, Option<Created>)> {
        let database = self.database()?;
        let id = new.id;
        if let Some(used) = &new.idempotency
            && let Some((earlier, body_hash)) = database.idempotency(&used.key, now)?
        {
            return if body_hash == used.body_hash {
                Ok((Accepted::Enrolled { id: earlier }, None))
            } else {
                Ok((Accepted::KeyReused { id: earlier }, None))
            };
        }
        {
            let memory = self.memory.borrow();
            if memory.controls.closed {
                return Ok((Accepted::Closed, None));
            }
            if memory.ledger.open() >= OPEN_LIMIT {
                return Ok((Accepted::Full, None));
            }
        }
        let owner = Owner { enrollment: id, record: &new.record };
        let action = new.first.action.clone();
        let creation = Creation { planned: &new.first, input: Some(new.input.get()), replay: None, lease };
        let Some(created) = self.create_delivery(id.first_delivery(), &owner, &creation, now)? else {
            return Ok((Accepted::Enrolled { id }, None));
        };
        if let Some(used) = &new.idempotency {
            database.insert_idempotency(used, id, now.plus_ms(IDEMPOTENCY_MS))?;
        }
        if created.ended {
            self.ended(id, After { action, delivered: false, ordered: false }, now)?;
        }
        Ok((Accepted::Enrolled { id }, Some(created)))
    }

    /// Inserts a delivery that is due now: leased at once if the caller wants that and cap and rate allow it,
    /// held if its action is paused, blocked if it has to wait for its turn, rejected if there is nothing to
    /// send. `None` when it is there already.
    pub(super) fn create_delivery(
        &self,
        id: DeliveryId,
        owner: &Owner<'_>,
        creation: &Creation<'_>,
        now: UnixMs,
    ) -> Result<Option<Created>> {
        let &Creation { planned: &Planned { ref action, ref plan, ordered }, input, replay, lease } =
            creation;
        let (terms, request, unsendable) = match plan {
            Plan::Send { terms, request } => (terms.clone(), request.get(), None),
            Plan::Unsendable { reason } => (no_terms(), "null", Some(reason)),
        };
        let at = Circumstances { now, dice: 0.0, policy: &terms.retry };
        let fresh = Delivery::scheduled(now);
        let blocked = ordered && self.database()?.has_line(action, owner.record)?;
        let place = (ordered && unsendable.is_none()).then(|| self.next_place(now));
        let paused = self.memory.borrow().pause_reason(action).is_some();
        let may_lease = lease && !paused && !self.at_cap(action, now) && self.slots(action, now)? > 0;
        let event = match &unsendable {
            Some(reason) => Some(Event::Unsendable { reason }),
            None if blocked => Some(Event::Block),
            None if paused => Some(Event::Hold),
            None if may_lease => Some(Event::Lease { lease_ms: terms.timeout_ms + LEASE_GRACE_MS }),
            None => None,
        };
        let delivery = match &event {
            Some(event) => {
                fresh.step(event, at).map_err(|refused| worker::Error::from(refused.to_string()))?.delivery
            }
            None => fresh,
        };
        let ended = !delivery.state.is_open();
        let ticket = matches!(event, Some(Event::Lease { .. })).then(|| ticket(id, &delivery, &terms));
        let wakes_at = if ended { now } else { delivery.state.wakes_at().unwrap_or(UnixMs(u64::MAX)) };
        let record = owner.record.to_owned();
        let row = DeliveryRow {
            id,
            enrollment: owner.enrollment,
            action: action.clone(),
            record,
            created_at: now,
            delivery,
            terms,
            place,
            replay,
            replayed_by: None,
            set_aside: false,
            unreadable: None,
        };
        let finale = ended.then_some(Finale { settled_at: now, attempt: None, outputs: None });
        if !self.database()?.insert_delivery(&row, request, input, finale.as_ref())? {
            return Ok(None);
        }
        if ticket.is_some() {
            self.use_slot(action);
        }
        let mut memory = self.memory.borrow_mut();
        memory.ledger.moved(&row.action, None, &row.delivery.state);
        if ended {
            memory.uncounted.insert(row.action.clone());
        }
        if ticket.is_some() {
            memory.leased.insert(id, row);
        }
        Ok(Some(Created { ticket, wakes_at, ended }))
    }

    /// Makes the outbox known to the registry before its first accept is answered, so that controls and the
    /// sweep find it, and takes over the controls that are in force.
    pub(super) async fn register_once(&self, home: &Home) -> Result<()> {
        if self.memory.borrow().home.is_some() {
            return Ok(());
        }
        let controls = registry::register_outbox(&self.env, home).boxed_local().await?;
        self.come_home(home)?;
        let mut memory = self.memory.borrow_mut();
        // Once the registry knows the outbox it pushes, and a push may be here before its answer.
        if controls.supersede(&memory.controls) {
            self.database()?.set_meta("controls", &serde_json::to_string(&controls)?)?;
            memory.controls = controls;
        }
        Ok(())
    }

    /// Whose outbox this is: by the first accept, or by the sweep where that was lost.
    pub(super) fn come_home(&self, home: &Home) -> Result<()> {
        if self.memory.borrow().home.is_none() {
            self.database()?.set_meta("home", &serde_json::to_string(home)?)?;
            self.memory.borrow_mut().home = Some(home.clone());
        }
        Ok(())
    }
}

/// A delivery to insert.
pub(super) struct Creation<'a> {
    pub planned: &'a Planned,
    /// The record and the event, where it is the first one of its enrollment.
    pub input: Option<&'a str>,
    /// What it is a replay of.
    pub replay: Option<ReplayOf>,
    /// Whether the caller can make its first attempt.
    pub lease: bool,
}

/// A delivery that was inserted.
pub(super) struct Created {
    /// The lease that came with it.
    pub ticket: Option<Ticket>,
    /// When the alarm must ring for it, at the latest.
    pub wakes_at: UnixMs,
    /// It ended at once: there was nothing to send.
    pub ended: bool,
}

/// A delivery with an id that another one has.
pub(super) fn taken() -> worker::Error {
    worker::Error::from("the delivery's id is taken")
}

/// The ticket of a delivery in flight.
pub(super) const fn ticket(id: DeliveryId, delivery: &Delivery, terms: &Terms) -> Ticket {
    Ticket {
        delivery: id,
        attempt: delivery.state.attempt(),
        lease: delivery.leases,
        lease_ms: terms.timeout_ms + LEASE_GRACE_MS,
    }
}

/// Terms of a delivery that sends nothing.
pub(super) fn no_terms() -> Terms {
    Terms { timeout_ms: 0, auth: Auth::None, retry: RetryPolicy::default() }
}
