//! The load harness: Varde beside the floor, on the same runtime, in one run.
//!
//! In scope: what a delivery costs, how fast it is, and whether the promises about rates and isolation hold, as
//! ratios to [the floor](../floor/worker.mjs), whose slices alternate with Varde's. Out of scope: whether Varde
//! is right, which is what `tests/` are for; but a run in which a webhook is lost, unsigned or wrongly numbered
//! is no run.

mod failure;
mod spread;
mod report;
mod ledger;
mod sink;
mod process;
mod commits;
mod runtime;
mod connection;
mod subject;
mod stage;
mod load;
#[path = "../../crates/varde-core/tests/recovery/model.rs"]
mod world;
mod parts;

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::ExitCode;
use std::time::Instant;

use futures_util::future::select;
use tokio::signal::unix::{SignalKind, signal};

use failure::Failure;
use parts::Part;
use report::Report;
use stage::Stage;

/// What the command line asks for.
struct Wanted {
    quick: bool,
    disk: bool,
    parts: Vec<Part>,
}

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("invariant: a machine that can run this has timers and sockets");
    // One thread: with the runtime under test, which has one too, it is at home on two cores.
    match tokio::task::LocalSet::new().block_on(&runtime, bench_or_signal()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("bench: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// A signal ends the bench as a failure does, so that the runtimes and their state go with it.
async fn bench_or_signal() -> Result<(), Failure> {
    let mut terminated = signal(SignalKind::terminate())?;
    let ended = async {
        select(pin!(terminated.recv()), pin!(tokio::signal::ctrl_c())).await;
        Err(Failure::new("ended by a signal"))
    };
    select(pin!(bench()), pin!(ended)).await.factor_first().0
}

async fn bench() -> Result<(), Failure> {
    let wanted = wanted(std::env::args().skip(1))?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(PathBuf::from).unwrap_or_default();
    let started = Instant::now();
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default().to_owned();
    let stage = Stage::open(&root, wanted.quick, wanted.disk).await?;
    let mut report = Report::default();
    let mut failed = false;
    for part in &wanted.parts {
        // The others' figures are worth having all the same.
        if let Err(failure) = part.run(&stage, &mut report).await {
            report.failed(&format!("{}: {failure}", part.name()));
            failed = true;
        }
    }
    let text = report.markdown(&opening(&stage, started.elapsed().as_secs(), &load));
    println!("\n{text}");
    // A part or a quick run is for a look; the file shows whole runs.
    if wanted.parts.len() == Part::ALL.len() && !wanted.quick && !wanted.disk {
        std::fs::write(root.join("bench/RESULTS.md"), text)?;
    }
    if failed {
        return Err(Failure::new("some parts failed"));
    }
    if !report.all_reached() {
        eprintln!("bench: not every goal is reached");
    }
    Ok(())
}

fn wanted(arguments: impl Iterator<Item = String>) -> Result<Wanted, Failure> {
    let mut wanted = Wanted { quick: false, disk: false, parts: Vec::new() };
    for argument in arguments {
        if argument == "--quick" {
            wanted.quick = true;
        } else if argument == "--disk" {
            wanted.disk = true;
        } else if let Some(part) = Part::named(&argument) {
            wanted.parts.push(part);
        } else {
            let known: Vec<&str> = Part::ALL.into_iter().map(Part::name).collect();
            return Err(Failure::new(format!(
                "no part {argument:?}; there are --quick, --disk, {}",
                known.join(", ")
            )));
        }
    }
    if wanted.parts.is_empty() {
        wanted.parts = Part::ALL.to_vec();
    }
    Ok(wanted)
}

/// The head of the results: what they are, and where they come from.
fn opening(stage: &Stage, seconds: u64, load: &str) -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpus = read("/proc/cpuinfo");
    let cpu = cpus.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let memory = read("/proc/meminfo");
    let memory = memory.lines().find_map(|line| line.strip_prefix("MemTotal:")).unwrap_or_default().trim();
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let package = read(&stage.root.join("node_modules/workerd/package.json").to_string_lossy());
    let package: serde_json::Value = serde_json::from_str(&package).unwrap_or_default();
    let (webhooks, doubled) = stage.ledger.webhooks();
    format!(
        "# Results\n\nMade by `npm run bench` in {} minutes, on {cores} cores ({}), {memory} of memory, with a load of {load} before it began, with workerd {}, the \
         databases {}. \
         [The floor](floor/worker.mjs) is the simplest thing that anyone would write, on the same runtime; its \
         slices alternate with Varde's, so only ratios count. They are medians, with the least and the most of \
         all rounds. {webhooks} of Varde's webhooks arrived, each with an id of its own and a right \
         signature; {doubled} came twice.\n",
        seconds.div_ceil(60),
        cpu.trim_start_matches([' ', '\t', ':']),
        package["version"].as_str().unwrap_or("of unknown version"),
        stage.storage(),
    )
}
