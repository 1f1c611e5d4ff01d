//! The status page in parts: each can be sent alone when it changed.

use super::charts::percent;
use super::look::of_status;
use super::rows::{Card, JobRow, LogRow, ProbeRow, RemedyRow, Standing};
use crate::board::report::{Overall, Report};
use crate::board::{Board, Uptime, Window};
use crate::health::Status;
use crate::observation::unix_now;
use crate::web::words::{Words, fill};
use askama::Template;
use std::collections::BTreeMap;
use tokio::time::Instant;

/// More cards than this nobody reads; the groups have all.
const CARDS_SHOWN: usize = 100;

/// A part of the page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fragment {
    /// Of the element.
    pub id: String,
    /// The element. Ages are not in it yet.
    pub html: String,
}

/// A group of probes, the logs, the jobs or the remedies.
#[derive(Debug)]
pub struct Section {
    /// Of its heading.
    pub id: String,
    /// Its heading.
    pub title: String,
    /// How many there are.
    pub head: Fragment,
    /// Whether its rows have the columns of probes.
    pub is_probes: bool,
    /// Its rows.
    pub rows: Vec<Fragment>,
}

/// The page.
#[derive(Debug, Default)]
pub struct Model {
    /// The worst of all in a word of the API, for colours.
    pub overall: &'static str,
    /// The same in the language of the page.
    pub overall_word: &'static str,
    /// The whole in one line.
    pub headline: String,
    /// How many are in each state, what needs attention, how much is known.
    pub parts: [Fragment; 3],
    /// Everything.
    pub sections: Vec<Section>,
}

#[derive(Template)]
#[template(path = "attention.html")]
struct Attention<'a> {
    w: &'static Words,
    items: &'a [Card],
    more: usize,
    more_text: String,
}

#[derive(Template)]
#[template(path = "summary.html")]
struct Summary {
    w: &'static Words,
    tiles: Vec<Tile>,
}

struct Tile {
    count: usize,
    word: &'static str,
    class: &'static str,
}

/// What is gathered while rows are made.
#[derive(Default)]
struct Gathered {
    states: Vec<Status>,
    cards: Vec<Card>,
    known: [Uptime; 4],
}

impl Gathered {
    /// Takes what a row has to say; gives back whether it is not as it should be.
    fn take(&mut self, standing: Standing) -> bool {
        self.states.extend(standing.state);
        let needs_attention = standing.attention.is_some();
        self.cards.extend(standing.attention);
        needs_attention
    }
}

impl Model {
    /// Of the board as it is now.
    ///
    /// # Errors
    /// Never, unless a template is wrong.
    pub fn of(words: &'static Words, board: &Board) -> askama::Result<Self> {
        let report = Report::of(board);
        let mut gathered = Gathered::default();
        let mut sections = probes(words, board, &report, &mut gathered)?;
        sections.extend(others(words, board, &report, &mut gathered)?);
        let Gathered { states, mut cards, known } = gathered;
        // Causes before what they bring about, the gravest before the rest.
        cards.sort_by_key(|card| (card.badge.class != "unhealthy", !card.causes.is_empty()));
        let headline = headline(words, &report, cards.len());
        let more = cards.len().saturating_sub(CARDS_SHOWN);
        cards.truncate(CARDS_SHOWN);
        let more_text = fill(words.more_below, &[&more.to_string()]);
        let attention = Attention { w: words, items: &cards, more, more_text }.render()?;
        let tile = |state| Tile {
            count: states.iter().filter(|known| **known == state).count(),
            word: words.status(state),
            class: of_status(words, state).class,
        };
        // The worst first.
        let counts = Summary { w: words, tiles: Status::ALL.into_iter().rev().map(tile).collect() }.render()?;
        let part = |id: &str, html: String| Fragment { id: id.to_owned(), html };
        Ok(Self {
            overall: report.overall_status.as_str(),
            overall_word: overall_word(words, report.overall_status),
            headline,
            parts: [part("counts", counts), part("attention", attention), part("known", known_note(words, known))],
            sections,
        })
    }

    /// Every part that has an element of its own, in the order of the page.
    pub fn fragments(&self) -> impl Iterator<Item = &Fragment> {
        let of_sections = self.sections.iter().flat_map(|section| std::iter::once(&section.head).chain(&section.rows));
        self.parts.iter().chain(of_sections)
    }

    /// What stands where: while this stays, parts can be put in place of others.
    pub fn layout(&self) -> impl Iterator<Item = &str> {
        let titles = self.sections.iter().map(|section| section.title.as_str());
        titles.chain(self.fragments().map(|fragment| fragment.id.as_str()))
    }
}

