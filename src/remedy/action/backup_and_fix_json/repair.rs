//! What can be repaired of a JSON text, pure: a byte order mark, trailing commas, an end that was cut off, and an end that
//! stands there twice. Everything else is left to people. Nothing is invented: what was cut off is dropped.

mod scan;
#[cfg(test)]
mod tests;

use scan::{End, Scanner};
use serde::de::IgnoredAny;
use std::fmt;
use std::ops::Range;

/// What a text is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// JSON as it should be.
    Valid,
    /// It can be repaired.
    Repaired(Repaired),
    /// It cannot: why not.
    Hopeless(String),
}

/// A text that was repaired.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Repaired {
    pub text: Vec<u8>,
    pub repairs: Vec<Repair>,
}

/// One thing that was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repair {
    Mark,
    Commas(usize),
    CutEnd,
    DuplicateEnd,
}

impl fmt::Display for Repair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Repair::Mark => f.write_str("byte order mark removed"),
            Repair::Commas(1) => f.write_str("a trailing comma removed"),
            Repair::Commas(number) => write!(f, "{number} trailing commas removed"),
            Repair::CutEnd => f.write_str("closed after its last whole member"),
            Repair::DuplicateEnd => f.write_str("what stood behind its end removed"),
        }
    }
}

const MARK: &[u8] = b"\xef\xbb\xbf";

/// Judges a text, and repairs it where that has one possible meaning.
pub(super) fn judge(bytes: &[u8]) -> Verdict {
    if std::str::from_utf8(bytes).is_ok_and(is_json) {
        return Verdict::Valid;
    }
    match repair(bytes) {
        Ok(repaired) => match std::str::from_utf8(&repaired.text) {
            Ok(text) if is_json(text) => Verdict::Repaired(repaired),
            _ => Verdict::Hopeless("it would still be no JSON".into()),
        },
        Err(why) => Verdict::Hopeless(why),
    }
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

fn repair(bytes: &[u8]) -> Result<Repaired, String> {
    let mut repairs = Vec::new();
    let mut rest = bytes;
    if let Some(unmarked) = rest.strip_prefix(MARK) {
        repairs.push(Repair::Mark);
        rest = unmarked;
    }
    // A file system that had the length but not the blocks on its disk gives zeros.
    let end = rest.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let mut text = &rest[..end];
    let mut is_cut = text.len() < rest.len();
    if let Err(error) = std::str::from_utf8(text) {
        if error.error_len().is_some() {
            return Err(format!("byte {} is no UTF-8", bytes.len() - rest.len() + error.valid_up_to() + 1));
        }
        // The last character was cut off.
        text = &text[..error.valid_up_to()];
        is_cut = true;
    }
    let mut scanner = Scanner::new(text);
    let end = scanner.scan()?;
    let commas = scanner.commas.clone();
    let mut fixed = match end {
        End::Whole(end) => {
            let kept = without(text, &commas, end);
            if scanner.duplicates(end)? {
                repairs.push(Repair::DuplicateEnd);
                kept
            } else {
                if is_cut {
                    repairs.push(Repair::CutEnd);
                }
                [kept.as_slice(), &text[end..]].concat()
            }
        }
        End::Cut => {
            let safe = scanner.open.last().map_or(0, |open| open.safe);
            if scanner.open.is_empty() || scanner.whole == 0 {
                return Err("nothing whole is left of it".into());
            }
            repairs.push(Repair::CutEnd);
            let closers = scanner.open.iter().rev().map(|open| open.closer);
            without(text, &commas, safe).into_iter().chain(closers).collect()
        }
    };
    let removed = commas.iter().filter(|comma| comma.end <= text.len()).count();
    if removed > 0 {
        repairs.push(Repair::Commas(removed));
    }
    if matches!(end, End::Cut) && text.ends_with(b"\n") {
        fixed.push(b'\n');
    }
    Ok(Repaired { text: fixed, repairs })
}

/// The text up to an end, without these pieces.
fn without(text: &[u8], pieces: &[Range<usize>], end: usize) -> Vec<u8> {
    let mut kept = Vec::with_capacity(end);
    let mut at = 0;
    for piece in pieces.iter().filter(|piece| piece.end <= end) {
        kept.extend_from_slice(&text[at..piece.start]);
        at = piece.end;
    }
    kept.extend_from_slice(&text[at..end]);
    kept
}
