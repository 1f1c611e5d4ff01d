//! What somebody else's counters add up to, over restarts and gaps. Pure; the caller hands in what was seen.

use std::time::{Duration, Instant};

/// How much a counter has grown while it was watched: one that begins anew never takes anything back.
#[derive(Debug, Default)]
pub struct Growth {
    last: Option<Seen>,
}

#[derive(Debug)]
struct Seen {
    life: Vec<u8>,
    value: f64,
}

impl Growth {
    /// Takes in what a counter says now, in a life of whatever it counts: what it said at the end of the former life and
    /// after the last look is lost. The first value is where the watch begins, unless there was nothing to count before.
    pub fn step(&mut self, life: &[u8], value: Option<f64>) -> f64 {
        let Some(value) = value else {
            self.last.get_or_insert_with(|| Seen { life: Vec::new(), value: 0.0 });
            return 0.0;
        };
        let grown = match &self.last {
            None => 0.0,
            Some(last) if last.life == life && value >= last.value => value - last.value,
            Some(_) => value,
        };
        self.last = Some(Seen { life: life.to_owned(), value });
        grown
    }
}

/// CPU time over wall time.
#[derive(Debug, Default)]
pub struct Load {
    since: Option<Instant>,
    spent: f64,
    ratio: Option<f64>,
}

impl Load {
    /// CPU time is counted in ticks of 10 ms: over less than this a ratio is noise, so the former one stands.
    const SHORTEST: Duration = Duration::from_millis(100);

    /// Takes in the seconds that were spent since the last look.
    pub fn step(&mut self, spent: f64, at: Instant) -> Option<f64> {
        let since = *self.since.get_or_insert(at);
        self.spent += spent;
        let elapsed = at.saturating_duration_since(since);
        if elapsed >= Self::SHORTEST {
            self.ratio = Some(self.spent / elapsed.as_secs_f64());
            self.since = Some(at);
            self.spent = 0.0;
        }
        self.ratio
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(looks: &[(&str, Option<f64>, f64)]) {
        let mut growth = Growth::default();
        for (index, (life, value, expected)) in looks.iter().enumerate() {
            let grown = growth.step(life.as_bytes(), *value);
            assert!((grown - expected).abs() < 1e-9, "look {index}: {grown}");
        }
    }

    #[test]
    fn what_was_counted_before_the_watch_does_not_count() {
        check(&[("a", Some(70.0), 0.0), ("a", Some(80.0), 10.0), ("a", Some(80.0), 0.0)]);
    }

    #[test]
    fn a_counter_that_begins_anew_counts_whole_and_never_back() {
        check(&[("a", Some(70.0), 0.0), ("b", Some(75.0), 75.0), ("b", Some(3.0), 3.0), ("b", Some(4.0), 1.0)]);
    }

    #[test]
    fn what_begins_while_it_is_watched_counts_from_its_beginning() {
        check(&[("", None, 0.0), ("a", Some(5.0), 5.0), ("a", None, 0.0), ("a", Some(6.0), 1.0)]);
    }

    #[test]
    fn a_ratio_needs_two_looks_and_enough_time_between_them() {
        let (mut load, start) = (Load::default(), Instant::now());
        let at = |millis| start + Duration::from_millis(millis);
        assert_eq!(load.step(0.0, at(0)), None);
        assert_eq!(load.step(0.5, at(50)), None);
        assert_eq!(load.step(0.5, at(2000)), Some(0.5));
        assert_eq!(load.step(0.01, at(2001)), Some(0.5));
        assert_eq!(load.step(0.0, at(2101)), Some(0.01 / 0.101));
    }
}
