//! `/probes/{name}`: one probe with its history, its last failures and everything it measured.

use super::ages::{age, ago, for_script};
use super::charts::{self, Svg, latency_in_words, percent, span};
use super::live::version_of_probe;
use super::look::{Badge, badge, of_status};
use super::rows::ups;
use super::say::{self, Said};
use super::{answer, defect};
use crate::board::report::{Ago, Check, Fact, clock_time, readings};
use crate::board::{Board, FailedRun, Point, ProbeCell, Record, Uptime, Window};
use crate::health::Limit;
use crate::observation::{Severity, Unit, unix_now};
use crate::web::State;
use crate::web::words::{Form, Language, Words, fill};
use askama::Template;
use axum::extract::{self, Path};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use tokio::time::Instant;

#[derive(Template)]
#[template(path = "probe.html")]
struct ProbePage {
    w: &'static Words,
    lang: &'static str,
    name: String,
    what: String,
    badge: Badge,
    said: Said,
    since: String,
    last_run: String,
    causes: Vec<String>,
    depends_on: Vec<String>,
    affects: Vec<String>,
    runbook: Option<&'static str>,
    updated: String,
    version: String,
    now: f64,
    script_words: String,
    ups: Vec<UpTile>,
    day_strip: Svg,
    month_strip: Svg,
    hour_chart: Svg,
    hour_told: String,
    table: Vec<[String; 6]>,
    day_chart: Svg,
    day_told: String,
    failures: Vec<FailureLine>,
    changes: Vec<ChangeLine>,
    facts: Vec<Fact>,
    thresholds: Vec<[String; 5]>,
    watches: String,
}

#[derive(Template)]
#[template(path = "missing.html")]
struct MissingPage {
    w: &'static Words,
    lang: &'static str,
}

struct UpTile {
    label: &'static str,
    text: String,
    class: &'static str,
    bad: String,
    known: String,
}

struct FailureLine {
    lead: &'static str,
    detail: String,
    when: String,
    took: String,
    bar: Svg,
    phases: Vec<PhaseKey>,
}

struct PhaseKey {
    key: &'static str,
    word: &'static str,
    took: String,
}

struct ChangeLine {
    from: Badge,
    to: Badge,
    when: String,
    message: Said,
}

/// The page of a probe.
pub async fn page(
    extract::State(state): extract::State<State>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Response {
    let language = Language::of(&headers);
    let now = unix_now();
    let Some(cell) = state.board.probe(&name) else {
        let page = MissingPage { w: language.words(), lang: language.tag() };
        let mut response = answer(language, page.render(), now);
        *response.status_mut() = StatusCode::NOT_FOUND;
        return response;
    };
    let version = version_of_probe(&state.board, &name, state.pages.boot).to_string();
    let page = ProbePage::of(language, &state.board, &cell, version, now);
    match page.render() {
        Ok(html) => answer(language, Ok(html), now),
        Err(error) => defect(&error.into()),
    }
}

impl ProbePage {
    fn of(language: Language, board: &Board, cell: &ProbeCell, version: String, at: f64) -> Self {
        let words = language.words();
        let descriptor = cell.descriptor();
        let check = Check::of(board, cell);
        let name = &descriptor.name;
        let affected = |other: &&std::sync::Arc<ProbeCell>| other.dependencies().iter().any(|on| on.name == *name);
        let affects = board.probes().iter().filter(affected).map(|cell| cell.descriptor().name.clone()).collect();
        let what = [Some(descriptor.kind), descriptor.group.as_deref()].into_iter().flatten();
        cell.read_at(at, Instant::now(), |record| {
            let history = &record.history;
            let (minutes, tens, hours) = (history.minutes(at), history.tens(at), history.hours(at));
            Self {
                w: words,
                lang: language.tag(),
                what: what.collect::<Vec<_>>().join(" · "),
                badge: badge(words, check.state, check.severity),
                said: say::probe(words, record),
                since: check.since_at.map_or_else(|| "–".to_owned(), |since| age(Form::Lasting, since)),
                last_run: ago(check.last_run_at),
                depends_on: cell.dependencies().iter().map(|on| on.name.clone()).collect(),
                affects,
                runbook: say::runbook_of_probe(record),
                updated: fill(words.as_of, &[&clock_time(at)]),
                version,
                now: at,
                script_words: for_script(words),
                ups: up_tiles(words, |window| history.uptime(window, at)),
                day_strip: charts::strip(words, &tens, 600.0, history.uptime(Window::Day, at)),
                month_strip: charts::strip(words, &gathered(&hours, 6), 21_600.0, history.uptime(Window::Month, at)),
                hour_chart: charts::latency(words, &minutes, &marks(&minutes, 900.0)),
                hour_told: latency_in_words(words, &minutes),
                table: table(&minutes),
                day_chart: charts::latency(words, &tens, &marks(&tens, 21_600.0)),
                day_told: latency_in_words(words, &tens),
                failures: record.recent_failures.iter().rev().map(|run| FailureLine::of(words, run)).collect(),
                changes: changes(words, record),
                facts: facts(words, record, descriptor.kind, check.success_ratio, descriptor.interval.as_secs_f64()),
                thresholds: descriptor.limits.iter().map(|limit| threshold(limit, record)).collect(),
                watches: fill(words.watches, &[env!("CARGO_PKG_VERSION")]),
                causes: check.caused_by,
                name: name.clone(),
            }
        })
    }
}

fn up_tiles(words: &'static Words, uptime: impl Fn(Window) -> Uptime) -> Vec<UpTile> {
    let tile = |up: super::rows::Up| UpTile {
        label: up.label,
        class: up.class,
        bad: match up.uptime.ratio() {
            None => words.nothing_known.to_owned(),
            Some(_) if up.uptime.bad <= 0.0 => words.no_incident.to_owned(),
            Some(_) => fill(words.in_incidents, &[&span(up.uptime.bad)]),
        },
        known: fill(words.of_known, &[&percent(up.uptime.known())]),
        text: up.text,
    };
    ups(words, uptime).into_iter().map(tile).collect()
}

/// Several buckets as one; the last one ends now.
fn gathered(points: &[Point], count: usize) -> Vec<Point> {
    let sum = |part: &[Point]| {
        let first = part.first().map_or(0.0, |point| point.begin);
        let nothing = Point { begin: first, good: 0.0, bad: 0.0, runs: 0, failed: 0, latency: None };
        part.iter().fold(nothing, |sum, point| Point { good: sum.good + point.good, bad: sum.bad + point.bad, ..sum })
    };
    points.chunks(count).map(sum).collect()
}

/// Times of day below a chart, at whole multiples of so many seconds.
fn marks(points: &[Point], every: f64) -> Vec<(usize, String)> {
    let is_whole = |point: &Point| (point.begin / every).fract() == 0.0;
    let whole = points.iter().enumerate().filter(|(_, point)| is_whole(point));
    // At the very edge there is no room for one.
    let with_room = whole.filter(|(index, _)| *index > 0 && index + 2 < points.len());
    with_room.map(|(index, point)| (index, clock_time(point.begin).chars().take(5).collect())).collect()
}

/// Ten minutes in each row, the newest first.
fn table(minutes: &[Point]) -> Vec<[String; 6]> {
    let row = |part: &[Point]| {
        let known: Vec<_> = part.iter().filter_map(|point| Some((f64::from(point.runs), point.latency?))).collect();
        let runs: f64 = known.iter().map(|(runs, _)| runs).sum();
        let failed: u32 = part.iter().map(|point| u32::from(point.failed)).sum();
        let show = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| Unit::Seconds.show(value));
        let mean = (runs > 0.0).then(|| known.iter().map(|(runs, latency)| runs * latency.mean).sum::<f64>() / runs);
        [
            part.first().map_or_else(String::new, |point| clock_time(point.begin).chars().take(5).collect()),
            format!("{runs}"),
            failed.to_string(),
            show(known.iter().map(|(_, latency)| latency.min).reduce(f64::min)),
            show(mean),
            show(known.iter().map(|(_, latency)| latency.max).reduce(f64::max)),
        ]
    };
    minutes.chunks(10).rev().map(row).collect()
}

