//! Everything that `/proc` says of the host at one moment. It blocks on files, so it belongs on a thread of its own.

use super::cpu::{Stat, parse_stat};
use super::mounts::{Mount, parse_mountinfo};
use super::network::{Interface, parse_dev};
use crate::observation::{Failure, Reason};
use std::fmt::Display;
use std::io;
use sysinfo::System;

/// What could be read; the rest is `None`, and the first fault says why.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    pub(super) stat: Option<Stat>,
    pub(super) load: Option<[f64; 3]>,
    pub(super) memory: Option<Memory>,
    pub(super) interfaces: Option<Vec<Interface>>,
    pub(super) processes: Option<usize>,
    pub(super) mounts: Vec<Mount>,
    pub(super) fault: Option<Failure>,
}

/// In bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Memory {
    pub(super) total: u64,
    pub(super) available: u64,
    pub(super) swap_total: u64,
    pub(super) swap_free: u64,
}

/// Reads it all; one file that cannot be read does not keep the others from being read.
pub(super) fn read() -> Snapshot {
    let mut snapshot = Snapshot::default();
    snapshot.stat = snapshot.file("/proc/stat", parse_stat);
    snapshot.interfaces = snapshot.file("/proc/net/dev", |text| Some(parse_dev(text)));
    let mounts = snapshot.file("/proc/self/mountinfo", |text| Some(parse_mountinfo(text)));
    snapshot.mounts = mounts.unwrap_or_default();
    snapshot.load =
        snapshot.noted("/proc/loadavg", System::load_average()).map(|load| [load.one, load.five, load.fifteen]);
    snapshot.memory = snapshot.noted("/proc/meminfo", memory());
    snapshot.processes = snapshot.noted("/proc", count_processes());
    snapshot
}

impl Snapshot {
    fn file<T>(&mut self, path: &str, parse: impl Fn(&[u8]) -> Option<T>) -> Option<T> {
        let text = self.noted(path, std::fs::read(path))?;
        self.noted(path, parse(&text).ok_or("not in the form that is known"))
    }

    /// The value, or the note of a fault, which is ours: the kernel does not fail to say such things.
    fn noted<T, E: Display>(&mut self, path: &str, result: Result<T, E>) -> Option<T> {
        result
            .map_err(|error| {
                let fault = Failure::new(Reason::Local, format!("cannot read {path}: {error}"));
                self.fault.get_or_insert(fault);
            })
            .ok()
    }
}

fn memory() -> Result<Memory, String> {
    // A new one each time: an old one would keep its former values when the file cannot be read.
    let mut system = System::new().map_err(|error| error.to_string())?;
    system.refresh_memory();
    let memory = Memory {
        total: system.total_memory(),
        available: system.available_memory(),
        swap_total: system.total_swap(),
        swap_free: system.free_swap(),
    };
    if memory.total == 0 { Err("no total is said there".into()) } else { Ok(memory) }
}

fn count_processes() -> io::Result<usize> {
    let mut count = 0;
    for entry in std::fs::read_dir("/proc")? {
        let name = entry?.file_name();
        count += usize::from(name.as_encoded_bytes().iter().all(u8::is_ascii_digit));
    }
    Ok(count)
}
