//! The isolate's view of the registry: workflows and triggers with their secrets, and the tokens.
//!
//! A fresh view costs no call and nothing to parse. One that isn't is asked for again by the request that
//! finds it so; requests never wait for each other, because the runtime hangs those that do. Within
//! [`cache::FRESH_MS`] and the time of one call, an edit made anywhere is in force here; one made by this
//! isolate at once ([`forget`], [`forget_all`]).

mod cache;
mod triggers;

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;
use varde_core::controls::Controls;
use varde_core::json;
use varde_core::secret::seal::UnsealError;
use varde_core::secret::{Mask, Sealed, Secret, StoredSecret};
use varde_core::slug::Slug;
use varde_core::time::SECOND_MS;
use varde_core::token::{Scope, TokenHash};
use varde_core::workflow::Workflow;
use worker::Env;

use self::cache::{Answer, Confirmations, FRESH_MS, Look, Question, Shelf};
use self::triggers::TriggerShelves;
pub use self::triggers::{TriggerView, trigger};
use crate::config::{Config, ConfigError};
use crate::patience::within;
use crate::registry_do::protocol::{Lookup, RegistryCall, Resolved, Snapshot, Tokens};
use crate::{ambient, log, registry};

/// Workflows that an isolate remembers.
const MAX_VIEWS: usize = 256;
/// Bytes of their documents; a parsed one takes a few times as much, and an isolate has 128 MB.
const MAX_VIEWS_WEIGHT: usize = 8 * 1024 * 1024;
/// How long a token that isn't known stays so: short, so that a new one works, but long enough that wrong
/// ones can't flood the registry.
const UNKNOWN_TOKEN_MS: u64 = SECOND_MS;
/// How long the registry has for an answer, however often it is asked.
const TIMEOUT: Duration = Duration::from_secs(2);
/// How often it is asked. A deploy resets objects once.
const TRIES: u32 = 2;

/// A workflow with all that is needed to run it.
#[derive(Debug)]
pub struct WorkflowView {
    /// Its id in the API.
    pub id: Slug,
    /// Its internal name.
    pub uid: String,
    /// What it does.
    pub workflow: Workflow,
    /// What is paused.
    pub controls: Controls,
    /// The secrets that its actions name.
    pub secrets: BTreeMap<Slug, StoredSecret<Secret>>,
    mask: OnceCell<Rc<Mask>>,
}

impl WorkflowView {
    /// Hides all of its secrets.
    pub fn mask(&self) -> Rc<Mask> {
        let made = || Rc::new(Mask::new(self.secrets.values().flat_map(StoredSecret::values)));
        Rc::clone(self.mask.get_or_init(made))
    }
}

/// Why there is no view.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DirectoryError {
    /// There is no such workflow.
    #[error("there is no workflow `{id}`")]
    UnknownWorkflow {
        /// The id that was asked for.
        id: String,
    },
    /// There is no such trigger. Its id may be somebody's key, so it isn't told.
    #[error("there is no such trigger")]
    UnknownTrigger,
    /// The registry can't be reached, and nothing is remembered that could still be used.
    #[error("the registry can't be reached: {cause}")]
    Unreachable {
        /// What the call failed with.
        cause: String,
    },
    /// The deployment isn't finished.
    #[error(transparent)]
    Config(ConfigError),
    /// A secret can't be opened: most often the master key isn't the one that sealed it.
    #[error("secret `{secret}` can't be opened: {why}")]
    Sealed {
        /// Its name.
        secret: Slug,
        /// What is wrong.
        why: UnsealError,
    },
    /// What the registry holds can't be read.
    #[error("{reason}")]
    Broken {
        /// What is wrong with it.
        reason: String,
    },
}

impl DirectoryError {
    /// A stable slug for answers, and for the reason why an attempt wasn't made.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::UnknownWorkflow { .. } => "unknown_workflow",
            Self::UnknownTrigger => "unknown_trigger",
            Self::Unreachable { .. } => "registry_unreachable",
            Self::Config(_) => "misconfigured",
            Self::Sealed { why: UnsealError::OtherKey { .. }, .. } => "master_key_mismatch",
            Self::Sealed { why, .. } => why.code(),
            Self::Broken { .. } => "configuration_unreadable",
        }
    }
}

/// All tokens.
type TokenTable = Vec<(TokenHash, Vec<Scope>)>;

struct Directory {
    confirmations: Confirmations,
    views: Shelf<Slug, WorkflowView>,
    tokens: Shelf<(), TokenTable>,
    triggers: TriggerShelves,
}

thread_local! {
    static DIRECTORY: RefCell<Directory> = const { RefCell::new(Directory::new()) };
}

