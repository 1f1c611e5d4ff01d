//! `/api/v1/jobs/{name}`, and `POST /api/v1/jobs/{name}/start|success|failure` for whoever runs it.

use super::State;
use super::control::is_from_another_site;
use crate::board::JobCell;
use crate::board::report::{JobCheck, rfc3339};
use crate::jobs::{Details, Event, Refusal, Step};
use crate::observation::unix_now;
use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{self, Path, Query};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// The largest body of a report, in bytes.
pub const MAX_REPORT: usize = 8 * 1024;

/// What a report may say, as JSON in the body or in the query.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Report {
    run: Option<String>,
    records: Option<f64>,
    message: Option<String>,
    duration_seconds: Option<f64>,
}

impl Report {
    /// The body comes first, the query adds what it does not say.
    fn of(query: Result<Query<Report>, QueryRejection>, body: &[u8]) -> Result<Details, String> {
        let Query(query) = query.map_err(|rejection| format!("the query is wrong: {}", rejection.body_text()))?;
        let body = match body.trim_ascii() {
            [] => Report::default(),
            body => serde_json::from_slice(body).map_err(|error| {
                format!("the body is wrong: {error}; send none, or JSON such as {{\"run\": \"17\", \"records\": 7}}")
            })?,
        };
        Ok(Details {
            run: body.run.or(query.run).unwrap_or_default(),
            records: body.records.or(query.records),
            message: body.message.or(query.message).unwrap_or_default(),
            duration: body.duration_seconds.or(query.duration_seconds),
        })
    }
}

/// Takes a report of a run.
pub async fn report(
    extract::State(state): extract::State<State>,
    Path((name, step)): Path<(String, String)>,
    headers: HeaderMap,
    query: Result<Query<Report>, QueryRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let at = unix_now();
    if is_from_another_site(&headers) {
        return refused(StatusCode::FORBIDDEN, "a report is not taken from another site");
    }
    let Some(step) = Step::named(&step) else {
        return refused(StatusCode::NOT_FOUND, "there is no such step of a run: use start, success or failure");
    };
    let reporter = match state.jobs.admit(&name, bearer(&headers)) {
        Ok(reporter) => reporter,
        Err(refusal) => return refusal.into_response(),
    };
    let body = match body {
        Ok(body) => body,
        Err(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            return refused(rejection.status(), &format!("the body is larger than {MAX_REPORT} bytes"));
        }
        Err(rejection) => return refused(rejection.status(), &rejection.body_text()),
    };
    let event = match Report::of(query, &body).and_then(|details| Event::new(step, details, at)) {
        Ok(event) => event,
        Err(problem) => return refused(StatusCode::BAD_REQUEST, &problem),
    };
    // It is saved before it is answered.
    match tokio::task::spawn_blocking(move || state.jobs.report(&reporter, &event)).await {
        Ok(Ok(receipt)) => Json(receipt).into_response(),
        Ok(Err(refusal)) => refusal.into_response(),
        Err(_) => refused(StatusCode::INTERNAL_SERVER_ERROR, "the report could not be taken: a defect of Banken"),
    }
}

/// The token of `Authorization: Bearer …`; the name of the scheme is in any case (RFC 9110).
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

pub fn refused(status: StatusCode, problem: &str) -> Response {
    (status, Json(json!({ "error": problem }))).into_response()
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Refusal::Unknown => refused(StatusCode::NOT_FOUND, &self.to_string()),
            Refusal::Unauthorized => {
                let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
                (challenge, refused(StatusCode::UNAUTHORIZED, &self.to_string())).into_response()
            }
        }
    }
}

/// One job with everything that is known of it.
#[derive(Debug, Serialize)]
struct Detail {
    name: String,
    #[serde(flatten)]
    check: JobCheck,
    /// The runs that have not ended, the oldest first.
    under_way: Vec<UnderWay>,
}

/// A run that has not ended.
#[derive(Debug, Serialize)]
struct UnderWay {
    #[serde(skip_serializing_if = "String::is_empty")]
    run: String,
    /// RFC 3339.
    started: String,
    seconds: f64,
}

impl Detail {
    fn of(cell: &JobCell, now: f64) -> Self {
        let check = JobCheck::of(cell, now);
        let under_way = cell.read(|record| {
            let runs = record.running.iter().map(|run| UnderWay {
                run: run.id.clone(),
                started: rfc3339(run.started_at),
                seconds: (now - run.started_at).max(0.0),
            });
            runs.collect()
        });
        Self { name: cell.descriptor().name.clone(), check, under_way }
    }
}

/// One job: when it should run, its runs under way, the latest that ended.
pub async fn detail(extract::State(state): extract::State<State>, Path(name): Path<String>) -> Response {
    match state.board.jobs().iter().find(|cell| cell.descriptor().name == name) {
        Some(cell) => Json(Detail::of(cell, unix_now())).into_response(),
        None => Refusal::Unknown.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Uri;

    fn parse(query: &str, body: &str) -> Result<Details, String> {
        let uri: Uri = format!("/x?{query}").parse().unwrap();
        Report::of(Query::try_from_uri(&uri), body.as_bytes())
    }

    #[test]
    fn a_report_is_read_from_its_body_and_its_query() {
        let details = parse("run=17&records=3&message=all%20done", r#"{"records": 7, "duration_seconds": 1.5}"#);
        let expected =
            Details { run: "17".into(), records: Some(7.0), message: "all done".into(), duration: Some(1.5) };
        assert_eq!(details, Ok(expected));
        assert_eq!(parse("", " \n"), Ok(Details::default()));
        assert_eq!(parse("", r#"{"run": null}"#), Ok(Details::default()));
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        for (query, body, said) in [
            ("", "{", "body"),
            ("", r#"{"record": 7}"#, "unknown field `record`"),
            ("", r#"{"records": "7"}"#, "invalid type"),
            ("", "[1", "body"),
            ("rum=1", "", "rum"),
            ("records=many", "", "query"),
        ] {
            let problem = parse(query, body).unwrap_err();
            assert!(problem.contains(said), "{query} {body}: {problem}");
        }
    }

    #[test]
    fn the_scheme_of_a_token_is_in_any_case_and_another_scheme_is_no_token() {
        let token = |value: &str| {
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())]);
            bearer(&headers).map(str::to_owned)
        };
        assert_eq!(token("bearer  abc"), Some("abc".into()));
        assert_eq!(token("Basic abc"), None);
        assert_eq!(token("abc"), None);
    }
}
