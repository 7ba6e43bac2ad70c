//! The alarm: the clock of all retries. It may come early, late or twice; each time it does what is due and
//! sets itself to the next thing. It never fails: what goes wrong is logged and tried again.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{join, join_all};
use varde_core::breaker::Breaker;
use varde_core::delivery::{Circumstances, Event};
use varde_core::slug::Slug;
use varde_core::time::{SECOND_MS, UnixMs};
use worker::Result;

use super::leases::Due;
use super::ledger::Lane;
use super::protocol::{HandOver, Return, Ticket, Work};
use super::store::{DeliveryRow, DueRow};
use super::{LEASES_PER_ACTION, LEASES_PER_CALL, Outbox, Settled};
use crate::patience::within;
use crate::{ambient, log, sender};

/// When an alarm that went wrong is tried again.
const AFTER_ERROR_MS: u64 = 2 * SECOND_MS;
/// Where the alarm stands while its handler works: a death in between rings it again.
const WHILE_WORKING_MS: u64 = 10 * SECOND_MS;
/// Hand-overs of one alarm; the platform's free plan allows 50 subrequests.
const HAND_OVERS_PER_ALARM: usize = 40;
/// How long a sender has to say that it took the work.
const HAND_OVER_TIMEOUT: Duration = Duration::from_secs(5);
/// Leases whose end one alarm handles per action.
const LEASE_ENDS_PER_ALARM: usize = 200;
/// Next steps that one alarm hands over.
const ADVANCES_PER_ALARM: usize = 24;
/// Idempotency keys that one alarm forgets.
const KEYS_PER_ALARM: usize = 1_000;

impl Outbox {
    /// The alarm rang.
    pub(super) async fn ring(&self) {
        // While the handler runs there is no alarm.
        self.memory.borrow_mut().armed = None;
        let outcome = AssertUnwindSafe(self.drain()).catch_unwind().await;
        let trouble = match outcome {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some("panic".to_owned()),
        };
        let Some(cause) = trouble else { return };
        log::error("alarm_failed", &cause);
        self.doubt();
        let retry = ambient::now().plus_ms(AFTER_ERROR_MS);
        if let Err(error) = self.set_alarm(retry).await {
            log::error("alarm_not_set", &error);
        }
    }

    async fn drain(&self) -> Result<()> {
        self.wake_up().await?;
        self.arm(ambient::now().plus_ms(WHILE_WORKING_MS)).await?;
        #[cfg(feature = "testing")]
        assert!(!self.panic_in_alarm.take(), "asked to panic in the alarm");
        let (now, mut failed) = (ambient::now(), false);
        self.take_up_more(&mut failed, now)?;
        self.end_leases(&mut failed, now);
        self.align(&mut failed, now);
        self.drain_part(&mut failed, || self.replay_on(now));
        self.tell_registry().await?;
        let mut room = HAND_OVERS_PER_ALARM * LEASES_PER_CALL;
        let mut work = self.take_steps(&mut failed, ambient::now())?;
        room = room.saturating_sub(work.len());
        let leases = self.take_leases(&mut failed, room, ambient::now());
        room = room.saturating_sub(leases.len());
        work.extend(leases);
        // What needs no slot doesn't wait for those that do.
        let (handed_over, asked) = join(self.hand_over(work), self.ask_for_slots()).await;
        handed_over.and(asked)?;
        let work = self.take_leases(&mut failed, room, ambient::now());
        self.hand_over(work).await?;
        // Again, for what is still due: the alarm then stands at a slot.
        self.ask_for_slots().await?;
        let now = ambient::now();
        self.database()?.prune_idempotency(now, KEYS_PER_ALARM)?;
        self.drain_part(&mut failed, || self.forget(now));
        // No await between the look at the rows and the alarm: the alarm says what the rows say.
        let next = self.next_wake(now)?;
        // What failed is due still, and would ring again at once.
        let next = if failed { Some(now.plus_ms(AFTER_ERROR_MS)) } else { next };
        self.memory.borrow_mut().armed = next;
        match next {
            Some(at) => self.set_alarm(at).await,
            None => self.state.storage().delete_alarm().await,
        }
    }

