//! Read, substitute, parse, check: from a file to probes that are built, or to every mistake in it at once.

mod dependencies;
mod error;
mod positions;
mod remedies;
mod repair;
mod schema;
mod senses;
mod substitute;

pub use error::{ConfigError, Problem};
pub use schema::schema;

use crate::health::Policy;
use crate::jobs;
use crate::logs;
use crate::probe::{self, Block, Cadence, Context, DURATION, Defaults, Plan, Spec, Worker, host};
use crate::remedy::{self, Repair};
use crate::values::{Invalid, too_short};
use positions::Positions;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// A configuration that was taken whole: everything in it is built and ready to start.
pub struct Config {
    /// Where the page and the metrics are served.
    pub listen: SocketAddr,
    /// Where state is kept.
    pub state_dir: PathBuf,
    /// The probes, the built-in ones first.
    pub probes: Vec<(Plan, Worker)>,
    /// The logs.
    pub logs: Vec<logs::Plan>,
    /// The jobs.
    pub jobs: Vec<jobs::Plan>,
    /// The remedies, each with its actions.
    pub remedies: Vec<(remedy::Plan, Vec<remedy::action::Worker>)>,
    /// What holds for all remedies.
    pub repair: Repair,
    /// What is allowed but hardly meant.
    pub warnings: Vec<Problem>,
    /// The file it came from, for messages.
    pub origin: String,
}

/// The file as it is written.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "Banken")]
struct Document {
    /// Address and port of the page and the metrics.
    listen: Listen,
    /// Folder for what must survive a restart.
    state_dir: PathBuf,
    /// Cadence and patience of probes that do not say their own.
    defaults: Defaults,
    /// CPU, memory, disks, network and processes of this host; `false` turns it off.
    host: HostSwitch,
    /// What is probed.
    probes: Vec<Spec>,
    /// What is read as it is written.
    logs: Vec<logs::Spec>,
    /// Work that is reported by whoever does it.
    jobs: Vec<jobs::Spec>,
    /// What is repaired, when, and how.
    remedies: Vec<remedy::Entry>,
    /// What holds for all remedies: the kill switch, maintenance windows.
    repair: Repair,
}

impl Default for Document {
    fn default() -> Self {
        Self {
            listen: Listen(SocketAddr::from(([127, 0, 0, 1], 9810))),
            state_dir: PathBuf::from("/var/lib/banken"),
            defaults: Defaults::default(),
            host: HostSwitch(Some(host::Config::default())),
            probes: Vec::new(),
            logs: Vec::new(),
            jobs: Vec::new(),
            remedies: Vec::new(),
            repair: Repair::default(),
        }
    }
}

/// An address to listen on.
#[derive(Debug, Clone, Copy)]
struct Listen(SocketAddr);

impl<'de> Deserialize<'de> for Listen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Listen).map_err(|_| {
            serde::de::Error::custom(format!(
                "{text:?} is not an address to listen on: write IP:PORT, as in 127.0.0.1:9810, 0.0.0.0:9810 or [::]:9810"
            ))
        })
    }
}

impl JsonSchema for Listen {
    fn schema_name() -> Cow<'static, str> {
        "Listen".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "description": "IP:PORT, for example 127.0.0.1:9810" })
    }
}

/// `host: false`, or a block.
#[derive(Debug)]
struct HostSwitch(Option<host::Config>);

impl<'de> Deserialize<'de> for HostSwitch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SwitchOrBlock;
        impl<'de> Visitor<'de> for SwitchOrBlock {
            type Value = HostSwitch;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("false, true or a block such as { interval: 15s }")
            }
            fn visit_bool<E: serde::de::Error>(self, on: bool) -> Result<HostSwitch, E> {
                Ok(HostSwitch(on.then(host::Config::default)))
            }
            fn visit_unit<E: serde::de::Error>(self) -> Result<HostSwitch, E> {
                Ok(HostSwitch(Some(host::Config::default())))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<HostSwitch, A::Error> {
                host::Config::deserialize(MapAccessDeserializer::new(map)).map(|config| HostSwitch(Some(config)))
            }
        }
        deserializer.deserialize_any(SwitchOrBlock)
    }
}

impl JsonSchema for HostSwitch {
    fn schema_name() -> Cow<'static, str> {
        "HostSwitch".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let block = generator.subschema_for::<host::Config>();
        json_schema!({ "anyOf": [{ "type": "boolean" }, block] })
    }
}

