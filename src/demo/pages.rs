//! What the simulated service answers, and how a fault changes the answer.

use std::net::SocketAddr;
use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, Request, State};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HOST, WWW_AUTHENTICATE};
use http::uri::Authority;
use http::{HeaderMap, StatusCode};
use serde_json::json;
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;

use super::Service;
use super::dashboard::Dashboard;
use super::faults::{Fault, Value};
use super::health;
use super::market::{Pair, rfc3339};
use super::server::Peer;

/// The only accepted credentials of `/api/private/…`; they guard nothing.
const TOKEN: &str = "demo-token";
const LOGIN: &str = "demo:demo";

pub(super) fn router(service: Arc<Service>) -> Router {
    Router::new()
        .route("/", get(dashboard))
        .route("/api/ticker/{pair}", get(ticker))
        .route("/api/private/balance", get(balance))
        .route("/v1/candlesticks/{pair}", get(candlesticks))
        .route("/health", get(async || Json(json!({"status": "ok"}))))
        .route("/health/detailed", get(health::detailed))
        .route("/metrics", get(metrics))
        .fallback(async || detail(StatusCode::NOT_FOUND, "Not Found"))
        .layer(middleware::from_fn_with_state(Arc::clone(&service), misbehave))
        .layer(CompressionLayer::new().quality(CompressionLevel::Fastest))
        .layer(middleware::from_fn_with_state(Arc::clone(&service), account))
        .with_state(service)
}

/// Counts and logs every answer, also those that a fault made.
async fn account(State(service): State<Arc<Service>>, request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<Peer>().map(|peer| peer.0.to_string()).unwrap_or_default();
    let path = request.uri().path().chars().take(200).collect::<String>();
    let line = format!("{peer} - \"{} {path} {:?}\"", request.method(), request.version());
    let response = next.run(request).await;
    let status = response.status();
    service.counters.request(status);
    let line = format!("{line} {} {}", status.as_u16(), status.canonical_reason().unwrap_or_default());
    service.log.info("uvicorn.access", &line);
    response
}

/// The faults that hit every answer alike.
async fn misbehave(State(service): State<Arc<Service>>, request: Request, next: Next) -> Response {
    let switches = &service.switches;
    let delays = async {
        switches.until_off(Fault::Hang).await;
        if let Some(Value::Duration(delay)) = switches.value(Fault::Slow) {
            let _ = tokio::time::timeout(delay, switches.until_off(Fault::Slow)).await;
        }
    };
    let mut stop = service.stop.clone();
    tokio::select! {
        () = delays => {}
        _ = stop.wait_for(|stop| *stop) => return detail(StatusCode::SERVICE_UNAVAILABLE, "Shutting down"),
    }
    match switches.value(Fault::Error) {
        Some(Value::Status(status)) => detail(status, status.canonical_reason().unwrap_or("Error")),
        _ => next.run(request).await,
    }
}

/// Holds an answer back while a fault is on; what is said instead when the service ends.
async fn until_off(service: &Service, fault: Fault) -> Result<(), Response> {
    let mut stop = service.stop.clone();
    tokio::select! {
        () = service.switches.until_off(fault) => Ok(()),
        _ = stop.wait_for(|stop| *stop) => Err(detail(StatusCode::SERVICE_UNAVAILABLE, "Shutting down")),
    }
}

async fn ticker(State(service): State<Arc<Service>>, Path(name): Path<String>) -> Response {
    let Some(pair) = Pair::named(&name) else { return unknown_pair() };
    let mut ticker = pair.ticker(service.now());
    if let (Some(Value::Field(field)), Some(fields)) =
        (service.switches.value(Fault::MissingField), ticker.as_object_mut())
    {
        fields.remove(field);
    }
    let mut body = ticker.to_string();
    if service.switches.is_on(Fault::BadJson) {
        body.truncate(body.len() / 2);
    }
    ([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")], body).into_response()
}

async fn candlesticks(State(service): State<Arc<Service>>, Path(name): Path<String>) -> Response {
    match Pair::named(&name) {
        Some(pair) => match until_off(&service, Fault::AtrHang).await {
            Ok(()) => Json(pair.candlesticks(service.now())).into_response(),
            Err(shutting_down) => shutting_down,
        },
        None => unknown_pair(),
    }
}

async fn balance(State(service): State<Arc<Service>>, headers: HeaderMap) -> Response {
    if !admitted(&headers) {
        let challenge = [(WWW_AUTHENTICATE, "Bearer realm=\"demo\", Basic realm=\"demo\"")];
        return (challenge, detail(StatusCode::UNAUTHORIZED, "Not authenticated")).into_response();
    }
    Json(json!({
        "assets": [{"asset": "jpy", "free": "1250000.0000"}, {"asset": "doge", "free": "18230.5000"}],
        "timestamp": rfc3339(service.now()),
    }))
    .into_response()
}

fn admitted(headers: &HeaderMap) -> bool {
    let given =
        headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(|value| value.split_once(' '));
    given.is_some_and(|(scheme, secret)| match scheme.to_ascii_lowercase().as_str() {
        "bearer" => secret.trim() == TOKEN,
        "basic" => secret.trim() == STANDARD.encode(LOGIN),
        _ => false,
    })
}

async fn metrics(State(service): State<Arc<Service>>) -> Response {
    let page = service.counters.page(service.now(), service.started, service.switches.is_on(Fault::ApiOnly));
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], page).into_response()
}

async fn dashboard(State(service): State<Arc<Service>>, headers: HeaderMap) -> Response {
    page(&Dashboard::of(&service, beside(&headers, service.control)))
}

/// An address of the demo as the asker can reach it: by the name by which this page was asked for, since the address
/// itself may be `0.0.0.0`.
pub(super) fn beside(headers: &HeaderMap, addr: SocketAddr) -> String {
    let asked = headers.get(HOST).and_then(|host| Authority::try_from(host.as_bytes()).ok());
    asked.map_or_else(|| addr.to_string(), |asked| format!("{}:{}", asked.host(), addr.port()))
}

/// A page that loads nothing from anywhere.
pub(super) fn page(template: &impl Template) -> Response {
    let policy = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'";
    match template.render() {
        Ok(html) => ([("content-security-policy", policy), ("cache-control", "no-store")], Html(html)).into_response(),
        Err(error) => detail(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

fn unknown_pair() -> Response {
    detail(StatusCode::NOT_FOUND, "Unknown pair")
}

/// An error in the shape in which `FastAPI` gives it.
fn detail(status: StatusCode, text: &str) -> Response {
    (status, Json(json!({"detail": text}))).into_response()
}
