//! Calls to the registry, and what it asks its callers to do: to push controls to outboxes.
//!
//! The registry stores a change of controls and names the outboxes that must hear of it; whoever asked for
//! the change pushes it, so that the one registry never waits for up to 64 objects. A push that fails is
//! repeated by the sweep.

use futures_util::StreamExt as _;
use futures_util::stream;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use varde_core::controls::Controls;
use varde_core::replay::BulkReplay;
use varde_core::slug::Slug;
use worker::{Env, Error, Result};

use crate::outbox_do::protocol::{Acknowledged, Home, OpenCount, OutboxCall};
use crate::registry_do::protocol::{Broadcast, RegistryCall};
use crate::{log, metering, objects, outbox};

/// How often an outbox is called before it counts as out of reach. A deploy resets objects once.
const TRIES: u32 = 2;

/// An outbox to look after, with the controls that it should have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Swept {
    /// Which.
    pub home: Home,
    /// What it should know.
    pub controls: Controls,
    /// The bulk replays that it should have heard of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replays: Vec<BulkReplay>,
}

/// Some outboxes couldn't be reached.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{missed} of {all} outboxes can't be reached: {cause}")]
pub struct NotEverywhere {
    /// How many.
    pub missed: usize,
    /// Of how many.
    pub all: usize,
    /// What the first one failed with.
    pub cause: String,
}

/// Calls the registry, with a `RegistryCall` or a `Lookup`.
///
/// # Errors
/// When it can't be reached or fails.
pub async fn call<Reply: DeserializeOwned>(env: &Env, call: &impl Serialize) -> Result<Reply> {
    Ok(serde_json::from_slice(&say(env, serde_json::to_vec(call)?).await?)?)
}

/// The same, as JSON.
///
/// # Errors
/// When it can't be reached or fails.
pub async fn say(env: &Env, message: Vec<u8>) -> Result<Vec<u8>> {
    if metering::registry_is_down().await {
        return Err(Error::from("the registry is out of reach"));
    }
    objects::say(env, "REGISTRY", "registry", message).await
}

/// Makes an outbox known and gives the controls in force; may be repeated. A workflow that is gone, or was
/// never there, is closed.
///
/// # Errors
/// When the registry can't be reached or fails.
pub async fn register_outbox(env: &Env, home: &Home) -> Result<Controls> {
    call(env, &RegistryCall::Register(home.clone())).await
}

/// Pauses an action whose endpoint answered 410, in all outboxes of its workflow. Called by the outbox that
/// saw it, which takes the push of the controls in while it waits here.
///
/// # Errors
/// When the registry can't be reached, or the outbox itself didn't take the controls: then it must tell
/// again. Other outboxes that were missed are the sweep's.
pub async fn pause_gone(env: &Env, home: &Home, action: &Slug) -> Result<()> {
    let message = RegistryCall::PauseGone { home: home.clone(), action: action.clone() };
    let Some(broadcast) = call::<Option<Broadcast>>(env, &message).await? else { return Ok(()) };
    push_to(env, &broadcast, home.shard).await?;
    let others = Broadcast {
        shards: broadcast.shards.into_iter().filter(|shard| *shard != home.shard).collect(),
        ..broadcast
    };
    if let Err(missed) = push(env, &others).await {
        log::error("controls_not_everywhere", &missed);
    }
    Ok(())
}

/// The next outboxes to look after, 200 at most, round and round.
///
/// # Errors
/// When the registry can't be reached or fails.
pub async fn next_to_sweep(env: &Env) -> Result<Vec<Swept>> {
    call(env, &RegistryCall::Sweep {}).await
}

/// Pushes controls to outboxes. An outbox that has them, or newer ones, changes nothing, so this may be
/// repeated.
///
/// # Errors
/// When some didn't acknowledge them.
pub async fn push(env: &Env, broadcast: &Broadcast) -> std::result::Result<(), NotEverywhere> {
    let pushes = broadcast.shards.iter().map(|shard| push_to(env, broadcast, *shard));
    gather(stream::iter(pushes).buffer_unordered(outbox::AT_ONCE).collect().await).map(drop)
}

/// How many deliveries are open in outboxes, all together.
///
/// # Errors
/// When some can't be reached.
pub async fn open_count(env: &Env, broadcast: &Broadcast) -> std::result::Result<u64, NotEverywhere> {
    let counts = broadcast.shards.iter().map(|shard| async move {
        let count: OpenCount = with_patience(env, &broadcast.uid, *shard, &OutboxCall::OpenCount {}).await?;
        Ok(count.open)
    });
    let counts = gather(stream::iter(counts).buffer_unordered(outbox::AT_ONCE).collect().await)?;
    Ok(counts.into_iter().sum())
}

async fn push_to(env: &Env, broadcast: &Broadcast, shard: u8) -> Result<()> {
    let message = OutboxCall::Controls(broadcast.controls.clone());
    let _: Acknowledged = with_patience(env, &broadcast.uid, shard, &message).await?;
    Ok(())
}

async fn with_patience<Reply: DeserializeOwned>(
    env: &Env,
    uid: &str,
    shard: u8,
    message: &OutboxCall,
) -> Result<Reply> {
    let mut tries = 1;
    loop {
        match outbox::call(env, uid, shard, message).await {
            Err(_) if tries < TRIES => tries += 1,
            result => return result,
        }
    }
}

/// All the answers, or how many are missing.
fn gather<T>(answers: Vec<Result<T>>) -> std::result::Result<Vec<T>, NotEverywhere> {
    let all = answers.len();
    let (mut given, mut cause) = (Vec::with_capacity(all), None);
    for answer in answers {
        match answer {
            Ok(answer) => given.push(answer),
            Err(error) => drop(cause.get_or_insert(error)),
        }
    }
    match cause {
        None => Ok(given),
        Some(error) => Err(NotEverywhere { missed: all - given.len(), all, cause: error.to_string() }),
    }
}

impl From<NotEverywhere> for Error {
    fn from(missed: NotEverywhere) -> Self {
        Self::from(missed.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swept_format_unchanged() {
        let home = Home { workflow: "w".parse().unwrap(), uid: "u".to_owned(), shard: 3 };
        let swept =
            Swept { home, controls: Controls { version: 2, ..Controls::default() }, replays: Vec::new() };
        let text = r#"{"home":{"workflow":"w","uid":"u","shard":3},"controls":{"version":2}}"#;
        assert_eq!(serde_json::to_string(&swept).unwrap(), text);
        assert_eq!(serde_json::from_str::<Swept>(text).unwrap(), swept);
    }

    #[test]
    fn tells_how_many_are_missing() {
        assert_eq!(gather(vec![Ok(1), Ok(2)]), Ok(vec![1, 2]));
        assert_eq!(gather::<u8>(vec![]), Ok(vec![]));
        let failed = gather(vec![Ok(1), Err(Error::from("gone")), Err(Error::from("slow"))]).unwrap_err();
        assert_eq!(failed.to_string(), "2 of 3 outboxes can't be reached: gone");
    }
}
