//! Two clocks of one probe: when the host booted, and how much CPU time was spent over how much wall time.

use std::time::{Duration, Instant};

/// The time of the boot, held still: computed anew it would jitter by a second, and every start time with it.
#[derive(Debug, Default)]
pub(super) struct Boot(Option<f64>);

impl Boot {
    /// Takes the new value only if the clock was set meanwhile.
    pub(super) fn settle(&mut self, computed: f64) -> f64 {
        let held = self.0.get_or_insert(computed);
        if (*held - computed).abs() > 2.0 {
            *held = computed;
        }
        *held
    }
}

/// CPU time over wall time.
#[derive(Debug, Default)]
pub(super) struct Load {
    since: Option<Instant>,
    spent: f64,
    ratio: Option<f64>,
}

impl Load {
    /// CPU time is counted in ticks of 10 ms: over less than this a ratio is noise, so the former one stands.
    const SHORTEST: Duration = Duration::from_millis(100);

    pub(super) fn step(&mut self, spent: f64, at: Instant) -> Option<f64> {
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

    #[test]
    fn the_boot_stands_still_until_the_clock_is_set() {
        let mut boot = Boot::default();
        let seen: Vec<_> = [1000.0, 1000.9, 999.2, 5000.0, 5000.4].map(|computed| boot.settle(computed)).into();
        assert_eq!(seen, [1000.0, 1000.0, 1000.0, 5000.0, 5000.0]);
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
