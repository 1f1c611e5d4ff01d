//! Programs: real plugins of Nagios, scripts that behave, and scripts that do not.

use crate::support::{Banken, eventually, value_of};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// Where Debian's monitoring-plugins-basic puts them.
const PLUGINS: &str = "/usr/lib/nagios/plugins";

/// Scripts in a folder of their own.
struct Scripts(tempfile::TempDir);

impl Scripts {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn add(&self, name: &str, script: &str) -> String {
        let file = self.file(name);
        fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        file.display().to_string()
    }
}

/// A configuration of probes that run often.
fn config(probes: &[String]) -> String {
    let defaults = "interval: 300ms, retry_interval: 100ms, timeout: 20s";
    format!("host: false\ndefaults: {{ {defaults} }}\nprobes:\n  - {}\n", probes.join("\n  - "))
}

fn sample(scrape: &str, probe: &str, series: &str) -> Option<f64> {
    let (family, labels) = series
        .split_once('{')
        .map_or((series, String::new()), |(family, labels)| (family, format!(",{}", labels.trim_end_matches('}'))));
    value_of(scrape, &format!("{family}{{probe=\"{probe}\",kind=\"command\"{labels}}}"))
}

/// The processes whose field of `/proc/PID/stat` behind the name is this: 1 is the parent, 2 the group.
fn processes(field: usize, value: &str) -> Vec<String> {
    let stats = fs::read_dir("/proc").unwrap().filter_map(|entry| fs::read(entry.ok()?.path().join("stat")).ok());
    let stats = stats.map(|stat| String::from_utf8_lossy(&stat).into_owned());
    stats.filter(|stat| stat.rsplit(')').next().unwrap().split_whitespace().nth(field) == Some(value)).collect()
}

fn is_zombie(stat: &str) -> bool {
    stat.rsplit(')').next().unwrap().trim_start().starts_with('Z')
}

fn assert_is_plugin(name: &str) -> String {
    let path = format!("{PLUGINS}/{name}");
    assert!(Path::new(&path).exists(), "{path} is not there; tests/run installs what is needed");
    path
}

#[tokio::test]
async fn plugins_of_nagios_are_understood() {
    let [load, disk, procs] = ["check_load", "check_disk", "check_procs"].map(assert_is_plugin);
    let banken = Banken::start(&config(&[
        format!("{{ name: load, command: {{ argv: [ {load}, -w, '9000,9000,9000', -c, '9999,9999,9999' ], format: nagios }} }}"),
        format!("{{ name: disk, command: {{ argv: [ {disk}, -w, 100%, -c, 0%, -p, / ], format: nagios }} }}"),
        format!("{{ name: procs, command: {{ argv: [ {procs}, -c, '~:0' ], format: nagios }} }}"),
        format!("{{ name: usage, command: {{ argv: [ {load}, --nonsense ], format: nagios }} }}"),
    ]))
    .await;
    banken.until_status("load", "healthy").await;
    // A warning is a success whose status says it.
    banken.until_status("disk", "healthy").await;
    let failed = banken.until_reason("procs", "exit").await;
    assert!(failed["message"].as_str().unwrap().contains("PROCS CRITICAL"), "{failed:#}");
    let usage = banken.until_reason("usage", "exit").await;
    assert!(usage["message"].as_str().unwrap().contains("exit status 3 (unknown)"), "{usage:#}");

    let scrape = banken.metrics().await;
    let sample = |probe, series| sample(&scrape, probe, series);
    assert_eq!(sample("load", "banken_command_exit_status"), Some(0.0));
    assert_eq!(sample("disk", "banken_command_exit_status"), Some(1.0));
    assert_eq!(sample("procs", "banken_command_exit_status"), Some(2.0));
    let said: f64 = fs::read_to_string("/proc/loadavg").unwrap().split(' ').next().unwrap().parse().unwrap();
    let load1 = sample("load", "banken_command_value{value=\"load1\"}").unwrap();
    assert!((load1 - said).abs() < 5.0, "{load1} against {said}");
    assert_eq!(sample("load", "banken_command_value_bound{value=\"load1\",bound=\"warning_upper\"}"), Some(9000.0));
    let size = rustix::fs::statvfs("/").unwrap();
    let size = (size.f_blocks * size.f_frsize) as f64;
    let used = sample("disk", "banken_command_value{value=\"/\"}").unwrap();
    let max = sample("disk", "banken_command_value_bound{value=\"/\",bound=\"max\"}").unwrap();
    assert!(used > 1e6 && used < max && max <= size && max > size / 2.0, "{used} of {max}, statvfs says {size}");
    assert!(sample("procs", "banken_command_value{value=\"procs\"}").unwrap() > 2.0);
}

