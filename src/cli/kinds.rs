//! `banken kinds`.

use super::print;
use crate::metrics::docs::{Section, every_probe, markdown, other_sections};
use crate::probe::{DURATION, KINDS, Kind};
use crate::remedy::action::{self, Effect};
use clap::Args;
use std::fmt::Write as _;

/// What `kinds` takes.
#[derive(Debug, Args)]
pub struct Options {
    /// Describe this kind of probe (an example, its reasons, its metrics), or this action of a remedy.
    kind: Option<String>,
    /// List the actions that a remedy can take; with a name, describe that action.
    #[arg(long)]
    actions: bool,
    /// Print the page of every metric, in Markdown.
    #[arg(long, conflicts_with_all = ["kind", "actions"])]
    metrics: bool,
}

pub fn kinds(options: &Options) -> anyhow::Result<u8> {
    match &options.kind {
        _ if options.metrics => print(&metrics_page()),
        None if options.actions => print(&list(action::KINDS.iter().map(|kind| (kind.name, kind.summary)))),
        None => print(&list(KINDS.iter().map(|kind| (kind.name, kind.summary)))),
        Some(name) => {
            let probe = KINDS.iter().find(|kind| kind.name == name).filter(|_| !options.actions);
            let action = action::KINDS.iter().find(|kind| kind.name == name);
            match (probe, action) {
                (Some(kind), None) => print(&description(kind)),
                (Some(kind), Some(_)) => print(
                    &(description(kind)
                        + &format!(
                            "
The action of this name: banken kinds --actions {name}
"
                        )),
                ),
                (None, Some(action)) => print(&description_of_action(action)),
                (None, None) if options.actions => {
                    anyhow::bail!("there is no action {name:?}; `banken kinds --actions` lists them")
                }
                (None, None) => anyhow::bail!(
                    "there is no kind {name:?}; `banken kinds` lists them, `banken kinds --actions` what remedies can do"
                ),
            }
        }
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

/// Names and what they stand for, in two columns.
fn list(rows: impl Iterator<Item = (&'static str, &'static str)> + Clone) -> String {
    let width = rows.clone().map(|(name, _)| name.len()).max().unwrap_or(0);
    let lines: Vec<_> = rows
        .map(|(name, summary)| {
            format!(
                "{name:<width$}  {summary}
"
            )
        })
        .collect();
    lines.concat()
}

fn description(kind: &Kind) -> String {
    let mut text = format!("{}: {}\n\nExample\n{}", kind.name, kind.summary, indented(kind.example));
    let reasons: Vec<_> = kind.reasons.iter().map(|reason| reason.as_str()).collect();
    let signals: Vec<_> =
        [&DURATION].into_iter().chain(kind.signals.iter().copied()).map(|signal| signal.key).collect();
    // Writing to a String cannot fail.
    let _ = write!(text, "\nFails with\n  {}\n\nThresholds on\n  {}\n", reasons.join(", "), signals.join(", "));
    if !kind.families.is_empty() {
        text.push_str("\nMetrics of its own\n");
    }
    for family in kind.families {
        let _ = writeln!(text, "  {} ({})\n      {}", family.name, family.family_type.as_str(), family.help);
    }
    text
}

fn description_of_action(kind: &action::Kind) -> String {
    let effect = match kind.effect {
        Effect::Looks => "It looks or tells, and changes nothing: the next step follows at once.",
        Effect::Tidies => {
            "It tidies up and disturbs no service: a line in a log, or an alert, is reason enough for it."
        }
        Effect::Disturbs => {
            "It interrupts what runs: where a log or an alert asks for it, a probe must agree (and_probe)."
        }
    };
    let (name, summary) = (kind.name, kind.summary);
    format!("{name}: {summary}\n\nExample, under steps: of a remedy\n{}\nEffect\n  {effect}\n", indented(kind.example))
}

fn indented(text: &str) -> String {
    text.lines().fold(String::new(), |all, line| all + "  " + line + "\n")
}
