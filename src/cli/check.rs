//! `banken check`.

use super::{OK, complain, print};
use crate::app;
use crate::board::report::extent;
use crate::board::{Board, LogCell, ProbeCell, RemedyCell};
use crate::config::{Config, ConfigError, Source};
use crate::jobs::Jobs;
use crate::metrics::Exposition;
use crate::observation::{Observation, Readings};
use clap::Args;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// What `check` takes.
#[derive(Debug, Args)]
pub struct Options {
    /// The file to check, where it is not given by --config.
    file: Option<PathBuf>,
}

pub fn check(config: Option<PathBuf>, options: Options) -> anyhow::Result<u8> {
    let source = Source::find(options.file.or(config));
    let config = source.load()?;
    for warning in ConfigError::lines(&config.origin, &config.warnings) {
        complain(&format!("{warning} (warning)"));
    }
    let extent = extent(config.probes.len(), config.logs.len(), config.jobs.len(), config.remedies.len());
    print(&format!("{}: ok: {extent}, about {} series\n", config.origin, expected_series(&config)?))?;
    Ok(OK)
}

/// Counts the series that a first successful round would publish: what is common is encoded and counted, of each kind's
/// own families one series is assumed.
fn expected_series(config: &Config) -> anyhow::Result<usize> {
    let board = Arc::new(Board::default());
    let cells = config.probes.iter().map(|(plan, _)| {
        let cell = ProbeCell::new(app::descriptor(plan));
        let observation =
            Observation { started_at: 0.0, duration: Duration::ZERO, outcome: Ok(()), readings: Readings::default() };
        board.publish(&cell, observation, Instant::now());
        Arc::new(cell)
    });
    board.replace_probes(cells.collect());
    let logs = config.logs.iter().map(|plan| {
        let cell = LogCell::new(plan.descriptor());
        cell.update(|record| record.caught_up_at = Some(0.0));
        Arc::new(cell)
    });
    board.replace_logs(logs.collect());
    Jobs::new(Arc::clone(&board), None).replace(config.jobs.clone());
    board.replace_remedies(
        config.remedies.iter().map(|(plan, _)| Arc::new(RemedyCell::new(plan.descriptor()))).collect(),
    );
    let text = Exposition::new(board).open_metrics()?;
    let common = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty() && line[0] != b'#').count();
    let own: usize = config.probes.iter().map(|(plan, _)| plan.kind.families.len()).sum();
    Ok(common + own)
}
