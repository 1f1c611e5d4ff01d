//! What is looked for in a log.

use crate::board::PatternDescriptor;
use crate::values::{Invalid, Pattern};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// An entry under `patterns:`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
pub struct Source {}

/// An entry under `rules:`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
pub struct Rule {}

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

/// Everything that is looked for in one log, compiled.
#[derive(Debug, PartialEq)]
pub struct Patterns {
    hooks: Vec<Hook>,
}

impl Patterns {
    /// Compiles what is looked for; mistakes go to `invalid` with paths from the log's entry on.
    pub fn build(_sources: &[Source], _rules: &[Rule], hooks: Vec<Hook>, _invalid: &mut Vec<Invalid>) -> Self {
        Self { hooks }
    }

    /// What the board knows about them; hooks are not among them.
    pub fn descriptors(&self) -> Vec<PatternDescriptor> {
        Vec::new()
    }

    /// The id of the hook with this index; none for what the board knows.
    pub fn hook(&self, index: usize) -> Option<&str> {
        self.hooks.get(index).map(|hook| hook.id.as_str())
    }

    /// The texts of the named groups of a pattern in a line in which it was found.
    pub fn captures(&self, _index: usize, _line: &[u8]) -> BTreeMap<String, String> {
        BTreeMap::new()
    }

    /// How many bytes of `text` are complete lines, or complete records where `start` says how those begin.
    pub fn complete(&self, text: &[u8], _start: Option<&Pattern>) -> usize {
        memchr::memrchr(b'\n', text).map_or(0, |end| end + 1)
    }

    /// Scans complete lines (or records, where `start` says how those begin) and tells each pattern that each of them
    /// matches, once, with the line or record without its last line end.
    pub fn scan<'t>(&self, _text: &'t [u8], _start: Option<&Pattern>, _found: &mut dyn FnMut(usize, &'t [u8])) -> Seen {
        Seen::default()
    }
}