    /// Does one part of the alarm's work. What fails is undone, logged and tried again later; the other parts
    /// go on, so that what spoils one doesn't stop them.
    pub(super) fn drain_part<T: Default>(&self, failed: &mut bool, work: impl FnOnce() -> Result<T>) -> T {
        self.atomically(work).unwrap_or_else(|error| {
            log::error("alarm_failed", &error);
            *failed = true;
            T::default()
        })
    }

    /// The same with many things in one transaction; when that fails, with each in its own, so that only those
    /// wait that it fails with.
    pub(super) fn drain_each<I, T>(
        &self,
        failed: &mut bool,
        things: &[I],
        name: impl Fn(&I) -> String,
        work: impl Fn(&I) -> Result<T>,
    ) -> Vec<T> {
        if things.is_empty() {
            return Vec::new();
        }
        if let Ok(done) = self.atomically(|| things.iter().map(&work).collect()) {
            return done;
        }
        let alone = |thing| {
            let done = self.atomically(|| work(thing));
            done.inspect_err(|error| {
                log::error_about("alarm_failed", &name(thing), error);
                *failed = true;
            })
            .ok()
        };
        things.iter().filter_map(alone).collect()
    }

    /// When the alarm must ring next: the first due or lease end or next step or clean-up among what may go
    /// on. What is held or over a cap has no time here, so the alarm never spins.
    pub(super) fn next_wake(&self, now: UnixMs) -> Result<Option<UnixMs>> {
        let database = self.database()?;
        let advance = database.first_advance()?;
        self.memory.borrow_mut().advancing = advance.is_some();
        let clean_up = [database.first_expiry()?, self.next_forgetting(now)?];
        let mut wake = clean_up.into_iter().chain([advance, self.next_report()?]).flatten().min();
        let actions: Vec<(Slug, Option<Breaker>, bool)> = {
            let memory = self.memory.borrow();
            let may_send = |action: &Slug, account: &super::Account| {
                let breaker = account.totals.breaker;
                // When its time has come, an open breaker has room for one, if none is out.
                let room = breaker.room(account.in_flight, LEASES_PER_ACTION, UnixMs(u64::MAX)) > 0;
                let may = account.scheduled > 0 && room && memory.pause_reason(action).is_none();
                may.then_some(breaker)
            };
            let accounts = memory.ledger.accounts.iter();
            accounts
                .map(|(action, account)| (action.clone(), may_send(action, account), account.in_flight > 0))
                .collect()
        };
        let mut consider = |at: Option<UnixMs>| wake = [wake, at].into_iter().flatten().min();
        for (action, may_send, in_flight) in actions {
            if let Some(breaker) = may_send {
                let due = database.first_waking(Lane::Scheduled, &action)?;
                self.memory.borrow_mut().ledger.account(&action).earliest_due =
                    Some(due.unwrap_or(UnixMs(u64::MAX)));
                let slot = self.limit_of(&action).map_or(UnixMs(0), |_| self.next_slot(&action, now));
                let due = due.map(|due| breaker.next_at(due));
                consider(due.map(|due| if due <= now { due.max(slot) } else { due }));
            }
            if in_flight {
                consider(database.first_waking(Lane::InFlight, &action)?);
            }
        }
        if self.out_of_line() || self.replays_go_on() || self.may_take_up() {
            consider(Some(now));
        }
        if !self.memory.borrow().untold.is_empty() {
            consider(Some(now.plus_ms(AFTER_ERROR_MS)));
        }
        Ok(wake)
    }

    /// A page of what was set aside before the object started.
    fn take_up_more(&self, failed: &mut bool, now: UnixMs) -> Result<()> {
        if self.may_take_up()
            && let Some(last) = self.drain_part(failed, || self.take_up(now).map(Some))
        {
            self.looked_at.replace(last);
            self.memory.borrow_mut().advancing = self.database()?.first_advance()?.is_some();
        }
        Ok(())
    }

    /// Leases whose senders didn't come back.
    fn end_leases(&self, failed: &mut bool, now: UnixMs) {
        for action in self.actions_where(|account| account.in_flight > 0) {
            let rows =
                self.drain_part(failed, || self.waking(Lane::InFlight, &action, now, LEASE_ENDS_PER_ALARM));
            self.drain_each(failed, &rows, name, |row| self.end_lease(row.clone(), now));
        }
    }

