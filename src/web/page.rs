//! The status page: what is broken first, then the groups. Rendered here; the script only fetches it again.

mod rows;

use super::State;
use crate::board::Board;
use crate::board::report::{Overall, Report, clock_time, extent};
use crate::health::Status;
use crate::observation::unix_now;
use askama::Template;
use axum::extract;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use rows::{Row, class};
use std::collections::BTreeMap;

/// Nothing from elsewhere, nothing inline.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

#[derive(Template)]
#[template(path = "status.html")]
struct StatusPage {
    overall: Overall,
    headline: String,
    updated: String,
    tiles: Vec<Tile>,
    sections: Vec<Section>,
    version: &'static str,
}

struct Tile {
    count: usize,
    word: &'static str,
    class: &'static str,
}

struct Section {
    title: String,
    rows: Vec<Row>,
}

/// The page.
pub async fn status(extract::State(state): extract::State<State>) -> Response {
    match StatusPage::of(&state.board).render() {
        Ok(html) => Html(html).into_response(),
        Err(error) => {
            tracing::error!(%error, "the page cannot be rendered, which is a defect of Banken");
            (StatusCode::INTERNAL_SERVER_ERROR, "the page cannot be rendered; see the log\n").into_response()
        }
    }
}

impl StatusPage {
    fn of(board: &Board) -> Self {
        let report = Report::of(board);
        let now = unix_now();
        let rows = rows(board, &report, now);
        let count = |state: Status| rows.iter().filter(|row| row.state == state).count();
        let tile = |state| Tile { count: count(state), word: Status::as_str(state), class: class(state) };
        // The worst first.
        let tiles = Status::ALL.into_iter().rev().map(tile).collect();
        let (broken, fine): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.needs_attention);
        Self {
            overall: report.overall_status,
            headline: headline(&report, broken.len()),
            updated: clock_time(now),
            tiles,
            sections: sections(broken, fine),
            version: env!("CARGO_PKG_VERSION"),
        }
    }
}

/// Everything that is watched. A reload may have brought something since the report was made; the next look shows it.
fn rows(board: &Board, report: &Report, now: f64) -> Vec<Row> {
    let (probes, logs) = (board.probes(), board.logs());
    let probes = probes
        .iter()
        .filter_map(|cell| report.checks.get(&cell.descriptor().name).map(|check| Row::of_probe(cell, check, now)));
    let logs = logs
        .iter()
        .filter_map(|cell| report.logs.get(&cell.descriptor().name).map(|check| Row::of_log(cell, check, now)));
    let jobs = report.jobs.iter().map(|(name, check)| Row::of_job(name, check, now));
    probes.chain(logs).chain(jobs).collect()
}

fn sections(mut broken: Vec<Row>, fine: Vec<Row>) -> Vec<Section> {
    let mut sections = Vec::new();
    if !broken.is_empty() {
        broken.sort_by_key(|row| row.state != Status::Unhealthy);
        sections.push(Section { title: "Needs attention".into(), rows: broken });
    }
    let mut groups: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    for row in fine {
        groups.entry(row.group.clone().unwrap_or_default()).or_default().push(row);
    }
    let rest = groups.remove("");
    sections.extend(groups.into_iter().map(|(title, rows)| Section { title, rows }));
    sections.extend(rest.map(|rows| Section { title: "Everything else".into(), rows }));
    sections
}

fn headline(report: &Report, broken: usize) -> String {
    let (probes, logs, jobs) = (report.checks.len(), report.logs.len(), report.jobs.len());
    let all = extent(probes, logs, jobs, 0);
    let of_all = if logs + jobs == 0 { all.clone() } else { (probes + logs + jobs).to_string() };
    match report.overall_status {
        Overall::Healthy => format!("All is well: {all} healthy"),
        Overall::Unknown if broken == 0 => "Not everything has run yet".into(),
        _ => format!("{broken} of {of_all} need{} attention", if broken == 1 { "s" } else { "" }),
    }
}

/// The page's style.
pub async fn stylesheet() -> Response {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], include_str!("assets/page.css")).into_response()
}

/// The page's script.
pub async fn script() -> Response {
    ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], include_str!("assets/page.js")).into_response()
}

/// The page's icon.
pub async fn icon() -> Response {
    ([(header::CONTENT_TYPE, "image/svg+xml")], include_str!("assets/icon.svg")).into_response()
}
