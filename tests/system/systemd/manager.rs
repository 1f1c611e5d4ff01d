//! A real systemd, as a user's manager in a chamber of its own, with a real bus that it has started itself.

use super::bus::CONFIG;
use super::{config, sample};
use crate::chamber::Chamber;
use crate::support::{Banken, PATIENCE, eventually};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

pub struct Systemd {
    chamber: Chamber,
    folder: tempfile::TempDir,
}

/// What a manager of the system has: a socket for notifications that every user may write to, mounts that are seen by those who
/// were there before (credentials are such), and what hides that which a unit must not see.
const BEFORE: &str = "umask 0 && mount --make-rshared / && mkdir -p /run/systemd/inaccessible && touch /run/systemd/inaccessible/reg && \
     chmod 0 /run/systemd/inaccessible/reg && mkdir -m 0 /run/systemd/inaccessible/dir && exec \"$0\" \"$@\"";

/// The bus, which systemd listens for and starts.
const BUS: [(&str, &str); 2] = [
    ("dbus.socket", "[Unit]\n[Socket]\nListenStream=%t/bus\n"),
    (
        "dbus.service",
        "[Unit]\nRequires=dbus.socket\n[Service]\nType=notify\n\
         ExecStart=dbus-daemon --config-file=%t/bus.conf --address=systemd: --nofork --nopidfile --systemd-activation\n",
    ),
];

/// What there is to watch.
const UNITS: [(&str, &str); 7] = [
    ("default.target", "[Unit]\nWants=dbus.socket dbus.service worker.service\n"),
    (
        "worker.service",
        "[Unit]\nStartLimitIntervalSec=0\n[Service]\nRestart=always\nRestartSec=2s\n\
         MemoryAccounting=yes\nCPUAccounting=yes\nTasksAccounting=yes\n\
         ExecStart=/bin/sh -c 'while :; do i=0; while [ $$i -lt 20000 ]; do i=$$((i+1)); done; sleep 0.1; done'\n",
    ),
    ("broken.service", "[Unit]\n[Service]\nType=oneshot\nExecStart=/bin/sh -c 'exit 3'\n"),
    ("once.service", "[Unit]\n[Service]\nType=oneshot\nExecStart=/bin/true\n"),
    ("tick.timer", "[Unit]\n[Timer]\nOnActiveSec=100ms\nAccuracySec=1ms\nUnit=once.service\n"),
    ("senseless.service", "[Unit]\n[Service]\nType=simple\n"),
    ("idle.target", "[Unit]\n"),
];

