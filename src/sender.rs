//! The only place that calls endpoints: a lease in, an outcome out.
//!
//! The Worker that took a trigger makes first attempts here; later ones are made here, too, by the `Sender`
//! entrypoint, to which the outbox's alarm hands leases. It is the same code in both cases.

mod attempt;
mod tokens;
mod fetch;
mod report;
mod settling;
mod crowd;

use std::cell::Cell;
use std::fmt::Display;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::join_all;
use serde::Serialize;
use varde_core::auth::AttemptStamp;
use varde_core::delivery::{LEASE_GRACE_MS, LOOK_AGAIN_MS, LOOK_UPS_MS, attempt_ms};
use varde_core::enrollment::{Next, next_after};
use varde_core::ids::{DeliveryId, EnrollmentId};
use varde_core::json;
use varde_core::outcome::Verdict;
use varde_core::outputs::Outputs;
use varde_core::record::EnrollmentInput;
use varde_core::request::Request as HttpRequest;
use varde_core::secret::{Secret, StoredSecret};
use varde_core::slug::Slug;
use varde_core::time::{SECOND_MS, UnixMs};
use varde_core::unreadable::Unreadable;
use varde_core::workflow::{Action, Ordering};
use worker::{Delay, Env, Request, Response, Result};

pub use self::attempt::{Attempted, StoredResponse, Trial};
use self::crowd::Crowd;
pub use self::settling::expect_more_work;
pub use self::tokens::Tokens;
use crate::config::Config;
use crate::directory::{self, DirectoryError, WorkflowView};
use crate::outbox_do::protocol::{
    Advance, AdvanceWork, HandOver, Home, Lease, OutboxCall, Report, Return, Settle, Terms, Then, Ticket,
    Work,
};
use crate::patience::within;
use crate::tasks::Context;
use crate::{ambient, log, plan, platform};

/// Background work of a Worker invocation ends this long after its answer.
const BACKGROUND_MS: u64 = 30 * SECOND_MS;
/// An answer is on its way by then.
const ANSWERED: Duration = Duration::from_millis(2);

thread_local! {
    static HAS_SENT: Cell<bool> = const { Cell::new(false) };
}

/// Waits a moment before the first attempt of an isolate. Runtimes compile what is called when it is called: what
/// sends is a third of what a first enrollment has compiled, and nobody who waits for an answer waits for that.
pub async fn let_the_answer_go_first() {
    if !HAS_SENT.replace(true) {
        Delay::from(ANSWERED).await;
    }
}

/// A lease in the hands of a sender.
pub struct Errand {
    /// The right to make one attempt.
    pub ticket: Ticket,
    /// The delivery's action.
    pub action: Slug,
    /// What was fixed with the delivery.
    pub terms: Terms,
    /// What to send.
    pub request: HttpRequest,
    /// What the next action's request is rendered from, where this sender knows it.
    pub story: Option<Rc<Story>>,
}

/// What an enrollment's requests are rendered from.
pub struct Story {
    /// The record and the event.
    pub input: EnrollmentInput,
    /// The outputs of earlier actions.
    pub outputs: Outputs,
}

/// Hands work from an alarm to the `Sender` entrypoint, which answers at once.
///
/// # Errors
/// When it can't be reached or refuses.
pub async fn hand_over(env: &Env, hand_over: &HandOver) -> Result<()> {
    let message = serde_json::to_vec(hand_over)?;
    match platform::call(env.as_ref(), "SENDER", None, &message).await?.0 {
        202 => Ok(()),
        status => Err(worker::Error::from(format!("the sender answered {status}"))),
    }
}

/// The `Sender` entrypoint: takes work over and does it after the answer.
///
/// # Errors
/// When the message can't be read.
pub async fn serve(mut request: Request, env: Env, context: &Context) -> Result<Response> {
    let hand_over: HandOver = serde_json::from_slice(&request.bytes().await?)?;
    context.wait_until(async move {
        let config = Config::of(&env);
        // What an alarm hands over is seldom all.
        expect_more_work(hand_over.home.object_name());
        let sender = Sender::new(env, config, hand_over.home);
        join_all(hand_over.work.into_iter().map(|work| sender.work_on(work))).await;
    });
    Ok(Response::builder().with_status(202).empty())
}

/// One invocation that sends: it has the bindings, and 30 seconds.
pub struct Sender {
    env: Env,
    config: Rc<Config>,
    home: Home,
    tokens: Tokens,
    settles: Crowd,
    ends_at: UnixMs,
}

impl Sender {
    /// A sender whose time begins now.
    pub fn new(env: Env, config: Rc<Config>, home: Home) -> Self {
        Self {
            env,
            config,
            home,
            tokens: Tokens::default(),
            settles: Crowd::default(),
            ends_at: ambient::now().plus_ms(BACKGROUND_MS),
        }
    }

    /// Makes the attempts of several leases side by side, and what comes after each.
    pub async fn run(&self, errands: Vec<Errand>) {
        join_all(errands.into_iter().map(|errand| async {
            let more = self.make_attempt(errand).await;
            if let Some(work) = more {
                self.work_on(work).await;
            }
        }))
        .await;
    }