/// The configuration that is used without a file: it watches this host and Banken itself.
pub const EMBEDDED: &str = include_str!("config/embedded.yml");

/// How the embedded configuration is called in messages.
pub const EMBEDDED_NAME: &str = "(embedded default)";

/// Where a configuration is looked for when none is named.
pub const SEARCH_PATH: [&str; 2] = ["banken.yml", "/etc/banken/banken.yml"];

/// A larger file is hardly a configuration.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// Where a configuration comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file.
    File(PathBuf),
    /// A text that comes with the program.
    Text {
        /// How it is called in messages.
        name: &'static str,
        /// The text.
        text: Cow<'static, str>,
    },
}

impl Source {
    /// The embedded default.
    pub const EMBEDDED: Source = Source::Text { name: EMBEDDED_NAME, text: Cow::Borrowed(EMBEDDED) };

    /// The file that was named, else the first of [`SEARCH_PATH`] that is there, else the embedded default.
    pub fn find(named: Option<PathBuf>) -> Self {
        let there = || SEARCH_PATH.iter().map(PathBuf::from).find(|path| path.exists());
        named.or_else(there).map_or(Source::EMBEDDED, Source::File)
    }

    /// How it is called in messages.
    pub fn name(&self) -> String {
        match self {
            Source::File(path) => path.display().to_string(),
            Source::Text { name, .. } => (*name).to_owned(),
        }
    }

    /// Reads it and takes it whole.
    ///
    /// # Errors
    /// Every mistake in it, with file, line, column, path and remedy.
    pub fn load(&self) -> Result<Config, ConfigError> {
        match self {
            Source::Text { name, text } => parse(text, name, Path::new(".")),
            Source::File(path) => {
                let text = read(path).map_err(|message| ConfigError::whole(self.name(), message))?;
                parse(&text, &self.name(), path.parent().unwrap_or(Path::new(".")))
            }
        }
    }
}

fn read(path: &Path) -> Result<String, String> {
    use std::io::Read as _;
    let remedy = "check the path and its permissions";
    let file = std::fs::File::open(path).map_err(|error| format!("cannot be read: {error}; {remedy}"))?;
    if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
        return Err("is a folder: name the file in it".into());
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(|error| format!("cannot be read: {error}"))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err("is larger than 16 MiB, which is hardly a configuration".into());
    }
    String::from_utf8(bytes).map_err(|error| {
        let line = memchr::memchr_iter(b'\n', &error.as_bytes()[..error.utf8_error().valid_up_to()]).count() + 1;
        format!("is not UTF-8 text: the first wrong byte is in line {line}; save it as UTF-8")
    })
}

/// Takes a configuration from its text; relative paths in `{ file: … }` begin at `folder`.
///
/// # Errors
/// Every mistake in it.
pub fn parse(text: &str, origin: &str, folder: &Path) -> Result<Config, ConfigError> {
    let positions = Positions::of(text);
    let mut problems = Vec::new();
    let mut value = serde_yaml::from_str(text).map_err(|error| ConfigError::syntax(origin, &error, &positions))?;
    if value == serde_yaml::Value::Null {
        value = serde_yaml::Value::Mapping(serde_yaml::Mapping::new());
    }
    let substituted = substitute::environment(&mut value, &positions, &mut problems, |name| std::env::var(name).ok());
    substitute::resolve_files(&mut value, folder);
    let document: Option<Document> = repair::deserialize(value, &substituted, &positions, &mut problems);
    let found_by_form = problems.len();
    let mut checked =
        Checked { positions: &positions, problems, found_by_form, warnings: Vec::new(), probes: Vec::new() };
    let (mut logs, mut jobs, mut remedies) = (Vec::new(), Vec::new(), Vec::new());
    if let Some(document) = &document {
        checked.host(document);
        checked.probes(document);
        (logs, jobs) = checked.senses(document);
        remedies = checked.remedies(document, &logs, &jobs);
    }
    match document {
        Some(document) if checked.problems.is_empty() => Ok(Config {
            listen: document.listen.0,
            state_dir: document.state_dir,
            probes: checked.probes,
            logs,
            jobs,
            remedies,
            repair: document.repair,
            warnings: checked.warnings,
            origin: origin.to_owned(),
        }),
        _ => Err(ConfigError::new(origin, checked.problems)),
    }
}

