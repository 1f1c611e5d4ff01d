//! The whole way of an alert: the simulated service, Banken, Prometheus with the rules, Alertmanager, and what takes Discord's
//! part.

use super::debian::{self, adapted};
use super::discord::{Delivery, Discord};
use super::heard::Heard;
use super::pace::{Pace, rule_files};
use super::scenarios::{Begin, DISK, OF_THE_MACHINE, Places, Role, banken_yml};
use super::servers::Alertmanager;
use super::shipped;
use crate::prometheus::servers::Prometheus;
use crate::support::{Banken, Demo, eventually, free_port, left_out};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Mounts a small disk that nobody else sees, and becomes the command that follows.
const WITH_A_DISK: &str = r#"mount -t tmpfs -o size=8m,mode=700 tmpfs "$0" && exec "$@""#;

/// A Prometheus with the rules, the Alertmanager behind it, and Discord.
pub struct Alarm {
    pub prometheus: Prometheus,
    alertmanager: Alertmanager,
    discord: Discord,
    _folder: tempfile::TempDir,
}

impl Alarm {
    /// Scrapes the Banken at this address.
    pub async fn start(pace: Pace, banken: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let rules = folder.path().join("rules");
        std::fs::create_dir(&rules).unwrap();
        for (name, text) in rule_files() {
            std::fs::write(rules.join(name), pace.rules(&text)).unwrap();
        }
        let discord = Discord::start().await;
        let config = adapted(&shipped(), &debian::Places::prepare(folder.path(), "en", &discord.base)).unwrap();
        let alertmanager = Alertmanager::start(&pace.alertmanager(&config), folder.path()).await;
        let config = format!(
            "global: {{ scrape_interval: {scrape}, scrape_timeout: 1s, evaluation_interval: {scrape} }}
rule_files: [ '{rules}/*.yml' ]
alerting: {{ alertmanagers: [ {{ static_configs: [ {{ targets: [ '{alertmanager}' ] }} ] }} ] }}
scrape_configs: [ {{ job_name: banken, static_configs: [ {{ targets: [ '{banken}' ] }} ] }} ]
",
            scrape = pace.scrape,
            rules = rules.display(),
            alertmanager = alertmanager.url.strip_prefix("http://").unwrap(),
        );
        let prometheus = Prometheus::with_config(&config).await;
        Self { prometheus, alertmanager, discord, _folder: folder }
    }

    /// Every message so far that is not about the machine that the tests run on.
    pub fn heard(&self) -> Vec<Heard> {
        let mut heard: Vec<_> = self.discord.deliveries().iter().map(Heard::of).collect();
        heard.retain(|heard| !OF_THE_MACHINE.contains(&heard.alert.as_str()));
        heard
    }

    /// What came into one channel of Discord, which must all have been taken.
    pub fn messages(&self, channel: &str) -> Vec<Delivery> {
        self.discord.messages(channel)
    }

    /// Waits until an alert fires and is held back by a graver one.
    pub async fn until_suppressed(&self, alert: &str, severity: &str) {
        let what = format!("{alert} ({severity}) is held back");
        let is_held_back = |held: &Value| {
            let labels = &held["labels"];
            let is_meant = labels["alertname"] == alert && labels["severity"] == severity;
            is_meant && held["status"]["inhibitedBy"].as_array().is_some_and(|by| !by.is_empty())
        };
        eventually(&what, async || self.alertmanager.alerts().await.iter().any(is_held_back).then_some(())).await;
    }

