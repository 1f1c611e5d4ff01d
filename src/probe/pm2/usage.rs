//! How much CPU the instances use. PM2 says it too, but measures since whoever asked it last, and not at all if that was more
//! than a minute ago. So we read it ourselves where we can see the processes.

use crate::machine::pm2::App;
use crate::machine::procfs::Reader;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Which process: its pid, and when it started, in clock ticks since the boot.
type Identity = (i32, u64);

/// One process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) id: Identity,
    pub(super) cpu_ticks: u64,
}

/// By how much the times of PM2 and of the kernel may differ, in seconds: a pid that is somebody else's in our namespace has
/// a start time of its own.
const SAME_START: f64 = 10.0;

/// Reads what the processes of these instances have used, if all of them are seen from here.
pub(super) fn look(online: &[App], now: f64) -> Option<Vec<Seen>> {
    let boot = now - rustix::system::sysinfo().uptime as f64;
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    let mut reader = Reader::default();
    let mut seen = |app: &App| {
        let (pid, started_at) = (app.pid?, app.started_at?);
        let stat = reader.stat(pid).ok()??;
        let is_it = (boot + stat.start as f64 / ticks - started_at).abs() < SAME_START;
        is_it.then_some(Seen { id: (pid, stat.start), cpu_ticks: stat.cpu_ticks })
    };
    online.iter().map(&mut seen).collect()
}

/// CPU time over wall time between two looks.
#[derive(Debug, Default)]
pub(super) struct Usage {
    last: Option<(Instant, HashMap<Identity, u64>)>,
    ratio: Option<f64>,
}

impl Usage {
    /// CPU time is counted in ticks of 10 ms: over less than this a ratio is noise, so the former one stands.
    const SHORTEST: Duration = Duration::from_millis(100);

    pub(super) fn step(&mut self, seen: &[Seen], at: Instant) -> Option<f64> {
        if let Some((since, before)) = &self.last {
            let elapsed = at.saturating_duration_since(*since);
            if elapsed < Self::SHORTEST {
                return self.ratio;
            }
            // All that a new process has used, it has used since.
            let spent = seen.iter().map(|now| now.cpu_ticks.saturating_sub(before.get(&now.id).copied().unwrap_or(0)));
            let ticks = rustix::param::clock_ticks_per_second() as f64;
            self.ratio = Some(spent.sum::<u64>() as f64 / ticks / elapsed.as_secs_f64());
        }
        self.last = Some((at, seen.iter().map(|seen| (seen.id, seen.cpu_ticks)).collect()));
        self.ratio
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::unix_now;

    #[test]
    fn a_ratio_needs_two_looks_and_counts_newcomers_whole() {
        let (mut usage, start) = (Usage::default(), Instant::now());
        let ticks = rustix::param::clock_ticks_per_second();
        let at = |millis| start + Duration::from_millis(millis);
        let seen = |pid, cpu_ticks| Seen { id: (pid, 5), cpu_ticks };
        assert_eq!(usage.step(&[seen(1, 100 * ticks)], at(0)), None);
        assert_eq!(usage.step(&[seen(1, 200 * ticks)], at(50)), None);
        assert_eq!(usage.step(&[seen(1, 101 * ticks)], at(2000)), Some(0.5));
        assert_eq!(usage.step(&[seen(1, 101 * ticks), seen(2, ticks)], at(4000)), Some(0.5));
        assert_eq!(usage.step(&[seen(2, ticks)], at(6000)), Some(0.0));
    }

    #[test]
    fn a_process_is_seen_only_if_it_started_when_pm2_says() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let now = unix_now();
        let app = |started_at| App { pid: Some(pid), started_at: Some(started_at), ..App::default() };
        let stat = Reader::default().stat(pid).unwrap().unwrap();
        let uptime = rustix::system::sysinfo().uptime as f64;
        let started = now - uptime + stat.start as f64 / rustix::param::clock_ticks_per_second() as f64;
        assert_eq!(look(&[app(started)], now).unwrap()[0].id, (pid, stat.start));
        assert_eq!(look(&[app(started), app(started - 3600.0)], now), None);
        assert_eq!(look(&[App { pid: None, ..app(started) }], now), None);
    }
}
