//! Finds the lines that patterns match, in whole buffers.
//!
//! Going line by line would cost more than everything else. Instead the buffer is searched for the literals that matches
//! must contain, all at once; only around a hit the line is cut out, and only the patterns whose literals it has are
//! tried on it. Patterns without such literals are searched for together, as one expression that cannot match across
//! lines. The result is the same as that of trying every pattern on every line.

use super::units::{self, Unit};
use super::{Seen, literals};
use crate::values::{PATTERN_SIZE_LIMIT, Pattern, one_line};
use aho_corasick::packed;
use aho_corasick::{AhoCorasick, MatchKind};
use regex::bytes::{Regex, RegexBuilder};
use regex_automata::{Input, meta};
use regex_syntax::hir::{Class, ClassBytes, ClassBytesRange, ClassUnicode, ClassUnicodeRange, Hir, HirKind, Look};
use std::collections::BTreeMap;

/// The memory that one pattern's cache of states may take; a pattern that needs more becomes slower, not larger.
const CACHE_LIMIT: usize = 1 << 20;

/// What the search for patterns without literals may take.
const COMBINED_SIZE_LIMIT: usize = 32 << 20;

/// An expression as it is tried on a line or record: `^` and `$` are the ends of each line.
#[derive(Debug, Clone)]
pub struct Expression {
    regex: Regex,
    hir: Hir,
}

impl Expression {
    /// Compiles it. Without `unicode`, classes and `.` are about bytes.
    ///
    /// # Errors
    /// What is wrong with it, on one line.
    pub fn compile(text: &str, unicode: bool) -> Result<Self, String> {
        let regex = RegexBuilder::new(text)
            .multi_line(true)
            .unicode(unicode)
            .size_limit(PATTERN_SIZE_LIMIT)
            .dfa_size_limit(CACHE_LIMIT)
            .build()
            .map_err(|error| one_line(&error.to_string()))?;
        let mut parser = regex_syntax::ParserBuilder::new().utf8(false).multi_line(true).unicode(unicode).build();
        let hir = parser.parse(text).map_err(|error| one_line(&error.to_string()))?;
        Ok(Self { regex, hir })
    }

    /// The compiled expression.
    pub fn regex(&self) -> &Regex {
        &self.regex
    }
}

/// Everything that is looked for in one log, ready to be searched for at once.
#[derive(Debug, Default)]
pub struct Scanner {
    expressions: Vec<Regex>,
    literals: Option<Literals>,
    rest: Option<Rest>,
}

impl Scanner {
    /// For these expressions; a match is told by their index.
    ///
    /// # Errors
    /// If what is looked for takes too much memory together.
    pub fn new(expressions: Vec<Expression>) -> Result<Self, String> {
        let mut by_literal: BTreeMap<Vec<u8>, Vec<usize>> = BTreeMap::new();
        let mut rest = Vec::new();
        for (index, expression) in expressions.iter().enumerate() {
            match literals::required(&expression.hir) {
                Some(literals) => {
                    for literal in literals {
                        by_literal.entry(literal).or_default().push(index);
                    }
                }
                None => rest.push(index),
            }
        }
        let literals = if by_literal.is_empty() { None } else { Some(Literals::new(by_literal)?) };
        let rest = match rest.as_slice() {
            [] => None,
            indices => Some(Rest::new(indices, &expressions)?),
        };
        Ok(Self { expressions: expressions.into_iter().map(|expression| expression.regex).collect(), literals, rest })
    }

    /// The expression with this index.
    pub fn expression(&self, index: usize) -> Option<&Regex> {
        self.expressions.get(index)
    }

