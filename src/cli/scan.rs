//! `banken scan`.

mod output;

use super::{FAILED, OK, complain, print};
use crate::config;
use crate::logs::{PatternFile, PatternSource, Patterns, Scanned};
use crate::values::Pattern;
use anyhow::Context as _;
use clap::{Args, ValueEnum};
use flate2::read::MultiGzDecoder;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use output::Totals;
use std::fs::File;
use std::io::{BufReader, IsTerminal as _, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// What `scan` takes.
#[derive(Debug, Args)]
pub struct Options {
    /// Files to look at; those that end in .gz are inflated, - is standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Look for the patterns of this file too, in the form of `error_patterns.json`; may be given several times.
    #[arg(long, value_name = "FILE")]
    patterns: Vec<PathBuf>,
    /// Leave the built-in error classes out.
    #[arg(long)]
    no_builtin: bool,
    /// Look for what this log of the configuration looks for, in its records.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["patterns", "no_builtin"])]
    log: Option<String>,
    /// How the counts are printed.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Print the counts of each file too.
    #[arg(long)]
    by_file: bool,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Format {
    /// A line for each pattern.
    #[default]
    Text,
    /// An object with the patterns, their expressions and counts.
    Json,
}

pub fn scan(config: Option<PathBuf>, options: &Options) -> anyhow::Result<u8> {
    let (patterns, start) = wanted(config, options)?;
    let bar = progress(&options.files);
    let begun = Instant::now();
    let mut totals = Totals::new(&patterns);
    for path in &options.files {
        match look(path, &patterns, start.as_ref(), &bar, &mut totals) {
            Ok(scanned) => totals.end_file(path, scanned),
            Err(error) => {
                bar.suspend(|| complain(&format!("banken: {}: {error:#}", path.display())));
                totals.fail_file(path, &format!("{error:#}"));
            }
        }
    }
    bar.finish_and_clear();
    let elapsed = begun.elapsed();
    match options.format {
        Format::Json => print(&format!("{}\n", serde_json::to_string_pretty(&totals.json(elapsed, options.by_file))?))?,
        Format::Text => {
            print(&totals.text(options.by_file, output::width()))?;
            complain(&totals.summary(elapsed));
            OK
        }
    };
    Ok(if totals.has_failed() { FAILED } else { OK })
}

/// What is looked for, and how a record of several lines begins.
fn wanted(config: Option<PathBuf>, options: &Options) -> anyhow::Result<(Arc<Patterns>, Option<Pattern>)> {
    if let Some(name) = &options.log {
        let config = config::Source::find(config).load()?;
        let names: Vec<_> = config.logs.iter().map(|log| log.name().to_owned()).collect();
        let log = config.logs.into_iter().find(|log| log.name() == name).with_context(|| match names.as_slice() {
            [] => format!("there is no log {name:?}: the configuration has none under logs:"),
            names => format!("there is no log {name:?}: the configuration has {}", names.join(", ")),
        })?;
        return Ok((Arc::clone(log.patterns()), log.record_start().cloned()));
    }
    let mut sources = if options.no_builtin { Vec::new() } else { vec![PatternSource::Builtin] };
    for path in &options.patterns {
        sources.push(PatternSource::File(PatternFile::read(path).map_err(anyhow::Error::msg)?));
    }
    anyhow::ensure!(
        !sources.is_empty(),
        "there is nothing to look for: add --patterns FILE, or leave --no-builtin out"
    );
    let mut invalid = Vec::new();
    let patterns = Patterns::build(&sources, &[], Vec::new(), &mut invalid);
    let problems: Vec<_> = invalid.into_iter().map(|mistake| mistake.message).collect();
    anyhow::ensure!(problems.is_empty(), "{}", problems.join("; "));
    Ok((Arc::new(patterns), None))
}

fn look(
    path: &Path,
    patterns: &Patterns,
    start: Option<&Pattern>,
    bar: &ProgressBar,
    totals: &mut Totals<'_>,
) -> anyhow::Result<Scanned> {
    let mut input: Box<dyn Read> = if path == Path::new("-") {
        Box::new(std::io::stdin().lock())
    } else {
        let file = File::open(path).context("cannot be opened")?;
        if file.metadata()?.is_dir() {
            anyhow::bail!("it is a folder: name the files in it, as in {}/*.log", path.display());
        }
        let file = bar.wrap_read(file);
        match path.extension() {
            Some(extension) if extension == "gz" => Box::new(MultiGzDecoder::new(BufReader::new(file))),
            _ => Box::new(file),
        }
    };
    let mut found = |index: usize, line: &[u8]| {
        // What jobs want to hear of a log is no pattern of it.
        if patterns.hook(index).is_none() {
            totals.count(index, line);
        }
    };
    patterns.scan_stream(&mut input, start, &mut found).context("cannot be read")
}

/// A bar on a terminal, if it is known where it ends; else one that nobody sees.
fn progress(files: &[PathBuf]) -> ProgressBar {
    let size = |path: &PathBuf| std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file).map(|data| data.len());
    let total: Option<u64> = files.iter().map(size).sum();
    let style =
        ProgressStyle::with_template("{bar:40} {percent}% of {total_bytes}, {binary_bytes_per_sec}, {eta} left");
    match (total, style) {
        (Some(total), Ok(style)) if std::io::stderr().is_terminal() => {
            ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr()).with_style(style)
        }
        _ => ProgressBar::hidden(),
    }
}
