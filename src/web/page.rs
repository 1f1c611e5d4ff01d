//! The status page: what is broken first, then the groups. Rendered here; the script only fetches it again.

use super::State;
use crate::board::report::{Ago, Check, Fact, Overall, Report, clock_time, readings};
use crate::board::{Board, ProbeCell};
use crate::health::Status;
use crate::observation::{Severity, Unit, unix_now};
use askama::Template;
use axum::extract;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
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

struct Row {
    name: String,
    kind: &'static str,
    class: &'static str,
    word: &'static str,
    symbol: &'static str,
    message: String,
    last_run: String,
    since: String,
    success: String,
    facts: Vec<Fact>,
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
        let cells = board.probes();
        let mut broken = Vec::new();
        let mut groups: BTreeMap<String, Vec<Row>> = BTreeMap::new();
        for cell in cells.iter() {
            // A reload may have brought a probe since the report was made; the next look shows it.
            let Some(check) = report.checks.get(&cell.descriptor().name) else { continue };
            let row = Row::of(cell, check, now);
            if needs_attention(check) {
                broken.push((check.state != Status::Unhealthy, row));
            } else {
                groups.entry(check.group.clone().unwrap_or_default()).or_default().push(row);
            }
        }
        broken.sort_by_key(|(milder, _)| *milder);
        let broken: Vec<Row> = broken.into_iter().map(|(_, row)| row).collect();
        let count = |state: Status| report.checks.values().filter(|check| check.state == state).count();
        let tile = |state| Tile { count: count(state), word: Status::as_str(state), class: class(state) };
        Self {
            overall: report.overall_status,
            headline: headline(report.overall_status, broken.len(), report.checks.len()),
            updated: clock_time(now),
            // The worst first.
            tiles: Status::ALL.into_iter().rev().map(tile).collect(),
            sections: sections(broken, groups),
            version: env!("CARGO_PKG_VERSION"),
        }
    }
}

fn sections(broken: Vec<Row>, mut groups: BTreeMap<String, Vec<Row>>) -> Vec<Section> {
    let mut sections = Vec::new();
    if !broken.is_empty() {
        sections.push(Section { title: "Needs attention".into(), rows: broken });
    }
    let rest = groups.remove("");
    sections.extend(groups.into_iter().map(|(title, rows)| Section { title, rows }));
    sections.extend(rest.map(|rows| Section { title: "Everything else".into(), rows }));
    sections
}

fn needs_attention(check: &Check) -> bool {
    matches!(check.state, Status::Unhealthy | Status::Suspect)
        || check.severity.is_some_and(|severity| severity >= Severity::Warning)
        || (check.state == Status::Unknown && check.last_run_at.is_some())
}

fn headline(overall: Overall, broken: usize, all: usize) -> String {
    let probes = if all == 1 { "1 probe".to_owned() } else { format!("{all} probes") };
    match overall {
        Overall::Healthy => format!("All is well: {probes} healthy"),
        Overall::Unknown if broken == 0 => "Not everything has run yet".into(),
        _ => format!("{broken} of {probes} need{} attention", if broken == 1 { "s" } else { "" }),
    }
}

impl Row {
    fn of(cell: &ProbeCell, check: &Check, now: f64) -> Self {
        let ago = |at: Option<f64>| at.map_or("–".into(), |at| format!("{} ago", Ago::since(at, now)));
        let facts = cell.read(|record| {
            let values = readings(record).map(|reading| Fact::of(reading, check.kind));
            let notes = record.readings().notes().iter();
            let notes = notes.map(|(what, fact)| Fact { what: (*what).to_owned(), value: fact.clone() });
            let phases = record.readings().phases().map(|(phase, time)| Fact {
                what: format!("time to {}", phase.as_str()),
                value: Unit::Seconds.show(time.as_secs_f64()),
            });
            notes.chain(phases).chain(values).collect::<Vec<_>>()
        });
        // A threshold that is crossed is the news of a target that answers.
        let severity = check.severity.filter(|_| check.state == Status::Healthy);
        let (class, word, symbol) = match severity {
            None => (class(check.state), check.status, symbol(check.state)),
            Some(severity) => (severity_class(severity), severity.as_str(), severity_symbol(severity)),
        };
        Self {
            name: cell.descriptor().name.clone(),
            kind: check.kind,
            class,
            word,
            symbol,
            message: check.message.clone(),
            last_run: ago(check.last_run_at),
            since: check.since_at.map_or("–".into(), |at| Ago::since(at, now).to_string()),
            success: check.success_ratio.map_or("–".into(), |ratio| Unit::Ratio.show(ratio)),
            facts,
        }
    }
}

/// A colour is never alone: the word and the symbol say the same.
fn class(state: Status) -> &'static str {
    match state {
        Status::Unknown => "unknown",
        Status::Healthy => "healthy",
        Status::Suspect => "suspect",
        Status::Unhealthy => "unhealthy",
    }
}

fn severity_class(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Warning => "suspect",
        Severity::Critical => "unhealthy",
    }
}

fn symbol(state: Status) -> &'static str {
    match state {
        Status::Unknown => "?",
        Status::Healthy => "✓",
        Status::Suspect => "!",
        Status::Unhealthy => "✗",
    }
}

fn severity_symbol(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "i",
        Severity::Warning => symbol(Status::Suspect),
        Severity::Critical => symbol(Status::Unhealthy),
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
