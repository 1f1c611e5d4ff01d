//! `/events`: what changed, as server-sent events, to those who have a page open.

use super::feed::{Difference, Version};
use crate::board::Board;
use crate::observation::unix_now;
use crate::web::State;
use crate::web::words::Language;
use axum::extract::{self, Query};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Deserialize;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::Instant;

/// Pages that are kept current at once. Who comes later fetches the page again now and then.
pub const MAX_SUBSCRIBERS: usize = 64;

/// Logs, jobs and latencies are looked at this often; a change of a probe's state comes at once.
const LOOK: Duration = Duration::from_secs(1);

/// A sign of life after so much silence.
const BEAT: Duration = Duration::from_secs(5);

/// When a browser tries again after the end.
const RETRY: Duration = Duration::from_secs(1);

/// What is asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Wish {
    /// The version of the page that is shown.
    since: Option<String>,
    /// The page of this probe, instead of the status page.
    probe: Option<String>,
}

struct Subscriber {
    state: State,
    language: Language,
    probe: Option<String>,
    has: Option<Version>,
    news: watch::Receiver<u64>,
    stopped: watch::Receiver<bool>,
    silent_since: Instant,
    greeted: bool,
    _slot: OwnedSemaphorePermit,
}

/// The events; they end with Banken.
pub async fn events(
    extract::State(state): extract::State<State>,
    Query(wish): Query<Wish>,
    headers: HeaderMap,
) -> Response {
    let Ok(slot) = Arc::clone(&state.pages.subscribers).try_acquire_owned() else {
        let text = "too many pages are kept current already; fetch this one again now and then\n";
        return (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "30")], text).into_response();
    };
    // After a reconnection the browser says what it heard last.
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok().map(str::to_owned));
    let subscriber = Subscriber {
        language: Language::of(&headers),
        has: last.or(wish.since).and_then(|version| version.parse().ok()),
        probe: wish.probe,
        news: state.board.news(),
        stopped: state.pages.stopped.clone(),
        silent_since: Instant::now(),
        greeted: false,
        _slot: slot,
        state,
    };
    let events = stream::unfold(subscriber, |mut subscriber| async {
        let event = subscriber.next().await?;
        Some((Ok::<_, Infallible>(event), subscriber))
    });
    Sse::new(events).into_response()
}

impl Subscriber {
    /// The next event; none at the end.
    async fn next(&mut self) -> Option<Event> {
        if !self.greeted {
            self.greeted = true;
            return Some(Event::default().event("beat").retry(RETRY).data(unix_now().to_string()));
        }
        let mut stopped = self.stopped.clone();
        loop {
            let found = tokio::select! {
                _ = stopped.wait_for(|stop| *stop) => return None,
                found = self.look() => found,
            };
            if let Some(event) = found {
                self.silent_since = Instant::now();
                return Some(event);
            }
            if self.silent_since.elapsed() >= BEAT {
                self.silent_since = Instant::now();
                return Some(Event::default().event("beat").data(unix_now().to_string()));
            }
            tokio::select! {
                _ = stopped.wait_for(|stop| *stop) => return None,
                // The board outlives everybody who asks for news of it.
                _ = self.news.changed() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    async fn look(&mut self) -> Option<Event> {
        let (difference, version) = match &self.probe {
            Some(probe) => self.look_at_probe(probe),
            None => match self.state.pages.feed(self.language).since(&self.state.board, self.has).await {
                Ok(found) => found,
                Err(error) => {
                    tracing::error!(%error, "the page cannot be rendered, which is a defect of Banken");
                    return None;
                }
            },
        };
        self.has = Some(version);
        let event = Event::default().id(version.to_string());
        match difference {
            Difference::None => None,
            Difference::Parts(parts) => Some(event.event("parts").data(parts)),
            Difference::Everything => Some(event.event("everything").data(unix_now().to_string())),
        }
    }

    /// The page of a probe is small: whatever changed, all of it is fetched again.
    fn look_at_probe(&self, probe: &str) -> (Difference, Version) {
        let version = version_of_probe(&self.state.board, probe, self.state.pages.boot);
        let difference = if self.has == Some(version) { Difference::None } else { Difference::Everything };
        (difference, version)
    }
}

/// The page of a probe is another with each run.
pub fn version_of_probe(board: &Board, probe: &str, boot: u64) -> Version {
    let runs = board.probe(probe).map_or(0, |cell| cell.read(|record| record.runs));
    Version { boot, number: runs }
}
