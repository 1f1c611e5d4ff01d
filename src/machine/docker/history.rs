//! What has happened to a container, as far as Docker remembers: by it, who was stopped is told from who fell.

use super::Docker;
use super::events::filtered;
use crate::observation::{Failure, Reason, unix_now};
use serde::Deserialize;
use std::time::Duration;
use tokio::time::timeout;

/// Docker has it in memory; Podman reads a file, which may be long.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// Docker remembers 256 events in all, each well below a kilobyte; Podman may know more.
const MAX_ANSWER: usize = 1 << 20;

/// What tells a stop from a fall.
const TELLING: [&str; 5] = ["start", "kill", "stop", "die", "died"];

/// Signals by which a container is ended; others have other meanings to it.
const ENDING: [&str; 8] = ["2", "3", "9", "15", "INT", "QUIT", "KILL", "TERM"];

/// What has happened to a container since it was started last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Past {
    /// Somebody had Docker stop it.
    pub was_stopped: bool,
    /// Docker remembers its end.
    pub is_remembered: bool,
}

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "Action")]
    action: String,
    #[serde(rename = "Actor", default)]
    actor: Actor,
}

#[derive(Default, Deserialize)]
struct Actor {
    #[serde(rename = "Attributes", default)]
    attributes: Attributes,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Attributes {
    signal: String,
}

impl Docker {
    /// What has happened to a container since this second of the Unix epoch.
    ///
    /// # Errors
    /// Why Docker did not say, or not in time.
    pub async fn past(&self, id: &str, since: i64) -> Result<Past, Failure> {
        // Until a time to come, Docker would wait for it.
        let until = unix_now();
        let path = format!("/events?since={since}&until={until:.6}&stream=false&filters=");
        let asking = async {
            let mut answer = self.get(&filtered(&path, id, &TELLING), id).await?;
            let mut text = Vec::new();
            while let Some(more) = answer.next().await? {
                text.extend_from_slice(&more);
                if text.len() > MAX_ANSWER {
                    return Err(Failure::new(Reason::Body, "Docker's answer about the past is too long"));
                }
            }
            Ok(past(&text))
        };
        let late = |_| Failure::new(Reason::Timeout, "Docker did not say in time what has happened");
        timeout(ANSWER_WITHIN, asking).await.map_err(late)?
    }
}

/// What is not understood has not happened.
fn past(text: &[u8]) -> Past {
    let mut past = Past::default();
    for line in text.split(|byte| *byte == b'\n') {
        let Ok(event) = serde_json::from_slice::<Event>(line) else { continue };
        match event.action.as_str() {
            "start" => past = Past::default(),
            "stop" => past.was_stopped = true,
            "kill" => {
                let signal = event.actor.attributes.signal;
                past.was_stopped |= ENDING.contains(&signal.trim_start_matches("SIG"));
            }
            "die" | "died" => past.is_remembered = true,
            _ => {}
        }
    }
    past
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(events: &[(&str, &str)]) -> Past {
        let line = |(action, signal): &(&str, &str)| {
            format!(
                "{{\"status\":\"{action}\",\"Type\":\"container\",\"Action\":\"{action}\",\"Actor\":{{\"ID\":\"x\",\"Attributes\":{{\"signal\":\"{signal}\"}}}}}}\n"
            )
        };
        past(events.iter().map(line).collect::<String>().as_bytes())
    }

    #[test]
    fn who_was_stopped_is_told_from_who_fell() {
        let stopped = Past { was_stopped: true, is_remembered: true };
        let fell = Past { was_stopped: false, is_remembered: true };
        assert_eq!(told(&[("start", ""), ("kill", "15"), ("die", ""), ("stop", "")]), stopped);
        assert_eq!(told(&[("start", ""), ("kill", "SIGKILL"), ("die", "")]), stopped);
        assert_eq!(told(&[("start", ""), ("die", "")]), fell);
        // To read its configuration anew is no end.
        assert_eq!(told(&[("start", ""), ("kill", "1"), ("die", "")]), fell);
        assert_eq!(told(&[("kill", "15"), ("die", ""), ("stop", ""), ("start", "")]), Past::default());
    }

    #[test]
    fn noise_has_not_happened() {
        for noise in ["", "{}", "null", "stop", "{\"Action\":7}", "{\"Action\":\"stop\""] {
            assert_eq!(past(noise.as_bytes()), Past::default(), "{noise}");
        }
    }
}
