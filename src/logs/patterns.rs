//! What is looked for in a log: the built-in error classes, files of patterns, rules of the configuration.

mod auto_fix;
mod builtin;
mod literals;
mod rule;
mod scanner;
mod source;
mod stream;
mod units;

pub use auto_fix::{AutoFix, Fix, FixAction, FixConfig};
pub use rule::{Rule, Severity};
pub use source::{PatternFile, Source};
pub use stream::Scanned;

use crate::board::PatternDescriptor;
use crate::values::{Invalid, Pattern};
use scanner::{Expression, Scanner};
use std::collections::BTreeMap;

/// More patterns in one log are a mistake.
const MAX_PATTERNS: usize = 500;

/// How much of a captured text is kept.
const MAX_CAPTURE: usize = 256;

/// Something that another part of Banken wants to hear of.
#[derive(Debug, Clone, PartialEq)]
pub struct Hook {
    /// How it is called in what is heard.
    pub id: String,
    /// What it looks like.
    pub pattern: Pattern,
}

/// What a scan saw beside matches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    /// Lines.
    pub lines: u64,
    /// Lines beyond the cap.
    pub long_lines: u64,
}

/// One pattern, whatever it came from.
#[derive(Debug, Clone)]
struct Entry {
    descriptor: PatternDescriptor,
    text: String,
    expression: Expression,
    /// Where it is written, for whoever has to mend it; none for a built-in one.
    origin: Option<String>,
}

/// Everything that is looked for in one log, compiled.
#[derive(Debug)]
pub struct Patterns {
    descriptors: Vec<PatternDescriptor>,
    texts: Vec<String>,
    hooks: Vec<Hook>,
    /// First those that the board knows, then the hooks.
    scanner: Scanner,
}

/// The same is looked for in the same way: what decides whether a reload leaves a log's reader alone.
impl PartialEq for Patterns {
    fn eq(&self, other: &Self) -> bool {
        self.descriptors == other.descriptors && self.texts == other.texts && self.hooks == other.hooks
    }
}

impl Patterns {
    /// Compiles what is looked for; mistakes go to `invalid` with paths from the log's entry on.
    pub fn build(sources: &[Source], rules: &[Rule], hooks: Vec<Hook>, invalid: &mut Vec<Invalid>) -> Self {
        let mut entries: Vec<Entry> = Vec::new();
        let mut mistakes = Vec::new();
        if sources.contains(&Source::Builtin) {
            entries.extend(builtin::entries());
        }
        for (index, source) in sources.iter().enumerate() {
            if let Source::File(file) = source {
                for entry in file.entries() {
                    add(&mut entries, entry, &format!("patterns[{index}]"), &mut mistakes);
                }
            }
        }
        for (index, rule) in rules.iter().enumerate() {
            let path = format!("rules[{index}]");
            match rule.entry(&path) {
                Ok(entry) => add(&mut entries, entry, &format!("{path}.id"), &mut mistakes),
                Err(found) => mistakes.extend(found),
            }
        }
        if entries.len() > MAX_PATTERNS {
            let message = format!("{} patterns in one log: at most {MAX_PATTERNS} are possible", entries.len());
            mistakes.push(Invalid::new("patterns", message));
            entries.clear();
        }
        let descriptors = entries.iter().map(|entry| entry.descriptor.clone()).collect();
        let (texts, mut expressions): (Vec<_>, Vec<_>) =
            entries.into_iter().map(|entry| (entry.text, entry.expression)).unzip();
        for hook in &hooks {
            match Expression::compile(hook.pattern.as_str(), true) {
                Ok(expression) => expressions.push(expression),
                Err(message) => mistakes.push(Invalid::new("", format!("the pattern of {}: {message}", hook.id))),
            }
        }
        let scanner = Scanner::new(expressions).unwrap_or_else(|message| {
            mistakes.push(Invalid::new("patterns", message));
            Scanner::default()
        });
        invalid.extend(mistakes);
        Self { descriptors, texts, hooks, scanner }
    }

    /// What the board knows about them; hooks are not among them.
    pub fn descriptors(&self) -> Vec<PatternDescriptor> {
        self.descriptors.clone()
    }

    /// The expressions as they are written, in the order of the descriptors.
    pub fn texts(&self) -> &[String] {
        &self.texts
    }

    /// The id of the hook with this index; none for what the board knows.
    pub fn hook(&self, index: usize) -> Option<&str> {
        let hook = self.hooks.get(index.checked_sub(self.descriptors.len())?)?;
        Some(hook.id.as_str())
    }

    /// The texts of the named groups of a pattern in a line in which it was found, each cut to 256 bytes.
    pub fn captures(&self, index: usize, line: &[u8]) -> BTreeMap<String, String> {
        let Some(expression) = self.scanner.expression(index) else { return BTreeMap::new() };
        let Some(captures) = expression.captures(line) else { return BTreeMap::new() };
        let named = expression.capture_names().flatten().filter_map(|name| {
            let bytes = captures.name(name)?.as_bytes();
            let text = String::from_utf8_lossy(&bytes[..bytes.len().min(MAX_CAPTURE)]);
            Some((name.to_owned(), text.into_owned()))
        });
        named.collect()
    }

    /// How many bytes of `text` are complete lines, or complete records where `start` says how those begin.
    pub fn complete(&self, text: &[u8], start: Option<&Pattern>) -> usize {
        units::complete(text, start)
    }

    /// Scans complete lines (or records, where `start` says how those begin) and tells each pattern that each of them
    /// matches, once, with the line or record without its last line end. Of a line beyond 64 KiB the beginning is told.
    pub fn scan<'t>(&self, text: &'t [u8], start: Option<&Pattern>, found: &mut dyn FnMut(usize, &'t [u8])) -> Seen {
        self.scanner.scan(text, start, found)
    }
}

/// Adds a pattern. One of the configuration takes the place of the built-in one with the same id.
fn add(entries: &mut Vec<Entry>, entry: Entry, path: &str, mistakes: &mut Vec<Invalid>) {
    let id = &entry.descriptor.id;
    let Some(former) = entries.iter_mut().find(|former| former.descriptor.id == *id) else {
        entries.push(entry);
        return;
    };
    match (&former.origin, &entry.origin) {
        (Some(first), Some(second)) => {
            let message = format!("two patterns have the id {id:?}: {first} and {second}; give one another id");
            mistakes.push(Invalid::new(path, message));
        }
        _ => *former = entry,
    }
}

#[cfg(test)]
mod tests;
