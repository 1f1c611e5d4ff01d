//! Which texts must stand in a line before a pattern can match it.
//!
//! A set of literals is *required* by a pattern if each of its matches contains at least one of them. Looking for all
//! literals of all patterns at once is several times faster than any regular expression, and most lines have none.

use regex_syntax::hir::literal::{ExtractKind, Extractor, Seq};
use regex_syntax::hir::{Hir, HirKind};
use std::collections::BTreeSet;

/// Lines as services write them all day: what stands in them is no sign of anything.
const ORDINARY: &[u8] = include_bytes!("ordinary.txt");

/// Shorter ones are found everywhere.
const SHORTEST: usize = 3;

/// What is beyond this adds nothing to how rare a literal is.
const LONGEST: usize = 12;

/// The first bytes are what a vectorized search compares.
const FINGERPRINT: usize = 4;

/// With more literals for one pattern the search for all of them becomes slower than what it saves.
const MOST: usize = 32;

/// How many literals an extraction may give; a small number gives few short ones, a large one many long ones.
const EXTENTS: [usize; 3] = [6, 16, MOST];

/// Parts of a sequence that are looked at: a pattern that is longer has a literal among these, or none that is worth it.
const PARTS: usize = 48;

/// Literals of which each match of the pattern contains one; none if there is no useful set of them.
pub fn required(pattern: &Hir) -> Option<BTreeSet<Vec<u8>>> {
    best(pattern).map(|set| set.literals)
}

#[derive(Debug)]
struct Set {
    literals: BTreeSet<Vec<u8>>,
    /// How many of them are expected in a byte of a log.
    cost: f64,
}

fn best(hir: &Hir) -> Option<Set> {
    let mut candidates: Vec<Set> = prefixes(hir).collect();
    match hir.kind() {
        HirKind::Concat(parts) => {
            for (index, part) in parts.iter().enumerate().take(PARTS) {
                if index > 0 && !matches!(part.kind(), HirKind::Look(_)) {
                    candidates.extend(prefixes(&Hir::concat(parts[index..].to_vec())));
                }
                if !matches!(part.kind(), HirKind::Literal(_) | HirKind::Look(_)) {
                    candidates.extend(best(part));
                }
            }
        }
        HirKind::Alternation(branches) => candidates.extend(union(branches)),
        HirKind::Capture(capture) => candidates.extend(best(&capture.sub)),
        HirKind::Repetition(repetition) if repetition.min > 0 => candidates.extend(best(&repetition.sub)),
        _ => {}
    }
    candidates.into_iter().min_by(|a, b| a.cost.total_cmp(&b.cost))
}

/// A match of an alternation is a match of one of its branches, so each of them must have a set.
fn union(branches: &[Hir]) -> Option<Set> {
    let sets: Option<Vec<Set>> = branches.iter().map(best).collect();
    Set::of(sets?.into_iter().flat_map(|set| set.literals))
}

fn prefixes(hir: &Hir) -> impl Iterator<Item = Set> {
    EXTENTS.iter().filter_map(|extent| {
        let mut extractor = Extractor::new();
        extractor.kind(ExtractKind::Prefix).limit_total(*extent).limit_literal_len(32);
        let found: Seq = extractor.extract(hir);
        Set::of(found.literals()?.iter().map(|literal| literal.as_bytes().to_vec()))
    })
}

impl Set {
    fn of(literals: impl IntoIterator<Item = Vec<u8>>) -> Option<Self> {
        let mut kept = BTreeSet::new();
        for literal in literals {
            if literal.len() < SHORTEST {
                return None;
            }
            kept.insert(rarest_part(&literal).to_vec());
        }
        // What begins with another one of the set is found with that one.
        let all: Vec<_> = kept.iter().cloned().collect();
        kept.retain(|literal| !all.iter().any(|other| other != literal && literal.starts_with(other)));
        if kept.is_empty() || kept.len() > MOST {
            return None;
        }
        let cost = kept.iter().map(|literal| cost(literal)).sum();
        Some(Self { literals: kept, cost })
    }
}

/// Any part of a required literal is required too: the one that is found by chance least often.
fn rarest_part(literal: &[u8]) -> &[u8] {
    let starts = 0..=literal.len() - SHORTEST;
    let parts = starts.map(|start| &literal[start..literal.len().min(start + LONGEST)]);
    parts.min_by(|a, b| cost(a).total_cmp(&cost(b))).unwrap_or(literal)
}

/// How often a literal is expected in a byte of a log: by what stands in ordinary lines, and by its letters. Beginning
/// like something ordinary costs a little too, and so does each literal more.
fn cost(literal: &[u8]) -> f64 {
    let often = |text: &[u8]| memchr::memmem::find_iter(ORDINARY, text).count() as f64 / ORDINARY.len() as f64;
    let fingerprint = &literal[..literal.len().min(FINGERPRINT)];
    often(literal) + often(fingerprint) / 8.0 + (-rarity(fingerprint)).exp2() / 8.0 + (-rarity(literal)).exp2() + 1e-6
}

/// How rare a text is in logs, in bits; what comes after the fingerprint matters less.
fn rarity(text: &[u8]) -> f64 {
    let (first, rest) = text.split_at(text.len().min(FINGERPRINT));
    let bits = |bytes: &[u8]| bytes.iter().copied().map(bits).sum::<f64>();
    bits(first) + bits(rest) / 4.0
}

/// Bits of one byte: what logs are mostly made of has few.
fn bits(byte: u8) -> f64 {
    match byte {
        b' ' | b'0'..=b'2' | b'e' | b'.' => 3.5,
        b'3'..=b'9' | b':' | b'-' | b'/' | b'a' | b'i' | b'n' | b'o' | b'r' | b's' | b't' => 4.0,
        // The upper half is text in other scripts.
        b'a'..=b'z' | b'=' | b'_' | b'"' | b',' | 0x80..=0xff => 5.0,
        b'E' | b'F' | b'I' | b'N' | b'O' | b'R' | b'T' | b'P' | b'H' => 5.5,
        b'A'..=b'Z' | b'(' | b')' | b'[' | b']' | b'\'' => 6.5,
        _ => 8.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(pattern: &str) -> Option<Vec<String>> {
        let hir = regex_syntax::parse(pattern).unwrap();
        let text = |literal: Vec<u8>| String::from_utf8(literal).unwrap();
        required(&hir).map(|set| set.into_iter().map(text).collect())
    }

    #[test]
    fn the_rarest_text_that_must_be_there_is_taken() {
        assert_eq!(texts("error"), Some(vec!["error".into()]));
        assert_eq!(texts(r"^\d+ .*JSONDecodeError: "), Some(vec!["SONDecodeErr".into()]));
        assert_eq!(texts(r"\w+ (Killed|Aborted)( |$)"), Some(vec!["Aborted".into(), "Killed".into()]));
        assert_eq!(texts("(?:ENOSPC)+x?"), Some(vec!["ENOSPC".into()]));
    }

    #[test]
    fn what_may_be_absent_is_not_required() {
        for pattern in ["(ENOSPC)?", "(ENOSPC)*", "ENOSPC|[0-9]+", "a.b", "", "(?i)[a-z]+", r"\d{4}", "[^x]{9}"] {
            assert_eq!(texts(pattern), None, "{pattern}");
        }
    }

    #[test]
    fn letters_of_either_case_are_listed_as_long_as_they_are_few() {
        let found = texts("(?i)oom-kill").unwrap();
        assert!(found.len() <= MOST && found.iter().all(|text| text.len() >= SHORTEST), "{found:?}");
    }
}
