//! The local runtime, `workerd`, with Varde or the floor in it.
//!
//! It is started as it is, without `wrangler dev` before it: that has a second runtime of its own in front, whose
//! cost would hide the difference between the two.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::failure::Failure;
use crate::process::Process;

/// The token that may do everything in the Varde under test. It never leaves this machine.
pub const ADMIN_TOKEN: &str = "bench-admin-token";
/// 32 bytes in base64.
const MASTER_KEY: &str = "YmVuY2ggYmVuY2ggYmVuY2ggYmVuY2ggYmVuY2gxMjM=";
/// The configuration as the runtime starts with it.
const COMPILED: &str = "config.bin";
/// A start takes a fraction of a second; a loaded machine may need many times that.
const START_TIMEOUT: Duration = Duration::from_mins(1);

/// What runs in the runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// The released Worker, from `build/`.
    Varde,
    /// The Worker with counters, from `build-testing/`: counted, never timed.
    VardeCounting,
    /// `bench/floor/worker.mjs`.
    Floor,
    /// The same, with its rows counted.
    FloorCounting,
    /// `bench/ceiling/worker.mjs`.
    Ceiling,
}

impl Program {
    /// Where the folder of the built Worker is, below the root.
    const fn build(self) -> Option<&'static str> {
        match self {
            Self::Varde => Some("build"),
            Self::VardeCounting => Some("build-testing"),
            Self::Floor | Self::FloorCounting | Self::Ceiling => None,
        }
    }
}

/// A running runtime. It ends when this is dropped.
pub struct Runtime {
    /// `127.0.0.1:<port>`
    pub address: String,
    /// Its only process.
    pub process: Process,
    /// When it was spawned.
    pub spawned: Instant,
    child: Child,
    directory: PathBuf,
}

impl Runtime {
    /// Starts a runtime in a folder of its own, which may hold the state of an earlier run of the same program.
    ///
    /// # Errors
    ///
    /// When the runtime or the built Worker is missing, or the runtime doesn't open its port in time.
    pub async fn start(root: &Path, program: Program, directory: &Path) -> Result<Self, Failure> {
        lay_out(root, program, directory)?;
        let workerd = workerd(root)?;
        compile_configuration(&workerd, directory).await?;
        let spawned = Instant::now();
        let mut child = Command::new(workerd)
            .args(["serve", "--binary", COMPILED, "--control-fd=1"])
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(directory.join("output.log"))?)
            .kill_on_drop(true)
            .spawn()?;
        let stdout = child.stdout.take().expect("invariant: stdout is piped");
        let port = tokio::time::timeout(START_TIMEOUT, listening(BufReader::new(stdout)))
            .await
            .map_err(|_| Failure::new("the runtime didn't open its port in time"))??;
        let process = Process::new(child.id().expect("invariant: it was just spawned"));
        Ok(Self {
            address: format!("127.0.0.1:{port}"),
            process,
            spawned,
            child,
            directory: directory.to_owned(),
        })
    }

    /// Kills it and waits until it is gone. Its state stays.
    pub async fn stop(mut self) -> Result<(), Failure> {
        self.child.kill().await?;
        Ok(())
    }

    /// The folder with its state.
    pub fn state(&self) -> PathBuf {
        self.directory.join("state")
    }
}

/// The event that the runtime tells when a socket is open.
#[derive(Deserialize)]
struct Listening {
    event: String,
    port: u16,
}

/// Reads the runtime's control messages until it listens.
async fn listening(mut lines: impl AsyncBufReadExt + Unpin) -> Result<u16, Failure> {
    let mut line = String::new();
    while lines.read_line(&mut line).await? > 0 {
        if let Some(found) = serde_json::from_str::<Listening>(&line).ok().filter(|it| it.event == "listen") {
            return Ok(found.port);
        }
        line.clear();
    }
    Err(Failure::new("the runtime ended before it listened; its output.log says why"))
}

/// The runtime's own program, from the npm package for this machine.
fn workerd(root: &Path) -> Result<PathBuf, Failure> {
    let packages = root.join("node_modules/@cloudflare");
    std::fs::read_dir(&packages)?
        .flatten()
        .map(|entry| entry.path().join("bin/workerd"))
        .find(|path| path.exists())
        .ok_or_else(|| Failure::new("no workerd in node_modules/@cloudflare: run scripts/setup"))
}

/// Reading the text of a configuration, with a Worker embedded in it, takes the runtime as long as the Worker is
/// large: that belongs to no start of an isolate, so it is done before.
async fn compile_configuration(workerd: &Path, directory: &Path) -> Result<(), Failure> {
    let compiled = Command::new(workerd)
        .args(["compile", "--config-only", "config.capnp"])
        .current_dir(directory)
        .stdout(std::fs::File::create(directory.join(COMPILED))?)
        .stderr(std::fs::File::create(directory.join("output.log"))?)
        .status()
        .await?;
    if compiled.success() { Ok(()) } else { Err(Failure::new("the runtime can't read its configuration")) }
}

