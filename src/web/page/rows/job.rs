//! A job as a row.

use super::{Card, Standing, fact, when};
use crate::board::report::{Fact, JobCheck, rfc3339};
use crate::board::{EndedRun, JobCell, JobRecord, JobResult};
use crate::observation::Unit;
use crate::web::page::ages::{age, ago};
use crate::web::page::charts::{Svg, runs};
use crate::web::page::look::{Badge, badge, needs_attention};
use crate::web::page::say::{self, Said};
use crate::web::words::{Form, Words, fill};
use askama::Template;

/// One row.
#[derive(Debug, Template)]
#[template(path = "job.html")]
pub struct JobRow {
    w: &'static Words,
    name: String,
    group: String,
    badge: Badge,
    said: Said,
    bars: Svg,
    facts: Vec<Fact>,
    runs: Vec<Run>,
    when: String,
}

/// A run that ended.
#[derive(Debug)]
struct Run {
    class: &'static str,
    result: &'static str,
    when: String,
    parts: Vec<String>,
    message: String,
}

impl JobRow {
    /// Of a cell, with what it has to say to the whole page.
    pub fn of(words: &'static Words, cell: &JobCell, check: &JobCheck, now: f64) -> (Self, Standing) {
        let descriptor = cell.descriptor();
        let badge = badge(words, check.state, check.severity);
        let (row, runbook) = cell.read(|record| {
            let row = Self {
                w: words,
                name: descriptor.name.clone(),
                group: check.group.clone().unwrap_or_default(),
                badge,
                said: say::job(words, record, descriptor, now),
                bars: runs(words, record.last_runs.iter()),
                facts: facts(words, record, check),
                runs: record.last_runs.iter().rev().map(|run| Run::of(words, run)).collect(),
                when: when(record.last_report_at),
            };
            let failed = record.last_run().is_some_and(|run| run.result != JobResult::Success);
            let runbook = match record.late {
                Some(true) => "BankenJobLate",
                _ if failed => "BankenJobFailing",
                _ => "BankenJobSlow",
            };
            (row, runbook)
        });
        let attention = needs_attention(check.state, check.severity, false).then(|| Card {
            badge,
            href: format!("#job-{}", row.name),
            name: row.name.clone(),
            what: [words.job, &row.group].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" · "),
            said: row.said.clone(),
            quote: String::new(),
            since: String::new(),
            causes: Vec::new(),
            runbook: Some(runbook),
        });
        (row, Standing { state: Some(check.state), attention })
    }
}

fn facts(words: &Words, record: &JobRecord, check: &JobCheck) -> Vec<Fact> {
    let mut facts = Vec::new();
    facts.extend(check.schedule.as_ref().map(|schedule| fact(words.schedule, schedule)));
    facts.extend(record.due_at.map(|due| fact(words.due, rfc3339(due))));
    facts.extend(record.last_success_at.map(|at| fact(words.last_success, age(Form::Ago, at))));
    let counts = JobResult::ALL.into_iter().zip(record.ended);
    facts.extend(counts.map(|(result, count)| fact(words.result(result), count.to_string())));
    facts
}

impl Run {
    fn of(words: &'static Words, run: &EndedRun) -> Self {
        let mut parts = Vec::new();
        parts.extend(run.duration.map(|seconds| Unit::Seconds.show(seconds)));
        parts.extend(run.records.map(|records| fill(words.records, &[&records.to_string()])));
        parts.extend((!run.id.is_empty()).then(|| run.id.clone()));
        Self {
            class: if run.result == JobResult::Success { "healthy" } else { "suspect" },
            result: words.result(run.result),
            when: ago(Some(run.ended_at)),
            parts,
            message: run.message.clone(),
        }
    }
}
