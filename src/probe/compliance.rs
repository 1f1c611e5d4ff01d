//! What every kind keeps, whatever its target does. The examples of the table are run as they stand: against targets that
//! are mostly not there, which is when a probe shows its manners.

use super::{Context, Defaults, KINDS, Kind, Plan, Probe as _, Spec, Worker, host};
use crate::observation::{Failure, FamilyType, Reading, Readings, Reason};
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// Long enough for a refusal, too short for a target on another host that does not answer.
const DEADLINE: Duration = Duration::from_secs(2);

fn plans(kind: &'static Kind) -> Vec<Plan> {
    let specs: Vec<Spec> = serde_yaml::from_str(kind.example).unwrap();
    specs.iter().map(|spec| spec.plan(&Defaults::default()).unwrap()).collect()
}

/// As the runner does it: the deadline cuts a run off, and what was written stays.
async fn run(worker: &mut Worker, patience: Duration) -> (Result<(), Failure>, Readings) {
    let mut out = Readings::default();
    out.begin(Instant::now() + patience, None);
    let outcome = timeout(patience, worker.run(&mut out)).await;
    (outcome.unwrap_or_else(|_| Err(Failure::new(Reason::Timeout, "cut off"))), out)
}

fn hold_against_the_row(kind: &Kind, name: &str, outcome: &Result<(), Failure>, out: &Readings) {
    if let Err(failure) = outcome {
        let declared = kind.reasons.contains(&failure.reason) || failure.reason == Reason::Local;
        assert!(declared, "{name}: {failure} is no reason of {}", kind.name);
        assert!(!failure.detail.is_empty(), "{name}: {} without a word", failure.reason);
        assert!(!failure.detail.contains('\n'), "{name}: more than one line: {}", failure.detail);
    }
    let is_declared = |reading: &&Reading| kind.families.iter().any(|family| std::ptr::eq(*family, reading.family));
    for reading in out.gauges().iter().chain(out.increments()) {
        assert!(is_declared(&reading), "{name}: {} is no family of {}", reading.family.name, kind.name);
        let is_counter = reading.family.family_type == FamilyType::Counter;
        assert!(!is_counter || reading.value >= 0.0, "{name}: {} goes back", reading.family.name);
    }
    for (signal, value) in out.signals() {
        let declared = kind.signals.iter().any(|known| std::ptr::eq(*known, *signal));
        assert!(declared && value.is_finite(), "{name}: {} = {value}", signal.key);
    }
}

#[tokio::test]
async fn whatever_happens_a_kind_says_only_what_its_row_declares() {
    for kind in KINDS.iter().filter(|kind| kind.name != host::KIND.name) {
        for plan in plans(kind) {
            let mut worker = plan.build(&Context::default()).unwrap();
            for _ in 0..2 {
                let (outcome, out) = run(&mut worker, DEADLINE).await;
                hold_against_the_row(kind, &plan.name, &outcome, &out);
            }
        }
    }
}

#[tokio::test]
async fn a_run_that_is_cut_off_anywhere_leaves_a_probe_that_runs_again() {
    for kind in KINDS.iter().filter(|kind| kind.name != host::KIND.name) {
        for plan in plans(kind) {
            let mut worker = plan.build(&Context::default()).unwrap();
            for micros in [0, 50, 500, 5000] {
                let (_, out) = run(&mut worker, Duration::from_micros(micros)).await;
                hold_against_the_row(kind, &plan.name, &Ok(()), &out);
            }
            let (outcome, out) = run(&mut worker, DEADLINE).await;
            hold_against_the_row(kind, &plan.name, &outcome, &out);
        }
    }
}

#[test]
fn a_kind_that_times_out_says_that_it_can() {
    for kind in KINDS.iter().filter(|kind| kind.name != host::KIND.name) {
        assert!(kind.reasons.contains(&Reason::Timeout), "{}: the runner can time any kind out", kind.name);
    }
}

#[tokio::test]
async fn a_probe_that_waits_has_no_room_for_a_run_of_the_largest_kind() {
    let plan = plans(KINDS[0]).remove(0);
    let mut worker = plan.build(&Context::default()).unwrap();
    let mut out = Readings::default();
    let run = size_of_val(&worker.run(&mut out));
    let wake = size_of_val(&worker.wake());
    assert!(run <= 256 && wake <= 1024, "run takes {run} bytes, wake {wake}");
}