/// The view of a workflow.
///
/// # Errors
/// [`DirectoryError`] when there is none that may be used.
pub async fn workflow(env: &Env, config: &Config, id: &Slug) -> Result<Rc<WorkflowView>, DirectoryError> {
    match look_up(id) {
        Look::Fresh(view) => Ok(view),
        Look::Ask(question) => ask_for_workflow(env, config, id, question).await,
    }
}

/// As [`workflow`], for an id that a caller gave.
///
/// # Errors
/// [`DirectoryError`] when there is none that may be used; what isn't an id is unknown.
pub async fn workflow_by_id(
    env: &Env,
    config: &Config,
    id: &str,
) -> Result<Rc<WorkflowView>, DirectoryError> {
    match look_up(id) {
        Look::Fresh(view) => Ok(view),
        Look::Ask(question) => {
            let slug = id.parse().map_err(|_| DirectoryError::UnknownWorkflow { id: id.to_owned() })?;
            ask_for_workflow(env, config, &slug, question).await
        }
    }
}

/// What a token may do, `None` if it isn't known. The deployment's own admin token needs no registry.
///
/// # Errors
/// [`DirectoryError::Unreachable`] when that can't be found out.
pub async fn scopes_of(
    env: &Env,
    config: &Config,
    presented: TokenHash,
) -> Result<Option<Vec<Scope>>, DirectoryError> {
    // Hashes of one length, compared in constant time: nothing can be learned about the text.
    if config.admin_token == Some(presented) {
        return Ok(Some(vec![Scope::Admin]));
    }
    for fresh_ms in [FRESH_MS, UNKNOWN_TOKEN_MS] {
        let table = tokens(env, fresh_ms).await?;
        if let Some(scopes) = scopes_in(&table, presented) {
            return Ok(Some(scopes.to_vec()));
        }
    }
    Ok(None)
}

/// This isolate has changed a workflow.
pub fn forget(id: &Slug) {
    DIRECTORY.with_borrow_mut(|directory| {
        directory.confirmations.forget();
        directory.views.forget(id);
    });
}

/// This isolate has changed a secret, a token or a trigger.
pub fn forget_all() {
    DIRECTORY.with_borrow_mut(|directory| {
        directory.confirmations.forget();
        directory.views.forget_all();
        directory.tokens.forget_all();
        directory.triggers.forget_all();
    });
}

impl Directory {
    const fn new() -> Self {
        Self {
            confirmations: Confirmations::new(),
            views: Shelf::new(MAX_VIEWS, MAX_VIEWS_WEIGHT),
            tokens: Shelf::new(1, 0),
            triggers: TriggerShelves::new(),
        }
    }
}

fn look_up(id: &str) -> Look<WorkflowView> {
    let now = ambient::now();
    DIRECTORY
        .with_borrow_mut(|directory| directory.views.look_up(&mut directory.confirmations, id, FRESH_MS, now))
}

async fn ask_for_workflow(
    env: &Env,
    config: &Config,
    id: &Slug,
    question: Question<WorkflowView>,
) -> Result<Rc<WorkflowView>, DirectoryError> {
    let message = Lookup::Resolve { workflow: id.clone(), known: question.known() };
    match ask(env, &message).await {
        Err(error) => question.fallback().ok_or(error),
        Ok(Resolved::Unknown) => {
            DIRECTORY.with_borrow_mut(|directory| directory.views.forget(id));
            Err(DirectoryError::UnknownWorkflow { id: id.to_string() })
        }
        Ok(Resolved::Unchanged { as_of }) => DIRECTORY
            .with_borrow_mut(|directory| {
                directory.views.confirm(&mut directory.confirmations, id, question, as_of)
            })
            .ok_or_else(|| broken("the registry left an unknown workflow unchanged")),
        Ok(Resolved::Found { as_of, snapshot }) => {
            let (changed_at, weight) = (snapshot.revision, snapshot.doc.get().len());
            let answer = Answer { value: view_of(id, snapshot, config)?, changed_at, as_of, weight };
            Ok(DIRECTORY.with_borrow_mut(|directory| {
                directory.views.keep(&mut directory.confirmations, id.clone(), &question, answer)
            }))
        }
    }
}

