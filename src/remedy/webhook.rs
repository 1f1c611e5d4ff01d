//! Alerts that Alertmanager sends to its webhook, version 4 of the form.
//!
//! What is sent is remembered once by fingerprint and start, forgotten when it is resolved, and forgotten after a day in any
//! case, because whoever has gone does not say so. It is saved before it is answered: Alertmanager sends an alert that it
//! believes delivered again only hours later. The time comes from the caller.

use crate::state::{Loaded, Store};
use crate::values::Secret;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Under which name they are saved.
const PLACE: &str = "remedies/alerts";

/// So many alerts are remembered; beyond them, new ones are left out and told.
const MAX_ALERTS: usize = 1000;

/// An alert has at most so many labels.
const MAX_LABELS: usize = 100;

/// How long an alert is believed that is not sent again, in seconds.
const BELIEVED: f64 = 24.0 * 3600.0;

/// What Alertmanager sends.
#[derive(Debug, Deserialize)]
struct Message {
    version: String,
    alerts: Vec<Sent>,
}

/// One alert of it. What else it carries is of no use here.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sent {
    status: Status,
    labels: BTreeMap<String, String>,
    starts_at: String,
    #[serde(default)]
    fingerprint: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Firing,
    Resolved,
}

/// An alert that fires.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Firing {
    fingerprint: String,
    starts_at: String,
    labels: BTreeMap<String, String>,
    /// In seconds since the Unix epoch.
    since: f64,
    /// When it was last sent, in seconds since the Unix epoch.
    heard_at: f64,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Receipt {
    /// Alerts that fire and were not known.
    pub new: usize,
    /// Alerts that were known.
    pub known: usize,
    /// Alerts that are over.
    pub resolved: usize,
    /// Alerts for which there is no room.
    pub left_out: usize,
}

/// Why a message is not taken.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// No token is configured.
    #[error("alerts are not taken: add repair: {{ webhook_token: {{ file: … }} }} to the configuration")]
    Closed,
    /// The token is missing or another one.
    #[error("the webhook wants its token: set http_config.authorization.credentials_file in Alertmanager's receiver")]
    Unauthorized,
    /// It is no message of Alertmanager's.
    #[error("{0}")]
    Malformed(String),
    /// It could not be saved, so that it must be sent again.
    #[error("it could not be saved: {0}; send it again")]
    NotSaved(std::io::Error),
}

/// The alerts that fire.
#[derive(Debug, Default)]
pub struct Inbox {
    store: Option<Store>,
    token: Mutex<Option<Secret>>,
    firing: Mutex<BTreeMap<(String, String), Firing>>,
}

impl Inbox {
    /// With what was saved before. Blocks.
    pub fn open(store: Option<Store>) -> Self {
        let saved: Vec<Firing> = match store.as_ref().map(|store| store.load(PLACE)) {
            Some(Loaded::Latest(saved)) => saved,
            Some(Loaded::Previous(saved, why)) => {
                tracing::warn!(why, "the alerts that were received are damaged: those before them are used");
                saved
            }
            Some(Loaded::Damaged(why)) => {
                tracing::error!(why, "the alerts that were received are lost until they are sent again");
                Vec::new()
            }
            Some(Loaded::Nothing) | None => Vec::new(),
        };
        let firing = saved.into_iter().map(|alert| ((alert.fingerprint.clone(), alert.starts_at.clone()), alert));
        Self { store, token: Mutex::default(), firing: Mutex::new(firing.collect()) }
    }

    /// What whoever sends must show; without it nothing is taken.
    pub fn set_token(&self, token: Option<Secret>) {
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = token;
    }

    /// Asks whether somebody with this token may send alerts.
    ///
    /// # Errors
    /// When nobody may, or when another token is wanted.
    pub fn admit(&self, token: Option<&str>) -> Result<(), Refusal> {
        let wanted = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = wanted.as_ref().ok_or(Refusal::Closed)?;
        if token.is_some_and(|given| wanted.is(given)) { Ok(()) } else { Err(Refusal::Unauthorized) }
    }

