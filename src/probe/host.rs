//! Watches the host that Banken runs on: cores, load, memory, swap, file systems, network, number of processes.
//!
//! It is built in and belongs to the top-level block `host:`, not to a probe of the user's.

mod cpu;
mod disks;
mod families;
mod mounts;
mod network;
mod snapshot;

#[cfg(test)]
mod tests;

use self::cpu::Cpu;
use self::disks::{Disks, statvfs};
use self::families::{
    BOOT_TIMESTAMP, CPUS, LOAD, MEMORY_AVAILABLE, MEMORY_TOTAL, MEMORY_USED, PROCESSES, SWAP_FREE, SWAP_TOTAL,
    SWAP_USED,
};
pub use self::families::{CPU, DISK, MEMORY, SWAP};
pub use self::mounts::Config as DiskConfig;
pub use self::network::Config as NetworkConfig;
use self::network::Network;
use self::snapshot::{Memory, Snapshot};
use super::{Context, Kind, Settings};
use crate::observation::{Failure, Labels, Readings, Reason};
use crate::values::{Invalid, Period, Thresholds};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::Instant;

/// The row of this kind in the table.
pub static KIND: Kind = Kind {
    name: "host",
    summary: "This host: cores, load, memory, swap, file systems, network, processes",
    example: "\
host:
  interval: 15s
  thresholds: { disk: { warning: 90%, critical: 95% }, memory: { warning: 85% } }
  disks: { exclude_mounts: ['^/mnt/scratch'] }
",
    reasons: &[Reason::Timeout, Reason::Missing],
    families: families::ALL,
    signals: &[&CPU, &MEMORY, &SWAP, &DISK],
};

/// How often the host is measured where the configuration does not say it.
pub const DEFAULT_INTERVAL: Duration = Duration::from_secs(15);

/// The block `host:`.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How often it is measured; 15s if not set.
    pub interval: Option<Period>,
    /// Thresholds by signal: `cpu`, `memory`, `swap`, `disk`, `duration`.
    pub thresholds: BTreeMap<String, Thresholds>,
    /// Which file systems are reported.
    pub disks: DiskConfig,
    /// Which network interfaces are reported.
    pub networks: NetworkConfig,
}

impl Settings for Config {
    type Probe = Probe;

    fn build(&self, _: &Context) -> Result<Probe, Vec<Invalid>> {
        Ok(Probe::new(self.clone(), Disks::new(Arc::new(statvfs))))
    }
}

/// The probe of the host that was built.
pub struct Probe {
    config: Config,
    /// A reading that a timeout has left behind; another one only starts after it.
    reading: Option<JoinHandle<Snapshot>>,
    windows: [Arc<Labels>; 3],
    cpu: Cpu,
    network: Network,
    disks: Disks,
}

impl super::Probe for Probe {
    async fn run(&mut self, out: &mut Readings) -> Result<(), Failure> {
        let snapshot = self.read().await?;
        if let Some(stat) = snapshot.stat {
            self.cpu.write(stat.ticks, out);
            out.set(&CPUS, f64::from(stat.cpus));
            out.set(&BOOT_TIMESTAMP, stat.boot as f64);
        }
        if let Some(load) = snapshot.load {
            for (labels, value) in self.windows.iter().zip(load) {
                out.set_with(&LOAD, labels, value);
            }
        }
        if let Some(memory) = &snapshot.memory {
            write_memory(memory, out);
        }
        if let Some(interfaces) = snapshot.interfaces {
            self.network.write(interfaces, &self.config.networks, out);
        }
        if let Some(count) = snapshot.processes {
            out.set(&PROCESSES, count as f64);
        }
        let selected = mounts::select(snapshot.mounts, &self.config.disks);
        let patience = patience(out.deadline().saturating_duration_since(Instant::now()));
        let answered = self.disks.run(selected, patience, out).await;
        // A fault of ours must not hide what is known to be wrong with the host.
        answered.and(snapshot.fault.map_or(Ok(()), Err))
    }
}

impl Probe {
    fn new(config: Config, disks: Disks) -> Self {
        Self {
            config,
            reading: None,
            windows: ["1m", "5m", "15m"].map(|window| Arc::new(Labels::render(&[("window", window)]))),
            cpu: Cpu::default(),
            network: Network::default(),
            disks,
        }
    }

    async fn read(&mut self) -> Result<Snapshot, Failure> {
        if let Some(leftover) = &mut self.reading {
            let _ = leftover.await;
            self.reading = None;
        }
        let snapshot = self.reading.insert(spawn_blocking(snapshot::read)).await;
        self.reading = None;
        snapshot.map_err(|error| Failure::new(Reason::Local, format!("reading /proc broke: {error}")))
    }
}

fn write_memory(memory: &Memory, out: &mut Readings) {
    let used = memory.total.saturating_sub(memory.available);
    out.set(&MEMORY_TOTAL, memory.total as f64);
    out.set(&MEMORY_AVAILABLE, memory.available as f64);
    out.set(&MEMORY_USED, used as f64);
    out.signal(&MEMORY, used as f64 / memory.total as f64);
    let swapped = memory.swap_total.saturating_sub(memory.swap_free);
    out.set(&SWAP_TOTAL, memory.swap_total as f64);
    out.set(&SWAP_USED, swapped as f64);
    out.set(&SWAP_FREE, memory.swap_free as f64);
    if memory.swap_total > 0 {
        out.signal(&SWAP, swapped as f64 / memory.swap_total as f64);
    }
}

/// How long a file system may take: less than the run, so that a stuck one is named instead of the whole run ending.
fn patience(left: Duration) -> Duration {
    const LONGEST: Duration = Duration::from_secs(2);
    const SHORTEST: Duration = Duration::from_millis(100);
    (left / 2).clamp(SHORTEST, LONGEST)
}
