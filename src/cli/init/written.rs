//! Writes the starter configuration: comments for a person, entries that `banken check` accepts.

use super::proposals::{Proposal, Section};
use super::survey::Survey;
use std::fmt::Write as _;

/// How one way to ask went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trial {
    /// It succeeded.
    Works,
    /// It failed, for this reason.
    Fails(String),
    /// It was not tried.
    Untried,
}

/// A proposal with the way to ask that was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// What was proposed.
    pub proposal: Proposal,
    /// The chosen one of its blocks.
    pub block: String,
    /// How that one went.
    pub trial: Trial,
}

/// The whole file.
pub fn write(survey: &Survey, choices: &[Choice], date: &str) -> String {
    let mut text = format!(
        "# What Banken watches on {}, as `banken init` found it on {date}. It is a beginning: remove what does not matter
# to you, and say more about what does. `banken kinds` lists what can be asked, `banken check` says what is wrong with
# this file, `banken once --format text` asks everything once.
",
        on_one_line(&survey.host)
    );
    for remark in &survey.unseen {
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(text, "# Not looked at: {}", on_one_line(remark));
    }
    text.push_str(
        "
listen: 127.0.0.1:9810          # the status page, and /metrics for Prometheus
state_dir: /var/lib/banken      # what must be remembered over a restart

defaults: { interval: 30s, retry_interval: 5s, timeout: 10s, failure_threshold: 3, success_threshold: 2 }

# CPU, memory, disks and network of this machine.
host:
  thresholds:
    disk: { info: 80%, warning: 90%, critical: 95% }
    memory: { warning: 85%, critical: 95% }

",
    );
    if choices.is_empty() {
        text.push_str("# Nothing was found that is worth a probe.\nprobes: []\n");
        return text;
    }
    text.push_str("probes:\n");
    let mut section: Option<Section> = None;
    for choice in choices {
        if section != Some(choice.proposal.section) {
            section = Some(choice.proposal.section);
            let _ = writeln!(text, "\n  # {}\n", choice.proposal.section.title());
        }
        entry(&mut text, choice);
    }
    text
}

fn entry(text: &mut String, choice: &Choice) {
    let Choice { proposal, block, trial } = choice;
    let _ = writeln!(text, "  # {}", on_one_line(&proposal.found));
    if let Trial::Fails(why) = trial {
        let _ = writeln!(text, "  # It did not answer as it should when this was written: {}", on_one_line(why));
    }
    for line in proposal.hint.lines() {
        let _ = writeln!(text, "  # {}", line.trim());
    }
    let _ = writeln!(text, "  - name: {}", proposal.name);
    if let Some(group) = &proposal.group {
        let _ = writeln!(text, "    group: {group}");
    }
    let _ = writeln!(text, "    {block}");
}

/// Text of strangers inside a comment: nothing of it may begin another line.
fn on_one_line(text: &str) -> String {
    let shown =
        |c: char| if c.is_control() || matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}') { '·' } else { c };
    text.chars().map(shown).take(300).collect()
}