    /// Waits, for as long as this pace may need, until the one value of a query is as wanted.
    pub async fn until(&self, pace: Pace, expression: &str, wanted: impl Fn(f64) -> bool) {
        let deadline = Instant::now() + pace.patience(Duration::from_secs(3 * 60));
        loop {
            let value = self.prometheus.value(expression).await;
            if value.is_some_and(&wanted) {
                return;
            }
            assert!(Instant::now() < deadline, "{expression} is {value:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// Everything, before anything goes wrong.
pub struct Scene {
    demos: Vec<(Role, Option<Demo>)>,
    banken: Banken,
    pub alarm: Alarm,
    pub has_disk: bool,
    folder: tempfile::TempDir,
}

impl Scene {
    pub async fn set(pace: Pace) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listen = format!("127.0.0.1:{}", free_port());
        let reports = |task: &str| format!("http://{listen}/api/v1/jobs/{task}");
        let (long, idle) = (reports("long-cycle"), reports("idle-cycle"));
        let mut demos = Vec::new();
        for (role, jobs) in [
            (Role::Mortal, None),
            (Role::Sluggish, None),
            (Role::Bot, Some(long.as_str())),
            (Role::Idle, Some(idle.as_str())),
        ] {
            let arguments = jobs.map(|url| ["--cycle", "1s", "--jobs-url", url]);
            demos.push((role, Some(Demo::start(arguments.as_ref().map_or(&[], |all| all.as_slice())).await)));
        }
        std::fs::write(folder.path().join("charts.log"), "").unwrap();
        let demo = |role| demos.iter().find(|(of, _)| *of == role).and_then(|(_, demo)| demo.as_ref()).unwrap();
        let other_mounts = mounts();
        let places = Places { demo: &demo, folder: folder.path(), listen: &listen, other_mounts: &other_mounts };
        let yaml = banken_yml(&places, pace);
        let disk = folder.path().join(DISK);
        std::fs::create_dir(&disk).unwrap();
        let has_disk = can_mount(&disk);
        let command = if has_disk { with_a_disk(&disk) } else { Banken::command() };
        let banken = Banken::launch(&yaml, command).await;
        banken.until_ready().await;
        let alarm = Alarm::start(pace, &listen).await;
        let scene = Self { demos, banken, alarm, has_disk, folder };
        scene.until_all_is_well(pace).await;
        scene
    }

    /// Waits until Prometheus has seen for a while that everything is healthy.
    async fn until_all_is_well(&self, pace: Pace) {
        let report = self.banken.json("/api/v1/status").await;
        let probes = f64::from(u32::try_from(report["checks"].as_object().unwrap().len()).unwrap());
        let alarm = &self.alarm;
        alarm.until(pace, "min(count_over_time(up{job=\"banken\"}[1d]))", |count| count >= 3.0).await;
        alarm.until(pace, "count(banken_probe_healthy == 1)", |count| count == probes).await;
        alarm.until(pace, "count(banken_job_last_success_timestamp_seconds)", |count| count == 2.0).await;
        alarm.until(pace, "count(count by (log) (banken_log_matches_total))", |count| count == 2.0).await;
    }

    fn demo(&self, role: Role) -> &Demo {
        self.demos.iter().find(|(of, _)| *of == role).and_then(|(_, demo)| demo.as_ref()).unwrap()
    }

    /// Lets something go wrong.
    pub async fn begin(&self, begin: &Begin) {
        match begin {
            Begin::Crash(role) => self.demo(*role).fault("crash", "").await,
            Begin::Fault(role, fault, query) => self.demo(*role).fault(fault, query).await,
            Begin::Lines(lines) => {
                std::fs::write(self.folder.path().join("charts.log"), lines.join("\n") + "\n").unwrap();
            }
            Begin::FillDisk => std::fs::write(self.disk(), vec![1; (8 << 20) - (128 << 10)]).unwrap(),
        }
    }

    /// Repairs everything.
    pub async fn repair(&mut self) {
        if self.has_disk {
            std::fs::remove_file(self.disk()).unwrap();
        }
        for (role, demo) in &mut self.demos {
            if *role == Role::Mortal {
                *demo = Some(demo.take().unwrap().start_again().await);
            } else if let Some(demo) = demo {
                demo.reset().await;
            }
        }
        // What gave up stays so until somebody takes note; before the target is good again it would begin anew.
        for probe in ["dead-port", "dead-page"] {
            self.banken.until_status(probe, "healthy").await;
        }
        let config = self.banken.config_file();
        let noted = Banken::command().arg("--config").arg(config).args(["remedy", "ack"]).output().unwrap();
        assert!(noted.status.success(), "{noted:?}");
    }

    /// A file on the small disk, which only Banken sees.
    fn disk(&self) -> PathBuf {
        let disk = self.folder.path().join(DISK).join("file");
        Path::new("/proc")
            .join(self.banken.process.pid().to_string())
            .join("root")
            .join(disk.strip_prefix("/").unwrap())
    }
}

/// Whether this machine lets us mount a disk of our own.
fn can_mount(disk: &Path) -> bool {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", WITH_A_DISK]).arg(disk).arg("true");
    let tried = command.output();
    let can = tried.as_ref().is_ok_and(|output| output.status.success());
    if !can {
        left_out(&format!("the alert on a full disk: no disk can be mounted here: {tried:?}"));
    }
    can
}

/// Banken with the small disk mounted.
fn with_a_disk(disk: &Path) -> Command {
    let banken = Banken::command();
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", WITH_A_DISK]).arg(disk).arg(banken.get_program());
    for (name, value) in banken.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

/// A pattern for each file system that is mounted already, as a scalar of YAML.
fn mounts() -> Vec<String> {
    let table = std::fs::read_to_string("/proc/self/mounts").unwrap();
    let points = table.lines().filter_map(|line| line.split(' ').nth(1));
    points.map(|point| format!("'^{}$'", regex::escape(&point.replace("\\040", " ")).replace('\'', "''"))).collect()
}
