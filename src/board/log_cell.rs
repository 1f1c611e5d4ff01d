//! The cell of one log: counts that go on across restarts, and how far it was read.

use super::Histogram;
use crate::health::{Crossing, Limit, gravest_crossing};
use crate::observation::{Failure, Family, Gravity, Labels, Scope, Signal, Unit};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The size of the largest file of a log, on which thresholds can be set.
pub static LOG_SIZE: Signal = Signal { key: "size", unit: Unit::Bytes, threshold: &LOG_SIZE_THRESHOLD };

/// Where those thresholds are published.
static LOG_SIZE_THRESHOLD: Family = Family::gauge(
    "banken_log_size_threshold_bytes",
    Scope::Log,
    &["severity"],
    "Configured threshold on the size of a log's largest file, in bytes",
);

/// What a cell knows about its log beside what was read.
#[derive(Debug, Clone, PartialEq)]
pub struct LogDescriptor {
    /// The label `log`.
    pub name: String,
    /// The label `group`.
    pub group: Option<String>,
    /// What is counted, in the order in which records keep it.
    pub patterns: Vec<PatternDescriptor>,
    /// Configured thresholds.
    pub limits: Vec<Limit>,
}

/// A pattern as the board knows it.
#[derive(Debug, Clone, PartialEq)]
pub struct PatternDescriptor {
    /// The label `pattern`.
    pub id: String,
    /// What it finds, for people.
    pub name: String,
    /// The label `severity`.
    pub gravity: Gravity,
    /// What becomes of its named groups.
    pub captures: Vec<CaptureDescriptor>,
}

/// What becomes of one named group of a pattern.
#[derive(Debug, Clone, PartialEq)]
pub struct CaptureDescriptor {
    /// The name of the group, the label `capture`.
    pub name: String,
    /// What it becomes.
    pub usage: CaptureUsage,
}

/// What a captured text becomes.
#[derive(Debug, Clone, PartialEq)]
pub enum CaptureUsage {
    /// A count for each of these values, and one for every other text under [`OTHER`].
    Counts(Vec<String>),
    /// The latest number.
    Latest,
    /// A histogram of the numbers, with these upper bounds.
    Histogram(Vec<f64>),
}

/// The label value of a captured text that is not listed.
pub const OTHER: &str = "other";

/// What was counted for one captured group.
#[derive(Debug, Clone, PartialEq)]
pub enum CaptureRecord {
    /// In the order of the descriptor's values, the last for every other text.
    Counts(Vec<u64>),
    /// The latest number, once there was one.
    Latest(Option<f64>),
    /// All numbers.
    Histogram(Histogram),
}

/// What was counted for one pattern.
#[derive(Debug, Clone, PartialEq)]
pub struct PatternRecord {
    /// Lines (or records of several lines) that matched.
    pub matches: u64,
    /// When the latest match was read, in seconds since the Unix epoch.
    pub last_match_at: Option<f64>,
    /// The beginning of the latest match's line, for people; never a label.
    pub last_line: String,
    /// One for each captured group of the descriptor.
    pub captures: Vec<CaptureRecord>,
}

/// The part of a log's record that must survive a restart.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogCounts {
    /// Complete lines read.
    pub lines: u64,
    /// Bytes of those lines.
    pub bytes: u64,
    /// Lines beyond the cap, of which only the beginning was looked at.
    pub long_lines: u64,
    /// Files that were renamed away.
    pub rotations: u64,
    /// Files that were cut to less than had been read.
    pub truncations: u64,
    /// Times when something was gone before it could be read.
    pub gaps: u64,
}

