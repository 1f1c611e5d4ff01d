//! Apps under the real PM2, each test with a daemon of its own.

use crate::support::{Banken, eventually, value_of};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// The version that is tested with. `tests/run` reads it here.
const VERSION: &str = "7.0.4";

/// The program, which is installed below `target/` once.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools");
        let folder = tools.join(format!("pm2-{VERSION}"));
        let program = folder.join("node_modules/pm2/bin/pm2");
        if !program.exists() {
            let fresh = tools.join(format!("pm2-{VERSION}-{}", std::process::id()));
            let output = Command::new("npm")
                .args(["install", "--no-audit", "--no-fund", "--prefix"])
                .arg(&fresh)
                .arg(format!("pm2@{VERSION}"))
                .output()
                .expect("npm is not there; tests/run installs what is needed");
            assert!(output.status.success(), "{output:?}");
            // Somebody else may have been faster.
            if fs::rename(&fresh, &folder).is_err() {
                fs::remove_dir_all(&fresh).unwrap();
            }
        }
        program
    })
}

/// A home of PM2; its daemon and its apps end with the test.
pub struct Pm2 {
    home: tempfile::TempDir,
}

impl Pm2 {
    pub fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap() }
    }

    fn command(&self) -> Command {
        let mut command = Command::new("node");
        command
            .arg(program())
            .env("PM2_HOME", self.folder())
            .env("HOME", self.home.path())
            .current_dir(self.home.path());
        command
    }

    pub fn folder(&self) -> PathBuf {
        self.home.path().join("pm2")
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        let output = self.command().args(arguments).output().unwrap();
        assert!(output.status.success(), "pm2 {arguments:?}: {output:?}");
        output
    }

    /// Starts an app from a script.
    pub fn start(&self, name: &str, script: &str, more: &[&str]) {
        let file = self.home.path().join(format!("{name}.js"));
        fs::write(&file, script).unwrap();
        self.run(&[&["start", file.to_str().unwrap(), "--name", name], more].concat());
    }

    /// What PM2 itself says of its apps.
    fn list(&self) -> Vec<Value> {
        let output = String::from_utf8(self.run(&["jlist"]).stdout).unwrap();
        // Other things may stand before it.
        serde_json::from_str(output.lines().last().unwrap()).unwrap()
    }

    pub fn app(&self, name: &str) -> Value {
        self.list().into_iter().find(|app| app["name"] == name).unwrap()
    }

    pub fn daemon(&self) -> i32 {
        fs::read_to_string(self.folder().join("pm2.pid")).unwrap().trim().parse().unwrap()
    }

    fn probe(&self, name: &str, keys: &str) -> String {
        format!("{{ name: {name}, pm2: {{ home: {}, {keys} }} }}", self.folder().display())
    }
}

impl Drop for Pm2 {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.command().arg("kill").output();
    }
}

pub fn kill(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    // It may have ended already.
    let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
}

fn config(probes: &[String]) -> String {
    let defaults = "interval: 300ms, retry_interval: 200ms, timeout: 10s";
    format!("host: false\ndefaults: {{ {defaults} }}\nprobes:\n  - {}\n", probes.join("\n  - "))
}

async fn sample(banken: &Banken, probe: &str, series: &str) -> Option<f64> {
    let (family, labels) = series
        .split_once('{')
        .map_or((series, String::new()), |(family, labels)| (family, format!(",{}", labels.trim_end_matches('}'))));
    value_of(&banken.metrics().await, &format!("banken_pm2_{family}{{probe=\"{probe}\",kind=\"pm2\"{labels}}}"))
}

pub const IDLE: &str = "setInterval(() => {}, 1000)";
const BUSY: &str =
    "const spin = () => { const end = Date.now() + 50; while (Date.now() < end); setImmediate(spin) }; spin()";

#[tokio::test]
async fn an_app_that_is_online_is_healthy_and_what_it_uses_is_plausible() {
    let pm2 = Pm2::new();
    pm2.start("idle", IDLE, &[]);
    pm2.start("busy", BUSY, &["-i", "2"]);
    let busy = pm2.probe("busy", "name: busy, min: 2, max: 2");
    let busy = busy.replace(", pm2:", ", thresholds: { memory: { critical: 1MiB }, cpu: { warning: 900% } }, pm2:");
    let probes = [
        pm2.probe("idle", "name: idle"),
        pm2.probe("first", "id: 0"),
        busy,
        pm2.probe("few", "name: busy, min: 3"),
        pm2.probe("many", "name: busy, max: 1"),
    ];
    let banken = Banken::start(&config(&probes)).await;
    for probe in ["idle", "first", "busy"] {
        banken.until_status(probe, "healthy").await;
        assert_eq!(sample(&banken, probe, "up").await, Some(1.0), "{probe}");
        assert_eq!(sample(&banken, probe, "restarts_total").await, Some(0.0), "{probe}");
        assert_eq!(sample(&banken, probe, "unstable_restarts").await, Some(0.0), "{probe}");
    }
    assert_eq!(sample(&banken, "idle", "instances{status=\"online\"}").await, Some(1.0));
    assert_eq!(sample(&banken, "busy", "instances{status=\"online\"}").await, Some(2.0));
    assert_eq!(sample(&banken, "busy", "instances{status=\"errored\"}").await, Some(0.0));
    let few = banken.until_reason("few", "missing").await;
    assert!(few["message"].as_str().unwrap().contains("2 instances of the app busy are online, at least 3"), "{few:#}");
    banken.until_reason("many", "limit").await;

    let memory = sample(&banken, "idle", "resident_memory_bytes").await.unwrap();
    assert!((10e6..500e6).contains(&memory), "{memory}");
    let since = sample(&banken, "idle", "start_timestamp_seconds").await.unwrap();
    assert!((since - pm2.app("idle")["pm2_env"]["pm_uptime"].as_f64().unwrap() / 1000.0).abs() < 0.01, "{since}");
    // Two of them spin, as far as this machine lets them.
    eventually("the busy one is seen to be busy", async || {
        sample(&banken, "busy", "cpu_ratio").await.filter(|ratio| (0.2..3.0).contains(ratio))
    })
    .await;
    eventually("the idle one is seen to be idle", async || {
        sample(&banken, "idle", "cpu_ratio").await.filter(|ratio| *ratio < 0.2)
    })
    .await;
    assert_eq!(sample(&banken, "busy", "memory_threshold_bytes{severity=\"critical\"}").await, Some(1_048_576.0));
}

