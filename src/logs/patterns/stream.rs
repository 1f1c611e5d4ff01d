//! Scans whatever can be read, to its end, in buffers of a fixed size.

use super::super::intake::MAX_LINE;
use super::{Patterns, Seen};
use crate::values::Pattern;
use memchr::memrchr;
use std::io::{ErrorKind, Read};

/// Large enough that a call to the kernel costs nothing, small enough to stay in the processor's cache.
const LINES_BUFFER: usize = 512 << 10;

/// A record is waited for until it is 1 MiB long.
const RECORDS_BUFFER: usize = 2 << 20;

/// How much of a line without an end is kept: a line beyond the cap stays one, even if a `\r` ends it.
const KEPT_OF_A_LINE: usize = MAX_LINE + 2;

/// What a stream consisted of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scanned {
    /// Bytes read.
    pub bytes: u64,
    /// Lines.
    pub lines: u64,
    /// Lines beyond the cap, of which only the beginning was looked at.
    pub long_lines: u64,
}

impl Patterns {
    /// Scans a stream to its end; a last line without a line end is a line too.
    ///
    /// # Errors
    /// When reading fails. What was found until then has been told.
    pub fn scan_stream(
        &self,
        input: &mut dyn Read,
        start: Option<&Pattern>,
        found: &mut dyn FnMut(usize, &[u8]),
    ) -> std::io::Result<Scanned> {
        let mut buffer = vec![0; if start.is_some() { RECORDS_BUFFER } else { LINES_BUFFER }];
        let mut scanned = Scanned::default();
        let mut filled = 0;
        loop {
            let read = match input.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            scanned.bytes += read as u64;
            filled += read;
            if filled < buffer.len() / 2 {
                continue;
            }
            let complete = self.complete(&buffer[..filled], start);
            scanned.add(self.scan(&buffer[..complete], start, found));
            buffer.copy_within(complete..filled, 0);
            filled -= complete;
            if filled == buffer.len() {
                // A line without an end: what is beyond the cap gives its place to what comes next.
                filled = memrchr(b'\n', &buffer).map_or(0, |end| end + 1) + KEPT_OF_A_LINE;
            }
        }
        scanned.add(self.scan(&buffer[..filled], start, found));
        Ok(scanned)
    }
}

impl Scanned {
    fn add(&mut self, seen: Seen) {
        self.lines += seen.lines;
        self.long_lines += seen.long_lines;
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Hook, Patterns};
    use super::*;

    fn patterns(pattern: &str) -> Patterns {
        let pattern = serde_json::from_value(pattern.into()).unwrap();
        let mut invalid = Vec::new();
        let patterns = Patterns::build(&[], &[], vec![Hook { id: "x".into(), pattern }], &mut invalid);
        assert_eq!(invalid, []);
        patterns
    }

    /// Gives as much at once as it is told to.
    struct Trickle<'t>(&'t [u8], usize);

    impl Read for Trickle<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let length = buffer.len().min(self.1);
            self.0.read(&mut buffer[..length])
        }
    }

    fn scan(text: &[u8], at_once: usize, start: Option<&Pattern>) -> (usize, Scanned) {
        let mut count = 0;
        let scanned = patterns("error").scan_stream(&mut Trickle(text, at_once), start, &mut |_, _| count += 1);
        (count, scanned.unwrap())
    }

    #[test]
    fn lines_are_whole_wherever_the_buffer_ends() {
        let text = [b"an error\nerror\r\n".repeat(40_000), b"error at the end".to_vec()].concat();
        for at_once in [700_001, LINES_BUFFER, 65_537] {
            let (count, scanned) = scan(&text, at_once, None);
            assert_eq!((count, scanned.lines, scanned.bytes), (80_001, 80_001, text.len() as u64), "{at_once}");
        }
    }

    #[test]
    fn a_line_of_many_buffers_is_one_long_line() {
        let mut text = b"error ".to_vec();
        text.extend(vec![b'e'; 3 * RECORDS_BUFFER]);
        text.extend(b" error\r\nerror\n");
        let record: Pattern = serde_json::from_value("^error".into()).unwrap();
        for at_once in [usize::MAX, 100_000] {
            for start in [None, Some(&record)] {
                let (count, scanned) = scan(&text, at_once, start);
                assert_eq!((count, scanned.lines, scanned.long_lines), (2, 2, 1));
                assert_eq!(scanned.bytes, text.len() as u64);
            }
        }
    }

    #[test]
    fn records_are_whole_wherever_the_buffer_ends() {
        let text = b"begin\n error\n error\n".repeat(200_000);
        let record: Pattern = serde_json::from_value("^begin".into()).unwrap();
        let (count, scanned) = scan(&text, 1_000_003, Some(&record));
        assert_eq!((count, scanned.lines), (200_000, 600_000));
    }
}
