//! `service_restart: { systemd: … }` under a real systemd.

use super::{busy, done, failed, refused, step};
use crate::support::eventually;
use crate::systemd::bus::{Bus, Manner, Systemd as StandIn};
use crate::systemd::manager::Systemd;
use banken::remedy::action::{Action as _, Scene, Setback, Worker};
use std::time::{Duration, Instant};

/// What is wanted by the target is remembered by systemd when it has ended.
const UNITS: [(&str, &str); 12] = [
    (
        "default.target",
        "[Unit]\nWants=dbus.socket dbus.service worker.service ends.service notifies.service polite.service limited.service \
         again.service stubborn.service rude.service\n",
    ),
    ("worker.service", "[Unit]\nStartLimitIntervalSec=0\n[Service]\nExecStart=/bin/sleep 1000\n"),
    ("ends.service", "[Unit]\n[Service]\nExecStart=/bin/sleep 0.2\n"),
    ("notifies.service", "[Unit]\n[Service]\nType=exec\nExecStart=/bin/sleep 1000\n"),
    ("polite.service", "[Unit]\n[Service]\nExecStart=/bin/sh -c 'trap \"exit 0\" TERM; sleep 1000 & wait'\n"),
    ("rude.service", "[Unit]\n[Service]\nExecStart=/bin/sh -c 'trap \"exit 7\" TERM; sleep 1000 & wait'\n"),
    (
        "limited.service",
        "[Unit]\nStartLimitIntervalSec=1000\nStartLimitBurst=2\n[Service]\nExecStart=/bin/sleep 1000\n",
    ),
    ("again.service", "[Unit]\n[Service]\nRestart=always\nRestartSec=1000\nExecStart=/bin/sleep 1000\n"),
    (
        "stubborn.service",
        "[Unit]\n[Service]\nTimeoutStopSec=500ms\nExecStart=/bin/sh -c 'trap \"\" TERM; exec sleep 1000'\n",
    ),
    ("broken.service", "[Unit]\n[Service]\nType=oneshot\nExecStart=/bin/sh -c 'exit 3'\n"),
    ("slow.service", "[Unit]\n[Service]\nType=oneshot\nExecStart=/bin/sleep 1000\n"),
    ("ssh.service", "[Unit]\n[Service]\nExecStart=/bin/sleep 1000\n"),
];

async fn start() -> Option<Systemd> {
    let folder = tempfile::tempdir().unwrap();
    let units = folder.path().join("units");
    std::fs::create_dir(&units).unwrap();
    std::os::unix::fs::symlink("/dev/null", units.join("masked.service")).unwrap();
    std::os::unix::fs::symlink("ssh.service", units.join("harmless.service")).unwrap();
    std::os::unix::fs::symlink("worker.service", units.join("alias.service")).unwrap();
    std::fs::write(
        units.join("disabled.service"),
        "[Unit]\nDefaultDependencies=no\n[Service]\nExecStart=/bin/sleep 1000\n[Install]\nWantedBy=default.target\n",
    )
    .unwrap();
    let systemd = Systemd::start_in(folder, &UNITS).await?;
    for unit in ["worker", "polite", "limited", "again", "stubborn", "rude"] {
        until(&systemd, unit, "active").await;
    }
    Some(systemd)
}

fn restart(systemd: &Systemd, unit: &str) -> Worker {
    restart_with(systemd, unit, "")
}

fn restart_with(systemd: &Systemd, unit: &str, more: &str) -> Worker {
    step(&format!("service_restart: {{ systemd: {unit}.service, bus: '{}'{more} }}", systemd.bus()))
}

async fn until(systemd: &Systemd, unit: &str, state: &str) {
    eventually(&format!("{unit} is {state}"), async || {
        (systemd.property(unit, "Unit", "ActiveState") == state).then_some(())
    })
    .await;
}

fn kill(systemd: &Systemd, unit: &str) {
    systemd.tell("KillUnit", &["ssi", &format!("{unit}.service"), "main", "9"]);
}

