//! Turns what a file such as `error_patterns.json` says about repairs into steps. The file says *which* action, the
//! configuration says *with what*: no unit, path or port is ever taken from the file. Pure.
//!
//! Wherever what the file says is not done to the letter, a [`Difference`] says so, for `banken check` to print.

#[cfg(test)]
mod tests;

use super::action::{Block, Effect, KINDS, Spec};
use crate::logs::{AutoFix, Fix, FixAction, FixConfig, PatternFile};
use crate::values::{Invalid, plain};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// The block `from_patterns:`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "RemediesFromPatterns")]
pub struct Mapping {
    /// The file, in the form of `error_patterns.json`.
    pub file: PatternFile,
    /// The log in which its patterns are looked for: one under `logs:` that reads the same file.
    pub log: String,
    /// The probe that must be unhealthy too before anything is interrupted: a line in a log alone is no reason for that,
    /// because strangers write lines. Without it such actions are left out.
    #[serde(default)]
    pub and_probe: Option<String>,
    /// What is done for each `service` that the file names.
    #[serde(default)]
    pub services: BTreeMap<String, Spec>,
    /// What is done for each other type of action.
    #[serde(default)]
    pub steps: BTreeMap<String, Spec>,
    /// The same for single patterns, by their ids; it goes before `services` and `steps`.
    #[serde(default)]
    pub patterns: BTreeMap<String, BTreeMap<String, Spec>>,
    /// How people are told for each channel that the file names: steps with `alert`.
    #[serde(default)]
    pub channels: BTreeMap<String, Spec>,
    /// Patterns by their ids for which nothing is done, whatever the file says.
    #[serde(default)]
    pub leave_out: Vec<String>,
}

/// What is done for one pattern.
#[derive(Debug, Clone, PartialEq)]
pub struct Translated {
    /// The pattern's id.
    pub pattern: String,
    /// A name for the remedy, made of the id: lower-case letters, digits, `_`, `.` and `-`.
    pub name: String,
    /// What is done: first what looks and tells, then the rest in the file's order.
    pub steps: Vec<Spec>,
    /// How often it is tried.
    pub max_attempts: u32,
    /// From one attempt to the next.
    pub retry_delay: Duration,
    /// From one incident to the next.
    pub cooldown: Duration,
}

/// Something that the file says and that is not done to the letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The pattern's id; empty where it is about all of them.
    pub pattern: String,
    /// Where it stands in the file: `error_patterns[0].actions[1]`.
    pub path: String,
    /// What is done instead, and what to write.
    pub words: String,
}

/// The most attempts that a remedy takes.
const MAX_ATTEMPTS: u64 = 10;

/// The bounds of what `retry_delay` and `cooldown_period` may be.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);

/// The actions that make a copy of what they change, whatever `backup_before_fix` says.
const WITH_BACKUP: [&str; 2] = ["backup_and_fix_json", "database_vacuum"];

/// The action that is told over channels.
const ALERT: &str = "alert";

/// The action whose findings are told.
const LOG_ANALYSIS: &str = "log_analysis";

impl Mapping {
    /// Every mistake that can be found without the rest of the configuration, with paths from the block on.
    pub fn mistakes(&self) -> Vec<Invalid> {
        let mut invalid = Vec::new();
        let mut check = |path: String, spec: &Spec| match spec.block() {
            Ok(block) => Some(block),
            Err(mistake) => {
                invalid.push(mistake.within(&path));
                None
            }
        };
        let maps = [("services", &self.services), ("steps", &self.steps)];
        for (key, steps) in maps {
            for (name, spec) in steps {
                check(format!("{key}.{name}"), spec);
            }
        }
        for (id, steps) in &self.patterns {
            for (name, spec) in steps {
                check(format!("patterns.{id}.{name}"), spec);
            }
        }
        let mut not_telling = Vec::new();
        for (name, spec) in &self.channels {
            if check(format!("channels.{name}"), spec).is_some_and(|block| block.kind().effect != Effect::Looks) {
                not_telling.push(Invalid::new(format!("channels.{name}"), "a channel tells: write alert here"));
            }
        }
        invalid.extend(not_telling);
        match self.file.auto_fix() {
            Ok(file) => {
                let known = |id: &String| file.patterns.iter().any(|fix| fix.id == *id);
                let unknown = |path: String| Invalid::new(path, "the file has no pattern of this id");
                for id in self.patterns.keys().filter(|id| !known(id)) {
                    invalid.push(unknown(format!("patterns.{id}")));
                }
                for (index, id) in self.leave_out.iter().enumerate().filter(|(_, id)| !known(id)) {
                    invalid.push(unknown(format!("leave_out[{index}] ({id})")));
                }
            }
            Err(message) => invalid.push(Invalid::new("file", message)),
        }
        invalid
    }
}

