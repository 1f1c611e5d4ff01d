//! `banken once`.

use super::{FAILED, OK, print};
use crate::app;
use crate::board::report::{Overall, Report};
use crate::board::{Board, LogCell, ProbeCell};
use crate::config::Source;
use crate::health::Policy;
use crate::jobs::Jobs;
use crate::logs;
use crate::metrics::{Exposition, Format};
use crate::observation::FamilyType;
use crate::probe::{Plan, Worker};
use crate::schedule::{Frame, run_once};
use crate::state::Store;
use clap::{Args, ValueEnum};
use futures_util::StreamExt as _;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// What `once` takes.
#[derive(Debug, Args)]
pub struct Options {
    /// How the report is printed.
    #[arg(long, value_enum, default_value_t)]
    format: ReportFormat,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum ReportFormat {
    /// The report of /api/v1/status.
    #[default]
    Json,
    /// A line for each probe, log and job.
    Text,
    /// What /metrics would say.
    Metrics,
}

/// Probes at once.
const CONCURRENCY: usize = 64;

/// How long a log may be read that has grown since a running Banken last saved its position.
const LOG_LIMIT: Duration = Duration::from_secs(5);

/// Between the two looks at what has a rate.
const RATE_PERIOD: Duration = Duration::from_millis(500);

pub async fn once(config: Option<PathBuf>, options: Options) -> anyhow::Result<u8> {
    let config = Source::find(config).load()?;
    let board = Arc::new(Board::default());
    // One run is all there is: it must be enough for a verdict.
    let policy = Policy { failure_threshold: 1, success_threshold: 1 };
    let (cells, jobs): (Vec<_>, Vec<_>) = config
        .probes
        .into_iter()
        .map(|(plan, worker)| {
            let cell = Arc::new(ProbeCell::new(crate::board::Descriptor { policy, ..app::descriptor(&plan) }));
            (Arc::clone(&cell), (plan, worker, cell))
        })
        .unzip();
    board.replace_probes(cells);
    let state = Store::read_only(&config.state_dir);
    let reading = look_at_logs(config.logs, &board, state.clone());
    Jobs::new(Arc::clone(&board), Some(state)).replace(config.jobs);
    futures_util::stream::iter(jobs)
        .for_each_concurrent(CONCURRENCY, |(plan, worker, cell)| look(&board, plan, worker, cell))
        .await;
    reading.await?;
    let report = Report::of(&board);
    let text = match options.format {
        ReportFormat::Json => format!("{}\n", serde_json::to_string_pretty(&report)?).into_bytes(),
        ReportFormat::Text => as_text(&report).into_bytes(),
        ReportFormat::Metrics => Format::Prometheus.render(Exposition::new(board).open_metrics()?),
    };
    print(&text)?;
    Ok(if report.overall_status == Overall::Healthy { OK } else { FAILED })
}

/// Reads on from where a running Banken has saved that it stands, without saving anything.
fn look_at_logs(plans: Vec<logs::Plan>, board: &Board, state: Store) -> tokio::task::JoinHandle<()> {
    let logs: Vec<_> = plans
        .into_iter()
        .map(|plan| {
            let cell = Arc::new(LogCell::new(plan.descriptor()));
            (plan, cell)
        })
        .collect();
    board.replace_logs(logs.iter().map(|(_, cell)| Arc::clone(cell)).collect());
    tokio::task::spawn_blocking(move || {
        for (plan, cell) in logs {
            plan.look(cell, Some(&state), LOG_LIMIT);
        }
    })
}

/// Runs a probe; one that counts something runs twice, because a rate needs two looks.
async fn look(board: &Board, plan: Plan, mut worker: Worker, cell: Arc<ProbeCell>) {
    let has_rates = plan.kind.families.iter().any(|family| family.family_type == FamilyType::Counter);
    let observation = run_once(&mut worker, Frame { timeout: plan.cadence.timeout, ..Frame::default() }).await;
    let succeeded = observation.outcome.is_ok();
    let (_, sheet) = board.publish(&cell, observation, Instant::now());
    if has_rates && succeeded {
        tokio::time::sleep(RATE_PERIOD).await;
        let observation =
            run_once(&mut worker, Frame { sheet, timeout: plan.cadence.timeout, ..Frame::default() }).await;
        board.publish(&cell, observation, Instant::now());
    }
}

fn as_text(report: &Report) -> String {
    let probes = report.checks.iter().map(|(name, check)| (name.clone(), check.status, check.message.as_str()));
    let logs = report.logs.iter().map(|(name, log)| (format!("log {name}"), log.status, log.message.as_str()));
    let jobs = report.jobs.iter().map(|(name, job)| (format!("job {name}"), job.status, job.message.as_str()));
    let lines: Vec<_> = probes.chain(logs).chain(jobs).collect();
    let width = lines.iter().map(|(name, ..)| name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for (name, status, message) in lines {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{status:<9}  {name:<width$}  {message}");
    }
    let _ = writeln!(text, "{}", report.overall_status.as_str());
    text
}
