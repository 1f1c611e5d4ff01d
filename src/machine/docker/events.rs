//! Hears of what happens to a container, so that nobody must ask all the time.

use super::super::Errand;
use super::{Docker, refusal};
use crate::observation::Failure;
use http::{Method, StatusCode};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::sleep;

/// How long to wait after Docker has stopped talking.
const LISTEN_AGAIN: Duration = Duration::from_secs(10);

/// What changes a container. Where two words mean the same, the second one is Podman's.
const CHANGES: [&str; 10] =
    ["start", "die", "died", "oom", "health_status", "pause", "unpause", "destroy", "remove", "rename"];

/// Docker is listened to while this lives.
#[derive(Debug)]
pub struct Events {
    _listening: Errand,
}

impl Docker {
    /// Rings whenever something has happened to the container of this name.
    pub fn events(&self, name: &str, rope: &Arc<Notify>) -> Events {
        let (docker, name, rope) = (self.clone(), name.to_owned(), Arc::clone(rope));
        let listening = async move {
            loop {
                // Whoever looks finds out for himself that Docker is gone.
                if let Err(failure) = docker.listen(&name, &rope).await {
                    tracing::debug!(container = name, %failure, "events are not heard");
                }
                sleep(LISTEN_AGAIN).await;
            }
        };
        Events { _listening: Errand::spawn(listening) }
    }

    async fn listen(&self, name: &str, rope: &Notify) -> Result<(), Failure> {
        // No bound on the time: Podman does not even send a status before the first event.
        let mut answer = self.send(Method::GET, &path(name)).await?;
        if answer.response.status() != StatusCode::OK {
            return Err(refusal(answer, name).await);
        }
        while answer.next().await?.is_some() {
            rope.notify_one();
        }
        Ok(())
    }
}

fn path(name: &str) -> String {
    filtered("/events?filters=", name, &CHANGES)
}

/// A path that ends with a filter for these events of one container.
pub(super) fn filtered(path: &str, name: &str, events: &[&str]) -> String {
    let filters = serde_json::json!({ "type": ["container"], "container": [name], "event": events });
    let mut path = String::from(path);
    for byte in filters.to_string().bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-') {
            path.push(char::from(byte));
        } else {
            // Writing into a text does not fail.
            let _ = write!(path, "%{byte:02X}");
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filters_are_legal_in_a_path() {
        let path = path("my_bot-1.live");
        assert!(
            path.starts_with("/events?filters=%7B%22container%22%3A%5B%22my_bot-1.live%22%5D%2C%22event"),
            "{path}"
        );
        assert!(path.parse::<http::uri::PathAndQuery>().is_ok());
    }
}
