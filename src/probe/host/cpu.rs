//! Time of all cores: parsed from `/proc/stat`, and what it came to since the last run.

use super::families::{CPU, CPU_RATIO, CPU_SECONDS};
use crate::observation::{Labels, Readings};
use std::sync::Arc;

/// The modes in the order of the kernel's columns. The two columns after them, for guests, are part of the first two.
pub(super) const MODES: [&str; 8] = ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"];

const IDLE: usize = 3;
const IOWAIT: usize = 4;

/// What is used of `/proc/stat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stat {
    /// Time of all cores in each mode since the boot, in clock ticks.
    pub(super) ticks: [u64; MODES.len()],
    /// Cores that are online.
    pub(super) cpus: u32,
    /// When the host booted, in seconds since the Unix epoch.
    pub(super) boot: u64,
}

/// Parses `/proc/stat`. Kernels differ in the number of columns; what an old one does not know is 0.
pub(super) fn parse_stat(text: &[u8]) -> Option<Stat> {
    let (mut all, mut cpus, mut boot) = (None, 0, None);
    for line in text.split(|byte| *byte == b'\n') {
        let Ok(line) = std::str::from_utf8(line) else { continue };
        let mut fields = line.split_ascii_whitespace();
        match fields.next() {
            Some("cpu") => all = columns(fields),
            Some("btime") => boot = fields.next().and_then(|field| field.parse().ok()),
            Some(key) if key.strip_prefix("cpu").is_some_and(|rest| rest.parse::<u32>().is_ok()) => cpus += 1,
            _ => {}
        }
    }
    Some(Stat { ticks: all?, cpus, boot: boot? })
}

fn columns<'a>(fields: impl Iterator<Item = &'a str>) -> Option<[u64; MODES.len()]> {
    let mut ticks = [0; MODES.len()];
    let mut count = 0;
    for (column, field) in ticks.iter_mut().zip(fields) {
        *column = field.parse().ok()?;
        count += 1;
    }
    (count > IDLE).then_some(ticks)
}

/// Turns absolute times into what was spent since the last run.
pub(super) struct Cpu {
    labels: [Arc<Labels>; MODES.len()],
    before: Option<[u64; MODES.len()]>,
    ratio: Option<f64>,
}

impl Default for Cpu {
    fn default() -> Self {
        Self { labels: MODES.map(|mode| Arc::new(Labels::render(&[("mode", mode)]))), before: None, ratio: None }
    }
}

impl Cpu {
    pub(super) fn write(&mut self, now: [u64; MODES.len()], out: &mut Readings) {
        // The board keeps the sum when a reload builds this anew, so what was there before us is never added.
        let before = self.before.replace(now).unwrap_or(now);
        // Idle and iowait are known to run backwards a little; that is no time at all.
        let spent: [u64; MODES.len()] = std::array::from_fn(|mode| now[mode].saturating_sub(before[mode]));
        let per_second = rustix::param::clock_ticks_per_second() as f64;
        for (labels, ticks) in self.labels.iter().zip(spent) {
            out.add_with(&CPU_SECONDS, labels, ticks as f64 / per_second);
        }
        let total: u64 = spent.iter().sum();
        if total > 0 {
            self.ratio = Some((total - spent[IDLE] - spent[IOWAIT]) as f64 / total as f64);
        }
        // Two runs within one tick of the clock: the former ratio is still the best that is known.
        if let Some(ratio) = self.ratio {
            out.set(&CPU_RATIO, ratio);
            out.signal(&CPU, ratio);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_sum_of_all_cores_is_read_and_the_single_ones_are_counted() {
        let text = b"cpu  117047 79 24552 520346 2252 0 313 46 5 6\ncpu0 46951 31 10677 273849 521 0 133 21 0 0\n\
            cpu1 70096 47 13874 246497 1731 0 180 24 0 0\nintr 1173590 0 0\nctxt 1507101\nbtime 1795320948\nprocesses 45441\n";
        let expected = Stat { ticks: [117_047, 79, 24_552, 520_346, 2252, 0, 313, 46], cpus: 2, boot: 1_795_320_948 };
        assert_eq!(parse_stat(text), Some(expected));
    }

    #[test]
    fn an_old_kernel_has_fewer_columns_and_a_broken_file_is_none() {
        let old = parse_stat(b"cpu 1 2 3 4\nbtime 5\n").unwrap();
        assert_eq!((old.ticks, old.cpus), ([1, 2, 3, 4, 0, 0, 0, 0], 0));
        for broken in
            [&b""[..], b"cpu\nbtime 1\n", b"cpu 1 2 3\nbtime 1\n", b"cpu 1 2 3 x\nbtime 1\n", b"cpu 1 2 3 4\n"]
        {
            assert_eq!(parse_stat(broken), None, "{:?}", String::from_utf8_lossy(broken));
        }
    }

    fn ratios(samples: &[[u64; 8]]) -> Vec<Option<f64>> {
        let mut cpu = Cpu::default();
        let write = |sample: &[u64; 8]| {
            let mut out = Readings::default();
            cpu.write(*sample, &mut out);
            out.value(&CPU_RATIO)
        };
        samples.iter().map(write).collect()
    }

    #[test]
    fn the_ratio_is_the_busy_share_since_the_last_run() {
        let samples = [
            [100, 0, 0, 900, 0, 0, 0, 0],
            [130, 5, 10, 930, 20, 0, 2, 3],
            [130, 5, 10, 930, 20, 0, 2, 3],
            [130, 5, 10, 920, 120, 0, 2, 3],
        ];
        assert_eq!(ratios(&samples), [None, Some(0.5), Some(0.5), Some(0.0)]);
    }

    #[test]
    fn counters_begin_at_nothing_and_add_what_was_spent() {
        let mut cpu = Cpu::default();
        let mut out = Readings::default();
        cpu.write([1000; 8], &mut out);
        assert_eq!(out.increments().len(), MODES.len());
        assert!(out.increments().iter().all(|reading| reading.value < 1e-9));
        let mut out = Readings::default();
        cpu.write([1000 + rustix::param::clock_ticks_per_second(); 8], &mut out);
        assert!(out.increments().iter().all(|reading| (reading.value - 1.0).abs() < 1e-9));
        let labels: Vec<_> = out.increments().iter().map(|r| r.labels.as_ref().unwrap().text().to_owned()).collect();
        assert_eq!(labels[..2], ["mode=\"user\"", "mode=\"nice\""]);
    }

    proptest! {
        #[test]
        fn nothing_makes_the_parser_panic(text in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = parse_stat(&text);
        }

        #[test]
        fn nothing_alike_makes_the_parser_panic(text in "((cpu|btime|cpu[0-9])( -?[0-9]{0,22}){0,12}\n){0,5}") {
            let _ = parse_stat(text.as_bytes());
        }

        #[test]
        fn a_ratio_is_always_between_0_and_1(samples in proptest::collection::vec(any::<[u32; 8]>(), 0..6)) {
            let samples: Vec<_> = samples.into_iter().map(|sample| sample.map(u64::from)).collect();
            for ratio in ratios(&samples).into_iter().flatten() {
                prop_assert!((0.0..=1.0).contains(&ratio), "{}", ratio);
            }
        }
    }
}