/// Puts modules and configuration where the runtime finds them.
fn lay_out(root: &Path, program: Program, directory: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(directory.join("state"))?;
    let settings = std::fs::read_to_string(root.join("wrangler.toml"))?;
    let date = setting(&settings, "compatibility_date")
        .ok_or_else(|| Failure::new("wrangler.toml names no compatibility_date"))?;
    let worker = if let Some(build) = program.build() {
        let build = root.join(build);
        let needed = |name: &str| {
            std::fs::copy(build.join(name), directory.join(name))
                .map_err(|_| Failure::new(format!("{} has no {name}: run scripts/build", build.display())))
        };
        needed("index.js")?;
        needed("index_bg.wasm")?;
        std::fs::copy(root.join("src/entry.mjs"), directory.join("entry.mjs"))?;
        varde(&settings)
    } else {
        let folder = if program == Program::Ceiling { "ceiling" } else { "floor" };
        std::fs::copy(root.join("bench").join(folder).join("worker.mjs"), directory.join("worker.mjs"))?;
        plain(program == Program::FloorCounting)
    };
    let config = format!(
        r#"using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = .main),
    (name = "state", disk = (path = "state", writable = true)),
    (name = "internet", network = (allow = ["public", "private"])),
  ],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);
const main :Workerd.Worker = (
  compatibilityDate = "{date}",
  durableObjectStorage = (localDisk = "state"),
{worker});
"#
    );
    std::fs::write(directory.join("config.capnp"), config)?;
    Ok(())
}

/// As `wrangler.toml` has it, the pages and the cron apart.
fn varde(settings: &str) -> String {
    let classes = [
        ("REGISTRY", "Registry"),
        ("OUTBOX", "Outbox"),
        ("INSPECTOR", "Inspector"),
        ("TRIGGER_EVENTS", "TriggerEvents"),
    ];
    let bindings = classes
        .map(|(name, class)| format!("    (name = \"{name}\", durableObjectNamespace = \"{class}\"),\n"))
        .concat();
    let namespaces = classes
        .map(|(_, class)| {
            format!("    (className = \"{class}\", uniqueKey = \"bench-{class}\", enableSql = true),\n")
        })
        .concat();
    let flags = setting(settings, "compatibility_flags").unwrap_or_default();
    format!(
        r#"  compatibilityFlags = [{flags}],
  modules = [
    (name = "entry.mjs", esModule = embed "entry.mjs"),
    (name = "varde-wasm", esModule = embed "index.js"),
    (name = "index_bg.wasm", wasm = embed "index_bg.wasm"),
  ],
  durableObjectNamespaces = [
{namespaces}  ],
  bindings = [
{bindings}    (name = "SENDER", service = (name = "main", entrypoint = "Sender")),
    (name = "VARDE_ADMIN_TOKEN", text = "{ADMIN_TOKEN}"),
    (name = "VARDE_MASTER_KEY", text = "{MASTER_KEY}"),
    (name = "VARDE_DEV_ALLOW_LOOPBACK", text = "true"),
  ],
"#
    )
}

/// One module and one object, as the floor and the ceiling are.
fn plain(counting: bool) -> String {
    let counting = if counting { "\n    (name = \"COUNT\", text = \"true\")," } else { "" };
    format!(
        r#"  modules = [(name = "worker.mjs", esModule = embed "worker.mjs")],
  durableObjectNamespaces = [(className = "Outbox", uniqueKey = "bench-Outbox", enableSql = true)],
  bindings = [
    (name = "OUTBOX", durableObjectNamespace = "Outbox"),{counting}
  ],
"#
    )
}

/// The value of a top-level setting of `wrangler.toml`, without the quotes of a text or the brackets of a list.
fn setting(settings: &str, name: &str) -> Option<String> {
    let line = settings.lines().find(|line| line.split('=').next().is_some_and(|key| key.trim() == name))?;
    let value = line.split_once('=')?.1.trim();
    let listed = value.strip_prefix('[').and_then(|value| value.strip_suffix(']'));
    Some(listed.unwrap_or_else(|| value.trim_matches('"')).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_settings_that_both_need() {
        let settings =
            "name = \"varde\"\ncompatibility_date = \"2026-10-01\"\ncompatibility_flags = [\"a\", \"b\"]\n";
        assert_eq!(setting(settings, "compatibility_date").as_deref(), Some("2026-10-01"));
        assert_eq!(setting(settings, "compatibility_flags").as_deref(), Some("\"a\", \"b\""));
        assert_eq!(setting(settings, "compatibility"), None);
    }

    #[test]
    fn knows_every_object_class_of_the_worker() {
        let real = include_str!("../../wrangler.toml");
        let ours = varde(real);
        let classes = real.lines().filter_map(|line| line.trim().strip_prefix("{ name = \""));
        let mut found = 0;
        for class in classes {
            let (name, rest) = class.split_once('"').expect("invariant: a binding has a name");
            assert!(ours.contains(&format!("(name = \"{name}\"")), "{name} is not bound: {rest}");
            found += 1;
        }
        assert!(found >= 4, "wrangler.toml was read");
    }
}