/// Everything that is known of one log.
#[derive(Debug, Clone)]
pub struct LogRecord {
    /// What only goes up.
    pub counts: LogCounts,
    /// One for each pattern of the descriptor.
    pub patterns: Vec<PatternRecord>,
    /// Files that are followed.
    pub files: usize,
    /// Files beyond the bound, which are not.
    pub files_ignored: usize,
    /// Bytes of the largest file that is followed.
    pub size: u64,
    /// Bytes of all files of the log, rotated and compressed ones included.
    pub volume: u64,
    /// Bytes that are there and not read yet.
    pub lag: u64,
    /// When the log was last read to its end, in seconds since the Unix epoch; none before the first time, and until
    /// then nothing of it is published: what was counted before a restart may not be caught up with yet.
    pub caught_up_at: Option<f64>,
    /// Why the log cannot be read, while it cannot.
    pub fault: Option<Failure>,
}

/// A pattern's counts as they are saved, found again by id.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct SavedPattern {
    matches: u64,
    last_match_at: Option<f64>,
    last_line: String,
    captures: BTreeMap<String, SavedCapture>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum SavedCapture {
    Counts(BTreeMap<String, u64>),
    Latest(f64),
    Histogram { bounds: Vec<f64>, counts: Vec<u64>, sum: f64 },
}

/// A log's counts as they are saved.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SavedLog {
    counts: LogCounts,
    patterns: BTreeMap<String, SavedPattern>,
}

impl LogRecord {
    /// A record without a past: every count is known from the start, at 0.
    pub fn new(descriptor: &LogDescriptor) -> Self {
        let patterns = descriptor.patterns.iter().map(PatternRecord::new).collect();
        Self {
            counts: LogCounts::default(),
            patterns,
            files: 0,
            files_ignored: 0,
            size: 0,
            volume: 0,
            lag: 0,
            caught_up_at: None,
            fault: None,
        }
    }

    /// The gravest threshold that is crossed.
    pub fn crossing(&self, descriptor: &LogDescriptor) -> Option<Crossing> {
        gravest_crossing(&descriptor.limits, &[(&LOG_SIZE, self.size as f64)])
    }

    /// What must survive a restart.
    pub fn save(&self, descriptor: &LogDescriptor) -> SavedLog {
        let patterns = descriptor.patterns.iter().zip(&self.patterns);
        SavedLog {
            counts: self.counts.clone(),
            patterns: patterns.map(|(described, record)| (described.id.clone(), record.save(described))).collect(),
        }
    }

    /// Goes on where saved counts stand. What is no longer configured is left behind.
    pub fn restore(&mut self, descriptor: &LogDescriptor, saved: &SavedLog) {
        self.counts = saved.counts.clone();
        for (described, record) in descriptor.patterns.iter().zip(&mut self.patterns) {
            if let Some(saved) = saved.patterns.get(&described.id) {
                record.restore(described, saved);
            }
        }
    }
}

impl PatternRecord {
    fn new(descriptor: &PatternDescriptor) -> Self {
        let captures = descriptor.captures.iter().map(|capture| match &capture.usage {
            CaptureUsage::Counts(values) => CaptureRecord::Counts(vec![0; values.len() + 1]),
            CaptureUsage::Latest => CaptureRecord::Latest(None),
            CaptureUsage::Histogram(bounds) => CaptureRecord::Histogram(Histogram::new(bounds.clone())),
        });
        Self { matches: 0, last_match_at: None, last_line: String::new(), captures: captures.collect() }
    }

    fn save(&self, descriptor: &PatternDescriptor) -> SavedPattern {
        let captures = descriptor.captures.iter().zip(&self.captures);
        let captures = captures.filter_map(|(described, record)| {
            let saved = match (&described.usage, record) {
                (CaptureUsage::Counts(values), CaptureRecord::Counts(counts)) => {
                    let values = values.iter().map(String::as_str).chain([OTHER]);
                    SavedCapture::Counts(values.map(str::to_owned).zip(counts.iter().copied()).collect())
                }
                (_, CaptureRecord::Latest(latest)) => SavedCapture::Latest((*latest)?),
                (CaptureUsage::Histogram(bounds), CaptureRecord::Histogram(histogram)) => SavedCapture::Histogram {
                    bounds: bounds.clone(),
                    counts: histogram.counts().to_vec(),
                    sum: histogram.sum(),
                },
                _ => return None,
            };
            Some((described.name.clone(), saved))
        });
        SavedPattern {
            matches: self.matches,
            last_match_at: self.last_match_at,
            last_line: self.last_line.clone(),
            captures: captures.collect(),
        }
    }

