//! A log as a row.

use super::{Card, Standing, fact, when};
use crate::board::report::{Fact, LogCheck};
use crate::board::{LogCell, LogDescriptor, LogRecord};
use crate::observation::Unit;
use crate::web::page::ages::ago;
use crate::web::page::look::{Badge, badge, needs_attention, of_gravity};
use crate::web::page::say::{self, Said};
use crate::web::words::{Words, fill};
use askama::Template;

/// So many of the latest matches are shown.
const MATCHES_SHOWN: usize = 5;

/// One row.
#[derive(Debug, Template)]
#[template(path = "log.html")]
pub struct LogRow {
    w: &'static Words,
    name: String,
    group: String,
    badge: Badge,
    said: Said,
    facts: Vec<Fact>,
    matches: Vec<Match>,
    when: String,
}

/// What a pattern found last.
#[derive(Debug)]
struct Match {
    class: &'static str,
    pattern: String,
    gravity: &'static str,
    count: String,
    when: String,
    line: String,
}

impl LogRow {
    /// Of a cell, with what it has to say to the whole page.
    pub fn of(words: &'static Words, cell: &LogCell, check: &LogCheck) -> (Self, Standing) {
        let descriptor = cell.descriptor();
        let badge = badge(words, check.state, check.severity);
        let bytes = |bytes: u64| Unit::Bytes.show(bytes as f64);
        let (row, quote) = cell.read(|record| {
            let found = found(record);
            let told = gravest(record, descriptor, check).or(found.first().copied());
            let matches =
                found.iter().take(MATCHES_SHOWN).map(|at| Match::of(words, descriptor, record, *at)).collect();
            let row = Self {
                w: words,
                name: descriptor.name.clone(),
                group: check.group.clone().unwrap_or_default(),
                badge,
                // The gravest of what is news, else the latest: as the report has it.
                said: say::log(words, record, descriptor, told),
                facts: vec![
                    fact(words.files, check.files.to_string()),
                    fact(words.largest_file, bytes(check.size_bytes)),
                    fact(words.not_read, bytes(check.lag_bytes)),
                ],
                matches,
                when: when(found.first().and_then(|at| record.patterns[*at].last_match_at)),
            };
            let is_read = check.reason.is_none();
            (row, told.filter(|_| is_read).map(|at| record.patterns[at].last_line.clone()).unwrap_or_default())
        });
        let runbook = if check.reason.is_some() { "BankenLogUnreadable" } else { "BankenLogErrors" };
        let attention = needs_attention(check.state, check.severity, false).then(|| Card {
            badge,
            href: format!("#log-{}", row.name),
            name: row.name.clone(),
            what: [words.log, &row.group].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" · "),
            said: row.said.clone(),
            quote,
            since: String::new(),
            causes: Vec::new(),
            runbook: Some(runbook),
        });
        (row, Standing { state: Some(check.state), attention })
    }
}

/// The patterns that found something, the latest first.
fn found(record: &LogRecord) -> Vec<usize> {
    let at = |index: &usize| record.patterns[*index].last_match_at.unwrap_or(0.0);
    let mut found: Vec<usize> = (0..record.patterns.len()).filter(|index| at(index) > 0.0).collect();
    found.sort_by(|a, b| at(b).total_cmp(&at(a)));
    found
}

/// The latest match of the severity that the whole log has.
fn gravest(record: &LogRecord, descriptor: &LogDescriptor, check: &LogCheck) -> Option<usize> {
    let severity = check.severity?;
    let is_it = |index: &usize| descriptor.patterns.get(*index).is_some_and(|p| p.gravity.severity() == severity);
    found(record).into_iter().find(is_it)
}

impl Match {
    fn of(words: &'static Words, descriptor: &LogDescriptor, record: &LogRecord, index: usize) -> Self {
        let (pattern, found) = (&descriptor.patterns[index], &record.patterns[index]);
        Self {
            class: of_gravity(pattern.gravity),
            pattern: pattern.id.clone(),
            gravity: words.gravity(pattern.gravity),
            count: fill(words.found_times, &[&found.matches.to_string()]),
            when: ago(found.last_match_at),
            line: found.last_line.clone(),
        }
    }
}
