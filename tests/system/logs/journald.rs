//! `journald:` with the real journalctl on a real journal.

use super::journal::{Journal, readers};
use super::{Counts, config, until_counted, until_unreadable};
use crate::support::{Banken, eventually};
use rustix::process::Signal;
use std::path::PathBuf;
use tempfile::TempDir;

/// A folder for the journal and for what Banken remembers.
struct Stage(TempDir);

impl Stage {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn journal(&self) -> PathBuf {
        self.0.path().join("journal")
    }

    /// The configuration, with more keys for the log.
    fn config(&self, choice: &str, more: &str) -> String {
        let source = format!("journald: {{ {choice}, directory: {} }}\n    {more}", self.journal().display());
        config(&self.0.path().join("state"), &source)
    }
}

fn counts(lines: u32, booms: u32) -> Counts {
    Counts { lines: f64::from(lines), booms: f64::from(booms), ..Counts::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn records_of_every_form_are_counted_as_they_come_and_nothing_before() {
    let stage = Stage::new();
    let mut journal = Journal::open(&stage.journal());
    journal.bot("boom before");
    journal.close();
    let mut journal = Journal::open(&stage.journal());
    let banken = Banken::start(&stage.config("unit: bot", "")).await;
    until_counted(&banken, counts(0, 0)).await;
    journal.bot("boom one");
    journal.bot("three\nlines, one of them boom\n");
    journal.bot(b"\xff\xfe boom");
    journal.bot("boom".to_owned() + &"x".repeat(10_000));
    journal.write("other.service", 7, "boom of others");
    journal.write("bot.service", banken.process.pid(), "boom that Banken wrote itself");
    journal.bot("last");
    until_counted(&banken, counts(7, 4)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_ends_banken_each_record_is_counted_once() {
    let stage = Stage::new();
    let mut journal = Journal::open(&stage.journal());
    journal.write("other.service", 7, "boom");
    // The first time there is no record of the unit at all: all that come are new.
    let mut written = 0;
    for round in 0..6 {
        let mut banken = Banken::start(&stage.config("unit: bot.service", "")).await;
        until_counted(&banken, counts(written, written)).await;
        journal.bot(format!("boom {written}"));
        written += 1;
        if round != 0 {
            until_counted(&banken, counts(written, written)).await;
        }
        let signal = if round % 2 == 0 { Signal::KILL } else { Signal::TERM };
        banken.process.signal(signal);
        banken.process.ended().await;
        eventually("journalctl ends with Banken", async || readers(&stage.journal()).is_empty().then_some(())).await;
        journal.boot += 1;
        journal.bot("boom while nobody looked");
        written += 1;
    }
    let banken = Banken::start(&stage.config("unit: bot.service", "")).await;
    until_counted(&banken, counts(written, written)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_also_chosen_by_identifier_and_from_the_beginning() {
    let stage = Stage::new();
    let mut journal = Journal::open(&stage.journal());
    journal.bot("boom");
    journal.write("other.service", 7, "boom of others");
    journal.close();
    let banken = Banken::start(&stage.config("identifier: tag-bot.service", "from: beginning")).await;
    until_counted(&banken, counts(1, 1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_of_several_records_can_belong_together() {
    let stage = Stage::new();
    let mut journal = Journal::open(&stage.journal());
    let multiline = "from: beginning\n    multiline: { start: '^-' }";
    let banken = Banken::start(&stage.config("unit: bot.service", multiline)).await;
    for line in ["- boom", "boom again", "and", "- quiet", "- boom"] {
        journal.bot(line);
    }
    // The last one is not waited for for ever.
    until_counted(&banken, counts(5, 2)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_without_bound_is_skipped_and_counted_once() {
    let stage = Stage::new();
    let mut journal = Journal::open(&stage.journal());
    journal.bot("boom");
    journal.bot("boom ".repeat(1 << 20));
    journal.close();
    let yaml = stage.config("unit: bot.service", "from: beginning");
    let skipped = Counts { long_lines: 1.0, ..counts(1, 1) };
    for _ in 0..2 {
        let mut banken = Banken::start(&yaml).await;
        until_counted(&banken, skipped).await;
        banken.process.signal(Signal::TERM);
        banken.process.ended().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_that_is_gone_is_a_gap_and_reading_goes_on() {
    let stage = Stage::new();
    let mut journal = Journal::open(&stage.journal());
    journal.bot("boom");
    journal.close();
    let yaml = stage.config("unit: bot.service", "from: beginning");
    let mut banken = Banken::start(&yaml).await;
    until_counted(&banken, counts(1, 1)).await;
    banken.process.signal(Signal::TERM);
    banken.process.ended().await;
    // Vacuumed, and with a new file begun.
    std::fs::remove_dir_all(stage.journal()).unwrap();
    let mut journal = Journal::open(&stage.journal());
    journal.bot("boom");
    journal.close();
    let banken = Banken::start(&yaml).await;
    until_counted(&banken, Counts { gaps: 1.0, ..counts(2, 2) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_hinders_journalctl_is_told_and_it_is_started_again_when_it_ends() {
    let stage = Stage::new();
    let banken = Banken::start(&stage.config("unit: bot.service", "from: beginning")).await;
    let message = until_unreadable(&banken, "missing").await;
    assert!(message.contains("No such file or directory") && message.contains("directory:"), "{message}");
    let mut journal = Journal::open(&stage.journal());
    journal.bot("boom");
    until_counted(&banken, counts(1, 1)).await;
    let [reader] = readers(&stage.journal()).try_into().unwrap();
    let pid = reader.parent().unwrap().file_name().unwrap().to_str().unwrap().parse().unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, Signal::TERM).unwrap();
    let message = until_unreadable(&banken, "exit").await;
    assert!(message.contains("signal: 15"), "{message}");
    journal.bot("boom");
    until_counted(&banken, counts(2, 2)).await;
}
