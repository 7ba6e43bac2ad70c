//! Calls to the objects that keep the events of triggers.

use serde::de::DeserializeOwned;
use varde_core::inbound::TriggerId;
use worker::{Env, Error, Result};

use crate::trigger_do::protocol::TriggerEventsCall;
use crate::{log, objects};

/// Calls the object that keeps a trigger's events.
///
/// # Errors
/// When it can't be reached or fails. Says no more: the cause names the trigger, and may quote an event.
pub async fn call<Reply: DeserializeOwned>(
    env: &Env,
    trigger: TriggerId,
    call: &TriggerEventsCall,
) -> Result<Reply> {
    objects::call(env, "TRIGGER_EVENTS", &trigger.to_string(), call).await.map_err(|_| {
        log::error("trigger_events_unreachable", &"a trigger's events couldn't be reached");
        Error::from("a trigger's events can't be reached")
    })
}

/// Forgets the events of triggers that are gone. What is missed goes by its own alarm.
pub async fn forget_events(env: &Env, triggers: &[TriggerId]) {
    for trigger in triggers {
        let _: Result<bool> = call(env, *trigger, &TriggerEventsCall::Forget {}).await;
    }
}
