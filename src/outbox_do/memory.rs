//! What an outbox keeps in memory: taken from its rows whenever the object starts, and anew whenever an error or
//! a panic has put it in doubt.

use std::collections::{BTreeMap, BTreeSet};

use serde::de::DeserializeOwned;
use varde_core::controls::Controls;
use varde_core::ids::DeliveryId;
use varde_core::json;
use varde_core::rate::Allowance;
use varde_core::replay::Progress;
use varde_core::slug::Slug;
use varde_core::time::{MINUTE_MS, UnixMs};
use worker::Result;

use super::Outbox;
use super::ledger::{Account, Ledger};
use super::protocol::Home;
use super::retention::Forgetting;
use super::store::DeliveryRow;
use crate::database::Database;
use crate::{ambient, log};

/// An alarm that is so late won't ring by itself: the runtime has lost it.
const LOST_ALARM_MS: u64 = MINUTE_MS;

/// What is rebuilt from rows whenever the object starts, or an error has put it in doubt.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub loaded: bool,
    pub home: Option<Home>,
    pub controls: Controls,
    /// Actions found gone here that the registry hasn't been told of yet.
    pub untold: Vec<Slug>,
    pub ledger: Ledger,
    /// Actions whose counters the transaction that is under way has yet to store.
    pub uncounted: BTreeSet<Slug>,
    /// Deliveries that are leased out, since the object started: they are settled without being read.
    pub leased: BTreeMap<DeliveryId, DeliveryRow>,
    /// The last place given away in a line.
    pub last_place: u64,
    /// What this outbox may still use of rate limits.
    pub allowances: BTreeMap<Slug, Allowance>,
    /// When slots may be asked for again, after there was no answer.
    pub ask_at: BTreeMap<Slug, UnixMs>,
    /// Whether some operational event may wait to be brought.
    pub reporting: bool,
    /// Bulk replays that have more to do.
    pub replays: Vec<Progress>,
    /// What is to be forgotten, and when.
    pub forgetting: Forgetting,
    /// Whether some enrollment may wait for its next step to be rendered.
    pub advancing: bool,
    /// The action that a sender last got more work of.
    pub served: Option<Slug>,
    /// Where the alarm stands, `None` when there is none.
    pub armed: Option<UnixMs>,
}

impl Outbox {
    /// Rebuilds the memory at the first event after a start, and sees to it that open work has an alarm:
    /// one that was lost is found here. Calling it again does nothing.
    pub(super) async fn wake_up(&self) -> Result<()> {
        if self.memory.borrow().loaded {
            return Ok(());
        }
        let armed = self.state.storage().get_alarm().await?;
        let armed = armed.map(|at| ambient::from_alarm(UnixMs(at.max(0) as u64)));
        let lost = armed.is_some_and(|at| at.plus_ms(LOST_ALARM_MS) < ambient::now());
        // Another event may have come here first while this one waited; loading twice is harmless.
        self.load(armed.filter(|_| !lost))?;
        if lost && self.next_wake(ambient::now())?.is_some() {
            // Not at the time when it should have rung: the runtime may think that it stands there.
            return self.arm(ambient::now()).await;
        }
        self.arm_for_open_work().await
    }

    /// Takes the memory anew from the rows. Nothing awaits in here, so it fits what the rows say.
    fn load(&self, armed: Option<UnixMs>) -> Result<()> {
        let database = self.database()?;
        let mut memory = Memory {
            loaded: true,
            home: kept(database, "home")?,
            controls: kept(database, "controls")?,
            untold: kept(database, "untold")?,
            last_place: database.last_place()?,
            reporting: database.first_report()?.is_some(),
            replays: database.running_replays()?,
            advancing: database.first_advance()?.is_some(),
            armed,
            ..Memory::default()
        };
        for (action, totals) in database.counters()? {
            memory.ledger.account(&action).totals = totals;
        }
        for (lane, action, open) in database.open_counts()? {
            let account: &mut Account = memory.ledger.account(&action);
            match lane {
                0 => (account.scheduled, account.earliest_due) = (open, None),
                1 => account.in_flight = open,
                2 => account.held = open,
                3 => account.blocked = open,
                _ => account.set_aside = open,
            }
        }
        memory.ledger.accounts.values_mut().for_each(Account::catch_up);
        let aside = memory.ledger.accounts.values().any(|account| account.set_aside > 0);
        if !aside && !database.has_enrollment_aside()? {
            self.looked_at.replace(None);
        }
        *self.memory.borrow_mut() = memory;
        Ok(())
    }

    /// The same, but for the alarm: where that stands isn't looked at, and stays in doubt if it was.
    pub(super) fn recount(&self) -> Result<()> {
        let (armed, loaded) = {
            let memory = self.memory.borrow();
            (memory.armed, memory.loaded)
        };
        let counted = self.load(armed);
        self.memory.borrow_mut().loaded = loaded && counted.is_ok();
        counted
    }

    /// An error came in the middle of something: what is in memory may not be what is in the rows.
    pub(super) fn doubt(&self) {
        self.memory.borrow_mut().loaded = false;
    }
}

impl Memory {
    /// Why an action is paused: by the registry's word, or by a 410 seen here.
    pub fn pause_reason(&self, action: &str) -> Option<&str> {
        let gone_here = || self.untold.iter().any(|untold| &**untold == action).then_some("gone");
        self.controls.pause_reason(action).or_else(gone_here)
    }
}

/// A value of the `meta` table. One that can't be read is as good as none, and doesn't stop the deliveries: the
/// sweep brings home and controls again.
fn kept<T: DeserializeOwned + Default>(database: &Database, key: &str) -> Result<T> {
    let Some(text) = database.meta(key)? else { return Ok(T::default()) };
    Ok(json::from_text(&text).unwrap_or_else(|error| {
        log::error_about("meta_unreadable", key, &error);
        T::default()
    }))
}