impl Systemd {
    async fn start() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let units = folder.path().join("units");
        std::fs::create_dir(&units).unwrap();
        std::os::unix::fs::symlink("/dev/null", units.join("masked.service")).unwrap();
        std::os::unix::fs::symlink("worker.service", units.join("alias.service")).unwrap();
        Self::start_in(folder, &UNITS).await
    }

    /// With these units, a `default.target` among them, and those that lie in `units` below the folder.
    pub async fn start_in(folder: tempfile::TempDir, wanted: &[(&str, &str)]) -> Option<Self> {
        let (units, run) = (folder.path().join("units"), folder.path().join("run"));
        std::fs::create_dir_all(&units).unwrap();
        std::fs::create_dir(&run).unwrap();
        for (name, text) in BUS.iter().chain(wanted) {
            // What is there by default is not there here.
            std::fs::write(units.join(name), text.replace("[Unit]\n", "[Unit]\nDefaultDependencies=no\n")).unwrap();
        }
        std::fs::write(run.join("bus.conf"), CONFIG.replace("SOCKET", &run.join("bus").display().to_string())).unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", BEFORE, manager(), "--user", "--log-target=console"]);
        command.env("XDG_RUNTIME_DIR", &run).env("SYSTEMD_UNIT_PATH", &units).env("HOME", folder.path());
        let chamber = Chamber::open(&mut command).await?;
        let systemd = Self { chamber, folder };
        systemd.until_it_answers().await;
        Some(systemd)
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    async fn until_it_answers(&self) {
        let deadline = Instant::now() + PATIENCE;
        while let Err(said) = self.ask(&["status"]) {
            assert!(Instant::now() < deadline, "systemd does not answer: {said}\n{}", self.chamber.output());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub fn bus(&self) -> String {
        format!("unix:path={}/run/bus", self.folder.path().display())
    }

    /// Asks by another program than ours.
    pub fn ask(&self, arguments: &[&str]) -> Result<String, String> {
        let service = "org.freedesktop.systemd1";
        let mut command = Command::new("busctl");
        command.arg(format!("--address={}", self.bus())).args(&arguments[..1]).arg(service).args(&arguments[1..]);
        let output = command.output().unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        if output.status.success() { Ok(said) } else { Err(said) }
    }

    /// Has the manager do something.
    pub fn tell(&self, method: &str, arguments: &[&str]) {
        let interface = "org.freedesktop.systemd1.Manager";
        let mut all = vec!["call", "/org/freedesktop/systemd1", interface, method];
        all.extend(arguments);
        self.ask(&all).unwrap_or_else(|said| panic!("{method}: {said}\n{}", self.chamber.output()));
    }

    pub fn start_unit(&self, unit: &str) {
        self.tell("StartUnit", &["ss", unit, "replace"]);
    }

    /// A property of a service, as busctl prints it without its type.
    pub fn property(&self, name: &str, interface: &str, property: &str) -> String {
        let path = format!("/org/freedesktop/systemd1/unit/{name}_2eservice");
        let interface = format!("org.freedesktop.systemd1.{interface}");
        let said = self.ask(&["get-property", &path, &interface, property]).unwrap();
        said.split_once(' ').unwrap().1.trim().trim_matches('"').to_owned()
    }

    /// A property of the worker, as a number; none where systemd does not know it.
    fn of_worker(&self, interface: &str, property: &str) -> Option<f64> {
        let number: u64 = self.property("worker", interface, property).parse().unwrap();
        (number != u64::MAX).then_some(number as f64)
    }
}

/// Where Debian and others keep it.
fn manager() -> &'static str {
    let places = ["/usr/lib/systemd/systemd", "/lib/systemd/systemd"];
    places.into_iter().find(|place| Path::new(place).exists()).expect("systemd is installed: tests/run does that")
}

#[tokio::test]
async fn what_a_real_systemd_says_is_published() {
    let Some(systemd) = Systemd::start().await else { return };
    for unit in ["tick.timer", "idle.target"] {
        systemd.start_unit(unit);
    }
    // It fails at once, as it should.
    systemd.start_unit("broken.service");
    let units = [
        ("worker", "unit: worker.service, expect: { sub: [running] }"),
        ("alias", "unit: alias.service"),
        ("broken", "unit: broken.service"),
        ("once", "unit: once.service, expect: { active: [inactive] }"),
        ("tick", "unit: tick.timer"),
        ("idle", "unit: idle.target"),
        ("socket", "unit: dbus.socket, expect: { sub: [running, listening] }"),
        ("masked", "unit: masked.service"),
        ("senseless", "unit: senseless.service"),
        ("nowhere", "unit: nowhere.service"),
        ("enabled", "unit: worker.service, expect: { unit_file: [enabled] }"),
    ];
    let banken = Banken::start(&config("200ms", &systemd.bus(), &units)).await;
    for probe in ["worker", "alias", "once", "tick", "idle", "socket"] {
        banken.until_status(probe, "healthy").await;
    }
    for (probe, reason, words) in [
        ("broken", "exit", "result exit-code, its main process exited with status 3"),
        ("masked", "exit", "it is masked"),
        ("senseless", "missing", "bad-setting"),
        ("nowhere", "missing", "there is no unit nowhere.service"),
        ("enabled", "status", "\"static\", expected enabled"),
    ] {
        banken.until_reason(probe, reason).await;
        banken.until_message(probe, words).await;
    }
    assert_eq!(sample(&banken, "banken_systemd_main_exit_status", "broken").await, Some(3.0));
    assert_eq!(sample(&banken, "banken_systemd_main_exit_status", "worker").await, None);
    assert_eq!(sample(&banken, "banken_systemd_active", "broken").await, Some(0.0));
    let failed = "banken_systemd_state{probe=\"broken\",kind=\"systemd\",state=\"failed\"}";
    assert_eq!(banken.sample(failed).await, Some(1.0));
    let since = systemd.of_worker("Unit", "ActiveEnterTimestamp").unwrap() / 1e6;
    assert_eq!(sample(&banken, "banken_systemd_active_since_timestamp_seconds", "worker").await, Some(since));
    let ticked = sample(&banken, "banken_systemd_last_trigger_timestamp_seconds", "tick").await.unwrap();
    assert!((ticked - since).abs() < 60.0, "{ticked} and {since}");
    // What systemd can measure differs between machines.
    for (property, family) in
        [("MemoryCurrent", "banken_systemd_memory_bytes"), ("TasksCurrent", "banken_systemd_tasks")]
    {
        let ours = sample(&banken, family, "worker").await;
        let theirs = systemd.of_worker("Service", property);
        assert_eq!(ours.is_some(), theirs.is_some(), "{property}: {ours:?} and {theirs:?}");
        assert!(ours.is_none_or(|ours| (1.0..64e6).contains(&ours)), "{property}: {ours:?} and {theirs:?}");
    }
    let used = systemd.of_worker("Service", "CPUUsageNSec");
    eventually("CPU time is counted", async || {
        let seconds = sample(&banken, "banken_systemd_cpu_seconds_total", "worker").await?;
        (used.is_none() || seconds > 0.05).then_some(())
    })
    .await;
    let used = systemd.of_worker("Service", "CPUUsageNSec").map(|nanos| nanos / 1e9);
    let seconds = sample(&banken, "banken_systemd_cpu_seconds_total", "worker").await.unwrap();
    assert!(used.is_none_or(|used| seconds <= used + 5.0), "{seconds} s are counted of {used:?} s");
}

#[tokio::test]
async fn a_real_systemd_tells_of_every_change_and_counters_never_go_back() {
    let Some(systemd) = Systemd::start().await else { return };
    // Nothing but what systemd tells by itself is seen in time.
    let units = [("worker", "unit: worker.service"), ("idle", "unit: idle.target")];
    let yaml = config("1h", &systemd.bus(), &units).replace("retry_interval: 100ms", "retry_interval: 1h");
    let banken = Banken::start(&yaml).await;
    banken.until_status("worker", "healthy").await;
    banken.until_reason("idle", "exit").await;
    systemd.start_unit("idle.target");
    banken.until_status("idle", "healthy").await;
    let restarts = async || sample(&banken, "banken_systemd_restarts_total", "worker").await;
    assert_eq!(restarts().await, Some(0.0));
    for number in 1..=2 {
        systemd.tell("KillUnit", &["ssi", "worker.service", "main", "9"]);
        let detail = banken.until_reason("worker", "exit").await;
        let words = detail["message"].as_str().unwrap();
        assert!(words.contains("auto-restart") && words.contains("signal 9"), "{words}");
        assert_eq!(sample(&banken, "banken_systemd_main_exit_status", "worker").await, Some(137.0));
        eventually("the restart is counted", async || (restarts().await? >= f64::from(number)).then_some(())).await;
        eventually("it runs again", async || {
            (sample(&banken, "banken_systemd_active", "worker").await? == 1.0).then_some(())
        })
        .await;
    }
    let cpu = async || sample(&banken, "banken_systemd_cpu_seconds_total", "worker").await.unwrap();
    let (spent, since) = (cpu().await, "banken_systemd_active_since_timestamp_seconds");
    let started = sample(&banken, since, "worker").await.unwrap();
    // By hand, which sets the count of systemd back.
    systemd.tell("RestartUnit", &["ss", "worker.service", "replace"]);
    eventually("the new start is seen", async || (sample(&banken, since, "worker").await? > started).then_some(()))
        .await;
    assert_eq!(systemd.of_worker("Service", "NRestarts"), Some(0.0));
    assert_eq!(restarts().await, Some(2.0));
    assert!(cpu().await >= spent);
    systemd.tell("StopUnit", &["ss", "worker.service", "replace"]);
    eventually("its end is seen", async || banken.message("worker").await.contains("inactive (dead)").then_some(()))
        .await;
    assert_eq!(sample(&banken, since, "worker").await, None);
}
