//! Brings operational events to the workflow `operations`. Safe to repeat: the enrollment's id is the
//! event's.

use varde_core::ids::shard_of;
use varde_core::json;
use varde_core::operations::{self, Happening};
use varde_core::record::EnrollmentInput;
use varde_core::slug::Slug;
use worker::{Env, Error, Result};

use crate::config::Config;
use crate::directory::{self, DirectoryError, WorkflowView};
use crate::outbox_do::protocol::{
    Accept, AcceptReply, Accepted, Acknowledged, Home, NewEnrollment, OutboxCall, Report, TurnCall,
};
use crate::{ambient, idempotency, outbox, plan};

/// Brings one event from the outbox `from`. One that nobody wants is brought, too.
///
/// # Errors
/// When it has to be brought again.
pub async fn bring(env: &Env, config: &Config, from: &Home, report: Report) -> Result<()> {
    let id = report.id;
    let operations: Slug =
        operations::WORKFLOW.parse().map_err(|_| Error::from("the id of `operations` is not a slug"))?;
    match directory::workflow(env, config, &operations).await {
        Ok(view) => enroll(env, config, &view, report).await?,
        Err(DirectoryError::UnknownWorkflow { .. }) => {}
        Err(error) => return Err(Error::from(error.to_string())),
    }
    let _: Acknowledged = outbox::call(env, &from.uid, from.shard, &OutboxCall::Reported { id }).await?;
    Ok(())
}

async fn enroll(env: &Env, config: &Config, view: &WorkflowView, report: Report) -> Result<()> {
    let input: EnrollmentInput = json::from_text(report.input.get())?;
    let (first, _) = plan::plan_first(&view.workflow, &input, ambient::now(), config.url_rule)?;
    let record = input.record().id().to_owned();
    let shard = shard_of(&record, view.workflow.shards());
    let id = report.id.in_shard(shard);
    // What every shard of a workflow tells comes to one record, so to one shard of `operations`: told once there.
    let once = input.event().and_then(|event| Happening::once(event.get("type")?.as_str()?));
    let idempotency = once.and_then(|key| idempotency::used(key, &record, report.input.get()).ok());
    let new = NewEnrollment { id, record, input: report.input, idempotency, first };
    let home = Home { workflow: view.id.clone(), uid: view.uid.clone(), shard };
    // No leases: the alarm sends it, so that this invocation is free for others.
    let name = home.object_name();
    let accept = TurnCall::Accept(Accept { home, enrollments: vec![new], leases: 0 });
    let reply: AcceptReply = outbox::tell(env, &name, &accept).await?;
    match reply.results.first() {
        Some(Accepted::Enrolled { .. } | Accepted::KeyReused { .. } | Accepted::Closed) => Ok(()),
        Some(Accepted::Full | Accepted::Failed) | None => {
            Err(Error::from("the workflow `operations` can't take it now"))
        }
    }
}
