//! Logs and jobs: checked and resolved. A job may wish to hear lines of a log, so both are looked at together.

use super::{Checked, Document};
use crate::jobs::{self, Wish};
use crate::logs::{self, Hook};
use crate::values::Invalid;
use std::collections::HashMap;

impl Checked<'_> {
    /// Resolves jobs and logs, in this order: a log is built with the lines that jobs wish to hear of.
    pub(super) fn senses(&mut self, document: &Document) -> (Vec<logs::Plan>, Vec<jobs::Plan>) {
        let jobs = self.jobs(document);
        let mut hooks: HashMap<String, Vec<Hook>> = HashMap::new();
        for (index, plan) in &jobs {
            for Wish { log, id, pattern } in plan.wishes() {
                if document.logs.iter().any(|spec| spec.name == log) {
                    hooks.entry(log).or_default().push(Hook { id, pattern });
                } else {
                    self.unknown_log(&format!("jobs[{index}]"), document, &log);
                }
            }
        }
        (self.logs(document, hooks), jobs.into_iter().map(|(_, plan)| plan).collect())
    }

    fn unknown_log(&mut self, path: &str, document: &Document, log: &str) {
        let known: Vec<_> = document.logs.iter().map(|spec| spec.name.as_str()).collect();
        let remedy = match known.as_slice() {
            [] => "add it under logs:".to_owned(),
            known => format!("use one of {}, or add it under logs:", known.join(", ")),
        };
        let mistake = Invalid::new("log.name", format!("there is no log {log:?}: {remedy}"));
        // A job has several wishes of the same log, and one mistake.
        let place = format!("{path}.log.name");
        if !self.problems.iter().any(|known| known.path == place) {
            self.wrong(path, vec![mistake]);
        }
    }

    fn jobs(&mut self, document: &Document) -> Vec<(usize, jobs::Plan)> {
        let mut plans = Vec::new();
        let mut names = HashMap::new();
        for (index, spec) in document.jobs.iter().enumerate() {
            let index = self.positions.original_index("jobs", index);
            let path = format!("jobs[{index}]");
            self.unique(("job", "jobs"), &mut names, &spec.name, index);
            match spec.plan() {
                Ok(plan) => plans.push((index, plan)),
                Err(invalid) => self.wrong(&path, invalid),
            }
        }
        plans
    }

    fn logs(&mut self, document: &Document, mut hooks: HashMap<String, Vec<Hook>>) -> Vec<logs::Plan> {
        let mut plans = Vec::new();
        let mut names = HashMap::new();
        for (index, spec) in document.logs.iter().enumerate() {
            let index = self.positions.original_index("logs", index);
            let path = format!("logs[{index}]");
            self.unique(("log", "logs"), &mut names, &spec.name, index);
            match spec.plan(hooks.remove(&spec.name).unwrap_or_default()) {
                Ok(plan) => plans.push(plan),
                Err(mut invalid) => {
                    // A source with a mistake in it was taken out: that it is missing is no mistake of the user's.
                    if self.is_mistaken(&path, logs::SOURCES) {
                        invalid.retain(|mistake| !mistake.path.is_empty());
                    }
                    self.wrong(&path, invalid);
                }
            }
        }
        plans
    }

    /// Names are unique among all of one sort, which is given in the singular and as the key of its list.
    pub(super) fn unique(
        &mut self,
        (what, list): (&str, &str),
        names: &mut HashMap<String, usize>,
        name: &str,
        index: usize,
    ) {
        if let Some(first) = names.insert(name.to_owned(), index) {
            let line = self.positions.line_of(&format!("{list}[{first}].name"));
            let message = format!("the name {name:?} is taken by the {what} in line {line}: choose another");
            self.wrong(&format!("{list}[{index}]"), vec![Invalid::new("name", message)]);
        }
    }
}
