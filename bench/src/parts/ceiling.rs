//! What the platform leaves room for: the same promises in plain JavaScript, and webhooks with no promise at all.

use std::time::Duration;

use crate::failure::Failure;
use crate::load::{End, Load, drive};
use crate::parts::compare::{median, told};
use crate::report::Report;
use crate::runtime::Program;
use crate::spread::Spread;
use crate::stage::Stage;

const BYTES: usize = 1_000;
const CONNECTIONS: usize = 16;

pub async fn run(stage: &Stage, report: &mut Report) -> Result<(), Failure> {
    let (rounds, length) = if stage.quick { (3, 2) } else { (5, 3) };
    let length = Duration::from_secs(length);
    let ceiling = stage.floor("ceiling", Program::Ceiling).await?;
    let floor = stage.floor("ceiling-floor", Program::Floor).await?;
    let ours = stage.plain_subject("the ceiling", &ceiling, "0");
    let theirs = stage.plain_subject("the floor", &floor, "0");
    let alone = Load::full(CONNECTIONS, 1, BYTES, length);
    // Of what is only sent nobody knows when it is settled.
    let together = Load::full(CONNECTIONS, 100, BYTES, length).until(End::Arrived);
    for subject in [&ours, &theirs] {
        drive(subject, alone, &stage.ledger).await?;
    }
    drive(&ours, together, &stage.ledger).await?;

    let (mut promised, mut sent, mut floors) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        promised.push(drive(&ours, alone, &stage.ledger).await?);
        floors.push(drive(&theirs, alone, &stage.ledger).await?);
        sent.push(drive(&ours, together, &stage.ledger).await?);
    }
    report.section(
        "What the platform leaves room for",
        "Beside the floor on 16 connections, [the ceiling](ceiling/worker.mjs): plain JavaScript that asks of the \
         platform what Varde has to, and does nothing else. Below it, the webhooks of batches sent by the same and \
         nothing stored of them: no batch can be delivered faster, whoever wrote the Worker.",
    );
    report.table(&["", "delivered /s", "of the floor", "CPU each (ms)", "of the floor"]);
    let rows = [
        ("the floor", &floors),
        ("the same promises, plain JavaScript", &promised),
        ("batches of 100, only sent", &sent),
    ];
    for (name, slices) in rows {
        let of_floor = |figure: fn(&crate::load::Slice) -> f64| {
            told(&Spread::of(slices.iter().zip(&floors).map(|(own, floor)| figure(own) / figure(floor))))
        };
        report.row([
            name.to_owned(),
            format!("{:.0}", median(slices, |slice| slice.delivered_a_second)),
            of_floor(|slice| slice.delivered_a_second),
            format!("{:.2}", median(slices, |slice| slice.cpu)),
            of_floor(|slice| slice.cpu),
        ]);
    }
    ceiling.stop().await?;
    floor.stop().await
}