/// What is gathered while the parsed document is checked and its probes are built.
struct Checked<'a> {
    positions: &'a Positions,
    problems: Vec<Problem>,
    /// How many of them come from the form of the text, before anything was checked.
    found_by_form: usize,
    warnings: Vec<Problem>,
    probes: Vec<(Plan, Worker)>,
}

impl Checked<'_> {
    fn host(&mut self, document: &Document) {
        let Some(config) = &document.host.0 else { return };
        let mut invalid = Vec::new();
        let interval = config.interval.map_or(host::DEFAULT_INTERVAL, |interval| interval.0);
        let plan = Plan {
            name: host::KIND.name.into(),
            kind: &host::KIND,
            group: None,
            cadence: Cadence {
                interval,
                retry_interval: document.defaults.retry_interval.0.min(interval),
                timeout: document.defaults.timeout.0,
            },
            policy: Policy {
                failure_threshold: document.defaults.failure_threshold.get(),
                success_threshold: document.defaults.success_threshold.get(),
            },
            limits: host::KIND.limits(&config.thresholds, &mut invalid),
            depends_on: Vec::new(),
            block: Block::Host(config.clone()),
        };
        invalid.extend(too_short("interval", interval));
        self.wrong("", invalid.into_iter().map(|mistake| mistake.within("host")).collect());
        self.build(plan, "", &Context::default());
    }

    fn probes(&mut self, document: &Document) {
        let context = Context::default();
        let kinds: Vec<&str> = probe::KINDS.iter().map(|kind| kind.name).collect();
        let mut names: HashMap<String, usize> = HashMap::new();
        for (index, spec) in document.probes.iter().enumerate() {
            let index = self.positions.original_index("probes", index);
            let path = format!("probes[{index}]");
            let plan = match spec.plan(&document.defaults) {
                Ok(plan) => plan,
                Err(mut invalid) => {
                    // A block with a mistake in it was taken out: that it is missing is no mistake of the user's.
                    if self.is_mistaken(&path, &kinds) {
                        invalid.retain(|mistake| !mistake.path.is_empty());
                    }
                    self.wrong(&path, invalid);
                    continue;
                }
            };
            if plan.name == host::KIND.name && document.host.0.is_some() {
                let message = "the name \"host\" belongs to the built-in probe: choose another, or set host: false";
                self.wrong(&path, vec![Invalid::new("name", message)]);
            }
            self.unique(("probe", "probes"), &mut names, &plan.name, index);
            self.warn_of_cadence(&plan, &path);
            self.build(plan, &path, &context);
        }
        self.dependencies(document);
    }

    /// Whether a mistake was found in one of these keys of an entry.
    fn is_mistaken(&self, path: &str, keys: &[&str]) -> bool {
        let mut blocks = keys.iter().map(|key| format!("{path}.{key}"));
        blocks.any(|block| self.problems.iter().any(|known| known.is_within(&block)))
    }

    fn warn_of_cadence(&mut self, plan: &Plan, path: &str) {
        let Cadence { interval, timeout, .. } = plan.cadence;
        if timeout >= interval {
            let message = format!(
                "the timeout ({}) is not shorter than the interval ({}): a target that hangs misses its next runs",
                humantime::format_duration(timeout),
                humantime::format_duration(interval)
            );
            self.warnings.push(self.positions.problem(path, message));
        }
        let duration = plan.limits.iter().find(|limit| std::ptr::eq(limit.signal, &DURATION));
        let gravest = duration.and_then(|limit| limit.levels.critical.or(limit.levels.warning));
        if gravest.is_some_and(|level| level >= timeout.as_secs_f64()) {
            let message = "a threshold on the duration is not below the timeout: the probe fails before it is slow";
            self.warnings.push(self.positions.problem(&format!("{path}.thresholds.duration"), message.into()));
        }
    }

    fn build(&mut self, plan: Plan, path: &str, context: &Context) {
        match plan.build(context) {
            Ok(worker) => self.probes.push((plan, worker)),
            Err(invalid) => self.wrong(path, invalid),
        }
    }

    fn wrong(&mut self, path: &str, invalid: Vec<Invalid>) {
        for mistake in invalid {
            let mut mistake = if path.is_empty() { mistake } else { mistake.within(path) };
            mistake.path = self.positions.original_path(path, &mistake.path);
            // What was taken out of a block as wrong is not missing there too.
            let consequence = mistake.path != path
                && self.problems[..self.found_by_form].iter().any(|known| known.is_within(&mistake.path));
            if !consequence {
                self.problems.push(self.positions.problem(&mistake.path, mistake.message));
            }
        }
    }
}