    fn restore(&mut self, descriptor: &PatternDescriptor, saved: &SavedPattern) {
        self.matches = saved.matches;
        self.last_match_at = saved.last_match_at;
        self.last_line.clone_from(&saved.last_line);
        for (described, record) in descriptor.captures.iter().zip(&mut self.captures) {
            match (&described.usage, record, saved.captures.get(&described.name)) {
                (CaptureUsage::Counts(values), CaptureRecord::Counts(counts), Some(SavedCapture::Counts(saved))) => {
                    let values = values.iter().map(String::as_str).chain([OTHER]);
                    for (value, count) in values.zip(counts) {
                        *count = saved.get(value).copied().unwrap_or(0);
                    }
                }
                (_, CaptureRecord::Latest(latest), Some(SavedCapture::Latest(saved))) => *latest = Some(*saved),
                (
                    CaptureUsage::Histogram(wanted),
                    CaptureRecord::Histogram(histogram),
                    Some(SavedCapture::Histogram { bounds, counts, sum }),
                ) if wanted == bounds => {
                    // Counts of another length were not written by us; such a histogram begins anew.
                    if let Some(restored) = Histogram::restore(wanted.clone(), counts.clone(), *sum) {
                        *histogram = restored;
                    }
                }
                _ => {}
            }
        }
    }
}

/// The labels of one pattern's samples, rendered once.
#[derive(Debug)]
pub struct PatternLabels {
    /// `pattern` and `severity`.
    pub pattern: Labels,
    /// For each captured group: `pattern`, `capture` and, for counts, `value`, one set for each.
    pub captures: Vec<Vec<Labels>>,
}

/// The latest of one log.
#[derive(Debug)]
pub struct LogCell {
    descriptor: LogDescriptor,
    labels: Labels,
    patterns: Vec<PatternLabels>,
    record: Mutex<LogRecord>,
}

impl LogCell {
    /// A cell without a past.
    pub fn new(descriptor: LogDescriptor) -> Self {
        let record = LogRecord::new(&descriptor);
        Self::with_record(descriptor, record)
    }

    /// A cell that goes on where `former` stands; patterns are found again by id.
    pub fn succeeding(descriptor: LogDescriptor, former: &LogCell) -> Self {
        let mut record = LogRecord::new(&descriptor);
        record.restore(&descriptor, &former.read(|former_record| former_record.save(&former.descriptor)));
        Self::with_record(descriptor, record)
    }

    fn with_record(descriptor: LogDescriptor, record: LogRecord) -> Self {
        let mut pairs = vec![("log", descriptor.name.as_str())];
        pairs.extend(descriptor.group.as_deref().map(|group| ("group", group)));
        let labels = Labels::render(&pairs);
        let patterns = descriptor.patterns.iter().map(PatternLabels::of).collect();
        Self { descriptor, labels, patterns, record: Mutex::new(record) }
    }

    /// Name, group, patterns, thresholds.
    pub fn descriptor(&self) -> &LogDescriptor {
        &self.descriptor
    }

    /// `log` and, where one is set, `group`.
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    /// One for each pattern of the descriptor.
    pub fn pattern_labels(&self) -> &[PatternLabels] {
        &self.patterns
    }

    /// Looks at the record; `look` must be quick, because the reader of the log waits for it.
    pub fn read<T>(&self, look: impl FnOnce(&LogRecord) -> T) -> T {
        look(&self.locked())
    }

    /// Changes the record; `change` must be quick, because scrapes wait for it.
    pub fn update<T>(&self, change: impl FnOnce(&mut LogRecord) -> T) -> T {
        change(&mut self.locked())
    }

