//! `/healthz`, `/readyz` and `/-/reload`.

use super::State;
use axum::extract;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use tokio::sync::oneshot;

/// Alive: the loop that answers this turns.
pub async fn alive() -> &'static str {
    "alive\n"
}

/// Ready: every probe has run once.
pub async fn ready(extract::State(state): extract::State<State>) -> Response {
    match state.board.waiting_for_first_run() {
        0 => "ready\n".into_response(),
        waiting => {
            let text = format!("not ready: {waiting} probes have not run yet\n");
            (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
        }
    }
}

/// Reloads the configuration and says what was done, or every mistake.
pub async fn reload(extract::State(state): extract::State<State>, headers: HeaderMap) -> Response {
    if is_from_another_site(&headers) {
        return (StatusCode::FORBIDDEN, "a reload is not taken from another site\n").into_response();
    }
    let (request, answer) = oneshot::channel();
    if state.reload.send(request).await.is_err() {
        return (StatusCode::SERVICE_UNAVAILABLE, "Banken is ending\n").into_response();
    }
    match answer.await {
        Ok(Ok(summary)) => format!("reloaded: {summary}\n").into_response(),
        Ok(Err(problems)) => {
            let text = format!("refused, the old configuration goes on:\n{problems}\n");
            (StatusCode::UNPROCESSABLE_ENTITY, text).into_response()
        }
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "Banken is ending\n").into_response(),
    }
}

/// Whether a web page of somebody else, open in the operator's browser, sent it: it must not be able to change anything.
pub fn is_from_another_site(headers: &HeaderMap) -> bool {
    headers.get("sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none")
}