/// Turns a file into remedies, and says where they differ from what it says.
pub fn translate(file: &AutoFix, mapping: &Mapping) -> (Vec<Translated>, Vec<Difference>) {
    let mut translator = Translator { mapping, config: &file.config, differences: Vec::new() };
    let (max_attempts, retry_delay, cooldown) = translator.pace();
    let mut remedies: Vec<Translated> = Vec::new();
    let mut acts = false;
    for (index, fix) in file.patterns.iter().enumerate() {
        if !fix.auto_fix || mapping.leave_out.contains(&fix.id) {
            continue;
        }
        let steps = translator.steps(index, fix);
        if steps.is_empty() {
            translator.differs(fix, index, None, "nothing of what it wants can be done: this pattern is counted only");
            continue;
        }
        acts |= steps.iter().filter_map(block).any(|block| copies_nothing(&block));
        let name = unique_name(&fix.id, &remedies);
        remedies.push(Translated { pattern: fix.id.clone(), name, steps, max_attempts, retry_delay, cooldown });
    }
    if acts && file.config.backup_before_fix {
        let words = format!(
            "a copy of what is changed is made only by {}: what is restarted, rotated or removed is not copied before",
            WITH_BACKUP.join(" and ")
        );
        translator.general("backup_before_fix", words);
    }
    (remedies, translator.differences)
}

fn block(spec: &Spec) -> Option<Block> {
    spec.block().ok()
}

fn copies_nothing(block: &Block) -> bool {
    block.kind().effect != Effect::Looks && !WITH_BACKUP.contains(&block.kind().name)
}

struct Translator<'t> {
    mapping: &'t Mapping,
    config: &'t FixConfig,
    differences: Vec<Difference>,
}

