//! What was counted, for people and for programs.

use crate::board::PatternDescriptor;
use crate::logs::{Patterns, Scanned, excerpt};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

/// How much of a line is kept: as much as is shown.
const KEPT: usize = 240;

/// The counts of all files.
pub struct Totals<'p> {
    patterns: &'p Patterns,
    described: Vec<PatternDescriptor>,
    counts: Vec<u64>,
    last_lines: Vec<Vec<u8>>,
    scanned: Scanned,
    files: Vec<FileTotals>,
    /// The counts when the file began that is being read.
    before: Vec<u64>,
}

struct FileTotals {
    name: String,
    scanned: Scanned,
    counts: Vec<u64>,
    error: Option<String>,
}

impl<'p> Totals<'p> {
    pub fn new(patterns: &'p Patterns) -> Self {
        let described = patterns.descriptors();
        let zeros = vec![0; described.len()];
        Self {
            patterns,
            counts: zeros.clone(),
            last_lines: vec![Vec::new(); described.len()],
            scanned: Scanned::default(),
            files: Vec::new(),
            before: zeros,
            described,
        }
    }

    pub fn count(&mut self, index: usize, line: &[u8]) {
        self.counts[index] += 1;
        let last = &mut self.last_lines[index];
        last.clear();
        last.extend_from_slice(&line[..line.len().min(KEPT)]);
    }

    pub fn end_file(&mut self, path: &Path, scanned: Scanned) {
        self.scanned.bytes += scanned.bytes;
        self.scanned.lines += scanned.lines;
        self.scanned.long_lines += scanned.long_lines;
        self.close(path, scanned, None);
    }

    /// What was found before reading failed still counts; how much was read is not known.
    pub fn fail_file(&mut self, path: &Path, error: &str) {
        self.close(path, Scanned::default(), Some(error.to_owned()));
    }

    fn close(&mut self, path: &Path, scanned: Scanned, error: Option<String>) {
        let counts = self.counts.iter().zip(&self.before).map(|(now, before)| now - before).collect();
        self.files.push(FileTotals { name: path.display().to_string(), scanned, counts, error });
        self.before.clone_from(&self.counts);
    }

    pub fn has_failed(&self) -> bool {
        self.files.iter().any(|file| file.error.is_some())
    }

    pub fn json(&self, elapsed: Duration, by_file: bool) -> Value {
        let described = self.described.iter().zip(self.patterns.texts());
        let patterns: Vec<_> = described
            .zip(self.counts.iter().zip(&self.last_lines))
            .map(|((pattern, text), (count, last))| {
                let last = (!last.is_empty()).then(|| excerpt(last));
                json!({
                    "id": pattern.id, "name": pattern.name, "severity": pattern.gravity.as_str(), "pattern": text,
                    "count": count, "last_line": last,
                })
            })
            .collect();
        let mut document = json!({
            "files": self.files.len(),
            "lines": self.scanned.lines,
            "long_lines": self.scanned.long_lines,
            "bytes": self.scanned.bytes,
            "seconds": elapsed.as_secs_f64(),
            "patterns": patterns,
        });
        if by_file {
            document["by_file"] = self.files.iter().map(|file| self.file_json(file)).collect();
        }
        document
    }

    fn file_json(&self, file: &FileTotals) -> Value {
        let ids = self.described.iter().map(|pattern| pattern.id.clone());
        let counts: serde_json::Map<_, _> = ids.zip(file.counts.iter().map(|count| Value::from(*count))).collect();
        json!({
            "file": file.name, "lines": file.scanned.lines, "bytes": file.scanned.bytes, "error": file.error,
            "counts": counts,
        })
    }

    /// A table; lines end at `width`, if there is one.
    pub fn text(&self, by_file: bool, width: Option<usize>) -> String {
        let ids = self.described.iter().map(|pattern| pattern.id.chars().count());
        let id_width = ids.max().unwrap_or(0).max("PATTERN".len());
        let mut text = format!("{:<id_width$}  SEVERITY       COUNT  LAST MATCH\n", "PATTERN");
        for (pattern, (count, last)) in self.described.iter().zip(self.counts.iter().zip(&self.last_lines)) {
            let severity = pattern.gravity.as_str();
            let row = format!("{:<id_width$}  {severity:<8} {count:>11}  {}", pattern.id, excerpt(last));
            let row: String = row.chars().take(width.unwrap_or(usize::MAX)).collect();
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{}", row.trim_end());
        }
        for file in self.files.iter().filter(|_| by_file) {
            let _ = writeln!(text, "\n{}: {} lines", file.name, file.scanned.lines);
            let found = self.described.iter().zip(&file.counts).filter(|(_, count)| **count > 0);
            for (pattern, count) in found {
                let severity = pattern.gravity.as_str();
                let _ = writeln!(text, "{:<id_width$}  {severity:<8} {count:>11}", pattern.id);
            }
        }
        text
    }

    /// How much that was and how long it took, on one line.
    pub fn summary(&self, elapsed: Duration) -> String {
        let files = self.files.iter().filter(|file| file.error.is_none()).count();
        let Scanned { bytes, lines, long_lines } = self.scanned;
        let megabytes = bytes as f64 / 1e6;
        let seconds = elapsed.as_secs_f64();
        let plural = if files == 1 { "" } else { "s" };
        let mut text = format!("{files} file{plural}, {lines} lines, {megabytes:.1} MB in {seconds:.3} s");
        if seconds > 0.0 {
            let _ = write!(text, ", {:.0} MB/s", megabytes / seconds);
        }
        if long_lines > 0 {
            let _ = write!(text, "; of {long_lines} lines only the first 64 KiB were looked at");
        }
        text
    }
}

/// The columns of the terminal on standard output, if it is one.
pub fn width() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}
