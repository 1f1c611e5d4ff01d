//! The commands.

mod check;
mod demo;
mod healthy;
mod init;
mod job;
mod kinds;
mod logging;
mod once;
mod place;
mod probe;
mod remedy;
mod rules;
mod run;
mod scan;

use crate::config::ConfigError;
use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// Banken (番犬): watches services and this host, and publishes what it sees for Prometheus.
#[derive(Debug, Parser)]
#[command(name = "banken", version, about, propagate_version = true)]
struct Cli {
    /// The configuration; without it ./banken.yml, /etc/banken/banken.yml, else an embedded default.
    #[arg(long, short, global = true, value_name = "FILE", env = "BANKEN_CONFIG")]
    config: Option<PathBuf>,
    /// How log lines look.
    #[arg(long, global = true, value_enum, default_value_t, env = "BANKEN_LOG_FORMAT")]
    log_format: logging::LogFormat,
    /// The mildest log lines that are written.
    #[arg(long, global = true, value_name = "LEVEL", default_value = "info", env = "BANKEN_LOG_LEVEL")]
    log_level: tracing::Level,
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: run::Options,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Watch and serve until SIGTERM or SIGINT (the default).
    Run(run::Options),
    /// Say every mistake in a configuration, or that there is none.
    Check(check::Options),
    /// Run each probe once, look at logs and jobs, and print the report; exit 0 if all is healthy, 1 if not.
    Once(once::Options),
    /// Run one probe once and show every phase and reading.
    Probe(probe::Options),
    /// Count what the patterns of logs find in files.
    Scan(scan::Options),
    /// Look at what listens and runs here, and write a configuration to begin with.
    Init(init::Options),
    /// List the kinds of probe, or describe one.
    Kinds(kinds::Options),
    /// Run a command and report it as a run of a job, or report one step of a run.
    Job(job::Options),
    /// List remedies, say what one would do, make it act now, or show what they did.
    Remedy(remedy::Options),
    /// Print the alert rules for Prometheus, or write them into its folder.
    Rules(rules::Options),
    /// Ask a running Banken whether it is alive; exit 0 if it is, 1 if not.
    Healthy(healthy::Options),
    /// Print the JSON Schema of the configuration, for editors.
    Schema,
    /// Run a simulated trading service that can be told to misbehave.
    Demo(Box<demo::Options>),
}

/// Everything went well.
const OK: u8 = 0;
/// Not healthy, or it could not be done.
const FAILED: u8 = 1;
/// The configuration is wrong.
const INVALID: u8 = 2;

/// Parses the command line and carries it out.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    logging::start(cli.log_format, cli.log_level);
    match carry_out(cli) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            let problems = error.downcast_ref::<ConfigError>();
            complain(&match problems {
                Some(problems) => problems.to_string(),
                None => format!("banken: {error:#}"),
            });
            ExitCode::from(if problems.is_some() { INVALID } else { FAILED })
        }
    }
}

fn carry_out(cli: Cli) -> anyhow::Result<u8> {
    let config = cli.config;
    match cli.command {
        None => block_on(run::run(config, cli.run)),
        Some(Command::Run(options)) => block_on(run::run(config, options)),
        Some(Command::Check(options)) => check::check(config, options),
        Some(Command::Once(options)) => block_on(once::once(config, options)),
        Some(Command::Probe(options)) => block_on(probe::probe(config, options)),
        Some(Command::Scan(options)) => scan::scan(config, &options),
        Some(Command::Init(options)) => block_on(init::init(options)),
        Some(Command::Kinds(options)) => kinds::kinds(&options),
        Some(Command::Job(options)) => block_on(job::job(config, options)),
        Some(Command::Remedy(options)) => block_on(remedy::remedy(config, options)),
        Some(Command::Rules(options)) => rules::rules(&options),
        Some(Command::Healthy(options)) => block_on(healthy::healthy(options)),
        Some(Command::Schema) => schema(),
        Some(Command::Demo(options)) => block_on(demo::demo(*options)),
    }
}

/// Threads for calls that block: name resolution, `/proc`, file systems. Beyond them calls wait in line.
const BLOCKING_THREADS: usize = 64;

fn block_on(work: impl Future<Output = anyhow::Result<u8>>) -> anyhow::Result<u8> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_name("banken")
        .build()?;
    let result = runtime.block_on(work);
    // A call that hangs in the kernel (a dead file system) must not keep the process from ending.
    runtime.shutdown_background();
    result
}

fn schema() -> anyhow::Result<u8> {
    print(&format!("{}\n", serde_json::to_string_pretty(&crate::config::schema())?))
}

/// Says what is wrong on standard error; nobody can be told that nobody reads it.
fn complain(text: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Prints; a reader that has gone (`| head`) is no error.
fn print(text: &(impl AsRef<[u8]> + ?Sized)) -> anyhow::Result<u8> {
    use std::io::Write as _;
    match std::io::stdout().write_all(text.as_ref()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(OK),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
