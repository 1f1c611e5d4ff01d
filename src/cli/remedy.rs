//! `banken remedy`.

use super::{FAILED, OK, complain, print};
use crate::config::{Config, Source};
use crate::observation::unix_now;
use crate::remedy::action::{Action as _, Scene};
use crate::remedy::journal::{self, Entry, What};
use crate::remedy::requests::{self, Request};
use crate::remedy::switches::{self, LONGEST_PAUSE, Pause};
use crate::remedy::{self, Plan};
use anyhow::{Context as _, bail};
use clap::Args;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// What `remedy` takes.
#[derive(Debug, Args)]
pub struct Options {
    /// A remedy: make one attempt now, in the Banken that is running. Or a command: `list`, `history`, `ack`, `pause`.
    #[arg(value_name = "NAME|COMMAND", default_value = "list")]
    what: String,
    /// For `history`, `ack` and `pause`: of this remedy alone; of all without it.
    #[arg(value_name = "NAME")]
    remedies: Vec<String>,
    /// Only say exactly what each step would do now.
    #[arg(long)]
    dry_run: bool,
    /// For `pause`: how long nothing is repaired; 0s ends a pause.
    #[arg(long = "for", value_name = "DURATION", value_parser = crate::values::parse_duration)]
    lasting: Option<Duration>,
    /// For `history`: only so many of the latest entries.
    #[arg(long, short = 'n', default_value_t = 100)]
    lines: usize,
    /// For `history`: the entries as they stand in the journal.
    #[arg(long)]
    json: bool,
}

pub async fn remedy(config: Option<PathBuf>, options: Options) -> anyhow::Result<u8> {
    let config = Source::find(config).load()?;
    let folder = remedy::folder(&config.state_dir);
    for name in &options.remedies {
        find(&config, name)?;
    }
    match options.what.as_str() {
        "list" => list(&config),
        "history" => history(&folder, &options),
        "ack" => acknowledge(&folder, &config, &options.remedies),
        "pause" => pause(&folder, options),
        name if options.dry_run => rehearse(&config, name).await,
        name => {
            find(&config, name)?;
            run(&folder, name).await
        }
    }
}

fn find<'c>(config: &'c Config, name: &str) -> anyhow::Result<&'c (Plan, Vec<remedy::action::Worker>)> {
    let Some(found) = config.remedies.iter().find(|(plan, _)| plan.name == name) else {
        let known: Vec<_> = config.remedies.iter().map(|(plan, _)| plan.name.as_str()).collect();
        let known = if known.is_empty() { "it has none".to_owned() } else { format!("it has {}", known.join(", ")) };
        bail!("there is no remedy {name:?} in {}: {known}", config.origin);
    };
    Ok(found)
}

fn list(config: &Config) -> anyhow::Result<u8> {
    let mut text = String::new();
    for (plan, _) in &config.remedies {
        let steps: Vec<_> = plan.blocks.iter().map(|block| block.kind().name).collect();
        let armed = if plan.rules.armed { "armed" } else { "dry run" };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{:<24} {armed:<8} when {}: {}", plan.name, plan.condition.words, steps.join(" → "));
    }
    if text.is_empty() {
        text = format!("{}: no remedies\n", config.origin);
    }
    print(&text)
}

fn history(folder: &Path, options: &Options) -> anyhow::Result<u8> {
    let entries = journal::read(folder).with_context(|| format!("the journal in {}", folder.display()))?;
    let is_meant = |entry: &&Entry| options.remedies.is_empty() || options.remedies.contains(&entry.remedy);
    let entries: Vec<_> = entries.iter().filter(is_meant).collect();
    let latest = &entries[entries.len().saturating_sub(options.lines)..];
    let mut text = String::new();
    for entry in latest {
        let line = if options.json { serde_json::to_string(entry)? } else { in_words(entry) };
        let _ = writeln!(text, "{line}");
    }
    print(&text)
}

fn in_words(entry: &Entry) -> String {
    let mut line = format!("{}  {:<20} {:<12}", entry.at, entry.remedy, entry.what.in_words());
    let mut add = |text: &str| {
        if !text.is_empty() {
            let _ = write!(line, " {text}");
        }
    };
    if entry.step > 0 {
        let attempt = if entry.attempt > 0 { format!("attempt {} ", entry.attempt) } else { String::new() };
        add(&format!("{attempt}step {} {}", entry.step, entry.action));
    }
    add(&entry.outcome);
    add(&entry.detail);
    line
}

