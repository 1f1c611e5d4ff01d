//! `banken job`: reports runs of a job from a cron line or a script.

mod records;
mod reporter;
mod wrap;

use super::OK;
use crate::jobs::{Details, Step};
use crate::values::check_name;
use clap::{Args, Subcommand};
use reporter::{Place, Reporter};
use std::ffi::OsString;
use std::path::PathBuf;

/// What `job` takes.
#[derive(Debug, Args)]
pub struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a command and report its start, its end, its exit status and its duration.
    ///
    /// The exit status is the command's own, also if Banken is away: 128 and the signal's number if it was killed, 127 if
    /// it is not found, 126 if it cannot be executed. A number that the command writes into the file named by
    /// `BANKEN_RECORDS_FILE` is reported as its records.
    Run(Run),
    /// Report that a run begins.
    Start(Ping),
    /// Report that a run ended well.
    Success(Ping),
    /// Report that a run failed.
    Failure(Ping),
}

#[derive(Debug, Args)]
struct Run {
    #[command(flatten)]
    target: Target,
    /// The command and its arguments; no shell is involved.
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

#[derive(Debug, Args)]
struct Ping {
    #[command(flatten)]
    target: Target,
    /// Tells overlapping runs apart.
    #[arg(long, value_name = "ID", default_value = "")]
    run: String,
    /// How many records were processed.
    #[arg(long, value_name = "NUMBER")]
    records: Option<f64>,
    /// What people should know.
    #[arg(long, value_name = "TEXT", default_value = "")]
    message: String,
}

/// Which job, and where its Banken is.
#[derive(Debug, Args)]
struct Target {
    /// The job's name in the configuration of Banken.
    #[arg(value_parser = |name: &str| check_name(name).map(|()| name.to_owned()))]
    name: String,
    /// Where Banken is; without it where the configuration says, else <http://127.0.0.1:9810>.
    #[arg(long, value_name = "URL", env = "BANKEN_URL")]
    url: Option<String>,
    /// A file with the job's token; without it `BANKEN_JOB_TOKEN`, else what the configuration says.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

impl Target {
    fn place(self, config: Option<PathBuf>) -> Place {
        // A variable that is set to nothing is not set.
        let url = self.url.filter(|url| !url.is_empty());
        Place { job: self.name, url, token_file: self.token_file, config }
    }
}

pub async fn job(config: Option<PathBuf>, options: Options) -> anyhow::Result<u8> {
    let (step, ping) = match options.command {
        Command::Run(run) => return Ok(wrap::run(run.target.place(config), run.command).await),
        Command::Start(ping) => (Step::Start, ping),
        Command::Success(ping) => (Step::Success, ping),
        Command::Failure(ping) => (Step::Failure, ping),
    };
    let reporter = Reporter::find(ping.target.place(config)).await?;
    let details = Details { run: ping.run, records: ping.records, message: ping.message, duration: None };
    reporter.insist(step, &details).await?;
    Ok(OK)
}
