//! `/api/v1/status`, and one probe, log or remedy below `/api/v1/`.

use super::State;
use crate::board::report::{Detail, LogCheck, RemedyCheck, Report};
use crate::observation::unix_now;
use axum::Json;
use axum::extract::{self, Path};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// Everything in short.
pub async fn report(extract::State(state): extract::State<State>) -> Json<Report> {
    Json(Report::of(&state.board))
}

/// One probe in full.
pub async fn probe(extract::State(state): extract::State<State>, Path(name): Path<String>) -> Response {
    match state.board.probe(&name) {
        Some(cell) => Json(Detail::of(&state.board, &cell)).into_response(),
        None => (StatusCode::NOT_FOUND, Json(json!({ "error": "there is no probe of this name" }))).into_response(),
    }
}

/// One log: what was found, and how far it was read.
pub async fn log(extract::State(state): extract::State<State>, Path(name): Path<String>) -> Response {
    match state.board.logs().iter().find(|cell| cell.descriptor().name == name) {
        Some(cell) => Json(LogCheck::of(cell, unix_now())).into_response(),
        None => (StatusCode::NOT_FOUND, Json(json!({ "error": "there is no log of this name" }))).into_response(),
    }
}

/// One remedy: where it stands, what it did last, and why it did not.
pub async fn remedy(extract::State(state): extract::State<State>, Path(name): Path<String>) -> Response {
    match state.board.remedies().iter().find(|cell| cell.descriptor().name == name) {
        Some(cell) => Json(RemedyCheck::of(cell)).into_response(),
        None => (StatusCode::NOT_FOUND, Json(json!({ "error": "there is no remedy of this name" }))).into_response(),
    }
}
