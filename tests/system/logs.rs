//! Logs that somebody else keeps: the journal, and containers' logs.

mod container;
pub mod docker;
mod journal;
mod journald;

use crate::support::{Banken, PATIENCE, eventually, value_of};
use std::path::Path;

/// A configuration of one log, with a rule that finds `boom`.
fn config(state: &Path, source: &str) -> String {
    format!(
        "host: false\nstate_dir: {}\nlogs:\n  - name: bot\n    {source}\n    \
         rules: [ {{ id: boom, pattern: 'boom', severity: error }} ]\n",
        state.display()
    )
}

/// The samples of the log that tell what was counted.
#[derive(Debug, Default, PartialEq, Clone, Copy)]
struct Counts {
    lines: f64,
    booms: f64,
    long_lines: f64,
    rotations: f64,
    gaps: f64,
}

impl Counts {
    /// Nothing before the log is caught up with.
    async fn of(banken: &Banken) -> Option<Self> {
        let scrape = banken.metrics().await;
        let count = |series: &str| value_of(&scrape, series);
        Some(Self {
            lines: count("banken_log_lines_total{log=\"bot\"}")?,
            booms: count("banken_log_matches_total{log=\"bot\",pattern=\"boom\",severity=\"error\"}")?,
            long_lines: count("banken_log_long_lines_total{log=\"bot\"}")?,
            rotations: count("banken_log_rotations_total{log=\"bot\"}")?,
            gaps: count("banken_log_gaps_total{log=\"bot\"}")?,
        })
    }
}

/// Waits until exactly this was counted.
async fn until_counted(banken: &Banken, wanted: Counts) {
    let mut last = None;
    let looking = eventually("the log is counted", async || {
        last = Counts::of(banken).await;
        (last == Some(wanted)).then_some(())
    });
    let seen = tokio::time::timeout(PATIENCE.mul_f64(0.9), looking).await;
    assert!(seen.is_ok(), "wanted {wanted:?}, found {last:?}\n{}", banken.process.output());
}

/// Waits until the log cannot be read for this reason, and tells what people are told.
async fn until_unreadable(banken: &Banken, reason: &str) -> String {
    eventually(&format!("the log cannot be read: {reason}"), async || {
        let status = banken.json("/api/v1/status").await;
        let log = &status["logs"]["bot"];
        (log["reason"] == reason).then(|| log["message"].to_string())
    })
    .await
}
