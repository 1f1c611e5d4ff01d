//! A running service on free ports, and the few ways in which the tests look at it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::Result;
use reqwest::{Client, Method, StatusCode};
use serde_json::Value as Json;
use time::OffsetDateTime;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::demo::logfile::Log;
use crate::demo::metrics::Counters;
use crate::demo::switches::Switches;
use crate::demo::{Demo, Ended, Options, Service};

/// Far longer than anything here takes, so that only a defect meets it.
const DEADLINE: Duration = Duration::from_secs(20);

/// A folder of its own that is gone with the test.
pub(in crate::demo) struct Scratch(PathBuf);

pub(in crate::demo) fn scratch() -> Scratch {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("banken-demo-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let path = std::env::temp_dir().join(name);
    std::fs::create_dir(&path).unwrap();
    Scratch(path)
}

impl Scratch {
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The shared state alone, without a socket; its log goes nowhere.
pub(in crate::demo) fn service() -> Service {
    Service {
        switches: Arc::new(Switches::new()),
        log: Log::channel().0,
        counters: Counters::default(),
        started: OffsetDateTime::now_utc(),
        control: ([127, 0, 0, 1], 0).into(),
        stop: watch::channel(false).1,
    }
}

/// Asks until the answer is yes.
pub(super) async fn eventually(what: &str, mut asked: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !asked().await {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub(super) struct Rig {
    pub client: Client,
    pub base: String,
    pub control: String,
    pub tls: std::net::SocketAddr,
    pub dir: Scratch,
    stop: Option<oneshot::Sender<()>>,
    running: JoinHandle<Result<Ended>>,
}

pub(super) fn options(dir: &Scratch) -> Options {
    let any = ([127, 0, 0, 1], 0).into();
    Options { listen: any, tls_listen: any, control: any, dir: dir.path().into(), ..Options::default() }
}

impl Rig {
    pub async fn start() -> Self {
        Self::with(|_| ()).await
    }

    pub async fn with(change: impl FnOnce(&mut Options)) -> Self {
        let dir = scratch();
        let mut options = options(&dir);
        change(&mut options);
        let demo = Demo::bind(options).await.unwrap();
        let base = format!("http://{}", demo.addr());
        let control = format!("http://{}/demo", demo.control_addr());
        let tls = demo.tls_addr();
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(demo.serve(async {
            let _ = stopped.await;
        }));
        // Every request on a connection of its own: a kept one could answer from before a crash.
        let client = Client::builder().no_proxy().pool_max_idle_per_host(0).timeout(DEADLINE).build().unwrap();
        Self { client, base, control, tls, dir, stop: Some(stop), running }
    }

    pub async fn get(&self, path: &str) -> reqwest::Result<reqwest::Response> {
        self.client.get(format!("{}{path}", self.base)).send().await
    }

    pub async fn json(&self, path: &str) -> Json {
        self.get(path).await.unwrap().json().await.unwrap()
    }

    pub async fn ask(&self, method: Method, path: &str) -> (StatusCode, Json) {
        let answer = self.client.request(method, format!("{}{path}", self.control)).send().await.unwrap();
        (answer.status(), answer.json().await.unwrap())
    }

    pub async fn on(&self, fault: &str) {
        let (status, answer) = self.ask(Method::PUT, &format!("/{fault}")).await;
        assert_eq!((status, &answer["on"]), (StatusCode::OK, &Json::Bool(true)), "{answer}");
    }

    pub async fn off(&self, fault: &str) {
        let (status, answer) = self.ask(Method::DELETE, &format!("/{fault}")).await;
        assert_eq!((status, &answer["on"]), (StatusCode::OK, &Json::Bool(false)), "{answer}");
    }

    /// Whether the service refuses to be connected to.
    pub async fn refuses(&self) -> bool {
        self.get("/health").await.is_err_and(|error| error.is_connect())
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("app.log")).unwrap()
    }

    pub async fn stop(mut self) -> Ended {
        let _ = self.stop.take().unwrap().send(());
        self.ended().await
    }

    /// Waits for the service to end, for whatever reason.
    pub async fn ended(&mut self) -> Ended {
        tokio::time::timeout(DEADLINE, &mut self.running).await.expect("it never ended").unwrap().unwrap()
    }
}
