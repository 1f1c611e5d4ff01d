//! Where lines and records begin and end.

use super::super::intake::MAX_LINE;
use crate::values::Pattern;
use memchr::{memchr, memrchr};

/// How much of one record is waited for: beyond this what is complete is taken as it is.
const MOST_WAITED_FOR: usize = 1 << 20;

/// A line or a record in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unit<'t> {
    /// What is looked at: without its last line end, and without what is beyond [`MAX_LINE`].
    pub text: &'t [u8],
    /// Where the next one begins.
    pub next: usize,
}

/// The line or, where `start` says how records begin, the record around a place; nothing before `floor` belongs to it.
pub fn around<'t>(text: &'t [u8], floor: usize, place: usize, start: Option<&Pattern>) -> Unit<'t> {
    let begin = memrchr(b'\n', &text[floor..place]).map_or(floor, |end| floor + end + 1);
    let (begin, next) = match start {
        None => (begin, line_end(text, place)),
        Some(start) => (record_begin(text, floor, begin, start), record_end(text, place, start)),
    };
    Unit { text: looked_at(&text[begin..next]), next }
}

/// How many bytes are complete lines, or complete records: the last of these may still grow.
pub fn complete(text: &[u8], start: Option<&Pattern>) -> usize {
    let lines = memrchr(b'\n', text).map_or(0, |end| end + 1);
    let Some(start) = start else { return lines };
    let last = match lines {
        0 => 0,
        _ => memrchr(b'\n', &text[..lines - 1]).map_or(0, |end| end + 1),
    };
    let begin = record_begin(&text[..lines], 0, last, start);
    if lines - begin > MOST_WAITED_FOR { lines } else { begin }
}

/// Lines, and how many of them are longer than [`MAX_LINE`].
pub fn count(text: &[u8]) -> (u64, u64) {
    let ends = memchr::memchr_iter(b'\n', text).count() as u64;
    let lines = ends + u64::from(text.last().is_some_and(|last| *last != b'\n'));
    let (mut long, mut begin) = (0, 0);
    // A line end is looked for from the far side, so that 64 KiB of short lines are one step.
    while text.len() - begin > MAX_LINE {
        let window = &text[begin..text.len().min(begin + MAX_LINE + 1)];
        begin = if let Some(end) = memrchr(b'\n', window) {
            begin + end + 1
        } else {
            let next = line_end(text, begin);
            long += u64::from(without_end(&text[begin..next]).len() > MAX_LINE);
            next
        };
    }
    (lines, long)
}

/// Where the line at `place` ends, its line end included.
fn line_end(text: &[u8], place: usize) -> usize {
    memchr(b'\n', &text[place..]).map_or(text.len(), |end| place + end + 1)
}

/// Where the record begins to which the line at `begin` belongs.
fn record_begin(text: &[u8], floor: usize, mut begin: usize, start: &Pattern) -> usize {
    while begin > floor && !begins_record(&text[begin..line_end(text, begin)], start) {
        begin = memrchr(b'\n', &text[floor..begin - 1]).map_or(floor, |end| floor + end + 1);
    }
    begin
}

/// Where the record ends to which the line at `place` belongs.
fn record_end(text: &[u8], place: usize, start: &Pattern) -> usize {
    let mut end = line_end(text, place);
    while end < text.len() {
        let next = line_end(text, end);
        if begins_record(&text[end..next], start) {
            break;
        }
        end = next;
    }
    end
}

fn begins_record(line: &[u8], start: &Pattern) -> bool {
    start.is_match(looked_at(line))
}

fn looked_at(unit: &[u8]) -> &[u8] {
    let unit = without_end(unit);
    &unit[..unit.len().min(MAX_LINE)]
}

/// A line ends with `\n` or `\r\n`.
fn without_end(unit: &[u8]) -> &[u8] {
    match unit.strip_suffix(b"\n") {
        Some(rest) => rest.strip_suffix(b"\r").unwrap_or(rest),
        None => unit,
    }
}
