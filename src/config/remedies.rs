//! Remedies: checked and built last, because they look at everything else.

use super::{Checked, Document};
use crate::health::{Levels, Limit};
use crate::jobs;
use crate::logs;
use crate::remedy::action::{Context, Worker};
use crate::remedy::patterns_file::Difference;
use crate::remedy::{Entry, LogFacts, Plan, ProbeFacts, Surroundings};
use crate::values::Invalid;
use std::collections::{BTreeMap, BTreeSet, HashMap};

impl Checked<'_> {
    /// Resolves remedies against probes, logs and jobs, and builds their actions.
    pub(super) fn remedies(
        &mut self,
        document: &Document,
        logs: &[logs::Plan],
        jobs: &[jobs::Plan],
    ) -> Vec<(Plan, Vec<Worker>)> {
        let surroundings = self.surroundings(document, logs, jobs);
        let backups = crate::remedy::folder(&document.state_dir).join("backups");
        let context = Context { backups, ..Context::default() };
        let mut plans = Vec::new();
        let mut names: HashMap<String, usize> = HashMap::new();
        for (index, entry) in document.remedies.iter().enumerate() {
            let index = self.positions.original_index("remedies", index);
            let path = format!("remedies[{index}]");
            let specs = match entry {
                Entry::One(spec) => vec![spec.clone()],
                Entry::FromPatterns(many) => match many.specs() {
                    Ok((specs, differences)) => {
                        self.explain(&path, &differences);
                        specs
                    }
                    Err(invalid) => {
                        self.wrong(&path, invalid);
                        continue;
                    }
                },
            };
            for spec in specs {
                self.unique(("remedy", "remedies"), &mut names, &spec.name, index);
                match spec.plan(&surroundings, &context) {
                    Ok((plan, workers)) => {
                        for warning in plan.warnings() {
                            let warning = warning.within(&path);
                            self.warnings.push(self.positions.problem(&warning.path, warning.message));
                        }
                        plans.push((plan, workers));
                    }
                    Err(invalid) => self.wrong(&path, invalid),
                }
            }
        }
        let mut names: Vec<_> = names.keys().map(String::as_str).collect();
        names.sort_unstable();
        self.windows(document, &names);
        plans
    }

    /// A window that names nobody by mistake would hold back nobody.
    fn windows(&mut self, document: &Document, names: &[&str]) {
        for (index, window) in document.repair.maintenance.iter().enumerate() {
            let at = self.positions.original_index("repair.maintenance", index);
            let unknown = window.remedies.iter().enumerate().filter(|(_, name)| !names.contains(&name.as_str()));
            let mistakes = unknown.map(|(position, name)| {
                let known = if names.is_empty() {
                    "there is none".to_owned()
                } else {
                    format!("use one of {}", names.join(", "))
                };
                Invalid::new(format!("remedies[{position}]"), format!("there is no remedy {name:?}: {known}"))
            });
            self.wrong(&format!("repair.maintenance[{at}]"), mistakes.collect());
        }
    }

    /// Where the remedies of a file of patterns differ from what the file says.
    fn explain(&mut self, path: &str, differences: &[Difference]) {
        for Difference { pattern, path: place, words } in differences {
            let pattern = if pattern.is_empty() { String::new() } else { format!(" ({pattern})") };
            let message = format!("of the file, {place}{pattern}: {words}");
            self.warnings.push(self.positions.problem(&format!("{path}.from_patterns.file"), message));
        }
    }

    fn surroundings(&self, document: &Document, logs: &[logs::Plan], jobs: &[jobs::Plan]) -> Surroundings {
        let probes = self.probes.iter().map(|(plan, _)| {
            let facts = ProbeFacts {
                interval: plan.cadence.interval,
                retry_interval: plan.cadence.retry_interval,
                timeout: plan.cadence.timeout,
                failure_threshold: plan.policy.failure_threshold,
                success_threshold: plan.policy.success_threshold,
                limits: by_key(&plan.limits),
            };
            (plan.name.clone(), facts)
        });
        let logs = logs.iter().map(|plan| {
            let descriptor = plan.descriptor();
            let patterns = descriptor.patterns.into_iter().map(|pattern| pattern.id).collect();
            (descriptor.name, LogFacts { patterns, limits: by_key(&descriptor.limits) })
        });
        // What has a mistake of its own was not built, and is not missing as well.
        let written = (document.probes.iter().map(|spec| spec.name.clone()))
            .chain(document.logs.iter().map(|spec| spec.name.clone()))
            .chain(document.jobs.iter().map(|spec| spec.name.clone()));
        let mistaken = if self.problems.is_empty() { BTreeSet::new() } else { written.collect() };
        Surroundings {
            mistaken,
            probes: probes.collect(),
            logs: logs.collect(),
            jobs: jobs.iter().filter(|plan| plan.has_schedule()).map(|plan| plan.name().to_owned()).collect(),
            takes_alerts: document.repair.webhook_token.is_some(),
        }
    }
}

fn by_key(limits: &[Limit]) -> BTreeMap<String, Levels> {
    limits.iter().map(|limit| (limit.signal.key.to_owned(), limit.levels)).collect()
}