async fn tokens(env: &Env, fresh_ms: u64) -> Result<Rc<TokenTable>, DirectoryError> {
    let now = ambient::now();
    let look = DIRECTORY.with_borrow_mut(|directory| {
        directory.tokens.look_up(&mut directory.confirmations, &(), fresh_ms, now)
    });
    let question = match look {
        Look::Fresh(tokens) => return Ok(tokens),
        Look::Ask(question) => question,
    };
    match ask(env, &Lookup::Tokens { known: question.known() }).await {
        Err(error) => question.fallback().ok_or(error),
        Ok(Tokens::Unchanged { as_of }) => DIRECTORY
            .with_borrow_mut(|directory| {
                directory.tokens.confirm(&mut directory.confirmations, &(), question, as_of)
            })
            .ok_or_else(|| broken("the registry left unknown tokens unchanged")),
        Ok(Tokens::Changed { as_of, changed_at, tokens }) => {
            let answer = Answer { value: tokens, changed_at, as_of, weight: 0 };
            Ok(DIRECTORY.with_borrow_mut(|directory| {
                directory.tokens.keep(&mut directory.confirmations, (), &question, answer)
            }))
        }
    }
}

/// Asks the registry, in time; what fails is remembered, so that the next requests don't wait for it, too.
async fn ask<Reply: DeserializeOwned>(env: &Env, message: &impl Serialize) -> Result<Reply, DirectoryError> {
    let message = serde_json::to_vec(message).map_err(|error| broken(&error.to_string()))?;
    let reply = ask_in_time(env, message).await?;
    serde_json::from_slice(&reply).map_err(|error| unreachable(error.to_string()))
}

/// A future by itself, as [`crate::objects::say`].
fn ask_in_time(env: &Env, message: Vec<u8>) -> LocalBoxFuture<'_, Result<Vec<u8>, DirectoryError>> {
    async move {
        let asking = async {
            let mut tries = 1;
            loop {
                match registry::say(env, message.clone()).await {
                    Err(_) if tries < TRIES => tries += 1,
                    result => return result,
                }
            }
        };
        match within(TIMEOUT, asking).await {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(error)) => Err(unreachable(error.to_string())),
            Err(late) => Err(unreachable(late.to_string())),
        }
    }
    .boxed_local()
}

/// The registry is out of reach, or answers what nobody can read.
fn unreachable(cause: String) -> DirectoryError {
    log::error("registry_unreachable", &cause);
    let now = ambient::now();
    DIRECTORY.with_borrow_mut(|directory| directory.confirmations.failed(now));
    DirectoryError::Unreachable { cause }
}

/// A secret by its name, asked for anew: for a delivery whose action has named another one since, so it is
/// rare. `None` where there is none.
///
/// # Errors
/// When the registry can't be reached, or the value can't be opened.
pub async fn secret(
    env: &Env,
    config: &Config,
    name: &Slug,
) -> Result<Option<StoredSecret<Secret>>, DirectoryError> {
    let message = RegistryCall::ReadSecrets { names: vec![name.clone()] };
    let found: Vec<StoredSecret<Sealed>> = ask(env, &message).await?;
    found.into_iter().next().map(|sealed| opened(&sealed, config)).transpose()
}

fn opened(sealed: &StoredSecret<Sealed>, config: &Config) -> Result<StoredSecret<Secret>, DirectoryError> {
    let keys = config.master_keys.as_ref().map_err(|error| DirectoryError::Config(error.clone()))?;
    keys.unseal_all(sealed).map_err(|why| DirectoryError::Sealed { secret: sealed.name.clone(), why })
}

fn view_of(id: &Slug, snapshot: Snapshot, config: &Config) -> Result<WorkflowView, DirectoryError> {
    let doc =
        json::from_text(snapshot.doc.get()).map_err(|error| broken(&format!("workflow `{id}`: {error}")))?;
    let workflow = Workflow::parse_stored(&doc).map_err(|mistakes| {
        let first = mistakes.first().map(ToString::to_string).unwrap_or_default();
        broken(&format!("the stored workflow `{id}` can't be read any more: {first}"))
    })?;
    let mut secrets = BTreeMap::new();
    for sealed in snapshot.secrets {
        let secret = opened(&sealed, config)?;
        secrets.insert(sealed.name, secret);
    }
    let Snapshot { uid, controls, .. } = snapshot;
    Ok(WorkflowView { id: id.clone(), uid, workflow, controls, secrets, mask: OnceCell::new() })
}

/// Looks at all of them, so that the time tells nothing about which one it is.
fn scopes_in(tokens: &[(TokenHash, Vec<Scope>)], presented: TokenHash) -> Option<&[Scope]> {
    let mut found = None;
    for (hash, scopes) in tokens {
        if *hash == presented {
            found = Some(scopes.as_slice());
        }
    }
    found
}

fn broken(reason: &str) -> DirectoryError {
    DirectoryError::Broken { reason: reason.to_owned() }
}
