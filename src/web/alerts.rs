//! `POST /api/v1/alerts`: the webhook of Alertmanager, for remedies that wait for an alert.

use super::State;
use super::jobs::{bearer, refused};
use crate::observation::unix_now;
use crate::remedy::webhook::Refusal;
use axum::Json;
use axum::body::Bytes;
use axum::extract;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// The largest message, in bytes: some hundred alerts with their annotations.
pub const MAX_MESSAGE: usize = 512 * 1024;

/// Takes a message; it is saved before it is answered.
pub async fn receive(
    extract::State(state): extract::State<State>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    if let Err(refusal) = state.inbox.admit(bearer(&headers)) {
        return refusal.into_response();
    }
    let body = match body {
        Ok(body) => body,
        Err(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            return refused(rejection.status(), &format!("the message is larger than {MAX_MESSAGE} bytes"));
        }
        Err(rejection) => return refused(rejection.status(), &rejection.body_text()),
    };
    match tokio::task::spawn_blocking(move || state.inbox.take(&body, unix_now())).await {
        Ok(Ok(receipt)) => {
            tracing::info!(?receipt, "alerts were received");
            Json(receipt).into_response()
        }
        Ok(Err(refusal)) => refusal.into_response(),
        Err(_) => refused(StatusCode::INTERNAL_SERVER_ERROR, "the message could not be taken: a defect of Banken"),
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = match self {
            Refusal::Closed => StatusCode::FORBIDDEN,
            Refusal::Unauthorized => {
                let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
                return (challenge, refused(StatusCode::UNAUTHORIZED, &self.to_string())).into_response();
            }
            Refusal::Malformed(_) => StatusCode::BAD_REQUEST,
            // Alertmanager sends again what is answered with 5xx.
            Refusal::NotSaved(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        refused(status, &self.to_string())
    }
}
