//! `/metrics`: both text formats, by negotiation.

use super::State;
use crate::metrics::Format;
use axum::extract;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// A scrape.
pub async fn scrape(extract::State(state): extract::State<State>, headers: HeaderMap) -> Response {
    let accept: Vec<&str> = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    let format = Format::negotiate(&accept.join(","));
    match state.exposition.open_metrics() {
        Ok(text) => ([(header::CONTENT_TYPE, format.content_type())], format.render(text)).into_response(),
        Err(error) => {
            tracing::error!(%error, "a family cannot be encoded, which is a defect of Banken");
            (StatusCode::INTERNAL_SERVER_ERROR, "the metrics cannot be encoded; see the log\n").into_response()
        }
    }
}