/// The probes by group, what has no group last. A reload may have brought something since the report was made; the next
/// look shows it.
fn probes(words: &'static Words, board: &Board, report: &Report, all: &mut Gathered) -> askama::Result<Vec<Section>> {
    let now = (unix_now(), Instant::now());
    let mut groups: BTreeMap<Option<String>, (Vec<Fragment>, usize)> = BTreeMap::new();
    for cell in board.probes().iter() {
        let name = &cell.descriptor().name;
        let Some(check) = report.checks.get(name) else { continue };
        let (row, standing, uptimes) = ProbeRow::of(words, cell, check, now);
        for (sum, uptime) in all.known.iter_mut().zip(uptimes) {
            *sum = Uptime { good: sum.good + uptime.good, bad: sum.bad + uptime.bad, span: sum.span + uptime.span };
        }
        let (rows, broken) = groups.entry(check.group.clone()).or_default();
        rows.push(Fragment { id: format!("probe-{name}"), html: row.render()? });
        *broken += usize::from(all.take(standing));
    }
    let rest = groups.remove(&None);
    let several = !groups.is_empty();
    let named = groups.into_iter().map(|(group, rows)| (group.unwrap_or_default(), rows));
    let rest = rest.map(|rows| (if several { words.everything_else } else { words.column_probe }.to_owned(), rows));
    let sections = named.chain(rest).enumerate();
    Ok(sections
        .map(|(number, (title, (rows, broken)))| section(words, &format!("g{number}"), title, rows, broken))
        .collect())
}

/// Logs, jobs and remedies, where there are any.
fn others(words: &'static Words, board: &Board, report: &Report, all: &mut Gathered) -> askama::Result<Vec<Section>> {
    let now = unix_now();
    let (mut logs, mut jobs, mut remedies) = (Vec::new(), Vec::new(), Vec::new());
    let mut broken = [0; 3];
    for cell in board.logs().iter() {
        let name = &cell.descriptor().name;
        let Some(check) = report.logs.get(name) else { continue };
        let (row, standing) = LogRow::of(words, cell, check);
        logs.push(Fragment { id: format!("log-{name}"), html: row.render()? });
        broken[0] += usize::from(all.take(standing));
    }
    for cell in board.jobs().iter() {
        let name = &cell.descriptor().name;
        let Some(check) = report.jobs.get(name) else { continue };
        let (row, standing) = JobRow::of(words, cell, check, now);
        jobs.push(Fragment { id: format!("job-{name}"), html: row.render()? });
        broken[1] += usize::from(all.take(standing));
    }
    for cell in board.remedies().iter() {
        let (row, standing) = RemedyRow::of(words, cell);
        remedies.push(Fragment { id: format!("remedy-{}", cell.descriptor().name), html: row.render()? });
        broken[2] += usize::from(all.take(standing));
    }
    let [log, job, remedy] = broken;
    let rows = [
        (words.logs, "logs", logs, log),
        (words.jobs, "jobs", jobs, job),
        (words.remedies, "remedies", remedies, remedy),
    ];
    let there = rows.into_iter().filter(|(_, _, rows, _)| !rows.is_empty());
    Ok(there
        .map(|(title, id, rows, broken)| Section {
            is_probes: false,
            ..section(words, id, title.to_owned(), rows, broken)
        })
        .collect())
}

fn section(words: &Words, id: &str, title: String, rows: Vec<Fragment>, broken: usize) -> Section {
    let count = rows.len().to_string();
    let text = if broken == 0 { count } else { fill(words.of_group, &[&count, &broken.to_string()]) };
    let head = Fragment { id: format!("head-{id}"), html: format!("<p id=\"head-{id}\" class=\"count\">{text}</p>") };
    Section { id: id.to_owned(), title, head, is_probes: true, rows }
}

fn headline(words: &Words, report: &Report, broken: usize) -> String {
    let counts = [
        (report.checks.len(), words.probe_one, words.probe_many),
        (report.logs.len(), words.log_one, words.log_many),
        (report.jobs.len(), words.job_one, words.job_many),
        (report.remedies.len(), words.remedy_one, words.remedy_many),
    ];
    let all: usize = counts.iter().map(|(count, ..)| count).sum();
    match report.overall_status {
        Overall::Healthy => {
            let there = counts.iter().enumerate().filter(|(index, (count, ..))| *index == 0 || *count > 0);
            let told =
                there.map(|(_, (count, one, many))| fill(if *count == 1 { one } else { many }, &[&count.to_string()]));
            fill(words.all_well, &[&told.collect::<Vec<_>>().join(words.comma)])
        }
        Overall::Unknown if broken == 0 => words.not_all_run.to_owned(),
        _ => {
            let text = if broken == 1 { words.one_needs } else { words.many_need };
            fill(text, &[&broken.to_string(), &all.to_string()])
        }
    }
}

fn overall_word(words: &Words, overall: Overall) -> &'static str {
    match overall {
        Overall::Healthy => words.healthy,
        Overall::Unknown => words.unknown,
        Overall::Degraded => words.degraded,
        Overall::Unhealthy => words.unhealthy,
    }
}

/// What the shares of the page are shares of.
fn known_note(words: &Words, known: [Uptime; 4]) -> String {
    if known[0].span <= 0.0 {
        return "<p id=\"known\" hidden></p>".to_owned();
    }
    let told = Window::ALL.into_iter().zip(known);
    let told: Vec<_> =
        told.map(|(window, uptime)| format!("{} {}", words.window(window), percent(uptime.known()))).collect();
    let known = fill(words.known_of, &[&told.join(words.comma)]);
    format!("<p id=\"known\" class=\"note\">{} {known}</p>", words.availability_note)
}

#[cfg(test)]
mod tests;
