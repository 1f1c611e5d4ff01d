//! The standard `process_*` families of Banken itself, read when they are asked for.

use crate::machine::procfs::{Stat, parse_stat};
use crate::observation::{Family, Scope};

const fn gauge(name: &'static str, help: &'static str) -> Family {
    Family::gauge(name, Scope::Bare, &[], help)
}

static CPU: Family = Family::counter(
    "process_cpu_seconds_total",
    Scope::Bare,
    &[],
    "CPU time that Banken used in user and system mode, in seconds",
);
static RESIDENT: Family = gauge("process_resident_memory_bytes", "Resident memory of Banken, in bytes");
static VIRTUAL: Family = gauge("process_virtual_memory_bytes", "Virtual memory of Banken, in bytes");
static OPEN_FDS: Family = gauge("process_open_fds", "Open file descriptors of Banken");
static MAX_FDS: Family = gauge("process_max_fds", "File descriptors that Banken may open at most");
static THREADS: Family = gauge("process_threads", "Threads of Banken");
static START: Family = gauge("process_start_time_seconds", "When Banken started, in seconds since the Unix epoch");

/// Every one of these families.
pub static FAMILIES: [&Family; 7] = [&CPU, &RESIDENT, &VIRTUAL, &OPEN_FDS, &MAX_FDS, &THREADS, &START];

/// The values now; what `/proc` does not give is left out.
pub fn read() -> [(&'static Family, Option<f64>); 7] {
    let stat = std::fs::read("/proc/self/stat").ok().as_deref().and_then(parse_stat);
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    let page = rustix::param::page_size() as f64;
    let from_stat = |value: fn(&Stat) -> u64| stat.as_ref().map(|stat| value(stat) as f64);
    [
        (&CPU, from_stat(|stat| stat.cpu_ticks).map(|spent| spent / ticks)),
        (&RESIDENT, from_stat(|stat| stat.resident_pages).map(|pages| pages * page)),
        (&VIRTUAL, from_stat(|stat| stat.virtual_bytes)),
        (&OPEN_FDS, std::fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count() as f64)),
        (&MAX_FDS, rustix::process::getrlimit(rustix::process::Resource::Nofile).current.map(|limit| limit as f64)),
        (&THREADS, from_stat(|stat| stat.threads)),
        (&START, from_stat(|stat| stat.start).zip(boot_time()).map(|(start, boot)| boot + start / ticks)),
    ]
}

fn boot_time() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_of_this_very_process_is_known_and_plausible() {
        for (family, value) in read() {
            let value = value.unwrap_or_else(|| panic!("{} is missing", family.name));
            assert!(value > 0.0 || family.name == CPU.name, "{} = {value}", family.name);
        }
    }
}
