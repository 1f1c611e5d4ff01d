//! What disks, folders and strangers do to a log.

use super::{LINES, MATCHES, READABLE, Site, append, start, until};
use crate::support::{Banken, Process, eventually};
use std::fs;
use std::process::Command;

#[tokio::test]
async fn a_full_disk_under_the_state_stops_the_saving_and_not_the_counting() {
    let site = Site::new();
    append(&site.file("app.log"), "ERROR 1\n");
    // A namespace of its own, so that the small disk needs no rights and ends with the process.
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--mount", "bash", "-c"]);
    command.arg(format!("mount -t tmpfs -o size=1m tmpfs '{0}' && exec \"$0\" \"$@\"", site.state.path().display()));
    command.arg(env!("CARGO_BIN_EXE_banken"));
    let banken = Banken::launch(&site.config(), command).await;
    until(&banken, MATCHES, 1.0).await;
    let failures = "banken_state_save_failures_total";
    until(&banken, failures, 0.0).await;
    // The disk as the process sees it.
    let inside = |path: &str| format!("/proc/{}/root{}/{path}", banken.process.pid(), site.state.path().display());
    eventually("the position is saved", async || fs::exists(inside("logs/app.json")).unwrap().then_some(())).await;
    let _ = fs::write(inside("ballast"), vec![0; 2 << 20]);
    append(&site.file("app.log"), "ERROR 2\nERROR 3\n");
    until(&banken, MATCHES, 3.0).await;
    eventually("the failure is counted", async || banken.sample(failures).await.filter(|count| *count > 0.0)).await;
    append(&site.file("app.log"), "ERROR 4\n");
    until(&banken, MATCHES, 4.0).await;
    fs::remove_file(inside("ballast")).unwrap();
    eventually("it is saved again", async || {
        fs::read_to_string(inside("logs/app.json")).ok().filter(|text| text.contains("\"matches\":4")).map(drop)
    })
    .await;
    let output = banken.process.output();
    assert_eq!(output.matches("the position cannot be saved").count(), 1, "it is told once: {output}");
    assert!(output.contains("the position can be saved again"), "{output}");
}

#[tokio::test]
async fn a_folder_that_vanishes_and_returns_is_followed_again() {
    let site = Site::new();
    let folder = site.file("var");
    fs::create_dir(&folder).unwrap();
    append(&folder.join("app.log"), "ERROR 1\n");
    let banken = start(&site.config_of(&format!("paths: ['{}/*.log']\n    from: beginning", folder.display()))).await;
    until(&banken, MATCHES, 1.0).await;
    fs::remove_dir_all(&folder).unwrap();
    until(&banken, READABLE, 0.0).await;
    let report = banken.json("/api/v1/logs/app").await;
    assert_eq!((report["status"].as_str(), report["reason"].as_str()), (Some("unhealthy"), Some("missing")));
    fs::create_dir(&folder).unwrap();
    append(&folder.join("app.log"), "ERROR 2\nERROR 3\n");
    until(&banken, MATCHES, 3.0).await;
    until(&banken, READABLE, 1.0).await;
}

#[tokio::test]
async fn what_is_no_regular_file_is_left_alone_and_never_blocks() {
    let site = Site::new();
    let log = site.file("app.log");
    append(&log, "ERROR 1\n");
    let banken = site.start().await;
    until(&banken, MATCHES, 1.0).await;
    let replaced: [&[&str]; 3] = [&["mkfifo"], &["ln", "-s", "/dev/zero"], &["mkdir"]];
    for (number, command) in (2_u32..).zip(replaced) {
        let _ = fs::remove_file(&log);
        let made = Command::new(command[0]).args(&command[1..]).arg(&log).status().unwrap();
        assert!(made.success());
        until(&banken, READABLE, 0.0).await;
        let _ = fs::remove_file(&log).or_else(|_| fs::remove_dir(&log));
        append(&log, format!("ERROR {number}\n"));
        until(&banken, MATCHES, f64::from(number)).await;
        until(&banken, READABLE, 1.0).await;
    }
}

#[tokio::test]
async fn a_hundred_thousand_files_in_the_folder_do_not_keep_one_from_being_followed() {
    let site = Site::new();
    for number in 0..100_000 {
        fs::File::create(site.file(&format!("core.{number}.dump"))).unwrap();
    }
    append(&site.file("app.log"), "ERROR 1\n");
    let banken = site.start().await;
    until(&banken, MATCHES, 1.0).await;
    append(&site.file("app.log"), "ERROR 2\n");
    until(&banken, MATCHES, 2.0).await;
    drop(banken);
    // All of them are wanted now: the newest are followed, the rest is counted.
    let yaml =
        site.config_of(&format!("paths: ['{}/*']\n    from: beginning\n    max_files: 50", site.logs.path().display()));
    let state = tempfile::tempdir().unwrap();
    let yaml = yaml.replace(&site.state.path().display().to_string(), &state.path().display().to_string());
    append(&site.file("app.log"), "ERROR 3\n");
    let banken = start(&yaml).await;
    until(&banken, r#"banken_log_files{log="app"}"#, 50.0).await;
    until(&banken, r#"banken_log_files_ignored{log="app"}"#, 99_951.0).await;
    until(&banken, MATCHES, 3.0).await;
}

#[tokio::test]
async fn an_expression_that_would_explode_is_refused_or_costs_no_more_than_its_text() {
    let site = Site::new();
    let yaml = site.file("banken.yml");
    let refused = site.config().replace("pattern: ERROR", "pattern: '(a{1000}){1000}'");
    fs::write(&yaml, refused).unwrap();
    let mut process = Process::start(Banken::command().arg("check").arg(&yaml));
    assert_eq!(process.ended().await.code(), Some(2));
    eventually("where it stands", async || process.output().contains("logs[0].rules[0].pattern").then_some(())).await;
    // Each of these takes an engine that tries again and again longer than the age of the universe.
    append(&site.file("app.log"), "a".repeat(60_000) + "\nERROR\n");
    let slow = site.config().replace("pattern: ERROR", r"pattern: '^(a*)*$|(x+x+)+y|ERROR'");
    let banken = start(&slow).await;
    until(&banken, LINES, 2.0).await;
    until(&banken, MATCHES, 2.0).await;
}
