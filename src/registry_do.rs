//! The registry: the one Durable Object that holds the configuration.
//!
//! State: the rows of `schema.rs`, and nothing in memory. Invariants: every change counts up the registry's
//! revision, so that a cached view can be confirmed by comparing numbers; every change of controls counts up
//! their version; what is stored of secrets is sealed, of tokens a hash. No call awaits anything once its
//! message is read, so each is one commit and sees no half of another. It calls nobody: who changes
//! controls is told which outboxes must hear of them, and pushes them itself (`registry.rs`), so that many
//! or slow outboxes never stand in the way of the rest.

pub mod protocol;
mod schema;
mod standing;
mod workflows;
mod controls;
mod deletion;
mod outboxes;
mod replays;
mod secrets;
mod tokens;
mod triggers;

use varde_core::time::UnixMs;
use worker::{DurableObject, Env, Request, Response, Result, State, durable_object};

use self::protocol::{Lookup, RegistryCall};
use crate::ambient;
use crate::database::Database;
use crate::objects::reply;

/// Workflows of one deployment; a sweep and a list stay quick, and nobody oversees more.
pub const MAX_WORKFLOWS: u64 = 1_000;
/// Secrets of one deployment.
pub const MAX_SECRETS: u64 = 500;
/// Tokens of one deployment; every isolate holds them all.
pub const MAX_TOKENS: u64 = 500;
/// Triggers of one deployment; every isolate that takes events holds the names of them all.
pub const MAX_TRIGGERS: u64 = 1_000;
/// Triggers of one workflow.
pub const MAX_TRIGGERS_OF_WORKFLOW: u64 = 20;
/// Bulk replays of one workflow that are remembered, here and in its outboxes: what is listed must be known
/// there.
pub const MAX_REPLAYS: u64 = 100;

/// The Durable Object.
#[durable_object]
pub struct Registry {
    database: std::result::Result<Database, String>,
}

impl DurableObject for Registry {
    fn new(state: State, _env: Env) -> Self {
        let database =
            Database::open(&state.storage(), &schema::MIGRATIONS).map_err(|error| error.to_string());
        Self { database }
    }

    async fn fetch(&self, mut request: Request) -> Result<Response> {
        let (message, now) = (request.bytes().await?, ambient::now());
        match serde_json::from_slice(&message) {
            Ok(Lookup::Resolve { workflow, known }) => reply(&self.resolve(&workflow, known, now)?),
            Ok(Lookup::Tokens { known }) => reply(&self.tokens(known)?),
            Err(_) => self.answer(&message, now),
        }
    }
}

impl Registry {
    /// What few ask for. Runtimes compile what is called: this is much, and a first enrollment shall not wait for it.
    #[inline(never)]
    fn answer(&self, message: &[u8], now: UnixMs) -> Result<Response> {
        use RegistryCall as Call;
        match serde_json::from_slice(message)? {
            Call::PutWorkflow(put) => reply(&self.put_workflow(&put, now)?),
            Call::ReadWorkflow { workflow } => reply(&self.read_workflow(&workflow)?),
            Call::ListWorkflows(query) => reply(&self.list_workflows(&query)?),

            Call::Switch { workflow, action, paused } => {
                reply(&self.switch(&workflow, action.as_ref(), paused, now)?)
            }
            Call::PauseGone { home, action } => reply(&self.pause_gone(&home, &action, now)?),
            Call::Register(home) => reply(&self.register(&home, now)?),
            Call::Sweep {} => reply(&self.sweep(now)?),

            Call::Outboxes { workflow } => reply(&self.outboxes(&workflow, now)?),
            Call::Close { workflow, cancel_open } => reply(&self.close(&workflow, cancel_open, now)?),
            Call::Reopen(closing) => reply(&self.reopen(&closing, now)?),
            Call::Remove(closing) => reply(&self.remove(&closing, now)?),

            Call::InUse { workflow, limit } => reply(&self.in_use(workflow.as_ref(), limit)?),
            Call::StartReplay { workflow, bulk } => reply(&self.start_replay(&workflow, bulk, now)?),
            Call::CancelReplay { workflow, id } => reply(&self.cancel_replay(&workflow, id, now)?),
            Call::ListReplays { workflow } => reply(&self.list_replays(&workflow, now)?),

            Call::PutSecret { name, value, hosts } => reply(&self.put_secret(name, value, hosts, now)?),
            Call::RotateSecret(rotate) => reply(&self.rotate_secret(rotate, now)?),
            Call::ReadSecrets { names } => reply(&self.read_secrets(&names)?),
            Call::KeyUsers { name } => reply(&self.key_users(&name)?),
            Call::ResealSecrets { changes } => reply(&self.reseal_secrets(&changes)?),
            Call::DeleteSecret { name } => reply(&self.delete_secret(&name)?),
            Call::ListSecrets(query) => reply(&self.list_secrets(&query, now)?),

            Call::CreateToken { hash, name, scopes } => reply(&self.create_token(hash, name, scopes, now)?),
            Call::DeleteToken { id } => reply(&self.delete_token(&id)?),
            Call::ListTokens(query) => reply(&self.list_tokens(&query)?),

            Call::Trigger(call) => self.answer_about_triggers(call, now),
        }
    }

    fn database(&self) -> Result<&Database> {
        self.database.as_ref().map_err(|error| worker::Error::from(error.clone()))
    }

    /// The number of the last change.
    fn revision(&self) -> Result<u64> {
        match self.database()?.meta("revision")? {
            None => Ok(0),
            Some(text) => text.parse().map_err(|_| worker::Error::from("revision is not a number")),
        }
    }

    /// The number of the change that is being made.
    fn next_revision(&self) -> Result<u64> {
        let next = self.revision()? + 1;
        self.database()?.set_meta("revision", &next.to_string())?;
        Ok(next)
    }

    /// How many rows a table has.
    fn count(&self, table: &'static str) -> Result<u64> {
        let rows = self.database()?.rows(&format!("SELECT count(*) FROM {table}"), vec![])?;
        rows.into_iter().next().map_or(Ok(0), |mut row| row.number())
    }
}
