//! The router: what is answered where. One file per page or API; the bounds of the server are in `server.rs`.

mod alerts;
mod badge;
mod control;
mod jobs;
mod metrics;
mod page;
mod runbooks;
mod server;
mod status;
mod words;

pub use server::serve;

use crate::board::Board;
use crate::jobs::Jobs;
use crate::metrics::Exposition;
use crate::remedy::webhook::Inbox;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::timeout::TimeoutLayer;

/// A wish to reload, and where to answer: what was done, or every mistake.
pub type ReloadRequest = oneshot::Sender<Result<String, String>>;

/// What handlers share. They only read the board, and hand reports of runs to the jobs.
#[derive(Clone)]
pub struct State {
    board: Arc<Board>,
    exposition: Arc<Exposition>,
    jobs: Arc<Jobs>,
    inbox: Arc<Inbox>,
    reload: mpsc::Sender<ReloadRequest>,
    pages: Arc<page::Pages>,
}

impl State {
    /// Of this board; wishes to reload go to `reload`, and answers that go on end once `stopped` says so.
    pub fn new(
        board: Arc<Board>,
        exposition: Exposition,
        jobs: Arc<Jobs>,
        inbox: Arc<Inbox>,
        reload: mpsc::Sender<ReloadRequest>,
        stopped: watch::Receiver<bool>,
    ) -> Self {
        let pages = Arc::new(page::Pages::new(stopped));
        Self { board, exposition: Arc::new(exposition), jobs, inbox, reload, pages }
    }
}

/// The largest body that is read of a request, but for what Alertmanager sends.
const MAX_BODY: usize = 64 * 1024;

/// The longest until an answer begins, the body of the request included. Events go on for as long as they are read.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Everything that is answered.
pub fn router(state: State) -> Router {
    // The fastest level halves the bytes of a scrape ten times over already; the default one costs ten times as much.
    let compression = CompressionLayer::new().gzip(true).quality(CompressionLevel::Fastest);
    let header = |name: HeaderName, value: &'static str| {
        SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value))
    };
    Router::new()
        .route("/", get(page::status))
        .route("/probes/{name}", get(page::probe))
        .route("/events", get(page::events))
        .route("/badge/{file}", get(badge::badge))
        .route("/assets/page.css", get(page::stylesheet))
        .route("/assets/page.js", get(page::script))
        .route("/assets/icon.svg", get(page::icon))
        .route("/metrics", get(metrics::scrape))
        .route("/healthz", get(control::alive))
        .route("/readyz", get(control::ready))
        .route("/runbooks", get(runbooks::list))
        .route("/runbooks/{alert}", get(runbooks::one))
        .route("/api/v1/status", get(status::report))
        .route("/api/v1/probes/{name}", get(status::probe))
        .route("/api/v1/logs/{name}", get(status::log))
        .route("/api/v1/jobs/{name}", get(jobs::detail))
        .route("/api/v1/jobs/{name}/{step}", post(jobs::report).layer(DefaultBodyLimit::max(jobs::MAX_REPORT)))
        .route("/api/v1/remedies/{name}", get(status::remedy))
        .route("/-/reload", post(control::reload))
        .fallback(not_found)
        .layer(RequestBodyLimitLayer::new(MAX_BODY))
        // With a bound of its own, which is a wider one.
        .route("/api/v1/alerts", post(alerts::receive).layer(DefaultBodyLimit::max(alerts::MAX_MESSAGE)))
        .with_state(state)
        .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, REQUEST_TIMEOUT))
        .layer(compression)
        .layer(header(header::CACHE_CONTROL, "no-store"))
        .layer(header(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(header(header::REFERRER_POLICY, "no-referrer"))
        .layer(header(header::CONTENT_SECURITY_POLICY, page::CONTENT_SECURITY_POLICY))
}

async fn not_found() -> Response {
    let text = "there is nothing here; try /, /probes/NAME, /badge/NAME.svg, /metrics, /healthz, /readyz, \
                /runbooks, /events, /api/v1/status, or NAME below /api/v1/probes, logs, jobs or remedies\n";
    (StatusCode::NOT_FOUND, text).into_response()
}
