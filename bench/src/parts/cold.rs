//! The size of the Worker, and how long a cold start takes to its first answer.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::failure::Failure;
use crate::ledger::Ledger;
use crate::load::{Load, drive};
use crate::report::{Bound, Report};
use crate::runtime::{Program, Runtime};
use crate::spread::Spread;
use crate::stage::Stage;
use crate::subject::Subject;

const BYTES: usize = 1_000;

pub async fn run(stage: &Stage, report: &mut Report) -> Result<(), Failure> {
    let rounds = if stage.quick { 5 } else { 15 };
    let names = ("cold-varde", "cold-floor");
    let mut varde = stage.varde(names.0, Program::Varde).await?;
    let floor = stage.floor(names.1, Program::Floor).await?;
    let mut ours = varde.telling("cold", 1, "0").await?;
    let mut theirs = stage.floor_subject(&floor, "0");
    for subject in [&ours, &theirs] {
        drive(subject, Load::many(1, 1, BYTES, 2), &stage.ledger).await?;
    }
    varde.runtime.stop().await?;
    floor.stop().await?;

    let (mut of_varde, mut of_floor) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        of_varde.push(start(stage, Program::Varde, names.0, &mut ours).await?);
        of_floor.push(start(stage, Program::Floor, names.1, &mut theirs).await?);
    }
    let above = Spread::of(
        of_varde
            .iter()
            .zip(&of_floor)
            .map(|(varde, floor)| (varde.as_secs_f64() - floor.as_secs_f64()) * 1_000.0),
    );
    report.section(
        "Cold start and size",
        "From the start of the runtime's process to the 202 of a first enrollment: the module is compiled, the \
         workflow and the token are asked of the registry, the outbox's tables are opened.",
    );
    report.table(&["", "p50 (ms)", "most (ms)"]);
    for (name, found) in [("Varde", of_varde), ("floor", of_floor)] {
        let found = Spread::of_ms(found);
        report.row([name.to_owned(), format!("{:.0}", found.median()), format!("{:.0}", found.most())]);
    }
    report.goal(
        "cold start to first answer: above the floor's",
        Bound::AtMost(60.0),
        (above.median(), format!("({:.0} to {:.0})", above.least(), above.most())),
        " ms",
        "Compiling the wasm: by a profile it is looked through as a whole for some 15 ms when the process starts, and each \
         function is compiled when it is first called, nearly 900 of them in some 45 ms.",
    );
    let size = gzipped(&stage.root.join("build/index_bg.wasm"))? as f64 / 1_000.0;
    report.goal(
        "the Worker's wasm, gzip",
        Bound::AtMost(300.0),
        (size, String::new()),
        " KB",
        "Its names are out already. The template engine is a quarter of the code; serde's readers and writers, one for \
         each type, cryptography, URLs and host names are most of the rest; the landing pads of unwinding are a tenth.",
    );
    Ok(())
}

/// From the spawn of the runtime to its first 202.
async fn start(
    stage: &Stage,
    program: Program,
    name: &str,
    subject: &mut Subject,
) -> Result<Duration, Failure> {
    let runtime = Runtime::start(&stage.root, program, &stage.directory(name)).await?;
    subject.address.clone_from(&runtime.address);
    subject.process = runtime.process;
    let took = first_answer(&runtime, subject, &stage.ledger).await?;
    // Its webhook arrives before it goes, so that the next start has nothing to repair.
    tokio::time::sleep(Duration::from_millis(200)).await;
    runtime.stop().await?;
    Ok(took)
}

async fn first_answer(runtime: &Runtime, subject: &Subject, ledger: &Ledger) -> Result<Duration, Failure> {
    let mut connection = subject.connect().await?;
    let numbers = ledger.issue(1);
    ledger.sent(numbers.clone(), std::time::Instant::now());
    let call = subject.call(&numbers, BYTES);
    subject.enroll(&mut connection, 1, call).await?;
    Ok(runtime.spawned.elapsed())
}

/// Size of a file as `gzip -9` makes it.
fn gzipped(path: &Path) -> Result<usize, Failure> {
    let found = Command::new("gzip").arg("-9c").arg(path).stderr(Stdio::inherit()).output()?;
    if found.status.success() { Ok(found.stdout.len()) } else { Err(Failure::new("gzip failed")) }
}
