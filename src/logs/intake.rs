//! Complete lines in, counts out.

use super::Multiline;
use super::patterns::Patterns;
use crate::board::{CaptureRecord, CaptureUsage, LogCell, SavedLog};
use crate::observation::unix_now;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Beyond this a line, or a record of several, is looked at no further.
pub const MAX_LINE: usize = 64 << 10;

/// How much of a match's line people are shown.
const EXCERPT_BYTES: usize = 240;

/// A match of a hook: something another part of Banken wants to hear of.
#[derive(Debug, Clone, PartialEq)]
pub struct Heard {
    /// Which hook, by its id.
    pub hook: String,
    /// Which counting the number belongs to: where a log has lost its place and begins to count anew, there is another.
    pub epoch: u64,
    /// The how-manieth match of this hook in this log it is, from 1. It goes on across restarts; a line that is read
    /// again after a kill has the number that it had before.
    pub sequence: u64,
    /// When it was read, in seconds since the Unix epoch.
    pub at: f64,
    /// The texts of the named groups that took part in the match.
    pub captures: BTreeMap<String, String>,
}

/// Who hears of hooks. It must have saved what it heard when it returns, because the log's position is saved after.
pub type Listener = Arc<dyn Fn(Heard) + Send + Sync>;

/// The counts that must survive a restart.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SavedIntake {
    log: SavedLog,
    epoch: u64,
    hooks: BTreeMap<String, u64>,
}

/// Takes the lines of one log.
pub struct Intake {
    patterns: Arc<Patterns>,
    /// Shared, because a copy of a pattern begins with empty caches.
    multiline: Option<Arc<Multiline>>,
    cell: Arc<LogCell>,
    epoch: u64,
    hooks: BTreeMap<String, u64>,
    listener: Option<Listener>,
}

impl fmt::Debug for Intake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Intake").field("log", &self.cell.descriptor().name).finish_non_exhaustive()
    }
}

impl Intake {
    /// For the log of this cell.
    pub fn new(
        patterns: Arc<Patterns>,
        multiline: Option<Multiline>,
        cell: Arc<LogCell>,
        listener: Option<Listener>,
    ) -> Self {
        let multiline = multiline.map(Arc::new);
        // No two countings of a log begin in the same microsecond.
        let epoch = (unix_now() * 1e6) as u64;
        Self { patterns, multiline, cell, epoch, hooks: BTreeMap::new(), listener }
    }

    /// The cell into which is counted.
    pub fn cell(&self) -> &LogCell {
        &self.cell
    }

    /// Whether lines belong together, so that less than all complete lines may be ready to be taken.
    pub fn has_records(&self) -> bool {
        self.multiline.is_some()
    }

    /// How many bytes of `text` are complete: up to the last line's end or, with records of several lines, up to the
    /// beginning of the last record, which may still grow.
    pub fn complete(&self, text: &[u8]) -> usize {
        self.patterns.complete(text, self.multiline.as_ref().map(|lines| &lines.start))
    }

    /// Counts complete lines, read at `at` (seconds since the Unix epoch).
    pub fn take(&mut self, text: &[u8], at: f64) {
        let mut hits = Hits::default();
        let multiline = self.multiline.clone();
        let patterns = Arc::clone(&self.patterns);
        let start = multiline.as_ref().map(|lines| &lines.start);
        let seen = patterns.scan(text, start, &mut |index, line| match patterns.hook(index) {
            Some(hook) => self.hear(hook, index, line, at),
            None => hits.add(index, line),
        });
        self.cell.update(|record| {
            record.counts.lines += seen.lines;
            record.counts.bytes += text.len() as u64;
            record.counts.long_lines += seen.long_lines;
        });
        self.publish(&hits, at);
    }

    /// Counts bytes at the end of a line of which [`Intake::take`] was given the beginning, beyond the cap: they are
    /// looked at no further.
    pub fn skip(&mut self, bytes: usize) {
        self.cell.update(|record| record.counts.bytes += bytes as u64);
    }

    /// Whether the last complete line may still belong to a record that grows.
    pub fn holds_back(&self) -> bool {
        self.multiline.is_some()
    }

    /// What must survive a restart.
    pub fn save(&self) -> SavedIntake {
        let log = self.cell.read(|record| record.save(self.cell.descriptor()));
        SavedIntake { log, epoch: self.epoch, hooks: self.hooks.clone() }
    }

    /// Goes on where saved counts stand.
    pub fn restore(&mut self, saved: &SavedIntake) {
        self.cell.update(|record| record.restore(self.cell.descriptor(), &saved.log));
        self.epoch = saved.epoch;
        self.hooks.clone_from(&saved.hooks);
    }

    fn hear(&mut self, hook: &str, index: usize, line: &[u8], at: f64) {
        let sequence = self.hooks.entry(hook.to_owned()).or_default();
        *sequence += 1;
        if let Some(listener) = &self.listener {
            let captures = self.patterns.captures(index, line);
            listener(Heard { hook: hook.to_owned(), epoch: self.epoch, sequence: *sequence, at, captures });
        }
    }

    fn publish(&self, hits: &Hits<'_>, at: f64) {
        let descriptor = self.cell.descriptor();
        for (index, lines) in &hits.0 {
            let Some(last) = lines.last() else { continue };
            let wanted = &descriptor.patterns[*index].captures;
            let captured: Vec<_> = if wanted.is_empty() {
                Vec::new()
            } else {
                lines.iter().map(|line| self.patterns.captures(*index, line)).collect()
            };
            let excerpt = excerpt(last);
            self.cell.update(|record| {
                let record = &mut record.patterns[*index];
                record.matches += lines.len() as u64;
                record.last_match_at = Some(at);
                record.last_line = excerpt;
                for captured in &captured {
                    for (wanted, record) in wanted.iter().zip(&mut record.captures) {
                        if let Some(text) = captured.get(&wanted.name) {
                            count(&wanted.usage, record, text);
                        }
                    }
                }
            });
        }
    }
}

fn count(usage: &CaptureUsage, record: &mut CaptureRecord, text: &str) {
    let number = || text.trim().parse::<f64>().ok().filter(|number| number.is_finite());
    match (usage, record) {
        (CaptureUsage::Counts(values), CaptureRecord::Counts(counts)) => {
            // The last count is for every text that is not listed.
            let place = values.iter().position(|value| value == text).unwrap_or(values.len());
            counts[place] += 1;
        }
        (_, CaptureRecord::Latest(latest)) => *latest = number().or(*latest),
        (_, CaptureRecord::Histogram(histogram)) => {
            if let Some(number) = number() {
                histogram.observe(number);
            }
        }
        _ => {}
    }
}

/// The lines that each pattern found in one text.
#[derive(Debug, Default)]
struct Hits<'t>(BTreeMap<usize, Vec<&'t [u8]>>);

impl<'t> Hits<'t> {
    fn add(&mut self, index: usize, line: &'t [u8]) {
        self.0.entry(index).or_default().push(line);
    }
}

/// The beginning of a line for people: one line, no control characters.
pub fn excerpt(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(&line[..line.len().min(EXCERPT_BYTES)]);
    let shown = |c: char| if c.is_control() { ' ' } else { c };
    text.trim().chars().map(shown).collect()
}