impl FailureLine {
    fn of(words: &'static Words, run: &FailedRun) -> Self {
        let Said { lead, text } = say::failure(words, &run.failure);
        let key = |(phase, time): &(crate::observation::Phase, std::time::Duration)| PhaseKey {
            key: phase.as_str(),
            word: words.phase(*phase),
            took: Unit::Seconds.show(time.as_secs_f64()),
        };
        Self {
            lead,
            detail: text,
            when: ago(Some(run.started_at)),
            took: Unit::Seconds.show(run.duration.as_secs_f64()),
            bar: charts::phases(&run.phases, run.duration),
            phases: run.phases.iter().map(key).collect(),
        }
    }
}

fn changes(words: &'static Words, record: &Record) -> Vec<ChangeLine> {
    let line = |change: &crate::board::Change| ChangeLine {
        from: of_status(words, change.from),
        to: of_status(words, change.to),
        when: ago(Some(change.at)),
        message: change.failure.as_ref().map(|failure| say::failure(words, failure)).unwrap_or_default(),
    };
    record.changes.iter().rev().map(line).collect()
}

fn facts(words: &'static Words, record: &Record, kind: &str, success: Option<f64>, interval: f64) -> Vec<Fact> {
    let fact = |what: &str, value: String| Fact { what: what.to_owned(), value };
    let mut facts = vec![
        fact(words.interval, Ago { seconds: interval }.to_string()),
        fact(words.success_hundred, success.map_or_else(|| "–".to_owned(), percent)),
        fact(words.incidents, record.incidents.to_string()),
    ];
    let notes = record.readings().notes().iter();
    facts.extend(notes.map(|(what, value)| fact(what, value.clone())));
    let phases = record.readings().phases();
    facts.extend(phases.map(|(phase, time)| {
        fact(&fill(words.time_to, &[words.phase(phase)]), Unit::Seconds.show(time.as_secs_f64()))
    }));
    facts.extend(readings(record).map(|reading| Fact::of(reading, kind)));
    facts
}

fn threshold(limit: &Limit, record: &Record) -> [String; 5] {
    let unit = limit.signal.unit;
    let show = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| unit.show(value));
    let mut values = record.readings().signals().iter();
    let value = values.find(|(signal, _)| std::ptr::eq(*signal, limit.signal)).map(|(_, value)| *value);
    let [info, warning, critical] = Severity::ALL.map(|severity| show(limit.levels.get(severity)));
    [limit.signal.key.to_owned(), show(value), info, warning, critical]
}
