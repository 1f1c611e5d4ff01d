//! What the service manager is told, and the look at the configuration file.

use crate::config::Source;
use sd_notify::NotifyState;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// How often the file is looked at.
const LOOK: Duration = Duration::from_secs(2);

/// The start, or a reload, is done.
pub fn tell_ready() {
    tell(&[NotifyState::Ready]);
}

/// A reload has begun.
pub fn tell_reloading() {
    // systemd wants to know when, to tell this reload from an earlier one.
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}

/// The end has begun.
pub fn tell_stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Tells the service manager's watchdog, twice in its period, that this loop still turns. Without one it waits for ever.
pub async fn keep_alive() {
    let Some(period) = sd_notify::watchdog_enabled() else { return };
    loop {
        tell(&[NotifyState::Watchdog]);
        tokio::time::sleep(period / 2).await;
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "the service manager does not listen");
    }
}

/// Changes of the configuration file, where they are asked for.
#[derive(Debug)]
pub struct Changes {
    file: Option<PathBuf>,
    seen: Option<(SystemTime, u64)>,
}

impl Changes {
    /// Of a source's file; of the embedded default there are none.
    pub fn of(source: &Source, wanted: bool) -> Self {
        let file = match source {
            Source::File(path) if wanted => Some(path.clone()),
            _ => None,
        };
        let seen = file.as_ref().and_then(fingerprint);
        Self { file, seen }
    }

    /// Ends when the file has changed and then stayed the same for one look, so that a half-written file is not read.
    pub async fn next(&mut self) {
        let Some(file) = &self.file else { return std::future::pending().await };
        let mut candidate = None;
        loop {
            tokio::time::sleep(LOOK).await;
            let now = fingerprint(file);
            if now.is_some() && now != self.seen {
                if now == candidate {
                    self.seen = now;
                    return;
                }
                candidate = now;
            }
        }
    }
}

fn fingerprint(path: &PathBuf) -> Option<(SystemTime, u64)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}
