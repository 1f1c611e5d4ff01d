//! `banken kinds`.

use super::print;
use crate::probe::{DURATION, KINDS, Kind};
use clap::Args;
use std::fmt::Write as _;

/// What `kinds` takes.
#[derive(Debug, Args)]
pub struct Options {
    /// Describe this kind: an example, its reasons, its metrics.
    kind: Option<String>,
}

pub fn kinds(options: &Options) -> anyhow::Result<u8> {
    match &options.kind {
        None => print(&list()),
        Some(name) => match KINDS.iter().find(|kind| kind.name == name) {
            Some(kind) => print(&description(kind)),
            None => anyhow::bail!("there is no kind {name:?}; `banken kinds` lists them"),
        },
    }
}

fn list() -> String {
    let width = KINDS.iter().map(|kind| kind.name.len()).max().unwrap_or(0);
    let lines: Vec<_> = KINDS.iter().map(|kind| format!("{:<width$}  {}\n", kind.name, kind.summary)).collect();
    lines.concat()
}

fn description(kind: &Kind) -> String {
    let mut text = format!("{}: {}\n\nExample\n", kind.name, kind.summary);
    for line in kind.example.lines() {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {line}");
    }
    let reasons: Vec<_> = kind.reasons.iter().map(|reason| reason.as_str()).collect();
    let signals: Vec<_> =
        [&DURATION].into_iter().chain(kind.signals.iter().copied()).map(|signal| signal.key).collect();
    let _ = write!(text, "\nFails with\n  {}\n\nThresholds on\n  {}\n", reasons.join(", "), signals.join(", "));
    if !kind.families.is_empty() {
        text.push_str("\nMetrics of its own\n");
    }
    for family in kind.families {
        let _ = writeln!(text, "  {} ({})\n      {}", family.name, family.family_type.as_str(), family.help);
    }
    text
}
