//! `banken job run`: a command is run as if Banken were not there, and its run is reported.

use super::records::{self, RecordsFile};
use super::reporter::{Place, Reporter, TOKEN_VARIABLE};
use crate::cli::complain;
use crate::jobs::{Details, Step};
use futures_util::future::{Either, select};
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsString;
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, IsTerminal as _};
use std::os::unix::process::ExitStatusExt as _;
use std::pin::pin;
use std::process::ExitStatus;
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// How long the report of the start is waited for.
const START_PATIENCE: Duration = Duration::from_secs(2);

/// How long whoever finds out where Banken is may take, the report of the start included, once the command has ended.
const FINDING_PATIENCE: Duration = Duration::from_secs(5);

/// What shells say of a command that is not found, and of one that cannot be executed.
const NOT_FOUND: u8 = 127;
const NOT_EXECUTABLE: u8 = 126;

/// Runs a command and reports it; the exit status is the command's.
pub async fn run(place: Place, command: Vec<OsString>) -> u8 {
    let (job, run) = (place.job.clone(), run_id());
    let records = RecordsFile::create(&run).ok();
    let mut signals = signals();
    let began = Instant::now();
    let started = start(&command, records.as_ref());
    let begins = Details { run: run.clone(), ..Details::default() };
    // A command that could not be started has no beginning.
    let beginning = begin(place, started.is_ok().then_some(begins));
    let (code, failed, message) = match started {
        Ok(mut child) => match wait(&mut child, &mut signals).await {
            Ok(status) => in_words(status),
            Err(error) => (1, true, format!("it cannot be waited for: {error}")),
        },
        Err(error) => {
            let program = command.first().cloned().unwrap_or_default();
            complain(&format!("banken: {} cannot be started: {error}", program.display()));
            let code = if error.kind() == io::ErrorKind::NotFound { NOT_FOUND } else { NOT_EXECUTABLE };
            (code, true, format!("it cannot be started: {error}"))
        }
    };
    let duration = Some(began.elapsed().as_secs_f64());
    let details = Details { run, message, duration, records: records.as_ref().and_then(RecordsFile::read) };
    drop(records);
    let reporting = pin!(end(beginning, if failed { Step::Failure } else { Step::Success }, details));
    let interrupted = pin!(async {
        if signals.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    });
    let outcome = match select(reporting, interrupted).await {
        Either::Left((outcome, _)) => outcome,
        Either::Right(((), _)) => Err(anyhow::anyhow!("asked to end")),
    };
    if let Err(error) = outcome {
        complain(&format!("banken: the run of {job} is not reported: {error:#}"));
    }
    code
}

/// Tells this run from every other: process, time, and what nobody can guess.
fn run_id() -> String {
    let random = RandomState::new().hash_one(Instant::now()) as u32;
    format!("{}-{}-{random:08x}", std::process::id(), crate::observation::unix_now() as u64)
}

fn start(command: &[OsString], records: Option<&RecordsFile>) -> io::Result<Child> {
    let (program, arguments) = command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut command = Command::new(program);
    // The token is between Banken and us.
    command.args(arguments).env_remove(TOKEN_VARIABLE);
    if let Some(records) = records {
        command.env(records::VARIABLE, records.path());
    }
    command.spawn()
}

/// Reports the start beside the command, which does not wait for it; gives the reporter for the end.
fn begin(place: Place, details: Option<Details>) -> JoinHandle<anyhow::Result<Reporter>> {
    tokio::spawn(async move {
        let reporter = Reporter::find(place).await?;
        if let Some(details) = details {
            // What is wrong is said at the end, once, if it is wrong still.
            let _ = tokio::time::timeout(START_PATIENCE, reporter.send(Step::Start, &details)).await;
        }
        Ok(reporter)
    })
}

/// Reports the end, after the start.
async fn end(beginning: JoinHandle<anyhow::Result<Reporter>>, step: Step, details: Details) -> anyhow::Result<()> {
    let reporter = tokio::time::timeout(FINDING_PATIENCE, beginning).await;
    let reporter = reporter.map_err(|_| anyhow::anyhow!("the configuration cannot be read in time"))???;
    reporter.insist(step, &details).await
}

/// Waits for the end of the command and hands on signals to it.
async fn wait(child: &mut Child, signals: &mut mpsc::Receiver<Signal>) -> io::Result<ExitStatus> {
    loop {
        let signal = tokio::select! {
            status = child.wait() => return status,
            Some(signal) = signals.recv() => signal,
        };
        // It has a pid for as long as it was not waited for, so nobody else is hit.
        if let Some(pid) = child.id().and_then(|pid| Pid::from_raw(pid.cast_signed())) {
            // It may have ended this moment.
            let _ = kill_process(pid, signal);
        }
    }
}

/// Exit status for ours, whether it failed, and the same for people.
fn in_words(status: ExitStatus) -> (u8, bool, String) {
    match (status.code(), status.signal()) {
        (Some(code), _) => (code as u8, code != 0, format!("exit status {code}")),
        (None, Some(signal)) => (128_u8.wrapping_add(signal as u8), true, format!("killed by signal {signal}")),
        (None, None) => (1, true, "it ended in an unknown way".into()),
    }
}

/// The signals that are handed on to the command. What is ignored here (`nohup`) stays ignored, for the command too.
fn signals() -> mpsc::Receiver<Signal> {
    let (sender, receiver) = mpsc::channel(8);
    let mut wanted = vec![(SignalKind::terminate(), Signal::TERM)];
    // A terminal sends these to the command itself.
    if !io::stdin().is_terminal() {
        wanted.extend([(SignalKind::interrupt(), Signal::INT), (SignalKind::hangup(), Signal::HUP)]);
    }
    let ignored = ignored_signals();
    for (kind, number) in wanted.into_iter().filter(|(kind, _)| ignored >> (kind.as_raw_value() - 1) & 1 == 0) {
        // Without a handler the signal ends us, as it would without Banken.
        let Ok(mut stream) = signal(kind) else { continue };
        let sender = sender.clone();
        tokio::spawn(async move { while stream.recv().await.is_some() && sender.send(number).await.is_ok() {} });
    }
    receiver
}

/// A bit for each signal that this process ignores.
fn ignored_signals() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