#[tokio::test]
async fn what_fell_and_what_runs_is_restarted_at_once() {
    let Some(systemd) = start().await else { return };
    let worker = restart(&systemd, "worker");
    // The connection is there, as it is where a probe looks at the unit.
    let lines = worker.rehearse(&Scene::default()).await.unwrap();
    assert!(lines[0].starts_with("would have systemd restart worker.service, which is active (running)"), "{lines:?}");
    let pid = || systemd.property("worker", "Service", "MainPID");
    let before = pid();
    let (words, _) = done(&worker).await;
    assert!(words.contains("restarted worker.service") && words.contains("active (running), pid"), "{words}");
    assert_ne!(pid(), before);
    let mut times = Vec::new();
    for _ in 0..10 {
        let before = pid();
        let killed = Instant::now();
        kill(&systemd, "worker");
        let (_, took) = done(&worker).await;
        times.push((killed.elapsed(), took));
        assert_ne!(pid(), before);
    }
    times.sort();
    println!("systemd: from SIGKILL (with busctl) to restart done, and the restart alone: {times:?}");
    // By another name it is the same unit.
    let (words, _) = done(&restart(&systemd, "alias")).await;
    assert!(words.contains("worker.service"), "{words}");
    // It is restarted although it does not want to end.
    let (words, took) = done(&restart(&systemd, "stubborn")).await;
    assert!(took > Duration::from_millis(400), "{words}: {took:?}");
    // It has ended by itself, and well.
    until(&systemd, "ends", "inactive").await;
    done(&restart(&systemd, "ends")).await;
}

#[tokio::test]
async fn what_a_person_has_stopped_is_left_alone() {
    let Some(systemd) = start().await else { return };
    for unit in ["worker", "polite", "rude"] {
        systemd.tell("StopUnit", &["ss", &format!("{unit}.service"), "replace"]);
        until(&systemd, unit, if unit == "rude" { "failed" } else { "inactive" }).await;
        busy(&restart(&systemd, unit), "because somebody has stopped it").await;
        done(&restart_with(&systemd, unit, ", start_stopped: true")).await;
        until(&systemd, unit, "active").await;
    }
    busy(&restart(&systemd, "disabled"), "and disabled").await;
    busy(&restart(&systemd, "slow"), "was not running").await;
    refused(&restart(&systemd, "masked"), "is masked").await;
    // What was killed and not stopped is not one of those.
    kill(&systemd, "rude");
    until(&systemd, "rude", "failed").await;
    done(&restart(&systemd, "rude")).await;
}

#[tokio::test]
async fn what_is_on_its_way_is_left_alone() {
    let Some(systemd) = start().await else { return };
    systemd.start_unit("slow.service");
    until(&systemd, "slow", "activating").await;
    busy(&restart(&systemd, "slow"), "has a job already").await;
    kill(&systemd, "again");
    until(&systemd, "again", "activating").await;
    busy(&restart(&systemd, "again"), "auto-restart").await;
    systemd.tell("StopUnit", &["ss", "stubborn.service", "replace"]);
    busy(&restart(&systemd, "stubborn"), "has a job already").await;
    until(&systemd, "stubborn", "failed").await;
}

#[tokio::test]
async fn what_cannot_be_started_is_told_and_a_start_limit_is_kept() {
    let Some(systemd) = start().await else { return };
    failed(&restart_with(&systemd, "broken", ", start_stopped: true"), "its main process exited with status 3").await;
    failed(&restart(&systemd, "nowhere"), "there is no unit nowhere.service").await;
    refused(&restart(&systemd, "harmless"), "ssh.service is never restarted").await;
    let limited = restart(&systemd, "limited");
    kill(&systemd, "limited");
    until(&systemd, "limited", "failed").await;
    done(&limited).await;
    for _ in 0..3 {
        kill_if_it_runs(&systemd, "limited").await;
        failed(&limited, "no longer starts limited.service, because it was started too often (2 in 1000 s)").await;
        assert_eq!(systemd.property("limited", "Unit", "ActiveState"), "failed", "the limit is kept");
    }
}

async fn kill_if_it_runs(systemd: &Systemd, unit: &str) {
    if systemd.property(unit, "Unit", "ActiveState") == "active" {
        kill(systemd, unit);
        until(systemd, unit, "failed").await;
    }
}

#[tokio::test]
async fn without_systemd_or_a_bus_nothing_happens_but_words() {
    let folder = tempfile::tempdir().unwrap();
    let mut bus = Bus::start(folder.path()).await;
    let action = step(&format!("service_restart: {{ systemd: bot.service, bus: '{}' }}", bus.address()));
    failed(&action, "no systemd answers on the bus").await;
    let systemd = StandIn::on(&bus, &["bot.service"]).await;
    for error in
        ["org.freedesktop.DBus.Error.AccessDenied", "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired"]
    {
        systemd.world().manner = Manner::RefusesRestarts(error);
        failed(&action, "name the unit in the polkit rule deploy/polkit/50-banken.rules").await;
    }
    systemd.world().manner = Manner::RefusesRestarts("org.freedesktop.systemd1.TransactionIsDestructive");
    let setback = super::setback(&action).await;
    assert!(matches!(setback, Setback::Busy(_)), "{setback:?}");
    bus.end();
    failed(&action, "bus").await;
}