    /// Works on a piece, and on what the outbox hands back for it, as long as it does.
    async fn work_on(&self, first: Work) {
        let mut next = Some(first);
        while let Some(work) = next {
            next = match work {
                Work::Send(lease) => match Errand::of(lease) {
                    Ok(errand) => self.make_attempt(errand).await,
                    Err((Ticket { delivery, lease, lease_ms, .. }, why)) => {
                        let lease_ends = ambient::now().plus_ms(lease_ms);
                        self.give_back(delivery, lease, why.code(), lease_ends).await
                    }
                },
                Work::Advance(work) => self.advance(work).await,
                Work::Report(event) => self.bring(event).await,
            };
        }
    }

    async fn make_attempt(&self, errand: Errand) -> Option<Work> {
        let Ticket { delivery, lease, .. } = errand.ticket;
        let lease_ends = ambient::now().plus_ms(errand.terms.timeout_ms + LEASE_GRACE_MS);
        let looked_up = within(Duration::from_millis(LOOK_UPS_MS), self.look_up(&errand)).await;
        let ready = looked_up.unwrap_or(Err("registry_unreachable")).and_then(|found| {
            let left_ms = self.budget_ms();
            attempt_ms(errand.terms.timeout_ms, left_ms).map(|ms| (found, ms)).ok_or("no_time_left")
        });
        let ((view, secret), timeout_ms) = match ready {
            Ok(ready) => ready,
            Err(reason) => return self.give_back(delivery, lease, reason, lease_ends).await,
        };
        let trial = self.trial(&errand, &view, secret.as_ref(), timeout_ms);
        let attempted = match trial.make(&self.tokens).await {
            Ok(attempted) => attempted,
            Err(error) => return self.give_back(delivery, lease, error.code(), lease_ends).await,
        };
        let view = self.newest(view).await;
        let settle = self.settle_of(&errand, &view, &attempted);
        // The next one of its line may go at once.
        let asks = view.workflow.ordering() == Ordering::Record;
        self.settle(settle, asks, lease_ends).await
    }

