//! Reads what is written: files by pattern, the journal, a container's log. Counts what patterns find.
//!
//! A source ([`tail`], [`journald`], [`container`]) hands complete lines to the [`Intake`], which scans them and writes
//! the counts into the log's cell. Position and counts are saved together ([`checkpoint`]): after a restart reading goes
//! on exactly where the saved counts stand, so that nothing is counted twice and nothing is missed.

mod checkpoint;
mod container;
mod intake;
mod journald;
mod patterns;
mod recent;
mod stream;
mod tail;

pub use container::Config as ContainerConfig;
pub use intake::{Heard, Listener, excerpt};
pub use journald::Config as JournaldConfig;
pub use patterns::{
    AutoFix, Fix, FixAction, FixConfig, Hook, PatternFile, Patterns, Rule, Scanned, Source as PatternSource,
};
pub use recent::{Ask, Recent, Recently};

use crate::board::{LOG_SIZE, LogCell, LogDescriptor};
use crate::health::Limit;
use crate::state::Store;
use crate::values::{Invalid, Pattern, Thresholds, check_name, limits};
use checkpoint::Keeper;
use intake::Intake;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// The keys of which exactly one says where the lines come from.
pub const SOURCES: &[&str] = &["paths", "journald", "container"];

/// Where a log that was never read before begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum From {
    /// At its end: what was written before Banken first looked is not counted.
    #[default]
    End,
    /// At its beginning.
    Beginning,
    /// At its end, like `end`; but if the saved position is damaged, at the beginning of the files rather than at
    /// their end: nothing is missed, though something may be counted twice.
    Checkpoint,
}

/// Lines that belong together.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Multiline {
    /// What the first line of a record looks like; every other line belongs to the record before it.
    pub start: Pattern,
}

/// One entry under `logs:`, as it is written. Exactly one of `paths`, `journald` and `container` must be there.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "LogSpec")]
pub struct Spec {
    /// Unique name, the label `log`: lower-case letters, digits, `_`, `.`, `-`.
    #[schemars(regex(pattern = r"^[a-z0-9][a-z0-9_.-]*$|\$\{"))]
    pub name: String,
    /// Optional label to gather logs by.
    #[serde(default)]
    pub group: Option<String>,
    /// Files, also by `*`, `?`, `[…]` and `**`.
    #[serde(default)]
    pub paths: Vec<String>,
    /// Files that `paths` finds and that are left alone.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// The journal of this host.
    #[serde(default)]
    pub journald: Option<journald::Config>,
    /// The log of a container, through the Docker socket.
    #[serde(default)]
    pub container: Option<container::Config>,
    /// Where reading begins the first time.
    #[serde(default)]
    pub from: From,
    /// The most files that are followed at once; the newest come first.
    #[serde(default = "default_max_files")]
    pub max_files: usize,
    /// What is looked for: `builtin`, and files such as `{ file: error_patterns.json }`.
    #[serde(default)]
    pub patterns: Vec<PatternSource>,
    /// What is looked for beside that.
    #[serde(default)]
    pub rules: Vec<Rule>,
    /// Lines that belong together, such as a traceback's.
    #[serde(default)]
    pub multiline: Option<Multiline>,
    /// Thresholds by signal: `size`.
    #[serde(default)]
    pub thresholds: BTreeMap<String, Thresholds>,
}

const fn default_max_files() -> usize {
    1000
}

impl Spec {
    /// Resolves the entry. `hooks` are what others want to hear of this log.
    ///
    /// # Errors
    /// Every mistake in it, with paths from this entry on.
    pub fn plan(&self, hooks: Vec<Hook>) -> Result<Plan, Vec<Invalid>> {
        let mut invalid = Vec::new();
        if let Err(message) = check_name(&self.name) {
            invalid.push(Invalid::new("name", message));
        }
        let source = self.source(&mut invalid);
        // Only files have a size.
        let signals: &[_] = if self.paths.is_empty() { &[] } else { &[&LOG_SIZE] };
        let limits = limits(
            &self.thresholds,
            signals,
            if signals.is_empty() { "a log without files" } else { "a log" },
            &mut invalid,
        );
        let patterns = Patterns::build(&self.patterns, &self.rules, hooks, &mut invalid);
        match source {
            Some(source) if invalid.is_empty() => {
                Ok(Plan { spec: self.clone(), source, limits, patterns: Arc::new(patterns) })
            }
            _ => Err(invalid),
        }
    }