    /// Takes a message at `now`, in seconds since the Unix epoch; when this returns, it is saved. Blocks.
    ///
    /// # Errors
    /// What is wrong with it, or that it could not be saved.
    pub fn take(&self, body: &[u8], now: f64) -> Result<Receipt, Refusal> {
        let alerts = parse(body).map_err(Refusal::Malformed)?;
        let mut firing = self.locked();
        let mut next = firing.clone();
        let receipt = enter(&mut next, alerts, now);
        if let Some(store) = self.store.as_ref().filter(|_| receipt.new + receipt.resolved > 0) {
            store.save(PLACE, &next.values().collect::<Vec<_>>()).map_err(Refusal::NotSaved)?;
        }
        *firing = next;
        Ok(receipt)
    }

    /// Since when an alert fires that has at least these labels, in seconds since the Unix epoch.
    pub fn since(&self, labels: &BTreeMap<String, String>, now: f64) -> Option<f64> {
        let firing = self.locked();
        let has_all = |alert: &&Firing| labels.iter().all(|(name, value)| alert.labels.get(name) == Some(value));
        let believed = firing.values().filter(|alert| alert.heard_at + BELIEVED > now);
        believed.filter(has_all).map(|alert| alert.since).min_by(f64::total_cmp)
    }

    fn locked(&self) -> MutexGuard<'_, BTreeMap<(String, String), Firing>> {
        self.firing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn parse(body: &[u8]) -> Result<Vec<Known>, String> {
    let message: Message = serde_json::from_slice(body).map_err(|error| {
        format!("not a message of Alertmanager's webhook ({error}): send what webhook_configs sends")
    })?;
    if message.version != "4" {
        return Err(format!("version {:?} of the webhook's form is not known: 4 is", message.version));
    }
    message.alerts.into_iter().map(Known::of).collect()
}

fn enter(firing: &mut BTreeMap<(String, String), Firing>, alerts: Vec<Known>, now: f64) -> Receipt {
    firing.retain(|_, alert| alert.heard_at + BELIEVED > now);
    let mut receipt = Receipt::default();
    for Known { key, status, labels, since } in alerts {
        let is_full = firing.len() >= MAX_ALERTS;
        match (status, firing.get_mut(&key)) {
            (Status::Resolved, _) => {
                firing.remove(&key);
                receipt.resolved += 1;
            }
            (Status::Firing, Some(known)) => {
                known.heard_at = now;
                receipt.known += 1;
            }
            (Status::Firing, None) if is_full => receipt.left_out += 1,
            (Status::Firing, None) => {
                let (fingerprint, starts_at) = key.clone();
                // A start in the future is a clock that goes wrong.
                let alert = Firing { fingerprint, starts_at, labels, since: since.min(now), heard_at: now };
                firing.insert(key, alert);
                receipt.new += 1;
            }
        }
    }
    receipt
}

/// An alert by which it is known again.
struct Known {
    key: (String, String),
    status: Status,
    labels: BTreeMap<String, String>,
    since: f64,
}

impl Known {
    fn of(sent: Sent) -> Result<Self, String> {
        let Sent { status, labels, starts_at, fingerprint } = sent;
        if labels.len() > MAX_LABELS {
            return Err(format!("an alert has {} labels: at most {MAX_LABELS}", labels.len()));
        }
        let at: jiff::Timestamp =
            starts_at.parse().map_err(|error| format!("startsAt {starts_at:?} is not a time ({error})"))?;
        let fingerprint = if fingerprint.is_empty() { format!("{labels:?}") } else { fingerprint };
        Ok(Self { key: (fingerprint, starts_at), status, labels, since: at.as_millisecond() as f64 / 1000.0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(status: &str, fingerprint: &str, starts: &str) -> String {
        format!(
            r#"{{"version":"4","groupKey":"x","truncatedAlerts":0,"status":"{status}","receiver":"banken","alerts":[
               {{"status":"{status}","labels":{{"alertname":"ApiDown","instance":"a"}},"annotations":{{}},
                 "startsAt":"{starts}","endsAt":"0001-01-01T00:00:00Z","fingerprint":"{fingerprint}"}}]}}"#
        )
    }

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    const START: &str = "2026-11-28T12:00:00.123Z";
    const NOW: f64 = 1_795_867_260.0;