    /// What an attempt needs of the registry, or why it isn't made.
    async fn look_up(
        &self,
        errand: &Errand,
    ) -> std::result::Result<(Rc<WorkflowView>, Option<StoredSecret<Secret>>), &'static str> {
        let view = match directory::workflow(&self.env, &self.config, &self.home.workflow).await {
            Ok(view) if view.uid == self.home.uid => view,
            Ok(_) => return Err("workflow_deleted"),
            Err(error) => return Err(error.code()),
        };
        if view.controls.pause_reason(&errand.action).is_some() {
            return Err("paused");
        }
        let secret = self.secret_of(errand, &view).await.map_err(|error| error.code())?;
        Ok((view, secret))
    }

    /// The workflow as it is after an attempt: somebody may have edited it while the endpoint took its time.
    async fn newest(&self, view: Rc<WorkflowView>) -> Rc<WorkflowView> {
        let look_up = directory::workflow(&self.env, &self.config, &self.home.workflow);
        match within(Duration::from_millis(LOOK_AGAIN_MS), look_up).await {
            Ok(Ok(newer)) if newer.uid == self.home.uid => newer,
            _ => view,
        }
    }

    fn trial<'a>(
        &self,
        errand: &'a Errand,
        view: &'a WorkflowView,
        secret: Option<&'a StoredSecret<Secret>>,
        timeout_ms: u64,
    ) -> Trial<'a> {
        let Ticket { delivery, attempt: number, .. } = errand.ticket;
        Trial {
            auth: &errand.terms.auth,
            request: &errand.request,
            timeout_ms,
            stamp: AttemptStamp { delivery, number, now: ambient::now() },
            secret,
            others: view.secrets.values().collect(),
            // It knows the secret, too, unless the workflow doesn't name that any more.
            mask: secret
                .is_none_or(|secret| view.secrets.get(&secret.name) == Some(secret))
                .then(|| view.mask()),
            outputs: view.workflow.action(&errand.action).map_or(&[], Action::outputs),
            rule: self.config.url_rule,
        }
    }

    /// The secret that the delivery needs: one that the workflow names today, or named when it was rendered.
    async fn secret_of(
        &self,
        errand: &Errand,
        view: &WorkflowView,
    ) -> std::result::Result<Option<StoredSecret<Secret>>, DirectoryError> {
        let Some(name) = errand.terms.auth.secret() else { return Ok(None) };
        match view.secrets.get(name) {
            Some(secret) => Ok(Some(secret.clone())),
            None => directory::secret(&self.env, &self.config, name).await,
        }
    }

    /// The settle of an attempt: with the enrollment's next request, if this sender can render it.
    fn settle_of(&self, errand: &Errand, view: &WorkflowView, attempted: &Attempted) -> Settle {
        let verdict = attempted.outcome.verdict(&errand.terms.retry);
        let story = errand.story.as_deref().filter(|_| verdict != Verdict::Retry);
        let then = match (verdict, next_after(&view.workflow, &errand.action, verdict == Verdict::Delivered))
        {
            // Whether that ends it only the outbox can tell.
            (Verdict::Retry, _) => Then::Unknown,
            (_, Next::Completed) => Then::Done,
            (_, Next::Failed { reason }) => Then::Failed { reason: reason.to_owned() },
            (_, Next::Action(action)) => match story {
                None => Then::Unknown,
                Some(story) => {
                    let mut outputs = story.outputs.clone();
                    if let Some(picked) = &attempted.outputs {
                        outputs.insert(errand.action.clone(), picked.values.clone());
                    }
                    self.plan_next(view, action, &story.input, &outputs)
                        .unwrap_or_else(|error| unplanned(&errand.ticket.delivery, &error))
                }
            },
        };
        Settle {
            delivery: errand.ticket.delivery,
            lease: errand.ticket.lease,
            outcome: attempted.outcome,
            duration_ms: attempted.duration_ms,
            response: raw(attempted.response.as_ref()),
            outputs: raw(attempted.outputs.as_ref()),
            then,
            budget_ms: self.budget_ms(),
        }
    }

    /// Renders the next step of an enrollment that waits for one.
    async fn advance(&self, work: AdvanceWork) -> Option<Work> {
        let view = match directory::workflow(&self.env, &self.config, &self.home.workflow).await {
            Ok(view) => view,
            Err(DirectoryError::UnknownWorkflow { .. }) => {
                let then = Then::Failed { reason: "workflow_changed".to_owned() };
                return self.tell_advance(work.enrollment, work.after, then).await;
            }
            // The outbox asks again.
            Err(error) => {
                log::error_about("advance_postponed", &work.enrollment.to_string(), &error);
                return None;
            }
        };
        let then = match next_after(&view.workflow, &work.after, work.delivered) {
            _ if view.uid != self.home.uid => Then::Failed { reason: "workflow_changed".to_owned() },
            Next::Completed => Then::Done,
            Next::Failed { reason } => Then::Failed { reason: reason.to_owned() },
            Next::Action(action) => {
                match (json::from_text(work.input.get()), json::from_text(work.outputs.get())) {
                    (Ok(input), Ok(outputs)) => self
                        .plan_next(&view, action, &input, &outputs)
                        .unwrap_or_else(|error| unplanned(&work.enrollment, &error)),
                    (Err(error), _) | (_, Err(error)) => {
                        log::error_about("enrollment_unreadable", &work.enrollment.to_string(), &error);
                        return None;
                    }
                }
            }
        };
        self.tell_advance(work.enrollment, work.after, then).await
    }

    /// Brings an operational event; the outbox asks again if that fails.
    async fn bring(&self, event: Report) -> Option<Work> {
        let id = event.id;
        if let Err(error) = report::bring(&self.env, &self.config, &self.home, event).await {
            log::error_about("report_postponed", &id.to_string(), &error);
        }
        None
    }

    async fn tell_advance(&self, enrollment: EnrollmentId, after: Slug, then: Then) -> Option<Work> {
        let advance = Advance { enrollment, after, then, budget_ms: self.budget_ms() };
        self.tell(&enrollment.to_string(), &OutboxCall::Advance(advance), self.ends_at).await
    }

    fn plan_next(
        &self,
        view: &WorkflowView,
        action: &Action,
        input: &EnrollmentInput,
        outputs: &Outputs,
    ) -> Result<Then> {
        let now = ambient::now();
        let delivery = DeliveryId::mint(now, self.home.shard, ambient::dice());
        let (planned, _) = plan::plan(&view.workflow, action, input, outputs, now, self.config.url_rule)?;
        Ok(Then::Next { delivery, planned })
    }

    async fn give_back(
        &self,
        delivery: DeliveryId,
        lease: u32,
        reason: &str,
        lease_ends: UnixMs,
    ) -> Option<Work> {
        let given_back = Return { delivery, lease, reason: reason.to_owned() };
        self.tell(&delivery.to_string(), &OutboxCall::Return(given_back), lease_ends).await
    }

    fn budget_ms(&self) -> u64 {
        self.ends_at.since_ms(ambient::now())
    }
}

impl Errand {
    /// The errand of a lease; without a request that can be read, what is to be given back, and why.
    fn of(lease: Lease) -> std::result::Result<Self, (Ticket, Unreadable)> {
        let Lease { ticket, action, terms, request } = lease;
        let request = Unreadable::Request.unless(request.get()).map_err(|why| (ticket, why))?;
        Ok(Self { ticket, action, terms, request, story: None })
    }
}

fn raw<T: Serialize>(value: Option<&T>) -> Option<Box<serde_json::value::RawValue>> {
    value.and_then(|value| serde_json::value::to_raw_value(value).ok())
}

/// A next step that can't be rendered here; the outbox asks again.
fn unplanned(subject: &dyn Display, error: &worker::Error) -> Then {
    log::error_about("plan_failed", &subject.to_string(), error);
    Then::Unknown
}
