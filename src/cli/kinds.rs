//! `banken kinds`.

use super::print;
use crate::metrics::docs::{Section, every_probe, markdown, other_sections};
use crate::probe::{DURATION, KINDS, Kind};
use clap::Args;
use std::fmt::Write as _;

/// What `kinds` takes.
#[derive(Debug, Args)]
pub struct Options {
    /// Describe this kind: an example, its reasons, its metrics.
    kind: Option<String>,
    /// Print the page of every metric, in Markdown.
    #[arg(long, conflicts_with = "kind")]
    metrics: bool,
}

pub fn kinds(options: &Options) -> anyhow::Result<u8> {
    match &options.kind {
        _ if options.metrics => print(&metrics_page()),
        None => print(&list()),
        Some(name) => match KINDS.iter().find(|kind| kind.name == name) {
            Some(kind) => print(&description(kind)),
            None => anyhow::bail!("there is no kind {name:?}; `banken kinds` lists them"),
        },
    }
}

/// `docs/metrics.md`: what every probe has, what each kind adds, what Banken says of itself.
fn metrics_page() -> String {
    let mut every_probe = every_probe();
    every_probe.families.push(DURATION.threshold);
    let kinds = KINDS.iter().map(|kind| Section {
        title: format!("Kind `{}`", kind.name),
        families: kind.families.iter().copied().chain(kind.signals.iter().map(|signal| signal.threshold)).collect(),
    });
    let own_families = kinds.filter(|section| !section.families.is_empty());
    let sections: Vec<_> = std::iter::once(every_probe).chain(own_families).chain(other_sections()).collect();
    markdown(&sections)
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
