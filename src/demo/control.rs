//! The listener on which faults are switched; nothing that a fault does reaches it.

use std::net::SocketAddr;
use std::sync::Arc;

use askama::Template;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, Query, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, StatusCode, Uri};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::faults::{Fault, Row, TABLE, parse_duration};
use super::market::rfc3339;
use super::pages::{beside, page};
use super::switches::Switches;

const MOST_BODY: usize = 4096;

/// What the control API knows of the world.
#[derive(Debug)]
pub(super) struct Panel {
    pub switches: Arc<Switches>,
    pub service: SocketAddr,
    pub control: SocketAddr,
}

pub(super) fn router(panel: Arc<Panel>) -> Router {
    Router::new()
        .route("/", get(async || Redirect::temporary("/demo")))
        .route("/demo", get(list))
        .route("/demo/reset", post(reset))
        .route("/demo/{fault}", get(one).put(switch_on).post(switch_on).delete(switch_off))
        .route("/demo/{fault}/off", post(switch_off))
        .fallback(async || refuse(StatusCode::NOT_FOUND, "nothing here: faults are at /demo"))
        .layer(middleware::from_fn(own_pages_only))
        .layer(DefaultBodyLimit::max(MOST_BODY))
        .with_state(panel)
}

/// A page from elsewhere in the same browser must not be able to fill this host's memory.
async fn own_pages_only(request: Request, next: Next) -> Response {
    let site = request.headers().get("sec-fetch-site").map(|site| site.as_bytes().to_vec());
    let own = site.is_none_or(|site| site == b"same-origin" || site == b"none");
    if own || request.method().is_safe() {
        next.run(request).await
    } else {
        refuse(StatusCode::FORBIDDEN, "faults are not switched from the pages of another site")
    }
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Wish {
    value: Option<String>,
    #[serde(rename = "for")]
    lasting: Option<String>,
}

/// One fault as it is shown.
#[derive(Debug, Serialize)]
struct Shown {
    name: &'static str,
    summary: &'static str,
    parameter: Option<ShownParameter>,
    on: bool,
    value: Option<String>,
    since: Option<String>,
    ends_in_seconds: Option<u64>,
}

#[derive(Debug, Serialize)]
struct ShownParameter {
    expected: String,
    default: &'static str,
}

impl Shown {
    fn of(row: &Row, switches: &Switches) -> Self {
        let active = switches.active(row.fault);
        let parameter = row.parameter.as_ref();
        Self {
            name: row.name,
            summary: row.summary,
            parameter: parameter.map(|p| ShownParameter { expected: p.kind.expected(), default: p.default }),
            on: active.is_some(),
            value: active.as_ref().filter(|_| parameter.is_some()).map(|active| active.value.to_string()),
            since: active.as_ref().map(|active| rfc3339(active.since)),
            ends_in_seconds: active.and_then(|active| active.remaining()).map(|left| left.as_secs_f64().ceil() as u64),
        }
    }
}

#[derive(Template)]
#[template(path = "demo_faults.html")]
struct FaultsPage {
    rows: Vec<Shown>,
    service: String,
    control: String,
}

async fn list(State(panel): State<Arc<Panel>>, headers: HeaderMap) -> Response {
    let faults = TABLE.iter().map(|row| Shown::of(row, &panel.switches)).collect();
    if wants_html(&headers) {
        page(&FaultsPage {
            rows: faults,
            service: beside(&headers, panel.service),
            control: beside(&headers, panel.control),
        })
    } else {
        Json(json!({ "faults": faults })).into_response()
    }
}

async fn one(State(panel): State<Arc<Panel>>, Path(name): Path<String>) -> Response {
    match Fault::named(&name) {
        Some(fault) => shown(&panel, fault, StatusCode::OK),
        None => unknown(&name),
    }
}

async fn switch_on(
    State(panel): State<Arc<Panel>>,
    Path(name): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(fault) = Fault::named(&name) else { return unknown(&name) };
    let switched = wish(&uri, &headers, &body).and_then(|wish| {
        let value = fault.value(wish.value.as_deref().map(str::trim).filter(|raw| !raw.is_empty()))?;
        let lasting = match wish.lasting.as_deref().map(str::trim).filter(|raw| !raw.is_empty()) {
            Some(raw) => Some(
                parse_duration(raw)
                    .ok_or_else(|| format!("for {raw:?}: expected a duration from 1ms to 24h, such as 30s"))?,
            ),
            None => None,
        };
        panel.switches.on(fault, value, lasting);
        Ok(())
    });
    match switched {
        Err(reason) => refuse(StatusCode::BAD_REQUEST, &reason),
        Ok(()) if wants_html(&headers) => Redirect::to("/demo").into_response(),
        Ok(()) if fault == Fault::Crash => shown(&panel, fault, StatusCode::ACCEPTED),
        Ok(()) => shown(&panel, fault, StatusCode::OK),
    }
}

async fn switch_off(State(panel): State<Arc<Panel>>, Path(name): Path<String>, headers: HeaderMap) -> Response {
    let Some(fault) = Fault::named(&name) else { return unknown(&name) };
    panel.switches.off(fault);
    if wants_html(&headers) { Redirect::to("/demo").into_response() } else { shown(&panel, fault, StatusCode::OK) }
}

async fn reset(State(panel): State<Arc<Panel>>, headers: HeaderMap) -> Response {
    panel.switches.reset();
    if wants_html(&headers) { Redirect::to("/demo").into_response() } else { list(State(panel), headers).await }
}

/// What is wished for, from the query and from a form together.
fn wish(uri: &Uri, headers: &HeaderMap, body: &Bytes) -> Result<Wish, String> {
    let form =
        headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/x-www-form-urlencoded"));
    let body = std::str::from_utf8(body).map_err(|_| "the body is not text".to_owned())?;
    if !form && !body.is_empty() {
        return Err("give value and for in the query or as a form".to_owned());
    }
    let parts = [uri.query().unwrap_or_default(), body.trim()];
    let all = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("&");
    let joined = format!("/?{all}").parse::<Uri>().map_err(|_| "the form is not encoded as a form".to_owned())?;
    let Query(wish) = Query::try_from_uri(&joined)
        .map_err(|refusal| format!("{}: only value and for are known", refusal.body_text()))?;
    Ok(wish)
}

fn wants_html(headers: &HeaderMap) -> bool {
    headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).is_some_and(|accept| accept.contains("text/html"))
}

fn unknown(name: &str) -> Response {
    let names = TABLE.iter().map(|row| row.name).collect::<Vec<_>>();
    let name = name.chars().take(64).collect::<String>();
    (StatusCode::NOT_FOUND, Json(json!({"error": format!("no fault is called {name:?}"), "faults": names})))
        .into_response()
}

fn shown(panel: &Panel, fault: Fault, status: StatusCode) -> Response {
    (status, Json(Shown::of(fault.row(), &panel.switches))).into_response()
}

fn refuse(status: StatusCode, reason: &str) -> Response {
    (status, Json(json!({ "error": reason }))).into_response()
}