    fn source(&self, invalid: &mut Vec<Invalid>) -> Option<Source> {
        let given = [!self.paths.is_empty(), self.journald.is_some(), self.container.is_some()];
        let given: Vec<_> = SOURCES.iter().zip(given).filter(|(_, given)| *given).map(|(key, _)| *key).collect();
        if given.len() != 1 {
            let message = match given.as_slice() {
                [] => format!("this log has no source: add exactly one of {}", SOURCES.join(", ")),
                _ => {
                    format!("this log has several sources ({}): keep one and make logs of the others", given.join(", "))
                }
            };
            invalid.push(Invalid::new("", message));
            return None;
        }
        if let Some(config) = &self.journald {
            invalid.extend(config.check().into_iter().map(|mistake| mistake.within("journald")));
            return Some(Source::Journald(config.clone()));
        }
        if let Some(config) = &self.container {
            invalid.extend(config.check().into_iter().map(|mistake| mistake.within("container")));
            return Some(Source::Container(config.clone()));
        }
        tail::Files::build(&self.paths, &self.exclude, self.max_files, invalid).map(Source::Files)
    }
}

/// Where the lines come from.
#[derive(Debug, Clone, PartialEq)]
enum Source {
    Files(tail::Files),
    Journald(journald::Config),
    Container(container::Config),
}

/// A log that is ready to be read.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    spec: Spec,
    source: Source,
    limits: Vec<Limit>,
    patterns: Arc<Patterns>,
}

impl Plan {
    /// The label `log`.
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// What the board knows about it.
    pub fn descriptor(&self) -> LogDescriptor {
        LogDescriptor {
            name: self.spec.name.clone(),
            group: self.spec.group.clone(),
            patterns: self.patterns.descriptors(),
            limits: self.limits.clone(),
        }
    }

    /// What is looked for in it.
    pub fn patterns(&self) -> &Arc<Patterns> {
        &self.patterns
    }

    /// What the first line of a record looks like, where records have several.
    pub fn record_start(&self) -> Option<&Pattern> {
        self.spec.multiline.as_ref().map(|lines| &lines.start)
    }

    /// What a restart would begin with, in `cell`: the saved counts and, of files, what was written since, as far as
    /// `limit` allows. Nothing is saved and nobody hears of hooks. Blocks.
    pub fn look(self, cell: Arc<LogCell>, store: Option<&Store>, limit: Duration) {
        let mut intake = Intake::new(Arc::clone(&self.patterns), self.spec.multiline.clone(), cell, None);
        let (store, name) = (store.cloned(), self.state_name());
        match self.source {
            Source::Files(files) => tail::look(files, self.spec.from, intake, Keeper::new(store, name), limit),
            Source::Journald(_) => drop(Keeper::<journald::Position>::new(store, name).load(&mut intake)),
            Source::Container(_) => drop(Keeper::<container::Position>::new(store, name).load(&mut intake)),
        }
    }

    /// Under which name position and counts are saved.
    fn state_name(&self) -> String {
        format!("logs/{}", self.spec.name)
    }

    /// Reads until `stop` says so, then saves where it stands. Without a store nothing survives a restart.
    pub async fn follow(
        self,
        cell: Arc<LogCell>,
        store: Option<Store>,
        listener: Option<Listener>,
        stop: watch::Receiver<bool>,
    ) {
        let intake = Intake::new(Arc::clone(&self.patterns), self.spec.multiline.clone(), cell, listener);
        let name = self.state_name();
        match self.source {
            Source::Files(files) => tail::follow(files, self.spec.from, intake, Keeper::new(store, name), stop).await,
            Source::Journald(config) => {
                journald::follow(config, self.spec.from, intake, Keeper::new(store, name), stop).await;
            }
            Source::Container(config) => {
                container::follow(config, self.spec.from, intake, Keeper::new(store, name), stop).await;
            }
        }
    }
}
