//! The server's own counters, made into counters that never go back.

use super::families::COUNTERS;
use super::info::Info;
use crate::observation::Readings;
use tokio::time::Instant;

/// Where the server's counters stood at the last look.
#[derive(Default)]
pub(super) struct Counters {
    last: Option<Look>,
}

struct Look {
    at: Instant,
    run_id: Option<String>,
    values: [Option<f64>; COUNTERS.len()],
}

/// How exactly a server says how long it has been running.
const UPTIME_STEP: f64 = 1.0;

impl Counters {
    /// Writes what was added since the last look. Before the first one nothing is known to have been added.
    pub(super) fn take(&mut self, info: &Info<'_>, now: Instant, out: &mut Readings) {
        let values = COUNTERS.map(|(_, key)| info.number(key));
        let look = Look { at: now, run_id: info.text("run_id").map(str::to_owned), values };
        if let Some(former) = &self.last {
            let same = former.run_id == look.run_id;
            let elapsed = now.saturating_duration_since(former.at).as_secs_f64();
            let restarted = info.number("uptime_in_seconds").is_some_and(|uptime| uptime <= elapsed + UPTIME_STEP);
            for (index, (family, _)) in COUNTERS.into_iter().enumerate() {
                let Some(value) = look.values[index] else { continue };
                let added = match former.values[index] {
                    Some(before) if same && value >= before => value - before,
                    // Less than before is what CONFIG RESETSTAT leaves behind: all of it is new.
                    Some(_) if same => value,
                    // It began anew meanwhile, and so did its counters.
                    _ if restarted && !same => value,
                    // Another server answers at this address: what it counted before is not ours.
                    _ => 0.0,
                };
                out.add(family, added);
            }
        }
        self.last = Some(look);
    }
}
