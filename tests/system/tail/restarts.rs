//! Banken ends in every way, and goes on exactly where it stood.

use super::{LINES, MATCHES, Site, append, checkpoint, save_and_kill, start, until};
use crate::support::{Banken, Process, eventually};
use rustix::process::Signal;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Writes lines and rotates the file by renaming until it is told to stop. Every third line matches.
struct Writer {
    lines: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Writer {
    fn start(log: PathBuf) -> Self {
        let (lines, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (written, ending) = (Arc::clone(&lines), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            while !ending.load(Ordering::Relaxed) {
                let number = written.load(Ordering::Relaxed);
                let level = if number.is_multiple_of(3) { "ERROR" } else { "INFO" };
                // The end of a line may come later than its beginning.
                append(&log, format!("{level} line {number} "));
                append(&log, "and its end\n");
                written.store(number + 1, Ordering::Relaxed);
                if number % 400 == 399 {
                    rotate(&log);
                }
                if number.is_multiple_of(16) {
                    // A pace, not a wait: a thread of its own writes some thousand lines a second.
                    std::thread::park_timeout(Duration::from_millis(1));
                }
            }
        });
        Self { lines, stop, thread: Some(thread) }
    }

    /// How many lines there are in the end.
    fn stop(&mut self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
        self.lines.load(Ordering::Relaxed)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// `app.log` becomes `app.log.1`, that `app.log.2`, and so on; nothing is removed.
fn rotate(log: &Path) {
    let numbered = |number: u32| log.with_extension(format!("log.{number}"));
    let last = (1..10_000).find(|number| !numbered(*number).exists()).unwrap();
    for number in (1..last).rev() {
        fs::rename(numbered(number), numbered(number + 1)).unwrap();
    }
    fs::rename(log, numbered(1)).unwrap();
}

#[tokio::test]
async fn after_kills_at_any_moment_and_rotations_every_line_is_counted_exactly_once() {
    let site = Site::new();
    append(&site.file("app.log"), "");
    // What was rotated away before Banken was ever there is not its to count.
    let banken = site.start().await;
    eventually("there is a position", async || checkpoint(&site).exists().then_some(())).await;
    drop(banken);
    let mut writer = Writer::start(site.file("app.log"));
    let mut highest: f64 = 0.0;
    for round in 0_u64..12 {
        let mut banken = site.start().await;
        // From a kill before the first line is read to one amid saved positions.
        let life = Duration::from_millis(round * 370 % 1700);
        let begun = Instant::now();
        while begun.elapsed() < life {
            if let Some(seen) = banken.sample(MATCHES).await {
                assert!(seen >= highest, "the counter went back from {highest} to {seen}");
                highest = seen;
            }
        }
        banken.process.signal(Signal::KILL);
        banken.process.ended().await;
    }
    let lines = writer.stop();
    let banken = site.start().await;
    until(&banken, LINES, lines as f64).await;
    until(&banken, MATCHES, lines.div_ceil(3) as f64).await;
    // What is right stays right when it looks again.
    append(&site.file("app.log"), "ERROR last\n");
    until(&banken, LINES, (lines + 1) as f64).await;
    until(&banken, MATCHES, (lines.div_ceil(3) + 1) as f64).await;
}

#[tokio::test]
async fn an_orderly_end_saves_and_a_reload_that_changes_a_rule_keeps_the_counts_of_the_others() {
    let site = Site::new();
    append(&site.file("app.log"), "ERROR 1\nERROR 2\n");
    let mut banken = site.start().await;
    until(&banken, MATCHES, 2.0).await;
    let other = site.config() + "      - { id: slow, pattern: SLOW, severity: warning }\n";
    banken.write_config(&other);
    banken.process.signal(Signal::HUP);
    let slow = r#"banken_log_matches_total{log="app",pattern="slow",severity="warning"}"#;
    until(&banken, slow, 0.0).await;
    append(&site.file("app.log"), "ERROR 3 SLOW\n");
    until(&banken, MATCHES, 3.0).await;
    until(&banken, slow, 1.0).await;
    banken.process.signal(Signal::TERM);
    assert_eq!(banken.process.ended().await.code(), Some(0));
    append(&site.file("app.log"), "ERROR 4 SLOW\n");
    let banken = start(&other).await;
    until(&banken, MATCHES, 4.0).await;
    until(&banken, slow, 2.0).await;
}

#[tokio::test]
async fn a_damaged_position_means_the_one_before_and_nothing_is_counted_twice() {
    for damage in ["cut short", "zeros", "empty"] {
        let site = Site::new();
        append(&site.file("app.log"), "ERROR 1\n");
        let banken = site.start().await;
        until(&banken, MATCHES, 1.0).await;
        append(&site.file("app.log"), "ERROR 2\n");
        save_and_kill(&site, banken, 2).await;
        let whole = fs::read(checkpoint(&site)).unwrap();
        let damaged = match damage {
            "cut short" => whole[..whole.len() / 2].to_vec(),
            "zeros" => vec![0; whole.len()],
            _ => Vec::new(),
        };
        fs::write(checkpoint(&site), damaged).unwrap();
        append(&site.file("app.log"), "ERROR 3\n");
        let banken = site.start().await;
        until(&banken, MATCHES, 3.0).await;
        until(&banken, "banken_state_damaged_total", 1.0).await;
    }
}

#[tokio::test]
async fn without_any_position_that_can_be_read_it_starts_at_the_end_and_says_so() {
    let site = Site::new();
    append(&site.file("app.log"), "ERROR 1\n");
    let banken = site.start().await;
    until(&banken, MATCHES, 1.0).await;
    save_and_kill(&site, banken, 1).await;
    for path in fs::read_dir(site.state.path().join("logs")).unwrap() {
        fs::write(path.unwrap().path(), "nothing of ours").unwrap();
    }
    let end = site.config().replace("from: beginning", "from: end");
    let mut banken = start(&end).await;
    until(&banken, MATCHES, 0.0).await;
    append(&site.file("app.log"), "ERROR 2\n");
    until(&banken, MATCHES, 1.0).await;
    until(&banken, "banken_state_damaged_total", 1.0).await;
    assert!(banken.process.is_running());
    assert!(banken.process.output().contains("the saved position is damaged"), "{}", banken.process.output());
}

#[tokio::test]
async fn two_bankens_do_not_share_a_state_and_one_without_a_place_for_it_watches_on() {
    let site = Site::new();
    append(&site.file("app.log"), "ERROR 1\n");
    let banken = site.start().await;
    until(&banken, MATCHES, 1.0).await;
    let second = site.file("second.yml");
    fs::write(&second, format!("listen: 127.0.0.1:0\n{}", site.config())).unwrap();
    let mut process = Process::start(Banken::command().arg("--config").arg(&second));
    assert_eq!(process.ended().await.code(), Some(1));
    eventually("what is wrong", async || {
        let output = process.output();
        (output.contains("another Banken keeps its state in") && output.contains("state_dir")).then_some(())
    })
    .await;
    drop(banken);
    // A file stands where the folder should be: not even root can create it.
    let nowhere = format!("{}/lock/state", site.state.path().display());
    let yaml = site.config().replace(&site.state.path().display().to_string(), &nowhere);
    let banken = start(&yaml).await;
    until(&banken, MATCHES, 1.0).await;
    until(&banken, "banken_state_save_failures_total", 1.0).await;
    assert!(banken.process.output().contains("nothing of it survives a restart"), "{}", banken.process.output());
}