    fn end_lease(&self, mut row: DeliveryRow, now: UnixMs) -> Result<()> {
        let at = Circumstances { now, dice: ambient::fraction(), policy: &row.terms.retry };
        let Ok(step) = row.delivery.step(&Event::LeaseEnded, at) else { return Ok(()) };
        self.store_step(&mut row, step, Settled::default(), now)?;
        if row.delivery.state.is_open() {
            return Ok(());
        }
        self.conclude(&row, None, now).map(drop)
    }

    /// Next steps and reports that are due.
    fn take_steps(&self, failed: &mut bool, now: UnixMs) -> Result<Vec<Work>> {
        let database = self.database()?;
        let rows = self.drain_part(failed, || database.enrollments_to_advance(now, ADVANCES_PER_ALARM));
        let steps =
            self.drain_each(failed, &rows, |row| row.id.to_string(), |row| self.advance_work(row.id, now));
        let reports = self.drain_part(failed, || self.reports_due(now));
        Ok(steps.into_iter().flatten().chain(reports).collect())
    }

    /// Leases that are due, a fair share of `room` from each action.
    fn take_leases(&self, failed: &mut bool, room: usize, now: UnixMs) -> Vec<Work> {
        let mut work = Vec::new();
        let actions = self.actions_with_due(now);
        let share = room / actions.len().max(1);
        for action in actions {
            let room = self.memory.borrow_mut().ledger.account(&action).room(now);
            let limit = share.min(room as usize);
            let Due { rows, all } = self.drain_part(failed, || self.due(&action, limit, now));
            let name = |(row, _): &DueRow| name(row);
            let lease = |(row, request): &DueRow| self.lease(&mut row.clone(), request, now);
            let leases = self.drain_each(failed, &rows, name, lease);
            if all {
                self.drain_part(failed, || self.note_earliest(&action));
            }
            work.extend(leases.into_iter().flatten().map(Work::Send));
        }
        work
    }

    /// Gives work to senders, six pieces each, and takes back what none would take.
    async fn hand_over(&self, work: Vec<Work>) -> Result<()> {
        let Some(home) = self.memory.borrow().home.clone() else { return Ok(()) };
        let mut hand_overs: Vec<HandOver> = Vec::new();
        for piece in work {
            match hand_overs.last_mut() {
                Some(last) if last.work.len() < LEASES_PER_CALL => last.work.push(piece),
                _ => hand_overs.push(HandOver { home: home.clone(), work: vec![piece] }),
            }
        }
        let results = join_all(
            hand_overs.iter().map(|one| within(HAND_OVER_TIMEOUT, sender::hand_over(&self.env, one))),
        )
        .await;
        for (hand_over, result) in hand_overs.iter().zip(results) {
            let error = match result {
                Ok(Ok(())) => continue,
                // Somebody may be at work on it: the leases' ends will tell.
                Err(late) => {
                    for ticket in tickets(hand_over) {
                        log::error_about("sender_silent", &ticket.delivery.to_string(), &late);
                    }
                    continue;
                }
                Ok(Err(error)) => error,
            };
            for &Ticket { delivery, lease, .. } in tickets(hand_over) {
                log::error_about("sender_unreachable", &delivery.to_string(), &error);
                self.take_back(&Return { delivery, lease, reason: "sender_unreachable".to_owned() }).await?;
            }
        }
        Ok(())
    }

    fn actions_where(&self, wanted: impl Fn(&super::Account) -> bool) -> Vec<Slug> {
        let memory = self.memory.borrow();
        memory
            .ledger
            .accounts
            .iter()
            .filter(|(_, account)| wanted(account))
            .map(|(action, _)| action.clone())
            .collect()
    }
}

fn tickets(hand_over: &HandOver) -> impl Iterator<Item = &Ticket> {
    hand_over.work.iter().filter_map(|piece| match piece {
        Work::Send(lease) => Some(&lease.ticket),
        Work::Advance(_) | Work::Report(_) => None,
    })
}

fn name(row: &DeliveryRow) -> String {
    row.id.to_string()
}