#[tokio::test]
async fn metrics_that_a_script_prints_are_published_and_what_it_misspells_is_located() {
    let scripts = Scripts::new();
    let switch = scripts.file("broken");
    let script = scripts.add(
        "textfile",
        &format!(
            "echo '# TYPE disk_errors_total counter'; echo 'disk_errors_total{{device=\"sda\"}} 7'\n\
             if [ -e {} ]; then echo 'disk_errors_total{{device=\"sdb\"}}'; fi\necho 'temperature 41.5'",
            switch.display()
        ),
    );
    let banken =
        Banken::start(&config(&[format!("{{ name: smart, command: {{ argv: [ {script} ], format: textfile }} }}")]))
            .await;
    banken.until_status("smart", "healthy").await;
    let scrape = banken.metrics().await;
    let errors = "banken_command_metric{name=\"disk_errors_total\",labels=\"device=\\\"sda\\\"\"}";
    assert_eq!(sample(&scrape, "smart", errors), Some(7.0), "{scrape}");
    assert_eq!(sample(&scrape, "smart", "banken_command_metric{name=\"temperature\",labels=\"\"}"), Some(41.5));

    fs::write(&switch, "").unwrap();
    let detail = banken.until_reason("smart", "protocol").await;
    assert!(detail["message"].as_str().unwrap().contains("line 3 of the output"), "{detail:#}");
}

