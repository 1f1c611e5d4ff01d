//! Looks at files: whether they are there, how old and how large they are, how many, and whether their syntax is right.
//!
//! Symbolic links are followed to what they name; only `**` does not go through links to folders. Nothing but a
//! regular file counts, and nothing else is ever opened.

mod families;
mod judge;
mod syntax;
mod tally;
mod walk;

#[cfg(test)]
mod tests;

use self::families::VALID;
pub use self::families::{AGE, SIZE_SIGNAL};
pub use self::syntax::Syntax;
use self::syntax::{Verdict, examine};
use self::tally::{Found, Rules, Tally};
use self::walk::{Behind, Walk};
use super::{Context, Kind, Settings};
use crate::machine::aside::Aside;
use crate::machine::globs::Trail;
use crate::observation::{Failure, Readings, Reason, unix_now};
use crate::values::{Invalid, Period, Size};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

/// The row of this kind in the table.
pub static KIND: Kind = Kind {
    name: "file",
    summary: "Files are there, recent, of the right size and number, with valid JSON or YAML",
    example: "\
- name: backup
  file: { path: /backup/*.dump, max_age: 26h, min_size: 1MiB }    # the newest file that matches
- name: app-log
  file: { path: /app/logs/app.log, max_size: 100MB }
- name: settings
  file: { path: /app/config.json, syntax: json }
- name: maintenance
  file: { path: /run/app/maintenance, absent: true }
",
    reasons: &[Reason::Missing, Reason::Stale, Reason::Limit, Reason::Json, Reason::Body, Reason::Timeout],
    families: families::ALL,
    signals: &[&AGE, &SIZE_SIGNAL],
};

/// Which of the files that match are judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Which {
    /// The one that was written last.
    #[default]
    Newest,
    /// The one that has not been written for longest.
    Oldest,
    /// Each of them.
    All,
}

/// The block `file:`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The absolute path of a file, or a pattern with `*`, `?`, `[…]`, `{…,…}` within names and `**` for any folders.
    pub path: String,
    /// Which of several files are judged; `newest` if nothing is said. It must be said where a pattern stands beside
    /// `max_size` or `syntax`.
    #[serde(default)]
    pub which: Option<Which>,
    /// The longest that the file may have been left unwritten.
    #[serde(default)]
    pub max_age: Option<Period>,
    /// How long the file must have been left unwritten at least.
    #[serde(default)]
    pub min_age: Option<Period>,
    /// The least size.
    #[serde(default)]
    pub min_size: Option<Size>,
    /// The largest size.
    #[serde(default)]
    pub max_size: Option<Size>,
    /// At least so many files must match; 1 if nothing is said.
    #[serde(default)]
    pub min_count: Option<u64>,
    /// At most so many files may match.
    #[serde(default)]
    pub max_count: Option<u64>,
    /// Files that were written more recently than this are passed over, as if they were not there: they may be half-written.
    #[serde(default)]
    pub settled: Option<Period>,
    /// In which language the content must be written.
    #[serde(default)]
    pub syntax: Option<Syntax>,
    /// A file that is larger is not parsed, and fails.
    #[serde(default = "default_max_parse")]
    pub max_parse: Size,
    /// Nothing may be there.
    #[serde(default)]
    pub absent: bool,
}

fn default_max_parse() -> Size {
    Size(16 << 20)
}

/// A whole file is held in memory while it is parsed.
const LARGEST_PARSE: u64 = 256 << 20;

impl Settings for Config {
    type Probe = Probe;

    fn build(&self, _: &Context) -> Result<Probe, Vec<Invalid>> {
        let mut invalid = self.mistakes();
        let trail = match Trail::parse(&self.path) {
            _ if !self.path.is_empty() && !self.path.starts_with('/') => {
                invalid.push(Invalid::new("path", "not an absolute path: begin it with '/'"));
                None
            }
            Ok(trail) => Some(trail),
            Err(message) => {
                invalid.push(Invalid::new("path", message));
                None
            }
        };
        if let Some(trail) = &trail {
            invalid.extend(self.mistakes_with(trail));
        }
        match trail {
            Some(trail) if invalid.is_empty() => Ok(Probe {
                order: Arc::new(Order { trail, config: self.clone() }),
                aside: Aside::new("the look at files"),
                known: HashMap::new(),
            }),
            _ => Err(invalid),
        }
    }
}

impl Config {
    fn mistakes(&self) -> Vec<Invalid> {
        let mut invalid = Vec::new();
        let others = [
            ("which", self.which.is_some()),
            ("max_age", self.max_age.is_some()),
            ("min_age", self.min_age.is_some()),
            ("min_size", self.min_size.is_some()),
            ("max_size", self.max_size.is_some()),
            ("min_count", self.min_count.is_some()),
            ("max_count", self.max_count.is_some()),
            ("settled", self.settled.is_some()),
            ("syntax", self.syntax.is_some()),
        ];
        let others: Vec<_> = others.into_iter().filter(|(_, set)| *set).map(|(key, _)| key).collect();
        if self.absent && !others.is_empty() {
            let message = format!("what must not be there can have no other conditions: remove {}", others.join(", "));
            invalid.push(Invalid::new("absent", message));
            return invalid;
        }
        let mut order = |low: &str, high: &str, wrong: bool| {
            if wrong {
                let message = format!("{high} is below {low}: nothing could be right");
                invalid.push(Invalid::new(high, message));
            }
        };
        order("min_age", "max_age", self.min_age.zip(self.max_age).is_some_and(|(low, high)| high < low));
        order("min_size", "max_size", self.min_size.zip(self.max_size).is_some_and(|(low, high)| high.0 < low.0));
        let above = self.max_count.unwrap_or(u64::MAX);
        order("min_count", "max_count", self.min_count.is_some_and(|low| above < low));
        if self.min_count.is_none() && above == 0 {
            let message = "no file may match, but one must: use absent: true, or add min_count: 0";
            invalid.push(Invalid::new("max_count", message));
        }
        if !(1..=LARGEST_PARSE).contains(&self.max_parse.0) {
            let message = "a file is held in memory while it is parsed: write 1 to 256MiB";
            invalid.push(Invalid::new("max_parse", message));
        }
        invalid
    }

    fn mistakes_with(&self, trail: &Trail) -> Vec<Invalid> {
        let mut invalid = Vec::new();
        if trail.is_plain() {
            if self.settled.is_some() {
                let message = "it chooses among the files of a pattern, and this path is one file: remove it";
                invalid.push(Invalid::new("settled", message));
            }
            return invalid;
        }
        for (key, set) in [("max_size", self.max_size.is_some()), ("syntax", self.syntax.is_some())] {
            if set && self.which.is_none() {
                let message = format!(
                    "with a pattern, {key} could mean the newest file or each of them: add which: newest or which: all"
                );
                invalid.push(Invalid::new("which", message));
                break;
            }
        }
        invalid
    }
}

/// What is looked for, ready to be handed to a thread.
#[derive(Debug)]
struct Order {
    trail: Trail,
    config: Config,
}

impl Order {
    fn which(&self) -> Which {
        self.config.which.unwrap_or_default()
    }

    /// Looks once. It blocks on the file system.
    fn look(&self, now: f64, deadline: Instant) -> Result<Tally, Failure> {
        let parses_all = self.config.syntax.is_some() && self.which() == Which::All;
        let rules = Rules {
            now,
            settled: self.config.settled.map(|period| period.0),
            remembered: if parses_all { MAX_PARSED } else { 0 },
        };
        let mut tally = Tally::default();
        Walk::new(&self.trail, deadline).run(&mut |path, behind| match behind {
            Behind::File(metadata) => tally.take_file(path, &metadata, rules),
            Behind::Other(what) => tally.take_other(path, what),
        })?;
        Ok(tally)
    }
}

/// At most so many files are parsed by one probe.
const MAX_PARSED: usize = 1000;

/// A file probe that was built.
pub struct Probe {
    order: Arc<Order>,
    aside: Aside,
    /// What was said about the content of files, so that what did not change is not read again.
    known: HashMap<PathBuf, Verdict>,
}

impl super::Probe for Probe {
    async fn run(&mut self, out: &mut Readings) -> Result<(), Failure> {
        let (now, deadline) = (unix_now(), out.deadline().into_std());
        let order = Arc::clone(&self.order);
        let tally = self.aside.run(move || order.look(now, deadline)).await??;
        self.order.write(&tally, now, out);
        let mut complaints = self.order.complaints(&tally, now);
        match self.parse(&tally, deadline, out).await {
            Ok(mistakes) => complaints.extend(mistakes),
            Err(failure) if complaints.is_empty() => return Err(failure),
            Err(_) => {}
        }
        let Some(first) = complaints.first() else { return Ok(()) };
        let details: Vec<_> = complaints.iter().take(MAX_TOLD).map(|complaint| complaint.detail.as_str()).collect();
        let more = match complaints.len().saturating_sub(MAX_TOLD) {
            0 => String::new(),
            more => format!("; and {more} more"),
        };
        Err(Failure::new(first.reason, format!("{}{more}", details.join("; "))))
    }
}

/// A detail tells no more than this many complaints.
const MAX_TOLD: usize = 4;

impl Probe {
    /// Parses what is judged and has changed, and gives what is wrong.
    async fn parse(&mut self, tally: &Tally, deadline: Instant, out: &mut Readings) -> Result<Vec<Failure>, Failure> {
        let Some(syntax) = self.order.config.syntax else { return Ok(Vec::new()) };
        let judged: Vec<Found> = match self.order.which() {
            Which::Newest => tally.newest.iter().cloned().collect(),
            Which::Oldest => tally.oldest.iter().cloned().collect(),
            Which::All if tally.count > MAX_PARSED as u64 => {
                let detail = format!("{} files match, of which at most {MAX_PARSED} are parsed", tally.count);
                return Err(Failure::new(Reason::Limit, detail));
            }
            Which::All => tally.all.clone(),
        };
        let is_known = |found: &Found| {
            self.known.get(&found.path).is_some_and(|known| known.lasts && known.found.stamp == found.stamp)
        };
        let fresh: Vec<Found> = judged.iter().filter(|found| !is_known(found)).cloned().collect();
        if !fresh.is_empty() {
            let max = self.order.config.max_parse.0;
            let examine_all = move || {
                let one = |found| {
                    if Instant::now() >= deadline {
                        return Err(Failure::new(Reason::Timeout, "still parsing"));
                    }
                    examine(found, syntax, max, deadline)
                };
                fresh.into_iter().map(one).collect::<Result<Vec<_>, _>>()
            };
            let verdicts = self.aside.run(examine_all).await??;
            self.known.extend(verdicts.into_iter().map(|verdict| (verdict.found.path.clone(), verdict)));
        }
        if self.known.len() > judged.len() {
            self.known.retain(|path, _| judged.iter().any(|found| found.path == *path));
        }
        let mistakes: Vec<Failure> =
            judged.iter().filter_map(|found| self.known.get(&found.path)?.mistake.clone()).collect();
        if !judged.is_empty() {
            out.flag(&VALID, mistakes.is_empty());
        }
        Ok(mistakes)
    }
}