fn acknowledge(folder: &Path, config: &Config, names: &[String]) -> anyhow::Result<u8> {
    let all: Vec<String> = config.remedies.iter().map(|(plan, _)| plan.name.clone()).collect();
    let names = if names.is_empty() { &all } else { names };
    for name in names {
        requests::ask(folder, Request::Acknowledge, name).with_context(|| cannot_ask(folder))?;
    }
    print(&format!("taken note of {}: what gave up may act again\n", names.join(", ")))
}

fn cannot_ask(folder: &Path) -> String {
    format!("cannot ask in {}: run this as root, or as the user that runs Banken", folder.display())
}

fn pause(folder: &Path, options: Options) -> anyhow::Result<u8> {
    let Some(lasting) = options.lasting else {
        bail!("for how long? add --for, as in: banken remedy pause --for 2h");
    };
    if lasting > LONGEST_PAUSE {
        bail!("a pause ends by itself while somebody remembers why: at most 7days");
    }
    let until = unix_now() + lasting.as_secs_f64();
    let pause = Pause { until, remedies: options.remedies };
    switches::ask_to_pause(folder, &pause).with_context(|| cannot_ask(folder))?;
    if lasting.is_zero() {
        return print("the pause is over\n");
    }
    let whose = if pause.remedies.is_empty() { String::new() } else { format!(" by {}", pause.remedies.join(", ")) };
    print(&format!("nothing is repaired{whose} until {}\n", crate::board::report::rfc3339(until)))
}

/// How long a rehearsal of one step may take.
const REHEARSAL: Duration = Duration::from_secs(30);

async fn rehearse(config: &Config, name: &str) -> anyhow::Result<u8> {
    let (plan, workers) = find(config, name)?;
    let scene = Scene {
        remedy: name.to_owned(),
        incident: format!("{name}-rehearsal"),
        condition: plan.condition.words.clone(),
        target: plan.condition.target.clone(),
        attempt: 1,
        failing_since: unix_now(),
        ..Scene::default()
    };
    let mut text = format!("when {}:\n", plan.condition.words);
    let mut code = OK;
    for (index, (block, worker)) in plan.blocks.iter().zip(workers).enumerate() {
        let _ = writeln!(text, "  step {}: {}", index + 1, block.kind().name);
        match timeout(REHEARSAL, worker.rehearse(&scene)).await {
            Ok(Ok(lines)) => {
                for line in lines {
                    let _ = writeln!(text, "    {line}");
                }
            }
            Ok(Err(setback)) => {
                code = FAILED;
                let _ = writeln!(text, "    {setback}");
            }
            Err(_) => {
                code = FAILED;
                let _ = writeln!(text, "    not known within {REHEARSAL:?}");
            }
        }
    }
    if !plan.rules.armed {
        let _ = writeln!(text, "it is not armed: even then it would only say so (armed: true arms it)");
    }
    print(&text)?;
    Ok(code)
}

/// How long a running Banken may take to take up a request.
const TAKEN_WITHIN: Duration = Duration::from_secs(5);

/// How long an attempt may take.
const DONE_WITHIN: Duration = Duration::from_secs(600);

/// Asks the Banken that is running, and shows what comes of it.
async fn run(folder: &Path, name: &str) -> anyhow::Result<u8> {
    let known = read(folder, name)?.len();
    requests::ask(folder, Request::Run, name).with_context(|| cannot_ask(folder))?;
    let began = Instant::now();
    let mut shown = known;
    loop {
        let entries = read(folder, name)?;
        for entry in entries.iter().skip(shown) {
            print(&format!("{}\n", in_words(entry)))?;
            match entry.what {
                What::Recovered => return Ok(OK),
                What::GaveUp | What::Suppressed => return Ok(FAILED),
                _ => {}
            }
        }
        // Files that were put aside and forgotten make the list shorter.
        shown = entries.len();
        if shown == known && began.elapsed() > TAKEN_WITHIN {
            complain("no Banken with this folder of state took it up: is it running?");
            return Ok(FAILED);
        }
        if began.elapsed() > DONE_WITHIN {
            complain("not done yet; banken remedy history goes on to tell");
            return Ok(FAILED);
        }
        sleep(Duration::from_millis(200)).await;
    }
}

fn read(folder: &Path, name: &str) -> anyhow::Result<Vec<Entry>> {
    let entries = journal::read(folder).with_context(|| format!("the journal in {}", folder.display()))?;
    Ok(entries.into_iter().filter(|entry| entry.remedy == name).collect())
}
