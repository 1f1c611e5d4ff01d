//! Which lines of a container's log are counted already, so that each one is counted once.
//!
//! Docker can be asked for what was written since an instant. Lines are not in the order of their times (two threads of
//! Docker read stdout and stderr, and a long line has the time of its beginning), and Podman writes whole seconds. So
//! we go back by a few seconds, to an instant of which we know how many lines were counted since, and skip as many.

use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

const NANOS: i64 = 1_000_000_000;

/// By so much may lines be out of order.
const MARGIN: i64 = 2;

/// A line that has begun and does not end is waited for no longer than this.
const LONGEST_LINE: i64 = 600;

/// Where reading goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The id of the container; empty while there was none.
    container: String,
    /// A second since the Unix epoch; none: the beginning of the log.
    since: Option<i64>,
    /// So many of the lines since then were counted.
    taken: u64,
    /// The latest time of those, in nanoseconds since the Unix epoch.
    latest: i64,
}

impl Position {
    /// Before the beginning of a container that is not there yet.
    pub fn of_none() -> Self {
        Self { container: String::new(), since: None, taken: 0, latest: 0 }
    }

    /// Whether there was no container yet.
    pub fn is_of_none(&self) -> bool {
        self.container.is_empty()
    }

    /// Whether it is a position in the log of this container.
    pub fn is_of(&self, id: &str) -> bool {
        self.container == id
    }
}

/// What is to be done with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// It is counted already.
    Known,
    /// It is to be counted.
    New {
        /// Lines that were counted are gone, and perhaps others with them.
        gap: bool,
    },
}

/// Counts the lines of the last seconds.
#[derive(Debug)]
pub struct Ledger {
    container: String,
    since: Option<i64>,
    /// Seconds, in order, and how many lines are of each.
    seconds: VecDeque<(i64, u64)>,
    /// The latest time of those.
    latest: i64,
    /// So many of the next lines are known.
    skip: u64,
    /// None of those is later.
    skip_until: i64,
}

impl Ledger {
    /// At the beginning of a container's log.
    pub fn begin(container: &str) -> Self {
        Self::at(Position { container: container.to_owned(), ..Position::of_none() })
    }

    /// At a second of its log, of which no line is counted yet.
    pub fn from(container: &str, since: i64) -> Self {
        Self::at(Position { container: container.to_owned(), since: Some(since), ..Position::of_none() })
    }

    /// At a position; the lines since [`Ledger::since`] are to follow.
    pub fn resume(position: Position) -> Self {
        Self::at(position)
    }

    fn at(position: Position) -> Self {
        let Position { container, since, taken, latest } = position;
        Self { container, since, seconds: VecDeque::new(), latest: 0, skip: taken, skip_until: latest }
    }

    /// From which second on lines are wanted.
    pub fn since(&self) -> Option<i64> {
        self.since
    }

    /// Where reading goes on after the last line that was noted.
    pub fn position(&self) -> Position {
        Position {
            container: self.container.clone(),
            since: self.since,
            taken: self.seconds.iter().map(|(_, lines)| lines).sum(),
            latest: self.latest,
        }
    }

    /// Notes a line in the order of the log, by its time; `open` is the time of the earliest line that has begun and not
    /// ended.
    pub fn note(&mut self, stamp: Option<i64>, open: Option<i64>) -> Seen {
        // Who writes no times has none out of order.
        let stamp = stamp.unwrap_or(self.latest);
        let second = stamp.div_euclid(NANOS);
        let is_before = self.since.is_some_and(|since| second < since);
        if self.skip > 0 {
            if is_before {
                return Seen::Known;
            }
            if stamp <= self.skip_until {
                self.skip -= 1;
                self.count(stamp, second, open);
                return Seen::Known;
            }
        }
        let gap = self.skip > 0;
        self.skip = 0;
        if !is_before {
            self.count(stamp, second, open);
        }
        Seen::New { gap }
    }

    fn count(&mut self, stamp: i64, second: i64, open: Option<i64>) {
        let place = self.seconds.partition_point(|(known, _)| *known < second);
        match self.seconds.get_mut(place) {
            Some((known, lines)) if *known == second => *lines += 1,
            _ => self.seconds.insert(place, (second, 1)),
        }
        self.latest = self.latest.max(stamp);
        if self.skip > 0 {
            // What is still to be skipped is counted from `since` on.
            return;
        }
        let newest = self.latest.div_euclid(NANOS);
        let open = open.map_or(newest, |open| open.div_euclid(NANOS)).max(newest - LONGEST_LINE);
        let since = (newest - MARGIN).min(open).max(0);
        if self.since.is_none_or(|former| former < since) {
            self.since = Some(since);
            while self.seconds.front().is_some_and(|(second, _)| *second < since) {
                self.seconds.pop_front();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Times of lines in the order of the log, in milliseconds: out of order, many in one second, with pauses.
    const LOG: [i64; 16] = [0, 1, 1, 2, 999, 1000, 998, 2500, 1400, 2501, 9000, 9000, 9000, 8000, 9001, 60_000];

    /// What a server sends that was asked for lines since a second.
    fn sent(since: Option<i64>, until: usize) -> impl Iterator<Item = (usize, i64)> {
        let stamps = LOG[..until].iter().map(|millis| 1_700_000_000 * NANOS + millis * 1_000_000).enumerate();
        stamps.filter(move |(_, stamp)| since.is_none_or(|since| *stamp >= since * NANOS))
    }

    #[test]
    fn wherever_reading_is_broken_off_each_line_is_counted_once() {
        for first in 0..=LOG.len() {
            for second in first..=LOG.len() {
                let mut counted = Vec::new();
                let mut position = Position { container: "c".into(), ..Position::of_none() };
                for until in [first, second, LOG.len()] {
                    let mut ledger = Ledger::resume(position.clone());
                    for (index, stamp) in sent(ledger.since(), until) {
                        match ledger.note(Some(stamp), None) {
                            Seen::Known => {}
                            Seen::New { gap } => {
                                assert!(!gap);
                                counted.push(index);
                                position = ledger.position();
                            }
                        }
                    }
                }
                assert_eq!(counted, (0..LOG.len()).collect::<Vec<_>>(), "{first} {second}");
            }
        }
    }

    #[test]
    fn when_counted_lines_are_gone_the_next_ones_are_not_taken_for_them() {
        let mut ledger = Ledger::begin("c");
        for stamp in [1, 2, 3] {
            ledger.note(Some(stamp * NANOS), None);
        }
        let mut ledger = Ledger::resume(ledger.position());
        assert_eq!(ledger.note(Some(3 * NANOS), None), Seen::Known);
        assert_eq!(ledger.note(Some(4 * NANOS), None), Seen::New { gap: true });
        assert_eq!(ledger.note(Some(5 * NANOS), None), Seen::New { gap: false });
    }

    #[test]
    fn a_line_that_has_begun_is_asked_for_again() {
        let mut ledger = Ledger::begin("c");
        ledger.note(Some(100 * NANOS), Some(50 * NANOS));
        assert_eq!(ledger.since(), Some(50));
        // But not for ever.
        ledger.note(Some(1000 * NANOS), Some(50 * NANOS));
        assert_eq!(ledger.since(), Some(400));
    }

    #[test]
    fn what_is_remembered_stays_small() {
        let mut ledger = Ledger::begin("c");
        for second in 0..10_000 {
            ledger.note(Some(second * NANOS), None);
        }
        assert!(ledger.seconds.len() <= 3, "{}", ledger.seconds.len());
        assert_eq!(ledger.position().taken, 3);
    }
}
