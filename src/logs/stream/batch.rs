//! Lines on their way to be counted.

use crate::logs::intake::MAX_LINE;

/// More is counted before more is read.
const FULL_BYTES: usize = 1 << 20;

/// The same for records of several lines, which need the position of each line.
const FULL_MARKS: usize = 4096;

/// What happened beside lines, counted when the position behind it is reached.
#[derive(Debug, Clone, Copy, Default)]
pub struct Incidents {
    /// Lines beyond what is read at all.
    pub long_lines: u64,
    /// Logs that were replaced by another one.
    pub rotations: u64,
    /// Times when something was gone before it could be read.
    pub gaps: u64,
}

impl Incidents {
    fn add(&mut self, more: Incidents) {
        self.long_lines += more.long_lines;
        self.rotations += more.rotations;
        self.gaps += more.gaps;
    }
}

#[derive(Debug)]
struct Mark<P> {
    end: usize,
    position: P,
    incidents: Incidents,
}

/// Complete lines, with the position that is reached once they are taken.
#[derive(Debug)]
pub struct Batch<P> {
    text: Vec<u8>,
    marks: Vec<Mark<P>>,
    /// Without records of several lines everything is taken at once, and the last position says it all.
    each_line: bool,
    pending: Incidents,
}

impl<P> Batch<P> {
    /// An empty one; `each_line` where less than all of it may be taken.
    pub fn new(each_line: bool) -> Self {
        Self { text: Vec::new(), marks: Vec::new(), each_line, pending: Incidents::default() }
    }

    /// Adds a line, or text of several, without its last end.
    pub fn line(&mut self, line: &[u8], position: P) {
        self.text.extend_from_slice(line);
        self.text.push(b'\n');
        self.reached(position);
    }

    /// A position is reached without a line.
    pub fn reached(&mut self, position: P) {
        let mut incidents = std::mem::take(&mut self.pending);
        if !self.each_line
            && let Some(former) = self.marks.pop()
        {
            incidents.add(former.incidents);
        }
        self.marks.push(Mark { end: self.text.len(), position, incidents });
    }

    /// Something happened before the next position.
    pub fn happened(&mut self, incidents: Incidents) {
        self.pending.add(incidents);
    }

    /// Whether it is time to take what is there.
    pub fn is_full(&self) -> bool {
        self.text.len() >= FULL_BYTES || self.marks.len() >= FULL_MARKS
    }

    /// How much can be taken: all of it, or the lines of which `complete` says that nothing can be added to them.
    pub fn ready(&self, all: bool, complete: impl FnOnce(&[u8]) -> usize) -> usize {
        let complete = if all { self.text.len() } else { complete(&self.text) };
        // A record beyond the cap is not waited for.
        let complete = if complete == 0 && self.text.len() > MAX_LINE { self.text.len() } else { complete };
        // Only as far as a position says where to go on.
        let reached = self.marks.partition_point(|mark| mark.end <= complete);
        self.marks[..reached].last().map_or(0, |mark| mark.end)
    }

    /// Takes so much, as [`Self::ready`] says: `count` sees the text; where that leads is given back.
    pub fn take(&mut self, ready: usize, count: impl FnOnce(&[u8])) -> Option<(P, Incidents)> {
        if ready > 0 {
            count(&self.text[..ready]);
        }
        let reached = self.marks.partition_point(|mark| mark.end <= ready);
        let mut incidents = Incidents::default();
        let mut position = None;
        for mark in self.marks.drain(..reached) {
            incidents.add(mark.incidents);
            position = Some(mark.position);
        }
        self.text.drain(..ready);
        for mark in &mut self.marks {
            mark.end -= ready;
        }
        position.map(|position| (position, incidents))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything before the last line that begins with `-`.
    fn before_last_dash(text: &[u8]) -> usize {
        memchr::memmem::rfind(text, b"\n-").map_or(0, |at| at + 1)
    }

    #[test]
    fn a_record_that_may_grow_waits_and_its_position_with_it() {
        let mut batch = Batch::new(true);
        batch.line(b"- one", 1);
        batch.line(b"more", 2);
        batch.happened(Incidents { gaps: 1, ..Incidents::default() });
        batch.line(b"- two", 3);
        let mut seen = Vec::new();
        let ready = batch.ready(false, before_last_dash);
        let (position, incidents) = batch.take(ready, |text| seen.extend_from_slice(text)).unwrap();
        assert_eq!((position, incidents.gaps), (2, 0));
        assert_eq!(seen, b"- one\nmore\n");
        let ready = batch.ready(false, before_last_dash);
        assert!(batch.take(ready, |_| unreachable!()).is_none());
        let ready = batch.ready(true, before_last_dash);
        let (position, incidents) = batch.take(ready, |text| seen.extend_from_slice(text)).unwrap();
        assert_eq!((position, incidents.gaps), (3, 1));
        assert!(seen.ends_with(b"- two\n") && batch.marks.is_empty());
    }

    #[test]
    fn a_record_beyond_the_cap_is_not_waited_for() {
        let mut batch = Batch::new(true);
        for position in 0..=MAX_LINE / 64 {
            batch.line(&[b'x'; 64], position);
        }
        let (position, _) = batch.take(batch.ready(false, |_| 0), |_| {}).unwrap();
        assert_eq!(position, MAX_LINE / 64);
    }

    #[test]
    fn text_that_has_one_position_is_taken_as_a_whole() {
        let mut batch = Batch::new(true);
        batch.line(b"- one", 1);
        batch.line(b"- two\n- three", 2);
        let ready = batch.ready(false, before_last_dash);
        let (position, _) = batch.take(ready, |text| assert_eq!(text, b"- one\n")).unwrap();
        assert_eq!(position, 1);
    }

    #[test]
    fn positions_of_single_lines_are_not_kept() {
        let mut batch = Batch::new(false);
        for position in 0..100 {
            batch.happened(Incidents { long_lines: 1, ..Incidents::default() });
            batch.line(b"x", position);
        }
        assert_eq!(batch.marks.len(), 1);
        let (position, incidents) = batch.take(batch.ready(false, <[u8]>::len), |_| {}).unwrap();
        assert_eq!((position, incidents.long_lines), (99, 100));
    }
}
