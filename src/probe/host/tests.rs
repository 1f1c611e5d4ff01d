//! Against this machine: what is measured is held against what `/proc` says in another way.

use super::families::{ALL, CPU_RATIO, CPU_SECONDS, DISK_SIZE, DISK_STUCK, NETWORK_RECEIVE};
use super::*;
use crate::observation::Family;
use crate::probe::Probe as _;
use std::io;

fn probe() -> Probe {
    Config::default().build(&Context::default()).unwrap()
}

async fn run(probe: &mut Probe) -> Readings {
    let mut out = Readings::default();
    out.begin(Instant::now() + Duration::from_secs(10), None);
    assert_eq!(probe.run(&mut out).await, Ok(()));
    out
}

fn count(out: &Readings, family: &'static Family) -> usize {
    out.gauges().iter().chain(out.increments()).filter(|reading| std::ptr::eq(reading.family, family)).count()
}

fn meminfo(key: &str) -> f64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap();
    let line = text.lines().find(|line| line.starts_with(&format!("{key}:"))).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() * 1024.0
}

#[tokio::test]
async fn values_agree_with_proc() {
    let out = run(&mut probe()).await;
    let value = |family| out.value(family).unwrap();
    let total = value(&MEMORY_TOTAL);
    assert!((total - meminfo("MemTotal")).abs() < 1.0);
    assert!((value(&MEMORY_AVAILABLE) - meminfo("MemAvailable")).abs() < total * 0.2);
    assert!((value(&MEMORY_AVAILABLE) + value(&MEMORY_USED) - total).abs() < 1.0);
    assert!((value(&SWAP_TOTAL) - meminfo("SwapTotal")).abs() < 1.0);
    assert!((value(&SWAP_FREE) + value(&SWAP_USED) - value(&SWAP_TOTAL)).abs() < 1.0);
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap().matches("processor\t").count();
    assert_eq!(value(&CPUS) as usize, cpus);
    let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
    let uptime: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    assert!((now - value(&BOOT_TIMESTAMP) - uptime).abs() < 5.0);
    let processes = value(&PROCESSES);
    assert!((2.0..100_000.0).contains(&processes), "{processes}");
    assert_eq!(count(&out, &LOAD), 3);
    assert_eq!(count(&out, &CPU_SECONDS), 8);
    assert!(count(&out, &DISK_SIZE) >= 1);
    assert_eq!(count(&out, &DISK_SIZE), count(&out, &DISK_STUCK));
    let interfaces = std::fs::read_to_string("/proc/net/dev").unwrap().lines().skip(2).count();
    assert!(count(&out, &NETWORK_RECEIVE) < interfaces, "lo is left out");
    for (signal, value) in out.signals() {
        assert!((0.0..=1.0).contains(value), "{}: {value}", signal.key);
    }
    assert_eq!(out.value(&CPU_RATIO), None, "a share needs two runs");
}

#[tokio::test]
async fn the_second_run_has_a_cpu_ratio_and_what_was_spent_between() {
    let mut probe = probe();
    let first = run(&mut probe).await;
    assert!(first.increments().iter().all(|reading| reading.value < 1e-9), "nothing was watched before");
    let busy = std::thread::spawn(|| {
        let until = std::time::Instant::now() + Duration::from_millis(200);
        while std::time::Instant::now() < until {
            std::hint::spin_loop();
        }
    });
    tokio::time::sleep(Duration::from_millis(250)).await;
    busy.join().unwrap();
    let second = run(&mut probe).await;
    let ratio = second.value(&CPU_RATIO).unwrap();
    assert!((0.0..=1.0).contains(&ratio) && ratio > 0.01, "{ratio}");
    assert!(second.signals().contains(&(&CPU, ratio)));
    let of_cores = second.increments().iter().filter(|reading| reading.family == &CPU_SECONDS);
    let spent: f64 = of_cores.map(|reading| reading.value).sum();
    let cpus = second.value(&CPUS).unwrap();
    assert!(spent > 0.1 * cpus && spent < 5.0 * cpus, "{spent} s on {cpus} cores");
}

#[tokio::test]
async fn a_stuck_file_system_fails_the_run_after_everything_else_was_written() {
    let (release, hold) = std::sync::mpsc::channel::<()>();
    let hold = std::sync::Mutex::new(hold);
    let stuck = Disks::new(Arc::new(move |_| {
        let _ = hold.lock().map(|hold| hold.recv());
        Err(io::ErrorKind::NotFound.into())
    }));
    let mut probe = Probe::new(Config::default(), stuck);
    let mut out = Readings::default();
    out.begin(Instant::now() + Duration::from_millis(400), None);
    let failure = probe.run(&mut out).await.unwrap_err();
    assert_eq!(failure.reason, Reason::Timeout);
    assert!(failure.detail.contains("the file system at /"), "{}", failure.detail);
    assert!(Instant::now() < out.deadline() + Duration::from_secs(2));
    assert!(out.value(&MEMORY_TOTAL).is_some() && out.value(&PROCESSES).is_some());
    assert!(count(&out, &DISK_STUCK) >= 1);
    drop(release);
}

#[test]
fn a_file_system_has_less_time_than_the_run() {
    let cases = [(10_000, 2000), (1000, 500), (0, 100)];
    for (left, expected) in cases {
        assert_eq!(patience(Duration::from_millis(left)), Duration::from_millis(expected), "{left} ms left");
    }
}

#[test]
fn the_example_is_a_block_of_the_configuration_with_signals_that_exist() {
    let example: BTreeMap<String, Config> = serde_yaml::from_str(KIND.example).unwrap();
    let mut invalid = Vec::new();
    let limits = KIND.limits(&example["host"].thresholds, &mut invalid);
    assert_eq!((limits.len(), invalid), (2, Vec::new()));
    assert_eq!(serde_yaml::from_str::<Config>("{}").unwrap(), Config::default());
    assert!(serde_yaml::from_str::<Config>("{ disks: { excludes: [a] } }").is_err());
}

#[test]
fn no_family_is_listed_twice() {
    let mut names: Vec<_> = ALL.iter().map(|family| family.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), ALL.len());
}