    #[test]
    fn an_alert_is_known_once_and_until_it_is_resolved() {
        let received = Inbox::default();
        let firing = message("firing", "f1", START);
        assert_eq!(received.take(firing.as_bytes(), NOW).unwrap(), Receipt { new: 1, ..Receipt::default() });
        assert_eq!(received.take(firing.as_bytes(), NOW).unwrap(), Receipt { known: 1, ..Receipt::default() });
        assert_eq!(received.since(&labels(&[("alertname", "ApiDown")]), NOW), Some(1_795_867_200.123));
        assert_eq!(received.since(&labels(&[("alertname", "ApiDown"), ("instance", "b")]), NOW), None);
        let resolved = message("resolved", "f1", START);
        assert_eq!(received.take(resolved.as_bytes(), NOW).unwrap(), Receipt { resolved: 1, ..Receipt::default() });
        assert_eq!(received.since(&labels(&[("alertname", "ApiDown")]), NOW), None);
    }

    #[test]
    fn an_alert_that_is_not_sent_again_is_forgotten_after_a_day_and_there_is_room_for_so_many() {
        let received = Inbox::default();
        received.take(message("firing", "f1", START).as_bytes(), NOW).unwrap();
        let any = labels(&[("alertname", "ApiDown")]);
        assert!(received.since(&any, NOW + BELIEVED - 1.0).is_some());
        assert!(received.since(&any, NOW + BELIEVED + 1.0).is_none());
        for number in 0..MAX_ALERTS {
            received.take(message("firing", &format!("n{number}"), START).as_bytes(), NOW).unwrap();
        }
        let more = received.take(message("firing", "more", START).as_bytes(), NOW).unwrap();
        assert_eq!(more, Receipt { left_out: 1, ..Receipt::default() });
        let later = received.take(message("firing", "more", START).as_bytes(), NOW + BELIEVED + 1.0).unwrap();
        assert_eq!(later.new, 1);
    }

    #[test]
    fn what_was_taken_survives_a_restart_and_what_cannot_be_saved_is_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), std::sync::Arc::default()).unwrap();
        let any = labels(&[("alertname", "ApiDown")]);
        Inbox::open(Some(store.clone())).take(message("firing", "f1", START).as_bytes(), NOW).unwrap();
        let again = Inbox::open(Some(store));
        assert!(again.since(&any, NOW).is_some());
        std::fs::remove_dir_all(folder.path()).unwrap();
        std::fs::write(folder.path(), "no folder").unwrap();
        let refused = again.take(message("resolved", "f1", START).as_bytes(), NOW);
        assert!(matches!(refused, Err(Refusal::NotSaved(_))), "{refused:?}");
        assert!(again.since(&any, NOW).is_some());
    }

    #[test]
    fn only_who_shows_the_token_may_send() {
        let inbox = Inbox::default();
        assert!(matches!(inbox.admit(Some("x")), Err(Refusal::Closed)));
        inbox.set_token(Some(Secret::from("token".to_owned())));
        assert!(inbox.admit(Some("token")).is_ok());
        for given in [None, Some(""), Some("toke"), Some("tokens")] {
            assert!(matches!(inbox.admit(given), Err(Refusal::Unauthorized)), "{given:?}");
        }
    }

    #[test]
    fn what_is_no_message_changes_nothing() {
        let received = Inbox::default();
        let wrong = [
            String::new(),
            "[]".to_owned(),
            message("firing", "f1", "yesterday"),
            message("burning", "f1", START),
            message("firing", "f1", START).replace("\"4\"", "\"5\""),
        ];
        for body in wrong {
            assert!(received.take(body.as_bytes(), NOW).is_err(), "{body}");
        }
        assert_eq!(received.since(&BTreeMap::new(), NOW), None);
    }
}