    /// Tells each pattern that a line or record matches, once.
    pub fn scan<'t>(&self, text: &'t [u8], start: Option<&Pattern>, found: &mut dyn FnMut(usize, &'t [u8])) -> Seen {
        let mut candidates = vec![false; self.expressions.len()];
        let parts = 0..self.literals.as_ref().map_or(0, Literals::searches);
        let by_literal = |part| Search::new(move |from| self.literals.as_ref()?.find(part, text, from));
        let mut by_literal: Vec<_> = parts.map(by_literal).collect();
        let mut rest = Search::new(|from| self.rest.as_ref()?.find(text, from, start.is_some()));
        let mut at = 0;
        while at < text.len() {
            let literal = by_literal.iter_mut().filter_map(|search| search.next(at)).min();
            let by_rest = rest.next(at);
            let Some(place) = literal.into_iter().chain(by_rest).min() else { break };
            let unit = units::around(text, at, place, start);
            at = unit.next;
            if literal.is_some_and(|place| place < at)
                && let Some(literals) = &self.literals
            {
                literals.mark(unit.text, &mut candidates);
            }
            if by_rest.is_some_and(|place| place < at)
                && let Some(rest) = &self.rest
            {
                rest.indices.iter().for_each(|index| candidates[*index] = true);
            }
            self.verify(unit, &mut candidates, found);
        }
        let (lines, long_lines) = units::count(text);
        Seen { lines, long_lines }
    }

    /// Tries the candidates on a line or record, and forgets them.
    fn verify<'t>(&self, unit: Unit<'t>, candidates: &mut [bool], found: &mut dyn FnMut(usize, &'t [u8])) {
        for (index, (expression, candidate)) in self.expressions.iter().zip(candidates).enumerate() {
            if std::mem::take(candidate) && expression.is_match(unit.text) {
                found(index, unit.text);
            }
        }
    }
}

/// A search through a text that only goes forward, and looks again only once its last hit is behind.
struct Search<F> {
    find: F,
    latest: Option<usize>,
    begun: bool,
}

impl<F: Fn(usize) -> Option<usize>> Search<F> {
    fn new(find: F) -> Self {
        Self { find, latest: None, begun: false }
    }

    /// The first hit from `from` on.
    fn next(&mut self, from: usize) -> Option<usize> {
        let is_behind = self.latest.is_some_and(|place| place < from);
        if !self.begun || is_behind {
            self.begun = true;
            self.latest = (self.find)(from);
        }
        self.latest
    }
}

/// The literals of all patterns.
#[derive(Debug)]
struct Literals {
    /// Vectorized, for a part of the literals each, on processors that can; none if there are too many literals.
    packed: Vec<packed::Searcher>,
    any: AhoCorasick,
    /// All literals in a line, also those that overlap.
    all: AhoCorasick,
    patterns: Vec<Vec<usize>>,
}

impl Literals {
    fn new(by_literal: BTreeMap<Vec<u8>, Vec<usize>>) -> Result<Self, String> {
        let (literals, patterns): (Vec<_>, Vec<_>) = by_literal.into_iter().unzip();
        let build = |kind| {
            let automaton = AhoCorasick::builder().match_kind(kind).build(&literals);
            automaton.map_err(|error| format!("the patterns are too large together: {error}; use fewer"))
        };
        Ok(Self {
            packed: pack(&literals),
            any: build(MatchKind::LeftmostFirst)?,
            all: build(MatchKind::Standard)?,
            patterns,
        })
    }

    /// One search for each part of the literals; each is told where its first hit is.
    fn searches(&self) -> usize {
        self.packed.len().max(1)
    }

    /// Where the first literal of a part begins.
    fn find(&self, part: usize, text: &[u8], from: usize) -> Option<usize> {
        match self.packed.get(part) {
            Some(packed) => packed.find_in(text, (from..text.len()).into()).map(|hit| hit.start()),
            None => self.any.find(aho_corasick::Input::new(text).range(from..)).map(|hit| hit.start()),
        }
    }

    fn mark(&self, unit: &[u8], candidates: &mut [bool]) {
        for hit in self.all.find_overlapping_iter(unit) {
            for index in &self.patterns[hit.pattern().as_usize()] {
                candidates[*index] = true;
            }
        }
    }
}

