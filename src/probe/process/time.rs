//! The clock of one probe: when the host booted.

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boot_stands_still_until_the_clock_is_set() {
        let mut boot = Boot::default();
        let seen: Vec<_> = [1000.0, 1000.9, 999.2, 5000.0, 5000.4].map(|computed| boot.settle(computed)).into();
        assert_eq!(seen, [1000.0, 1000.0, 1000.0, 5000.0, 5000.0]);
    }
}