#[tokio::test]
async fn an_app_that_crashes_again_and_again_is_errored_and_its_restarts_are_counted() {
    let pm2 = Pm2::new();
    pm2.start("other", IDLE, &[]);
    let banken = Banken::start(&config(&[pm2.probe("crash", "name: crash")])).await;
    let missing = banken.until_reason("crash", "missing").await;
    assert!(missing["message"].as_str().unwrap().contains("knows no app crash, only other"), "{missing:#}");

    pm2.start("crash", "process.exit(3)", &["--max-restarts", "4"]);
    eventually("PM2 gives up", async || (pm2.app("crash")["pm2_env"]["status"] == "errored").then_some(())).await;
    let restarts = pm2.app("crash")["pm2_env"]["restart_time"].as_f64().unwrap();
    assert!(restarts >= 3.0, "{restarts}");
    eventually("Banken knows all of them", async || {
        (sample(&banken, "crash", "restarts_total").await == Some(restarts)).then_some(())
    })
    .await;
    let detail = banken.until_reason("crash", "exit").await;
    let words = format!("is errored after {restarts} restarts, exit status 3");
    assert!(detail["message"].as_str().unwrap().contains(&words), "{detail:#}");
    assert_eq!(sample(&banken, "crash", "up").await, Some(0.0));
    assert_eq!(sample(&banken, "crash", "instances{status=\"errored\"}").await, Some(1.0));
    // People reset PM2's counter; ours does not go back.
    pm2.run(&["reset", "crash"]);
    let last_run = async || banken.probe("crash").await["last_run"].clone();
    let before = last_run().await;
    eventually("it has looked again", async || (last_run().await != before).then_some(())).await;
    assert_eq!(sample(&banken, "crash", "restarts_total").await, Some(restarts));
}

#[tokio::test]
async fn an_app_that_was_stopped_and_a_daemon_that_was_killed_are_told_apart() {
    let pm2 = Pm2::new();
    pm2.start("bot", IDLE, &[]);
    let banken = Banken::start(&config(&[pm2.probe("bot", "name: bot")])).await;
    banken.until_status("bot", "healthy").await;
    pm2.run(&["stop", "bot"]);
    eventually("it is told as stopped", async || {
        let detail = banken.until_reason("bot", "exit").await;
        detail["message"].as_str().unwrap().contains("0 is stopped").then_some(())
    })
    .await;
    assert_eq!(sample(&banken, "bot", "instances{status=\"stopped\"}").await, Some(1.0));
    assert_eq!(sample(&banken, "bot", "resident_memory_bytes").await, None, "nothing stale is exported");
    pm2.run(&["restart", "bot"]);
    banken.until_status("bot", "healthy").await;
    let restarts = sample(&banken, "bot", "restarts_total").await.unwrap();

    let (daemon, app) = (pm2.daemon(), pm2.app("bot")["pid"].as_i64().unwrap());
    kill(daemon);
    let gone = banken.until_reason("bot", "missing").await;
    assert!(gone["message"].as_str().unwrap().contains("daemon of PM2"), "{gone:#}");
    assert_eq!(sample(&banken, "bot", "up").await, Some(0.0));
    banken.until_status("bot", "unhealthy").await;
    kill(i32::try_from(app).unwrap());
    assert_eq!(pm2.daemon(), daemon, "somebody has started another one");
    // It comes back, and its counters go on.
    pm2.start("bot", IDLE, &[]);
    banken.until_status("bot", "healthy").await;
    assert_eq!(sample(&banken, "bot", "restarts_total").await, Some(restarts));
}

#[tokio::test]
async fn where_no_daemon_runs_none_is_started() {
    let pm2 = Pm2::new();
    fs::create_dir(pm2.folder()).unwrap();
    let banken =
        Banken::start(&config(&[pm2.probe("bot", "name: bot"), pm2.probe("maybe", "name: bot, min: 0")])).await;
    let detail = banken.until_status("bot", "unhealthy").await;
    assert_eq!(detail["reason"], "missing", "{detail:#}");
    assert!(detail["message"].as_str().unwrap().contains("no daemon of PM2 runs with"), "{detail:#}");
    banken.until_status("maybe", "healthy").await;
    assert_eq!(fs::read_dir(pm2.folder()).unwrap().count(), 0, "something was written into its home");
}