/// Beyond this a vectorized search has more false hits than it saves time.
const LITERALS_AT_ONCE: usize = 32;

/// Each part is a pass over the text: beyond this one automaton is faster.
const MOST_PASSES: usize = 6;

/// Vectorized searches for parts of the literals; none if there are too many, or the processor cannot.
fn pack(literals: &[Vec<u8>]) -> Vec<packed::Searcher> {
    let passes = literals.len().div_ceil(LITERALS_AT_ONCE);
    if passes == 0 || passes > MOST_PASSES {
        return Vec::new();
    }
    let searcher = |part: &[Vec<u8>]| packed::Config::new().builder().extend(part).build();
    let searchers: Option<Vec<_>> = literals.chunks(literals.len().div_ceil(passes)).map(searcher).collect();
    searchers.unwrap_or_default()
}

/// Patterns that have no literals to look for.
#[derive(Debug)]
struct Rest {
    indices: Vec<usize>,
    /// Matches in each line that one of them matches, and perhaps in others.
    within_lines: meta::Regex,
}

impl Rest {
    fn new(indices: &[usize], expressions: &[Expression]) -> Result<Self, String> {
        let branches = indices.iter().map(|index| within_line(&expressions[*index].hir)).collect();
        let config = meta::Config::new()
            .utf8_empty(false)
            .nfa_size_limit(Some(COMBINED_SIZE_LIMIT))
            .hybrid_cache_capacity(2 * CACHE_LIMIT);
        let within_lines = meta::Builder::new().configure(config).build_from_hir(&Hir::alternation(branches));
        let within_lines =
            within_lines.map_err(|error| format!("the patterns are too large together: {error}; use fewer"))?;
        Ok(Self { indices: indices.to_vec(), within_lines })
    }

    /// A place in the first line that may match. A record may match across lines: each is tried.
    fn find(&self, text: &[u8], from: usize, records: bool) -> Option<usize> {
        if records {
            return Some(from);
        }
        // It cannot match across lines, so wherever a match ends, none ends in a line before.
        let input = Input::new(text).range(from..).earliest(true);
        let end = self.within_lines.search_half(&input)?.offset();
        match end == text.len() {
            true if text.last() == Some(&b'\n') => None,
            true => Some(end - 1),
            false => Some(end),
        }
    }
}

/// An expression that matches wherever `hir` matches within a line, and never across lines. Conditions on what is
/// around a match are dropped, except the beginning of a line: a line is more than the buffer to `\z` or `\b`, and what
/// is found too much is tried again.
fn within_line(hir: &Hir) -> Hir {
    match hir.kind() {
        HirKind::Literal(literal) if literal.0.contains(&b'\n') => Hir::fail(),
        HirKind::Literal(_) => hir.clone(),
        HirKind::Class(Class::Unicode(class)) => {
            let mut class = class.clone();
            class.difference(&ClassUnicode::new([ClassUnicodeRange::new('\n', '\n')]));
            Hir::class(Class::Unicode(class))
        }
        HirKind::Class(Class::Bytes(class)) => {
            let mut class = class.clone();
            class.difference(&ClassBytes::new([ClassBytesRange::new(b'\n', b'\n')]));
            Hir::class(Class::Bytes(class))
        }
        HirKind::Look(Look::Start | Look::StartLF) => Hir::look(Look::StartLF),
        HirKind::Empty | HirKind::Look(_) => Hir::empty(),
        HirKind::Repetition(repetition) => Hir::repetition(repetition.with(within_line(&repetition.sub))),
        HirKind::Capture(capture) => within_line(&capture.sub),
        HirKind::Concat(parts) => Hir::concat(parts.iter().map(within_line).collect()),
        HirKind::Alternation(branches) => Hir::alternation(branches.iter().map(within_line).collect()),
    }
}

#[cfg(test)]
#[path = "scanner_tests.rs"]
mod tests;
