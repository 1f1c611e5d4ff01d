//! `banken init`: a starter configuration from what is found on this machine: what listens, what runs, containers, units
//! of systemd.
//!
//! `survey` looks, `proposals` proposes (pure), `known` knows programs, `written` writes. Of several ways to ask a service
//! the first that works is taken: each is tried as the probe that it would be.

mod known;
mod proposals;
mod survey;
#[cfg(test)]
mod tests;
mod written;

use super::{OK, print};
use crate::config;
use crate::observation::unix_now;
use crate::schedule::{Frame, run_once};
use anyhow::Context as _;
use clap::Args;
use futures_util::StreamExt as _;
use proposals::{Proposal, propose};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use survey::Survey;
use written::{Choice, Trial, write};

/// Options of `banken init`.
#[derive(Debug, Args)]
pub struct Options {
    /// Where the configuration is written; `-` is standard output. A file that is there is left alone.
    #[arg(long, short, value_name = "FILE", default_value = "banken.yml")]
    output: PathBuf,
    /// Only look, connect to nothing: for each service the best way to ask is written down untried.
    #[arg(long)]
    no_trial: bool,
}

/// How long one way to ask may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// How many services are asked at once.
const CONCURRENCY: usize = 16;

/// Looks around and writes what it would watch.
///
/// # Errors
/// When the file cannot be written.
pub async fn init(options: Options) -> anyhow::Result<u8> {
    let to_file = options.output != Path::new("-");
    if to_file && options.output.symlink_metadata().is_ok() {
        anyhow::bail!(
            "{} is there already: choose another with --output FILE, or --output - to see what would be written",
            options.output.display()
        );
    }
    let survey = Survey::take().await;
    let proposals = propose(&survey);
    let choices: Vec<Choice> = futures_util::stream::iter(proposals)
        .map(|proposal| choose(proposal, !options.no_trial))
        .buffered(CONCURRENCY)
        .collect()
        .await;
    let date = crate::board::report::rfc3339(unix_now());
    let text = write(&survey, &choices, &date);
    if !to_file {
        print(&text)?;
        return Ok(OK);
    }
    let failed = || format!("cannot write {}", options.output.display());
    let mut file = std::fs::File::create_new(&options.output).with_context(failed)?;
    file.write_all(text.as_bytes()).with_context(failed)?;
    let working = choices.iter().filter(|choice| choice.trial == Trial::Works).count();
    let tried = choices.iter().filter(|choice| choice.trial != Trial::Untried).count();
    let path = options.output.display();
    let mut said =
        format!("{path}: {} probes, {working} of {tried} that were tried answer as they should\n", choices.len());
    for remark in &survey.unseen {
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(said, "not looked at: {remark}");
    }
    let _ = writeln!(said, "next: read it, then  banken check {path}  and  banken --config {path}");
    print(&said)?;
    Ok(OK)
}

/// The first block that works, or the last one.
async fn choose(proposal: Proposal, try_it: bool) -> Choice {
    let first = proposal.blocks.first().cloned().unwrap_or_default();
    if !try_it {
        return Choice { proposal, block: first, trial: Trial::Untried };
    }
    let mut why = String::new();
    for block in &proposal.blocks {
        match attempt(block).await {
            Ok(()) => return Choice { block: block.clone(), proposal, trial: Trial::Works },
            Err(failure) if why.is_empty() => why = failure,
            Err(_) => {}
        }
    }
    Choice { proposal, block: first, trial: Trial::Fails(why) }
}

/// Runs a block once, as the probe that it would be.
async fn attempt(block: &str) -> Result<(), String> {
    let timeout = humantime::format_duration(PATIENCE);
    let text = format!("host: false\nprobes: [ {{ name: trial, timeout: {timeout}, {block} }} ]\n");
    let config = config::parse(&text, "banken init", Path::new("/")).map_err(|error| error.to_string())?;
    for (plan, mut worker) in config.probes {
        let frame = Frame { timeout: plan.cadence.timeout, ..Frame::default() };
        if let Err(failure) = run_once(&mut worker, frame).await.outcome {
            return Err(failure.to_string());
        }
    }
    Ok(())
}
