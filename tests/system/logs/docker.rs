//! Speaks like Docker on a Unix socket, as far as logs, states and events go.

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::stream;
use serde_json::Value;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use time::OffsetDateTime;
use tokio::sync::watch;

/// What one container wrote: when (nanoseconds), where (1 or 2), and what, with its end if it has one.
pub type Message = (i128, u8, String);

#[derive(Clone)]
pub struct Container {
    pub id: &'static str,
    pub tty: bool,
    pub running: bool,
    pub started_at: u32,
    pub messages: Vec<Message>,
    /// What is said about it beside that, or instead.
    pub inspect: Value,
    /// What it uses: nothing as Podman says it, and no answer at all for null.
    pub stats: Option<Value>,
}

impl Container {
    pub fn new(id: &'static str) -> Self {
        Self { id, tty: false, running: true, started_at: 0, messages: Vec::new(), inspect: Value::Null, stats: None }
    }

    pub fn write(&mut self, at: i128, output: u8, text: &str) {
        self.messages.push((1_800_000_000_000_000_000 + at, output, text.to_owned()));
    }
}

/// What connections share.
struct Daemon {
    container: watch::Sender<Option<Container>>,
    /// Whether connections are broken off.
    down: watch::Sender<bool>,
    /// Which events were asked for last.
    filters: Mutex<Option<Value>>,
}

type World = Arc<Daemon>;

/// The daemon, with at most one container, whose name is `bot`.
pub struct Docker {
    pub socket: PathBuf,
    world: World,
    serving: tokio::task::JoinHandle<()>,
}

impl Drop for Docker {
    fn drop(&mut self) {
        self.serving.abort();
        self.world.down.send_replace(true);
    }
}

impl Docker {
    pub fn start(socket: PathBuf, container: Option<Container>) -> Self {
        let world = Arc::new(Daemon {
            container: watch::Sender::new(container),
            down: watch::Sender::new(false),
            filters: Mutex::default(),
        });
        let router = axum::Router::new()
            .route("/containers/{name}/json", get(inspect))
            .route("/containers/{name}/logs", get(logs))
            .route("/containers/{name}/stats", get(stats))
            .route("/events", get(events))
            .with_state(Arc::clone(&world));
        let listener = tokio::net::UnixListener::bind(&socket).unwrap();
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { socket, world, serving }
    }

    pub fn filters(&self) -> Option<Value> {
        self.world.filters.lock().unwrap().clone()
    }

    pub fn set(&self, container: Option<Container>) {
        self.world.container.send_replace(container);
    }

    pub fn change(&self, change: impl FnOnce(&mut Container)) {
        self.world.container.send_modify(|container| change(container.as_mut().unwrap()));
    }
}

fn find(world: &World, name: &str) -> Result<Container, Box<Response>> {
    let found = world.container.borrow().clone().filter(|container| name == "bot" || name == container.id);
    found.ok_or_else(|| {
        let message = serde_json::json!({ "message": format!("No such container: {name}") });
        Box::new((StatusCode::NOT_FOUND, Json(message)).into_response())
    })
}

async fn inspect(State(world): State<World>, Path(name): Path<String>) -> Response {
    match find(&world, &name) {
        Ok(container) => {
            let mut said = serde_json::json!({
                "Id": container.id,
                "Name": "/bot",
                "Config": { "Tty": container.tty, "Env": null },
                "State": { "Running": container.running, "StartedAt": container.started_at.to_string() },
            });
            for (key, value) in container.inspect.as_object().into_iter().flatten() {
                said[key] = value.clone();
            }
            Json(said).into_response()
        }
        Err(response) => *response,
    }
}

/// Asked for in the form that costs a second it answers nothing that could be used.
async fn stats(
    State(world): State<World>,
    Path(name): Path<String>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let is = |key: &str, wanted: &str| query.get(key).is_some_and(|value| value == wanted);
    if !(is("stream", "false") && is("one-shot", "true")) {
        return StatusCode::BAD_REQUEST.into_response();
    }
    match find(&world, &name).map(|container| container.stats) {
        Ok(Some(Value::Null)) => std::future::pending().await,
        Ok(Some(stats)) => Json(stats).into_response(),
        Ok(None) => StatusCode::OK.into_response(),
        Err(response) => *response,
    }
}

