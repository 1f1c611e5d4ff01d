//! Alertmanager's webhook (version 4 of its form): what it says is firing, kept so that a remedy can go by it. Pure: the
//! caller gives bytes and the time, bounds the body, and checks who sent it.

#[cfg(test)]
mod tests;

use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

/// The most alerts that are kept.
pub const MAX_ALERTS: usize = 1000;

/// The most alerts in one message.
const MAX_PER_MESSAGE: usize = 1000;

/// Labels beyond these are a mistake, and half of them would match what is not meant.
const MAX_LABELS: usize = 100;
const MAX_NAME: usize = 256;
const MAX_VALUE: usize = 2048;

/// How long an alert counts as firing without being heard of again, in seconds. Alertmanager repeats every few hours what
/// goes on.
pub const EXPIRES_AFTER: f64 = 24.0 * 3600.0;

/// How long it is remembered that an alert is over, in seconds: a message that came late must not make it fire again.
const OVER_FOR: f64 = 60.0;

/// An alert as it was told.
#[derive(Debug, Clone, PartialEq)]
pub struct Alert {
    /// Whether it fires; otherwise it is over.
    pub firing: bool,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// By which Alertmanager knows it.
    pub fingerprint: String,
    /// Since when it fires, in seconds since the Unix epoch.
    pub starts_at: f64,
}

#[derive(Deserialize)]
struct Message {
    version: String,
    alerts: Vec<Written>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    status: Status,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    starts_at: String,
    #[serde(default)]
    fingerprint: String,
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Status {
    Firing,
    Resolved,
}

/// Reads a message. All of it is taken or nothing, so that Alertmanager sends again what was not.
///
/// # Errors
/// What is wrong with it, in words that repeat nothing of it.
pub fn parse(body: &[u8]) -> Result<Vec<Alert>, String> {
    let message: Message = serde_json::from_slice(body).map_err(|error| {
        let place = format!("line {} column {}", error.line(), error.column());
        format!("this is not a message of Alertmanager's webhook ({place}): send what its webhook_configs send")
    })?;
    if message.version != "4" {
        return Err("another version of Alertmanager's webhook than 4: it is not understood".into());
    }
    if message.alerts.len() > MAX_PER_MESSAGE {
        return Err(format!("more than {MAX_PER_MESSAGE} alerts in one message: set max_alerts in webhook_configs"));
    }
    message.alerts.into_iter().map(alert).collect()
}

fn alert(written: Written) -> Result<Alert, String> {
    let Written { status, labels, starts_at, fingerprint } = written;
    let too_long = labels.iter().any(|(name, value)| name.len() > MAX_NAME || value.len() > MAX_VALUE);
    if labels.is_empty() || labels.len() > MAX_LABELS || too_long || fingerprint.len() > MAX_NAME {
        return Err("an alert with labels beyond every measure, or without any".into());
    }
    let starts_at: jiff::Timestamp = starts_at.parse().map_err(|_| "an alert with a startsAt that is no time")?;
    // Old versions do not send one.
    let fingerprint = if fingerprint.is_empty() { own_fingerprint(&labels) } else { fingerprint };
    let starts_at = starts_at.as_millisecond() as f64 / 1000.0;
    Ok(Alert { firing: status == Status::Firing, labels, fingerprint, starts_at })
}

fn own_fingerprint(labels: &BTreeMap<String, String>) -> String {
    let mut hash = Sha256::new();
    for (name, value) in labels {
        // Lengths, because both may hold any character.
        hash.update(format!("{}:{name}{}:{value}", name.len(), value.len()));
    }
    hash.finalize().iter().take(8).fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// What is known of one alert.
#[derive(Debug, Clone)]
struct Known {
    labels: BTreeMap<String, String>,
    starts_at: f64,
    heard_at: f64,
    firing: bool,
}

/// What came of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Taken {
    /// Alerts that did not fire before.
    pub new: usize,
    /// Alerts that were known to fire.
    pub known: usize,
    /// Alerts that are over.
    pub resolved: usize,
    /// Alerts for which there was no room, or which had ended already.
    pub ignored: usize,
}

/// The alerts that fire, as far as we were told.
#[derive(Debug, Clone, Default)]
pub struct Firing {
    alerts: HashMap<String, Known>,
}

impl Firing {
    /// Takes what a message says. The same alert is known by its fingerprint and the time from which on it fires.
    pub fn take(&mut self, alerts: Vec<Alert>, now: f64) -> Taken {
        self.forget(now);
        let mut taken = Taken::default();
        for alert in alerts {
            // What is over makes room, whether or not it is needed for this one.
            let has_room = self.has_room();
            let former = self.alerts.get(&alert.fingerprint);
            // A message of an earlier incident that came late.
            if former.is_some_and(|known| alert.starts_at < known.starts_at) {
                taken.ignored += 1;
                continue;
            }
            let same = former.filter(|known| known.starts_at.to_bits() == alert.starts_at.to_bits());
            match (alert.firing, same.map(|known| known.firing)) {
                (true, Some(false)) => {
                    taken.ignored += 1;
                    continue;
                }
                (true, Some(true)) => taken.known += 1,
                (true, None) if former.is_none() && !has_room => {
                    taken.ignored += 1;
                    continue;
                }
                (true, None) => taken.new += 1,
                (false, _) if former.is_none() => continue,
                (false, _) => taken.resolved += 1,
            }
            let Alert { firing, labels, fingerprint, starts_at } = alert;
            self.alerts.insert(fingerprint, Known { labels, starts_at, heard_at: now, firing });
        }
        taken
    }

    /// Since when an alert with all of these labels fires, in seconds since the Unix epoch: the earliest, if there are
    /// several. No labels mean no alert, never every one.
    pub fn matches(&self, wanted: &BTreeMap<String, String>, now: f64) -> Option<f64> {
        if wanted.is_empty() {
            return None;
        }
        let fits = |known: &&Known| {
            known.firing
                && now - known.heard_at < EXPIRES_AFTER
                && wanted.iter().all(|(name, value)| known.labels.get(name) == Some(value))
        };
        // Their clock may be ahead of ours.
        self.alerts.values().filter(fits).map(|known| known.starts_at.min(now)).min_by(f64::total_cmp)
    }

    /// How many fire.
    pub fn count(&self, now: f64) -> usize {
        self.alerts.values().filter(|known| known.firing && now - known.heard_at < EXPIRES_AFTER).count()
    }

    fn forget(&mut self, now: f64) {
        self.alerts.retain(|_, known| {
            let age = now - known.heard_at;
            if known.firing { age < EXPIRES_AFTER } else { age < OVER_FOR }
        });
    }

    /// Whether there is room for one more; what is over makes room.
    fn has_room(&mut self) -> bool {
        if self.alerts.len() >= MAX_ALERTS {
            self.alerts.retain(|_, known| known.firing);
        }
        self.alerts.len() < MAX_ALERTS
    }
}