#[tokio::test]
async fn a_family_of_stubborn_children_is_gone_after_the_timeout_and_no_zombie_is_left() {
    let scripts = Scripts::new();
    let pids = scripts.file("pids");
    let script = scripts.add(
        "stubborn",
        &format!(
            "trap '' TERM INT HUP QUIT PIPE; (trap '' TERM; while :; do sleep 1; done) & sleep 120 &\n\
             echo $$ >> {}; while :; do echo still here; sleep 1; done",
            pids.display()
        ),
    );
    let banken =
        Banken::start(&config(&[format!("{{ name: stubborn, timeout: 700ms, command: {{ argv: [ {script} ] }} }}")]))
            .await;
    banken.until_status("stubborn", "unhealthy").await;
    assert_eq!(banken.probe("stubborn").await["reason"], "timeout");
    let groups = || fs::read_to_string(&pids).unwrap().lines().map(str::to_owned).collect::<Vec<_>>();
    eventually("it was run several times", async || (groups().len() >= 3).then_some(())).await;
    // All but the one that may run now are gone, with everybody that they started.
    let finished: Vec<_> = groups().into_iter().rev().skip(1).collect();
    eventually("their groups are gone", async || {
        finished.iter().all(|group| processes(2, group).iter().all(|stat| is_zombie(stat))).then_some(())
    })
    .await;
    let own = banken.process.pid().to_string();
    eventually("Banken has no zombie", async || processes(1, &own).iter().all(|stat| !is_zombie(stat)).then_some(()))
        .await;
    assert!(processes(1, &own).len() <= 1, "children pile up: {:?}", processes(1, &own));

    // When Banken ends, the last one ends with it.
    banken.process.signal(rustix::process::Signal::TERM);
    let last = groups();
    eventually("everything is gone", async || {
        last.iter().all(|group| processes(2, group).iter().all(|stat| is_zombie(stat))).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_daemon_that_keeps_the_output_open_holds_nobody_up() {
    let scripts = Scripts::new();
    let pids = scripts.file("pids");
    let script = scripts.add("daemon", &format!("setsid sleep 120 & echo $! >> {}; echo started", pids.display()));
    let banken = Banken::start(&config(&[format!(
        "{{ name: daemon, interval: 1h, command: {{ argv: [ {script} ], expect: {{ output_matches: '^started$' }} }} }}"
    )]))
    .await;
    let detail = banken.until_status("daemon", "healthy").await;
    for pid in fs::read_to_string(&pids).unwrap().lines() {
        let pid = rustix::process::Pid::from_raw(pid.parse().unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("it left the group, so it lives");
    }
    assert!(detail["duration_seconds"].as_f64().is_none_or(|seconds| seconds < 15.0), "{detail:#}");
}

#[tokio::test]
async fn a_hundred_megabytes_of_output_are_counted_and_take_no_memory() {
    let scripts = Scripts::new();
    let script = scripts.add("flood", "head -c 100000000 /dev/zero | tr '\\0' x");
    let banken = Banken::start(&config(&[
        format!("{{ name: flood, interval: 1h, command: {{ argv: [ {script} ] }} }}"),
        format!("{{ name: read, interval: 1h, command: {{ argv: [ {script} ], expect: {{ output_lacks: y }} }} }}"),
    ]))
    .await;
    banken.until_status("flood", "healthy").await;
    let detail = banken.until_reason("read", "limit").await;
    assert!(detail["message"].as_str().unwrap().contains("100000000 bytes"), "{detail:#}");
    let scrape = banken.metrics().await;
    assert_eq!(sample(&scrape, "flood", "banken_command_output_bytes"), Some(1e8));
    let memory = value_of(&scrape, "process_resident_memory_bytes").unwrap();
    assert!(memory < 90e6, "Banken takes {memory} bytes");
}

#[tokio::test]
async fn a_secret_of_the_environment_reaches_the_program_and_nobody_else() {
    let scripts = Scripts::new();
    let secret = "Zq8-secret-of-the-queue-77";
    let file = scripts.file("secret");
    fs::write(&file, format!("{secret}\n")).unwrap();
    let seen = scripts.file("seen");
    let leak = scripts.add("leak", &format!("env | sort > {}; echo \"token $TOKEN refused\"; exit 2", seen.display()));
    let perf = scripts.add("perf", "echo \"OK $TOKEN|$TOKEN=3 broken $TOKEN\"");
    let env = format!("env: {{ TOKEN: {{ file: {} }} }}", file.display());
    let banken = Banken::start(&config(&[
        format!("{{ name: leak, command: {{ argv: [ {leak} ], {env} }} }}"),
        format!("{{ name: perf, command: {{ argv: [ {perf} ], {env}, format: nagios }} }}"),
    ]))
    .await;
    let leaked = banken.until_status("leak", "unhealthy").await;
    assert!(leaked["message"].as_str().unwrap().contains("token [hidden] refused"), "{leaked:#}");
    banken.until_reason("perf", "protocol").await;
    for path in ["/", "/metrics", "/api/v1/status", "/api/v1/probes/leak", "/api/v1/probes/perf"] {
        let text = banken.get(path).await.text().await.unwrap();
        assert!(!text.contains("Zq8-secret"), "{path}: {text}");
    }
    assert!(!banken.process.output().contains("Zq8-secret"), "{}", banken.process.output());
    // The shell adds PWD and the like; nothing of ours is among them.
    let environment = fs::read_to_string(&seen).unwrap();
    assert!(environment.contains(&format!("TOKEN={secret}\n")) && environment.contains("LC_ALL=C\n"), "{environment}");
    assert!(!environment.contains("HOME=") && !environment.contains("CARGO"), "{environment}");
}

#[tokio::test]
async fn a_program_that_appears_later_is_found_and_a_probe_by_hand_shows_how_it_ended() {
    let scripts = Scripts::new();
    let later = scripts.file("later");
    let yaml = config(&[format!("{{ name: later, command: {{ argv: [ {} ] }} }}", later.display())]);
    let banken = Banken::start(&yaml).await;
    let detail = banken.until_reason("later", "missing").await;
    assert!(detail["message"].as_str().unwrap().contains("there is no program"), "{detail:#}");
    scripts.add("later", "echo here; kill -SEGV $$");
    let detail = banken.until_reason("later", "exit").await;
    assert!(detail["message"].as_str().unwrap().contains("killed by SIGSEGV"), "{detail:#}");
    assert_eq!(
        detail["failures"].as_object().map(|all| all.keys().cloned().collect::<Vec<_>>()),
        Some(vec!["exit".into(), "missing".into()])
    );

    let shown = Banken::command().args(["probe", "later", "--config"]).arg(banken.config_file()).output().unwrap();
    let text = String::from_utf8_lossy(&shown.stdout);
    assert!(text.contains("killed by SIGSEGV") && text.contains("here"), "{text}");
    let _: Value = banken.json("/api/v1/status").await;
}
