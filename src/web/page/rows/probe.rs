//! A probe as a row.

use super::{Card, Standing, when};
use crate::board::report::Check;
use crate::board::{ProbeCell, Uptime, Window};
use crate::health::Status;
use crate::web::page::ages::age;
use crate::web::page::charts::{Svg, percent, sparkline};
use crate::web::page::look::{Badge, badge, needs_attention};
use crate::web::page::say::{self, Said};
use crate::web::words::{Form, Words, fill};
use askama::Template;
use tokio::time::Instant;

/// One row.
#[derive(Debug, Template)]
#[template(path = "row.html")]
pub struct ProbeRow {
    w: &'static Words,
    name: String,
    kind: &'static str,
    badge: Badge,
    said: Said,
    causes: Vec<String>,
    spark: Svg,
    ups: [Up; 4],
    when: String,
}

/// Availability over one window.
#[derive(Debug)]
pub struct Up {
    /// The window.
    pub label: &'static str,
    /// The share.
    pub text: String,
    /// The share, and how much of the time is known.
    pub title: String,
    /// How it looks.
    pub class: &'static str,
    /// The time itself.
    pub uptime: Uptime,
}

impl Up {
    fn of(words: &'static Words, window: Window, uptime: Uptime) -> Self {
        let label = words.window(window);
        let text = uptime.ratio().map_or_else(|| "–".to_owned(), percent);
        let class = match uptime.ratio() {
            None => "none",
            Some(ratio) if ratio >= 1.0 && uptime.known() < 0.5 => "full thin",
            Some(ratio) if ratio >= 1.0 => "full",
            Some(ratio) if ratio >= 0.99 && uptime.known() < 0.5 => "less thin",
            Some(ratio) if ratio >= 0.99 => "less",
            Some(_) if uptime.known() < 0.5 => "low thin",
            Some(_) => "low",
        };
        let known = fill(words.of_known, &[&percent(uptime.known())]);
        Self { label, title: format!("{label}{}{text}{}{known}", words.colon, words.semicolon), text, class, uptime }
    }
}

/// Availability over every window.
pub fn ups(words: &'static Words, uptime: impl Fn(Window) -> Uptime) -> [Up; 4] {
    Window::ALL.map(|window| Up::of(words, window, uptime(window)))
}

impl ProbeRow {
    /// Of a cell, with what it has to say to the whole page, and how much of its time is known.
    pub fn of(
        words: &'static Words,
        cell: &ProbeCell,
        check: &Check,
        (at, now): (f64, Instant),
    ) -> (Self, Standing, [Uptime; 4]) {
        let descriptor = cell.descriptor();
        let badge = badge(words, check.state, check.severity);
        let in_doubt = check.state == Status::Unknown && check.last_run_at.is_some();
        let name = descriptor.name.clone();
        let (row, runbook) = cell.read_at(at, now, |record| {
            let row = Self {
                w: words,
                name: name.clone(),
                kind: descriptor.kind,
                badge,
                said: say::probe(words, record),
                causes: check.caused_by.clone(),
                spark: sparkline(words, &record.history.minutes(at)),
                ups: ups(words, |window| record.history.uptime(window, at)),
                when: when(record.last_run_at),
            };
            (row, say::runbook_of_probe(record))
        });
        let attention = needs_attention(check.state, check.severity, in_doubt).then(|| Card {
            badge,
            href: format!("/probes/{name}"),
            what: [Some(descriptor.kind), descriptor.group.as_deref()]
                .into_iter()
                .flatten()
                .collect::<Vec<_>>()
                .join(" · "),
            name,
            said: row.said.clone(),
            quote: String::new(),
            since: check.since_at.map(|since| age(Form::Lasting, since)).unwrap_or_default(),
            causes: row.causes.clone(),
            runbook,
        });
        let uptimes = [0, 1, 2, 3].map(|window: usize| row.ups[window].uptime);
        (row, Standing { state: Some(check.state), attention }, uptimes)
    }
}
