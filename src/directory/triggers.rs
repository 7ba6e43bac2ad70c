//! Triggers as the isolate sees them.
//!
//! Whoever guesses ids asks for what isn't there, so an id that isn't remembered is first looked for among
//! the names of all triggers. They are held as the tokens are, and fetched again at most once a second for
//! what isn't among them: however many wrong ids come, the registry hears of one a second.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use serde::de::DeserializeOwned;
use varde_core::inbound::{Trigger, TriggerId};
use varde_core::json;
use varde_core::secret::{Secret, StoredSecret};
use varde_core::slug::Slug;
use varde_core::time::SECOND_MS;
use worker::Env;

use super::cache::{Answer, FRESH_MS, Look, Question, Shelf};
use super::{DIRECTORY, Directory, DirectoryError, ask, broken, opened};
use crate::ambient;
use crate::config::Config;
use crate::registry_do::protocol::{
    KnownTriggers, RegistryCall, ResolvedTrigger, TriggerCall, TriggerSnapshot,
};

/// Triggers that an isolate remembers whole.
const MAX_VIEWS: usize = 256;
/// Bytes of their documents.
const MAX_VIEWS_WEIGHT: usize = 4 * 1024 * 1024;
/// How long an id that isn't known stays so: short, so that a new trigger works, but long enough that wrong
/// ids can't flood the registry.
const UNKNOWN_MS: u64 = SECOND_MS;

/// A trigger with all that is needed to take its events.
#[derive(Debug)]
pub struct TriggerView {
    /// Its workflow's id.
    pub workflow: Slug,
    /// Its workflow's internal name.
    pub uid: String,
    /// What it does.
    pub trigger: Trigger,
    /// The secret that it names.
    pub secret: Option<StoredSecret<Secret>>,
}

/// What is remembered of triggers.
pub(super) struct TriggerShelves {
    names: Shelf<(), BTreeSet<TriggerId>>,
    views: Shelf<TriggerId, TriggerView>,
}

impl TriggerShelves {
    pub(super) const fn new() -> Self {
        Self { names: Shelf::new(1, 0), views: Shelf::new(MAX_VIEWS, MAX_VIEWS_WEIGHT) }
    }

    pub(super) fn forget_all(&mut self) {
        self.names.forget_all();
        self.views.forget_all();
    }
}

/// The view of a trigger.
///
/// # Errors
/// [`DirectoryError`] when there is none that may be used.
pub async fn trigger(env: &Env, config: &Config, id: TriggerId) -> Result<Rc<TriggerView>, DirectoryError> {
    let look = with(|directory| {
        directory.triggers.views.look_up(&mut directory.confirmations, &id, FRESH_MS, ambient::now())
    });
    match look {
        Look::Fresh(view) => Ok(view),
        // What was known once may cost a question.
        Look::Ask(question) if question.known().is_some() => resolve(env, config, id, question).await,
        Look::Ask(question) if exists(env, id).await? => resolve(env, config, id, question).await,
        Look::Ask(_) => Err(DirectoryError::UnknownTrigger),
    }
}

async fn exists(env: &Env, id: TriggerId) -> Result<bool, DirectoryError> {
    for fresh_ms in [FRESH_MS, UNKNOWN_MS] {
        if names(env, fresh_ms).await?.contains(&id) {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn names(env: &Env, fresh_ms: u64) -> Result<Rc<BTreeSet<TriggerId>>, DirectoryError> {
    let look = with(|directory| {
        directory.triggers.names.look_up(&mut directory.confirmations, &(), fresh_ms, ambient::now())
    });
    let question = match look {
        Look::Fresh(names) => return Ok(names),
        Look::Ask(question) => question,
    };
    match ask_about(env, TriggerCall::Known { known: question.known() }).await {
        Err(error) => question.fallback().ok_or(error),
        Ok(KnownTriggers::Unchanged { as_of }) => with(|directory| {
            directory.triggers.names.confirm(&mut directory.confirmations, &(), question, as_of)
        })
        .ok_or_else(|| broken("the registry left unknown triggers unchanged")),
        Ok(KnownTriggers::Changed { as_of, changed_at, triggers }) => {
            let answer = Answer { value: triggers.into_iter().collect(), changed_at, as_of, weight: 0 };
            Ok(with(|directory| {
                directory.triggers.names.keep(&mut directory.confirmations, (), &question, answer)
            }))
        }
    }
}

async fn resolve(
    env: &Env,
    config: &Config,
    id: TriggerId,
    question: Question<TriggerView>,
) -> Result<Rc<TriggerView>, DirectoryError> {
    let call = TriggerCall::Resolve { trigger: id, known: question.known() };
    match ask_about(env, call).await {
        Err(error) => question.fallback().ok_or(error),
        Ok(ResolvedTrigger::Unknown) => {
            with(|directory| directory.triggers.views.forget(&id));
            Err(DirectoryError::UnknownTrigger)
        }
        Ok(ResolvedTrigger::Unchanged { as_of }) => with(|directory| {
            directory.triggers.views.confirm(&mut directory.confirmations, &id, question, as_of)
        })
        .ok_or_else(|| broken("the registry left an unknown trigger unchanged")),
        Ok(ResolvedTrigger::Found { as_of, snapshot }) => {
            let (changed_at, weight) = (snapshot.revision, snapshot.doc.get().len());
            let answer = Answer { value: view_of(*snapshot, config)?, changed_at, as_of, weight };
            Ok(with(|directory| {
                directory.triggers.views.keep(&mut directory.confirmations, id, &question, answer)
            }))
        }
    }
}

async fn ask_about<Reply: DeserializeOwned>(env: &Env, call: TriggerCall) -> Result<Reply, DirectoryError> {
    ask(env, &RegistryCall::Trigger(call)).await
}

fn view_of(snapshot: TriggerSnapshot, config: &Config) -> Result<TriggerView, DirectoryError> {
    let unreadable = |reason: &str| {
        broken(&format!("a stored trigger of `{}` can't be read any more: {reason}", snapshot.workflow))
    };
    let doc = json::from_text(snapshot.doc.get()).map_err(|error| unreadable(&error.to_string()))?;
    let trigger = Trigger::parse_stored(&doc)
        .map_err(|mistakes| unreadable(&mistakes.first().map(ToString::to_string).unwrap_or_default()))?;
    let secret = snapshot.secret.as_ref().map(|sealed| opened(sealed, config)).transpose()?;
    Ok(TriggerView { workflow: snapshot.workflow, uid: snapshot.uid, trigger, secret })
}

fn with<T>(work: impl FnOnce(&mut Directory) -> T) -> T {
    DIRECTORY.with(|directory: &RefCell<Directory>| work(&mut directory.borrow_mut()))
}
