//! Looks at the end of a log and says what the known patterns find there: for whoever is called. It only reads.

mod digest;
#[cfg(test)]
mod tests;
mod times;

use super::{Context, Done, Effect, Finding, Kind, Scene, Setback, Settings};
use crate::logs::{Ask, ContainerConfig, JournaldConfig, PatternSource, Patterns, Recent, Recently};
use crate::values::{Invalid, Masker, Period};
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::spawn_blocking;

/// The row of this action in the table.
pub static KIND: Kind = Kind {
    name: "log_analysis",
    summary: "Reads the last lines of a log and counts the known patterns in them, for the alert that follows",
    example: "\
- log_analysis: { paths: [ /var/log/bot/*.log ], lines: 200 }
- log_analysis: { journald: { unit: bot.service }, around: 5m }
- log_analysis: { container: { name: bot }, patterns: [ builtin ] }
",
    effect: Effect::Looks,
};

/// The block `log_analysis:`. Exactly one of `paths`, `journald` and `container` must be there.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "LogAnalysisAction")]
pub struct Config {
    /// Files, also by `*`, `?`, `[…]` and `**`; the three newest are read.
    #[serde(default)]
    pub paths: Vec<String>,
    /// The journal of this host.
    #[serde(default)]
    pub journald: Option<JournaldConfig>,
    /// The log of a container, through the Docker socket.
    #[serde(default)]
    pub container: Option<ContainerConfig>,
    /// How many lines are looked at, counted from the end; at most 5000, and at most 1 MiB of each file.
    #[serde(default = "default_lines")]
    pub lines: usize,
    /// Only what was written from so long before the first failure on. Lines of files whose time cannot be read go with
    /// the line before them.
    #[serde(default)]
    #[schemars(with = "Option<Period>")]
    pub around: Option<Period>,
    /// What is counted: `builtin`, and files such as `{ file: error_patterns.json }`.
    #[serde(default = "default_patterns")]
    pub patterns: Vec<PatternSource>,
    /// How many of the lines that matched are shown, the last ones; at most 20.
    #[serde(default = "default_show")]
    pub show: usize,
    /// The longest that it may take.
    #[serde(default = "default_timeout")]
    #[schemars(with = "Period")]
    pub timeout: Period,
}

const fn default_lines() -> usize {
    200
}

fn default_patterns() -> Vec<PatternSource> {
    vec![PatternSource::Builtin]
}

const fn default_show() -> usize {
    10
}

const fn default_timeout() -> Period {
    Period(Duration::from_secs(10))
}

/// More lines nobody looks at in a hurry.
const MAX_LINES: usize = 5000;

/// More of them do not fit into a message.
const MAX_SHOWN: usize = 20;

impl Settings for Config {
    type Action = Action;

    fn build(&self, _: &Context) -> Result<Action, Vec<Invalid>> {
        let mut invalid = Vec::new();
        let source = Recent::build(&self.paths, self.journald.as_ref(), self.container.as_ref(), &mut invalid);
        let patterns = Patterns::build(&self.patterns, &[], Vec::new(), &mut invalid);
        if !(1..=MAX_LINES).contains(&self.lines) {
            invalid.push(Invalid::new("lines", format!("look at 1 to {MAX_LINES} lines")));
        }
        if self.show > MAX_SHOWN {
            invalid.push(Invalid::new("show", format!("at most {MAX_SHOWN} lines are shown")));
        }
        match source {
            Some(source) if invalid.is_empty() => Ok(Action {
                source,
                patterns: Arc::new(patterns),
                masker: Arc::new(Masker::default()),
                lines: self.lines,
                around: self.around.map(|around| around.0),
                show: self.show,
            }),
            _ => Err(invalid),
        }
    }

    fn timeout(&self) -> Duration {
        self.timeout.0
    }
}

/// A log that can be looked at.
pub struct Action {
    source: Recent,
    patterns: Arc<Patterns>,
    masker: Arc<Masker>,
    lines: usize,
    around: Option<Duration>,
    show: usize,
}

impl Action {
    fn since(&self, scene: &Scene) -> Option<f64> {
        self.around.map(|around| scene.failing_since - around.as_secs_f64()).filter(|since| *since > 0.0)
    }
}

impl super::Action for Action {
    async fn rehearse(&self, _: &Scene) -> Result<Vec<String>, Setback> {
        Ok(vec![format!("would look at the last {} lines of {}", self.lines, self.source.shown())])
    }

    async fn act(&self, scene: &mut Scene) -> Result<Done, Setback> {
        let since = self.since(scene);
        let ends = self.source.read(Ask { lines: self.lines, since }).await?;
        let (patterns, masker, show) = (Arc::clone(&self.patterns), Arc::clone(&self.masker), self.show);
        let judging = spawn_blocking(move || digest::digest(&ends, &patterns, &masker, show, since)).await;
        let digest = judging.map_err(|error| Setback::Failed(format!("the look at the log broke: {error}")))?;
        scene.findings.push(Finding { action: KIND.name, lines: digest.lines });
        Ok(Done::new(digest.summary))
    }
}
