//! A remedy as a row.

use super::{Card, Standing, fact, when};
use crate::board::report::Fact;
use crate::board::{Deed, RemedyCell, RemedyRecord, RemedyState, Suppression};
use crate::web::page::ages::{age, ago};
use crate::web::page::look::{Badge, of_remedy};
use crate::web::page::say::{self, Said};
use crate::web::words::{Form, Words, fill};
use askama::Template;

/// One row.
#[derive(Debug, Template)]
#[template(path = "remedy.html")]
pub struct RemedyRow {
    w: &'static Words,
    name: String,
    /// Armed, or a dry run.
    mode: &'static str,
    badge: Badge,
    said: Said,
    facts: Vec<Fact>,
    deeds: Vec<DeedRow>,
    when: String,
}

/// Something that it did, or refrained from.
#[derive(Debug)]
struct DeedRow {
    class: &'static str,
    when: String,
    words: String,
}

impl RemedyRow {
    /// Of a cell, with what it has to say to the whole page: one that gave up needs a person.
    pub fn of(words: &'static Words, cell: &RemedyCell) -> (Self, Standing) {
        let descriptor = cell.descriptor();
        cell.read(|record| {
            let badge = of_remedy(words, record.state);
            let deeds = record.deeds.iter().rev();
            let row = Self {
                w: words,
                name: descriptor.name.clone(),
                mode: if descriptor.armed { words.armed } else { words.dry_run },
                badge,
                said: say::remedy(words, record, descriptor),
                facts: facts(words, record, &descriptor.when, &descriptor.steps),
                deeds: deeds.clone().map(DeedRow::of).collect(),
                when: when(deeds.map(|deed| deed.at).next()),
            };
            let attention = (record.state == RemedyState::Exhausted).then(|| Card {
                badge,
                href: format!("#remedy-{}", row.name),
                name: row.name.clone(),
                what: format!("{} · {}", words.remedy, descriptor.target),
                said: row.said.clone(),
                quote: String::new(),
                since: record.since.map(|since| age(Form::Lasting, since)).unwrap_or_default(),
                causes: Vec::new(),
                runbook: Some(RUNBOOK),
            });
            (row, Standing { state: None, attention })
        })
    }
}

/// What to do once a remedy gave up.
const RUNBOOK: &str = "BankenRemedyExhausted";

fn facts(words: &Words, record: &RemedyRecord, condition: &str, steps: &[&str]) -> Vec<Fact> {
    let mut facts = vec![
        fact(words.steps, steps.join(" → ")),
        fact(words.remedy_when, condition),
        fact(words.recoveries, record.recovery.count().to_string()),
    ];
    for (action, [succeeded, failed]) in &record.actions {
        facts.push(fact(action, format!("{succeeded} {}, {failed} {}", words.run_success, words.run_failure)));
    }
    let held_back = Suppression::ALL.into_iter().zip(record.suppressed).filter(|(_, count)| *count > 0);
    facts.extend(held_back.map(|(reason, count)| {
        fact(
            &fill(words.suppressed_times, &[words.suppression(reason)]),
            fill(words.found_times, &[&count.to_string()]),
        )
    }));
    facts
}

impl DeedRow {
    fn of(deed: &Deed) -> Self {
        let class = match deed.good {
            Some(true) => "healthy",
            Some(false) => "unhealthy",
            None => "idle",
        };
        Self { class, when: ago(Some(deed.at)), words: deed.words.clone() }
    }
}
