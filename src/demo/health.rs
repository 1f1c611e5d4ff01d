//! The detailed health of the simulated service, as the services this project grew out of give it.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use time::{Duration, OffsetDateTime};

use super::Service;
use super::faults::Fault;
use super::market::{Kpi, rfc3339};

/// How long the initialization took, in seconds.
const ATR_SECONDS: f64 = 3.2;
/// Seconds after which a hanging attempt is given up and the next one begins.
const ATR_ATTEMPT: i64 = 30;
const ATR_ATTEMPTS: i64 = 5;

#[derive(Debug, Serialize)]
pub(super) struct Health {
    pub status: &'static str,
    pub mode: &'static str,
    margin_mode: bool,
    api: Api,
    pub kpi: Kpi,
    init: Init,
    external_data: ExternalData,
    uptime_seconds: i64,
    timestamp: String,
}

#[derive(Debug, Serialize)]
struct Api {
    authenticated: bool,
    last_error: Option<&'static str>,
}

#[derive(Debug, Serialize)]
struct Init {
    atr: Atr,
}

#[derive(Debug, Serialize)]
struct Atr {
    state: &'static str,
    attempts: i64,
    started_at: String,
    duration_seconds: Option<f64>,
    data_quality: Option<f64>,
}

#[derive(Debug, Serialize)]
struct ExternalData {
    status: &'static str,
    last_fetch: String,
}

pub(super) async fn detailed(State(service): State<Arc<Service>>) -> Json<Health> {
    Json(Health::of(&service))
}

impl Health {
    pub fn of(service: &Service) -> Self {
        let now = service.now();
        let on = |fault| service.switches.is_on(fault);
        let (api_only, refused) = (on(Fault::ApiOnly), on(Fault::AuthFailed));
        let degraded = api_only || refused || on(Fault::ExternalData) || on(Fault::AtrHang);
        Self {
            status: if degraded { "degraded" } else { "ok" },
            mode: if api_only { "api_only" } else { "live" },
            margin_mode: true,
            api: Api { authenticated: !refused, last_error: refused.then_some("20001: API authentication failed") },
            kpi: Kpi::at(now),
            init: Init { atr: atr(service, now) },
            external_data: external_data(service, now),
            uptime_seconds: (now - service.started).whole_seconds().max(0),
            timestamp: rfc3339(now),
        }
    }
}

fn atr(service: &Service, now: OffsetDateTime) -> Atr {
    match service.switches.active(Fault::AtrHang) {
        Some(active) => Atr {
            state: "running",
            attempts: (1 + (now - active.since).whole_seconds() / ATR_ATTEMPT).clamp(1, ATR_ATTEMPTS),
            started_at: rfc3339(active.since),
            duration_seconds: None,
            data_quality: None,
        },
        None => Atr {
            state: "done",
            attempts: 1,
            started_at: rfc3339(service.started - Duration::seconds_f64(ATR_SECONDS)),
            duration_seconds: Some(ATR_SECONDS),
            data_quality: Some(0.98),
        },
    }
}

/// Fetched once a minute; a failing fetcher stays at its last success.
fn external_data(service: &Service, now: OffsetDateTime) -> ExternalData {
    let failing = service.switches.active(Fault::ExternalData);
    let at = failing.as_ref().map_or(now, |active| active.since.min(now));
    let age = at.unix_timestamp().rem_euclid(60);
    ExternalData {
        status: if failing.is_some() { "failed" } else { "ok" },
        last_fetch: rfc3339(at - Duration::seconds(age)),
    }
}
