//! A classic histogram: counts per bucket, not cumulated, and the sum.

use std::borrow::Cow;

/// Counts of values by upper bound.
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    bounds: Cow<'static, [f64]>,
    /// One more than bounds: the last counts what is above all of them.
    counts: Box<[u64]>,
    sum: f64,
}

impl Histogram {
    /// An empty histogram with these upper bounds, ascending and without infinity.
    pub fn new(bounds: impl Into<Cow<'static, [f64]>>) -> Self {
        let bounds = bounds.into();
        let counts = vec![0; bounds.len() + 1].into();
        Self { bounds, counts, sum: 0.0 }
    }

    /// A histogram as it was saved, if it has these bounds.
    pub fn restore(bounds: impl Into<Cow<'static, [f64]>>, counts: Vec<u64>, sum: f64) -> Option<Self> {
        let bounds = bounds.into();
        (counts.len() == bounds.len() + 1).then(|| Self { bounds, counts: counts.into(), sum })
    }

    /// The counts to save, one more than bounds: the last counts what is above all of them.
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// Counts a value.
    pub fn observe(&mut self, value: f64) {
        let bucket = self.bounds.partition_point(|bound| value > *bound);
        self.counts[bucket] += 1;
        self.sum += value;
    }

    /// The sum of all values.
    pub fn sum(&self) -> f64 {
        self.sum
    }

    /// The number of values.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Upper bounds with their own counts, the last bound being infinite.
    pub fn buckets(&self) -> impl Iterator<Item = (f64, u64)> + '_ {
        self.bounds.iter().copied().chain([f64::INFINITY]).zip(self.counts.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_on_a_bound_belongs_to_its_bucket() {
        let mut histogram = Histogram::new(&[0.1, 1.0]);
        for value in [0.05, 0.1, 0.5, 1.0, 7.0] {
            histogram.observe(value);
        }
        let buckets: Vec<_> = histogram.buckets().collect();
        assert_eq!(buckets, vec![(0.1, 2), (1.0, 2), (f64::INFINITY, 1)]);
        assert_eq!(histogram.count(), 5);
        assert!((histogram.sum() - 8.65).abs() < 1e-12);
    }
}