    /// A record is changed by assignments only, so a panic elsewhere leaves it whole.
    fn locked(&self) -> MutexGuard<'_, LogRecord> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PatternLabels {
    fn of(pattern: &PatternDescriptor) -> Self {
        let id = pattern.id.as_str();
        let captures = pattern.captures.iter().map(|capture| {
            let base = [("pattern", id), ("capture", capture.name.as_str())];
            match &capture.usage {
                CaptureUsage::Counts(values) => {
                    let values = values.iter().map(String::as_str).chain([OTHER]);
                    values.map(|value| Labels::render(&[base[0], base[1], ("value", value)])).collect()
                }
                CaptureUsage::Latest | CaptureUsage::Histogram(_) => vec![Labels::render(&base)],
            }
        });
        Self {
            pattern: Labels::render(&[("pattern", id), ("severity", pattern.gravity.as_str())]),
            captures: captures.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(id: &str, usages: &[(&str, CaptureUsage)]) -> PatternDescriptor {
        let captures =
            usages.iter().map(|(name, usage)| CaptureDescriptor { name: (*name).into(), usage: usage.clone() });
        PatternDescriptor { id: id.into(), name: id.into(), gravity: Gravity::Error, captures: captures.collect() }
    }

    fn descriptor(patterns: Vec<PatternDescriptor>) -> LogDescriptor {
        LogDescriptor { name: "app".into(), group: None, patterns, limits: Vec::new() }
    }

    #[test]
    fn counts_go_on_in_the_cell_that_takes_over_and_are_found_again_by_id() {
        let counts = CaptureUsage::Counts(vec!["double_top".into(), "flag".into()]);
        let former = LogCell::new(descriptor(vec![
            pattern("gone", &[]),
            pattern(
                "seen",
                &[
                    ("shape", counts),
                    ("price", CaptureUsage::Latest),
                    ("took", CaptureUsage::Histogram(vec![1.0, 5.0])),
                ],
            ),
        ]));
        former.update(|record| {
            record.counts.lines = 7;
            record.patterns[1].matches = 3;
            record.patterns[1].captures[0] = CaptureRecord::Counts(vec![1, 0, 2]);
            record.patterns[1].captures[1] = CaptureRecord::Latest(Some(2.5));
            if let CaptureRecord::Histogram(took) = &mut record.patterns[1].captures[2] {
                took.observe(0.5);
                took.observe(9.0);
            }
        });
        // A value more, another order, other bounds: what is the same goes on, the rest begins anew.
        let counts = CaptureUsage::Counts(vec!["wedge".into(), "double_top".into()]);
        let heir = LogCell::succeeding(
            descriptor(vec![
                pattern(
                    "seen",
                    &[
                        ("shape", counts),
                        ("price", CaptureUsage::Latest),
                        ("took", CaptureUsage::Histogram(vec![1.0, 5.0])),
                    ],
                ),
                pattern("new", &[("took", CaptureUsage::Histogram(vec![2.0]))]),
            ]),
            &former,
        );
        heir.read(|record| {
            assert_eq!((record.counts.lines, record.patterns[0].matches, record.patterns[1].matches), (7, 3, 0));
            assert_eq!(record.patterns[0].captures[0], CaptureRecord::Counts(vec![0, 1, 2]));
            assert_eq!(record.patterns[0].captures[1], CaptureRecord::Latest(Some(2.5)));
            let CaptureRecord::Histogram(took) = &record.patterns[0].captures[2] else { panic!("no histogram") };
            assert_eq!((took.counts(), took.sum().to_bits()), (&[1, 0, 1][..], 9.5_f64.to_bits()));
        });
    }

    #[test]
    fn labels_are_rendered_once_with_one_set_for_each_allowed_value_and_one_for_the_rest() {
        let cell = LogCell::new(descriptor(vec![pattern("p", &[("shape", CaptureUsage::Counts(vec!["x".into()]))])]));
        let labels = &cell.pattern_labels()[0];
        assert_eq!(labels.pattern.text(), r#"pattern="p",severity="error""#);
        let values: Vec<_> = labels.captures[0].iter().map(Labels::text).collect();
        assert_eq!(
            values,
            [r#"pattern="p",capture="shape",value="x""#, r#"pattern="p",capture="shape",value="other""#]
        );
    }
}
