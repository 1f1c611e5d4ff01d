//! `banken probe NAME`.

use super::{FAILED, OK, print};
use crate::board::report::{Fact, readings};
use crate::board::{Board, ProbeCell};
use crate::config::Source;
use crate::observation::Unit;
use crate::schedule::{Frame, run_once};
use clap::Args;
use std::fmt::Write as _;
use std::path::PathBuf;
use tokio::time::Instant;

/// What `probe` takes.
#[derive(Debug, Args)]
pub struct Options {
    /// The name of the probe in the configuration.
    name: String,
}

pub async fn probe(config: Option<PathBuf>, options: Options) -> anyhow::Result<u8> {
    let config = Source::find(config).load()?;
    let names: Vec<String> = config.probes.iter().map(|(plan, _)| plan.name.clone()).collect();
    let Some((plan, mut worker)) = config.probes.into_iter().find(|(plan, _)| plan.name == options.name) else {
        anyhow::bail!("{} has no probe {:?}; it has {}", config.origin, options.name, names.join(", "));
    };
    let observation = run_once(&mut worker, Frame { timeout: plan.cadence.timeout, ..Frame::default() }).await;
    let failed = observation.outcome.is_err();
    let mut text = format!("{} ({})\n", plan.name, plan.kind.name);
    // Writing to a String cannot fail.
    let _ = match &observation.outcome {
        Ok(()) => writeln!(text, "  result    success in {}", Unit::Seconds.show(observation.duration.as_secs_f64())),
        Err(failure) => {
            let time = Unit::Seconds.show(observation.duration.as_secs_f64());
            writeln!(
                text,
                "  result    FAILURE after {time}\n  reason    {}\n  detail    {}",
                failure.reason, failure.detail
            )
        }
    };
    for (what, fact) in observation.readings.notes() {
        let _ = writeln!(text, "  {what:<9} {fact}");
    }
    for (phase, time) in observation.readings.phases() {
        let _ = writeln!(text, "  phase     {:<9} {:.3} ms", phase.as_str(), time.as_secs_f64() * 1000.0);
    }
    let cell = ProbeCell::new(crate::app::descriptor(&plan));
    Board::default().publish(&cell, observation, Instant::now());
    cell.read(|record| {
        for reading in readings(record) {
            let labels = reading.labels.as_ref().map_or(String::new(), |labels| format!("{{{}}}", labels.text()));
            let fact = Fact::of(reading, plan.kind.name);
            let _ = writeln!(text, "  reading   {}{labels} {} ({})", reading.family.name, reading.value, fact.value);
        }
        if let Some(crossing) = record.crossing {
            let _ = writeln!(
                text,
                "  threshold {} {} is above {} ({})",
                crossing.signal.key,
                crossing.signal.unit.show(crossing.value),
                crossing.signal.unit.show(crossing.threshold),
                crossing.severity
            );
        }
    });
    print(&text)?;
    Ok(if failed { FAILED } else { OK })
}
