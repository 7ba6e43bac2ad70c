//! Group commit: accepts and settles that come together are done in one turn of the event loop and in one
//! transaction. When one of them fails, each is done again by itself, so that it stands or falls alone.
//! What belongs to a turn is collected by `entry.mjs`.

use serde::Serialize;
use varde_core::time::UnixMs;
use worker::{Error, Result};

use super::protocol::{Accept, AcceptReply, Accepted, Settle, SettleReply, TurnCall, Work};
use super::{LEASES_PER_CALL, Outbox};
use crate::{ambient, log};

/// The answer to a call.
#[derive(Serialize)]
#[serde(untagged)]
enum Reply {
    Accept(AcceptReply),
    Settle(SettleReply),
    /// Its caller hears nothing but that, and tries again.
    Failed,
}

/// What a turn moved, as far as the alarm is concerned.
#[derive(Debug, Default)]
pub(super) struct Moved {
    /// When what moved must be looked at again.
    pub wakes_at: Option<UnixMs>,
    /// Whether an action had all its leases out before.
    pub made_room: bool,
    /// Whether something ended or went back, so that something else may go on.
    pub settled: bool,
}

impl Moved {
    /// The alarm must ring by then.
    pub fn wake(&mut self, at: Option<UnixMs>) {
        self.wakes_at = [self.wakes_at, at].into_iter().flatten().min();
    }

    /// The alarm must ring when the lease ends that a sender gets.
    pub fn wake_after(&mut self, work: Option<&Work>, now: UnixMs) {
        if let Some(Work::Send(lease)) = work {
            self.wake(Some(now.plus_ms(lease.ticket.lease_ms)));
        }
    }
}

impl Outbox {
    /// Stores enrollments with their first deliveries, and takes in how attempts ended: on each line of the text
    /// a message, and for each message a line of the reply, `null` for one that failed. All is safe to repeat: an
    /// id that is there is answered as enrolled, with no second lease; a second settle is ignored, and says so.
    pub(super) async fn take_turn(&self, text: &[u8]) -> Result<Vec<u8>> {
        let mut calls = Vec::new();
        // Whether each message could be read.
        let mut read = Vec::new();
        for line in text.split(|byte| *byte == b'\n') {
            let call = self.read_call(line).await.inspect_err(|error| log::error("call_failed", error));
            read.push(call.is_ok());
            calls.extend(call);
        }
        let mut replies = self.do_together(&calls).await?.into_iter();
        let mut text = Vec::with_capacity(256);
        for read in read {
            if !text.is_empty() {
                text.push(b'\n');
            }
            let reply = if read { replies.next() } else { None };
            serde_json::to_writer(&mut text, &reply.unwrap_or(Reply::Failed))?;
        }
        Ok(text)
    }

    /// The first call of all waits until the registry knows this outbox.
    async fn read_call(&self, message: &[u8]) -> Result<TurnCall> {
        let call = serde_json::from_slice(message)?;
        if let TurnCall::Accept(accept) = &call {
            self.register_once(&accept.home).await?;
        }
        Ok(call)
    }

    async fn do_together(&self, calls: &[TurnCall]) -> Result<Vec<Reply>> {
        self.wake_up().await?;
        let now = ambient::now();
        let many = calls.iter().map(size).sum::<usize>() > 1;
        let together = if many {
            self.atomically(|| self.do_all(calls, false, now)).inspect_err(|error| {
                log::error("turn_failed", error);
            })
        } else {
            Err(failed())
        };
        let (replies, moved) = match together {
            Ok(done) => done,
            Err(_) => self.do_all(calls, true, now)?,
        };
        self.arm_after(&moved, now).await?;
        Ok(replies)
    }

    /// Does the calls in their order: each part in a transaction of its own, or all in the caller's. Then senders
    /// get what is due.
    fn do_all(&self, calls: &[TurnCall], alone: bool, now: UnixMs) -> Result<(Vec<Reply>, Moved)> {
        let mut moved = Moved::default();
        let mut replies = Vec::with_capacity(calls.len());
        // Senders that ask for more to do: where their replies are, and how much time they have left.
        let mut askers = Vec::new();
        for (place, call) in calls.iter().enumerate() {
            replies.push(match call {
                TurnCall::Accept(accept) => Reply::Accept(self.do_accept(accept, alone, now, &mut moved)?),
                TurnCall::Settle(settle) => match self.do_settle(settle, alone, now, &mut moved)? {
                    Some(reply) => {
                        if settle.budget_ms > 0 && reply.ignored.is_none() && reply.work.is_none() {
                            askers.push((place, settle.budget_ms));
                        }
                        Reply::Settle(reply)
                    }
                    None => Reply::Failed,
                },
            });
        }
        // A part by itself: what can't be given shall not undo what has ended.
        for askers in askers.chunks(if alone { 1 } else { askers.len().max(1) }) {
            let budgets_ms: Vec<u64> = askers.iter().map(|(_, budget_ms)| *budget_ms).collect();
            let given = self.part(alone, "due work", || self.due_work(&budgets_ms, now))?;
            for ((place, _), work) in askers.iter().zip(given.unwrap_or_default()) {
                moved.wake_after(work.as_ref(), now);
                if let Reply::Settle(reply) = &mut replies[*place] {
                    reply.work = work;
                }
            }
        }
        Ok((replies, moved))
    }

    fn do_settle(
        &self,
        settle: &Settle,
        alone: bool,
        now: UnixMs,
        moved: &mut Moved,
    ) -> Result<Option<SettleReply>> {
        let id = settle.delivery.to_string();
        let Some((reply, settled)) = self.part(alone, &id, || self.settle_rows(settle, now))? else {
            return Ok(None);
        };
        moved.wake(settled.wakes_at);
        moved.made_room |= settled.made_room;
        moved.settled |= settled.settled;
        Ok(Some(reply))
    }

    fn do_accept(&self, accept: &Accept, alone: bool, now: UnixMs, moved: &mut Moved) -> Result<AcceptReply> {
        let mut reply =
            AcceptReply { results: Vec::with_capacity(accept.enrollments.len()), leases: Vec::new() };
        let most = accept.leases.min(LEASES_PER_CALL);
        for new in &accept.enrollments {
            let lease = reply.leases.len() < most;
            let one = self.part(alone, &new.id.to_string(), || self.accept_one(new, lease, now))?;
            // One that can't be stored doesn't hold up the others.
            let (result, created) = one.unwrap_or((Accepted::Failed, None));
            reply.results.push(result);
            if let Some(created) = created {
                moved.wake(Some(created.wakes_at));
                reply.leases.extend(created.ticket);
            }
        }
        Ok(reply)
    }

    /// A part of a turn, about `id`. Alone, its failure is its own: `None`, and nothing of it stays.
    fn part<T>(&self, alone: bool, id: &str, work: impl FnOnce() -> Result<T>) -> Result<Option<T>> {
        if !alone {
            return work().map(Some);
        }
        Ok(self.atomically(work).inspect_err(|error| log::error_about("write_failed", id, error)).ok())
    }
}

/// The parts of a call that stand or fall alone.
fn size(call: &TurnCall) -> usize {
    match call {
        TurnCall::Accept(accept) => accept.enrollments.len(),
        TurnCall::Settle(_) => 1,
    }
}

fn failed() -> Error {
    Error::from("it could not be stored")
}