impl Translator<'_> {
    fn differs(&mut self, fix: &Fix, index: usize, action: Option<usize>, words: impl Into<String>) {
        let action = action.map_or_else(String::new, |action| format!(".actions[{action}]"));
        let path = format!("error_patterns[{index}]{action}");
        self.differences.push(Difference { pattern: fix.id.clone(), path, words: words.into() });
    }

    fn general(&mut self, key: &str, words: impl Into<String>) {
        let path = format!("auto_fix_config.{key}");
        self.differences.push(Difference { pattern: String::new(), path, words: words.into() });
    }

    /// How often and how fast, within the bounds of remedies.
    fn pace(&mut self) -> (u32, Duration, Duration) {
        let config = self.config;
        let attempts = config.max_retries.clamp(1, MAX_ATTEMPTS);
        if attempts != config.max_retries {
            self.general(
                "max_retries",
                format!("{} is taken as {attempts}: 1 to {MAX_ATTEMPTS} are possible", config.max_retries),
            );
        }
        let mut within = |key: &str, wanted: Duration| {
            let taken = wanted.clamp(SHORTEST, LONGEST);
            if taken != wanted {
                let shown = |time| humantime::format_duration(time).to_string();
                self.general(key, format!("{} is taken as {}", shown(wanted), shown(taken)));
            }
            taken
        };
        let delay = within("retry_delay", config.retry_delay);
        let cooldown = within("cooldown_period", config.cooldown_period);
        if self.config.enable_notifications {
            for channel in &self.config.notification_channels {
                if channel != "log" && !self.mapping.channels.contains_key(channel) {
                    let words = format!(
                        "nobody is told by {channel:?}: add channels: {{ {channel}: {{ alert: … }} }} to say how"
                    );
                    self.general("notification_channels", words);
                }
            }
        }
        (attempts as u32, delay, cooldown)
    }

    /// The steps for one pattern.
    fn steps(&mut self, index: usize, fix: &Fix) -> Vec<Spec> {
        let mut looks = Vec::new();
        let mut tells = if self.config.enable_notifications { self.told() } else { Vec::new() };
        let mut acts = Vec::new();
        for (number, action) in fix.actions.iter().enumerate() {
            for spec in self.step(index, fix, number, action) {
                let list = match block(&spec).map(|block| block.kind()) {
                    Some(kind) if kind.name == ALERT => &mut tells,
                    // What it finds out is told. Whatever else only looks keeps its place: what follows may go by it.
                    Some(kind) if kind.name == LOG_ANALYSIS => &mut looks,
                    _ => &mut acts,
                };
                if !list.contains(&spec) {
                    list.push(spec);
                }
            }
        }
        if acts.iter().filter_map(block).filter(|block| block.kind().effect != Effect::Looks).count() > 1 {
            let words = "the file does all of its actions one after the other; here each later one is done only if the \
                         former did not help";
            self.differs(fix, index, None, words);
        }
        // Without an action of its own a pattern is no remedy: the rules of Prometheus tell of it.
        if acts.is_empty() && looks.is_empty() && !fix.actions.iter().any(|action| action.kind == ALERT) {
            return Vec::new();
        }
        [looks, tells, acts].concat()
    }

    /// How people are told by the channels of the file.
    fn told(&self) -> Vec<Spec> {
        let mut steps: Vec<Spec> = Vec::new();
        for channel in &self.config.notification_channels {
            if let Some(spec) = self.mapping.channels.get(channel).filter(|spec| !steps.contains(spec)) {
                steps.push(spec.clone());
            }
        }
        steps
    }

    /// What is done for one action; nothing where that is not known or not allowed.
    fn step(&mut self, index: usize, fix: &Fix, number: usize, action: &FixAction) -> Vec<Spec> {
        let kind = action.kind.as_str();
        let service = action.parameters.get("service").and_then(|service| service.as_str());
        let own = self.mapping.patterns.get(&fix.id).and_then(|steps| steps.get(kind));
        let by_service = service.and_then(|service| self.mapping.services.get(service));
        // A restart of a service that is not named there must not become the restart of another one.
        let by_kind = self.mapping.steps.get(kind).filter(|_| service.is_none());
        let Some(spec) = own.or(by_service).or(by_kind).cloned() else {
            return self.without_step(index, fix, number, action, service);
        };
        let Some(block) = block(&spec) else { return Vec::new() };
        let disturbs = block.kind().effect == Effect::Disturbs;
        if disturbs && self.mapping.and_probe.is_none() {
            let words = format!(
                "{} interrupts something, for which a line in a log is not enough: it is left out; add and_probe",
                block.kind().name
            );
            self.differs(fix, index, Some(number), words);
            return Vec::new();
        }
        if KINDS.iter().any(|known| known.name == kind) && block.kind().name != kind {
            self.differs(fix, index, Some(number), format!("{} is done instead of {kind}", block.kind().name));
        }
        let others: Vec<_> = action
            .parameters
            .iter()
            .filter(|(name, _)| *name != "service")
            .map(|(name, value)| format!("{name}: {}", short(value)))
            .collect();
        if !others.is_empty() {
            let words = format!(
                "{} of the file is not used: what {kind} is done with stands in the configuration",
                others.join(", ")
            );
            self.differs(fix, index, Some(number), words);
        }
        vec![spec]
    }

    fn without_step(
        &mut self,
        index: usize,
        fix: &Fix,
        number: usize,
        action: &FixAction,
        service: Option<&str>,
    ) -> Vec<Spec> {
        let kind = action.kind.as_str();
        if kind == ALERT {
            let told = self.told();
            if told.is_empty() {
                let words = "it is told in Banken's own log only: add steps: { alert: { alert: … } }";
                self.differs(fix, index, Some(number), words);
            }
            return told;
        }
        let key = plain(kind, MAX_VALUE);
        let words = match service {
            Some(service) => format!(
                "the service {service:?} is not mapped, so nothing is done: add services: {{ {}: {{ service_restart: … }} }}",
                plain(service, MAX_VALUE)
            ),
            None if KNOWN.contains(&kind) => {
                format!("it is not said with what, so nothing is done: add steps: {{ {key}: {{ {key}: … }} }}")
            }
            None => format!(
                "Banken has no action {key:?}, so nothing is done: a program of yours can do it, with steps: {{ {key}: {{ \
                 command: … }} }}"
            ),
        };
        self.differs(fix, index, Some(number), words);
        Vec::new()
    }
}

/// A name of a remedy for a pattern, which no other one has.
fn unique_name(id: &str, others: &[Translated]) -> String {
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '.' | '-');
    let name: String = id.chars().map(|c| c.to_ascii_lowercase()).map(|c| if legal(c) { c } else { '-' }).collect();
    let name = name.trim_start_matches(['-', '_', '.']);
    let name = if name.is_empty() { "pattern" } else { name };
    let taken = |name: &str| others.iter().any(|other| other.name == name);
    let numbered = (2..).map(|number| format!("{name}-{number}"));
    let mut names = std::iter::once(name.to_owned()).chain(numbered);
    names.find(|name| !taken(name)).unwrap_or_else(|| name.to_owned())
}

/// The types of action that such files know (`error_patterns.json`, "available action types").
pub const KNOWN: [&str; 13] = [
    "service_restart",
    "log_rotate",
    "cache_clear",
    "temp_file_cleanup",
    "create_missing_dirs",
    "fix_permissions",
    "check_port",
    "kill_process_on_port",
    "database_vacuum",
    "backup_and_fix_json",
    "old_file_cleanup",
    "alert",
    "log_analysis",
];

/// The most of a value of the file that is repeated.
const MAX_VALUE: usize = 60;

fn short(value: &serde_json::Value) -> String {
    plain(&value.to_string(), MAX_VALUE)
}