/// One line for each change. As with Podman, nothing is said before the first one.
async fn events(State(world): State<World>, Query(query): Query<HashMap<String, String>>) -> Response {
    const LINE: Bytes = Bytes::from_static(b"{\"Type\":\"container\"}\n");
    let mut seen = world.container.subscribe();
    seen.mark_unchanged();
    *world.filters.lock().unwrap() = serde_json::from_str(&query["filters"]).ok();
    if seen.changed().await.is_err() {
        return StatusCode::OK.into_response();
    }
    let first = stream::once(async { Ok::<_, std::io::Error>(LINE) });
    let rest = stream::unfold(seen, async |mut seen: watch::Receiver<Option<Container>>| {
        seen.changed().await.ok()?;
        Some((Ok(LINE), seen))
    });
    Body::from_stream(stream::StreamExt::chain(first, rest)).into_response()
}

/// As dockerd does: `since` includes its very nanosecond, `tail` counts what is left of that, and following ends with
/// the container.
async fn logs(
    State(world): State<World>,
    Path(name): Path<String>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let container = match find(&world, &name) {
        Ok(container) => container,
        Err(response) => return *response,
    };
    let is_on = |key: &str| query.get(key).is_some_and(|value| value == "1");
    if !(is_on("stdout") && is_on("stderr") && is_on("timestamps")) {
        let message = serde_json::json!({ "message": "you must choose at least one stream" });
        return (StatusCode::BAD_REQUEST, Json(message)).into_response();
    }
    let since = query.get("since").map_or(0, |since| {
        let (seconds, nanos) = since.split_once('.').unwrap_or((since, "0"));
        seconds.parse::<i128>().unwrap() * 1_000_000_000 + format!("{nanos:0<9}").parse::<i128>().unwrap()
    });
    let wanted = container.messages.iter().filter(|(at, ..)| *at >= since).count();
    let tail = query.get("tail").map_or(wanted, |tail| tail.parse().unwrap());
    let sending = Sending {
        seen: world.container.subscribe(),
        down: world.down.subscribe(),
        id: container.id,
        follow: is_on("follow"),
        since,
        left_out: wanted.saturating_sub(tail),
        next: 0,
        bytes: Vec::new(),
        cut: 0,
    };
    let chunks = stream::unfold(sending, async |mut sending| {
        let mut down = sending.down.clone();
        tokio::select! {
            chunk = sending.chunk() => Some((Ok(chunk?), sending)),
            _ = down.wait_for(|down| *down) => Some((Err(std::io::Error::other("the daemon ends")), sending)),
        }
    });
    Body::from_stream(chunks).into_response()
}

struct Sending {
    seen: watch::Receiver<Option<Container>>,
    down: watch::Receiver<bool>,
    id: &'static str,
    follow: bool,
    since: i128,
    left_out: usize,
    next: usize,
    bytes: Vec<u8>,
    cut: usize,
}

impl Sending {
    /// What is sent next, of odd length: frames, times and lines come apart anywhere.
    async fn chunk(&mut self) -> Option<Bytes> {
        while self.bytes.is_empty() {
            let container = self.seen.borrow_and_update().clone().filter(|container| container.id == self.id)?;
            for (at, output, text) in container.messages.iter().skip(self.next) {
                self.send(container.tty, *at, *output, text);
            }
            self.next = container.messages.len();
            if self.bytes.is_empty() {
                if !(self.follow && container.running) {
                    return None;
                }
                self.seen.changed().await.ok()?;
            }
        }
        self.cut = self.cut % 13 + 1;
        let rest = self.bytes.split_off(self.bytes.len().min(self.cut * self.cut));
        Some(std::mem::replace(&mut self.bytes, rest).into())
    }

    fn send(&mut self, tty: bool, at: i128, output: u8, text: &str) {
        if at < self.since {
            return;
        }
        if self.left_out > 0 {
            self.left_out -= 1;
            return;
        }
        let stamp = OffsetDateTime::from_unix_timestamp_nanos(at).unwrap();
        let form =
            time::macros::format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:9]Z");
        let text = format!("{} {text}", stamp.format(form).unwrap());
        if !tty {
            self.bytes.extend_from_slice(&[output, 0, 0, 0]);
            self.bytes.extend_from_slice(&u32::try_from(text.len()).unwrap().to_be_bytes());
        }
        self.bytes.extend_from_slice(text.as_bytes());
    }
}
