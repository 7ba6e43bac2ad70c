//! Varde and the floor, each in a runtime of its own, and the sink that both call.

use std::path::{Path, PathBuf};

use hyper::Method;
use serde_json::{Value, json};

use crate::connection::Connection;
use crate::failure::Failure;
use crate::ledger::Ledger;
use crate::runtime::{ADMIN_TOKEN, Program, Runtime};
use crate::sink;
use crate::subject::Subject;

/// Name of the signing secret.
const SECRET: &str = "bench";

/// What a part of the bench has to work with.
pub struct Stage {
    /// The repository.
    pub root: PathBuf,
    /// Runs that decide, or ones that are over quickly.
    pub quick: bool,
    /// All that was enrolled and arrived.
    pub ledger: Ledger,
    /// `http://127.0.0.1:<port>`
    sink: String,
    /// State of the runtimes.
    scratch: PathBuf,
}

/// A runtime with Varde in it.
pub struct Varde {
    /// It.
    pub runtime: Runtime,
    /// For set-up, as the admin.
    pub admin: Connection,
    /// A token that may only enroll and read, as callers have.
    token: String,
    sink: String,
}

impl Stage {
    /// Opens the sink and makes room for state.
    ///
    /// # Errors
    ///
    /// When it can't.
    pub async fn open(root: &Path, quick: bool, disk: bool) -> Result<Self, Failure> {
        let ledger = Ledger::default();
        let sink = sink::open(ledger.clone()).await?;
        let memory = Path::new("/dev/shm");
        let within =
            if disk || !memory.exists() { root.join(".varde/bench") } else { memory.join("varde-bench") };
        let scratch = within.join(std::process::id().to_string());
        std::fs::create_dir_all(&scratch)?;
        Ok(Self { root: root.to_owned(), quick, ledger, sink, scratch })
    }

    /// Where the databases are, in words.
    pub fn storage(&self) -> &'static str {
        if self.scratch.starts_with("/dev/shm") { "in memory" } else { "on disk" }
    }

    /// A folder for the state of a program.
    pub fn directory(&self, name: &str) -> PathBuf {
        self.scratch.join(name)
    }

    /// Varde with empty state but for a secret and a token.
    ///
    /// # Errors
    ///
    /// When it doesn't start.
    pub async fn varde(&self, name: &str, program: Program) -> Result<Varde, Failure> {
        let runtime = Runtime::start(&self.root, program, &self.directory(name)).await?;
        let mut admin = Connection::open(&runtime.address, ADMIN_TOKEN).await?;
        let secret = json!({"value": format!("whsec_{}", sink::KEY)});
        admin.json(Method::PUT, &format!("/v1/secrets/{SECRET}"), Some(&secret)).await?;
        let wanted = json!({"name": "bench", "scopes": ["enroll", "read"]});
        let made = admin.json(Method::POST, "/v1/tokens", Some(&wanted)).await?;
        let token = made["token"].as_str().unwrap_or_default().to_owned();
        Ok(Varde { runtime, admin, token, sink: self.sink.clone() })
    }

    /// The floor or the ceiling with empty state.
    ///
    /// # Errors
    ///
    /// When it doesn't start.
    pub async fn floor(&self, name: &str, program: Program) -> Result<Runtime, Failure> {
        Runtime::start(&self.root, program, &self.directory(name)).await
    }

    /// The floor as a subject whose endpoint answers as told.
    pub fn floor_subject(&self, runtime: &Runtime, reply: &str) -> Subject {
        self.plain_subject("the floor", runtime, reply)
    }

    /// The floor or the ceiling, which know nothing of workflows, as a subject.
    pub fn plain_subject(&self, name: &str, runtime: &Runtime, reply: &str) -> Subject {
        Subject {
            name: name.to_owned(),
            address: runtime.address.clone(),
            process: runtime.process,
            token: String::new(),
            path: "/".to_owned(),
            stats: "/".to_owned(),
            endpoint: Some(format!("{}/plain/{reply}", self.sink)),
        }
    }

    /// Fails if anything arrived that shouldn't have.
    ///
    /// # Errors
    ///
    /// Then.
    pub fn no_mistakes(&self) -> Result<(), Failure> {
        let (told, all) = self.ledger.mistakes();
        if all == 0 {
            Ok(())
        } else {
            Err(Failure::new(format!("{all} mistakes at the sink: {}", told.join("; "))))
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // What stays behind is only room on the disk.
        std::fs::remove_dir_all(&self.scratch).ok();
    }
}

impl Varde {
    /// An action that tells the sink, which answers as told; `more` is merged into it.
    pub fn action(&self, id: &str, reply: &str, more: &Value) -> Value {
        let field = |name: &str| json!({"name": name, "value": {"property": name}});
        let mut action = json!({
            "id": id, "type": "webhook", "method": "POST", "url": format!("{}/signed/{reply}", self.sink),
            "auth": {"type": "standard_webhooks", "secret": SECRET},
            "body": {"kind": "properties", "fields": [field("n"), field("pad")]},
        });
        for (name, value) in more.as_object().into_iter().flatten() {
            action[name] = value.clone();
        }
        action
    }

    /// Creates or replaces a workflow, and gives it as a subject.
    ///
    /// # Errors
    ///
    /// When it is refused.
    pub async fn workflow(&mut self, id: &str, shards: u32, actions: &[Value]) -> Result<Subject, Failure> {
        let definition = json!({"name": id, "object_type": "contact", "shards": shards, "actions": actions});
        self.admin.json(Method::PUT, &format!("/v1/workflows/{id}"), Some(&definition)).await?;
        Ok(Subject {
            name: format!("the workflow {id}"),
            address: self.runtime.address.clone(),
            process: self.runtime.process,
            token: self.token.clone(),
            path: format!("/v1/workflows/{id}/enrollments"),
            stats: format!("/v1/workflows/{id}/stats"),
            endpoint: None,
        })
    }

    /// A workflow of one action.
    ///
    /// # Errors
    ///
    /// When it is refused.
    pub async fn telling(&mut self, id: &str, shards: u32, reply: &str) -> Result<Subject, Failure> {
        let action = self.action("tell", reply, &Value::Null);
        self.workflow(id, shards, &[action]).await
    }

    /// Pauses or resumes an action.
    ///
    /// # Errors
    ///
    /// When it is refused.
    pub async fn control(&mut self, workflow: &str, action: &str, verb: &str) -> Result<(), Failure> {
        let path = format!("/v1/workflows/{workflow}/actions/{action}/{verb}");
        self.admin.json(Method::POST, &path, None).await?;
        Ok(())
    }
}
