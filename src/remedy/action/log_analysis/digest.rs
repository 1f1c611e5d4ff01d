//! What the end of a log comes down to: counts, the last lines that matched, and the last lines of all.

use super::{Patterns, Recently, times};
use crate::values::{Masker, plain};
use std::collections::VecDeque;

/// The most of a line that is shown, in characters.
const MAX_SHOWN: usize = 300;

/// The most of a line that is looked at for what must not be shown, in bytes.
const MAX_LOOKED_AT: usize = 4096;

/// How many of the last lines are shown of each file, whatever is in them.
const LAST: usize = 5;

/// The most lines of it all.
const MAX_LINES: usize = 60;

/// What was found.
pub struct Digest {
    /// In one line.
    pub summary: String,
    /// In several, for people.
    pub lines: Vec<String>,
}

/// Counts and shows what is in the ends of files. Only what was written from `since` on counts, where times can be read.
pub fn digest(ends: &[Recently], patterns: &Patterns, masker: &Masker, show: usize, since: Option<f64>) -> Digest {
    let descriptors = patterns.descriptors();
    let mut totals = vec![0_u64; descriptors.len()];
    let mut lines = Vec::new();
    let mut looked_at = 0;
    for end in ends {
        let text = times::from(&end.text, since);
        let mut counts = vec![0_u64; descriptors.len()];
        let mut matched: VecDeque<(usize, &[u8])> = VecDeque::new();
        let seen = patterns.scan(text, None, &mut |index, line| {
            counts[index] += 1;
            // A line that several patterns match is shown once.
            if matched.back().is_some_and(|(_, last)| std::ptr::eq(last.as_ptr(), line.as_ptr())) || show == 0 {
                return;
            }
            if matched.len() == show {
                matched.pop_front();
            }
            matched.push_back((index, line));
        });
        looked_at += seen.lines;
        for (total, count) in totals.iter_mut().zip(&counts) {
            *total += count;
        }
        let found = told(&counts, |index| descriptors[index].id.as_str());
        lines.push(format!("{}: {} lines, {found}", plain(&end.name, MAX_SHOWN), seen.lines));
        for (index, line) in matched {
            lines.push(format!("  {}: {}", descriptors[index].id, shown(line, masker)));
        }
        let last: Vec<&[u8]> = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
        if !last.is_empty() {
            lines.push("  the last lines:".into());
        }
        lines.extend(
            last.iter().skip(last.len().saturating_sub(LAST)).map(|line| format!("  | {}", shown(line, masker))),
        );
    }
    lines.truncate(MAX_LINES);
    let found = told(&totals, |index| descriptors[index].id.as_str());
    Digest { summary: format!("looked at {looked_at} lines: {found}"), lines }
}

/// The counts, the largest first.
fn told<'d>(counts: &[u64], name: impl Fn(usize) -> &'d str) -> String {
    let mut found: Vec<_> = counts.iter().enumerate().filter(|(_, count)| **count > 0).collect();
    found.sort_by_key(|(index, count)| (std::cmp::Reverse(**count), *index));
    if found.is_empty() {
        return "nothing that the patterns know".into();
    }
    let each: Vec<_> = found.into_iter().map(|(index, count)| format!("{} {count}×", name(index))).collect();
    each.join(", ")
}

/// A line for people. It is masked before it is cut: half of a secret is no longer known as one.
fn shown(line: &[u8], masker: &Masker) -> String {
    let text = String::from_utf8_lossy(&line[..line.len().min(MAX_LOOKED_AT)]);
    let text = plain(&text, MAX_LOOKED_AT);
    plain(&masker.mask(&text), MAX_SHOWN)
}
