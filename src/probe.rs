//! THE TABLE of kinds, and the contract between a kind and its runner.
//!
//! A kind of probe is one file below `probe/` and one row in [`kinds!`] here. From the row follow its configuration
//! block, its dispatch, its line in `banken kinds`, its place in the JSON Schema and in the documentation of metrics.

pub mod atr;
pub mod command;
#[cfg(test)]
mod compliance;
pub mod container;
pub mod dns;
pub mod file;
pub mod host;
pub mod http;
pub mod icmp;
pub mod pm2;
pub mod port;
pub mod postgres;
pub mod process;
pub mod prometheus;
pub mod redis;
pub mod systemd;
pub mod tcp;
pub mod tls;

use crate::health::{self, Limit};
use crate::machine::systemd::Buses;
use crate::net::Roots;
use crate::observation::{Failure, Family, Readings, Reason, Scope, Signal, Unit};
use crate::values::{Invalid, Period, Thresholds, check_name, limits, too_short};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::future::Future;
use std::num::NonZeroU32;
use std::time::Duration;

/// What a kind does while it is watched. It is built once from its configuration and owned by its runner, which alone
/// knows timeouts, permits, spans and success.
pub trait Probe: Send + 'static {
    /// One run. Readings are written as they become known, so that a failed run keeps what it saw.
    ///
    /// # Errors
    /// Why the run failed.
    fn run(&mut self, out: &mut Readings) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Ends when the next run should begin at once. It must be safe to drop and to call again.
    fn wake(&mut self) -> impl Future<Output = ()> + Send {
        std::future::pending()
    }
}

/// The block of a kind, as it stands in the configuration.
pub trait Settings {
    /// What it becomes.
    type Probe: Probe;

    /// Compiles, reads and makes everything that a run needs.
    ///
    /// # Errors
    /// Every mistake in the block, with its path from the block on.
    fn build(&self, context: &Context) -> Result<Self::Probe, Vec<Invalid>>;

    /// How long a run may take at least, for kinds that divide it into attempts or steps with times of their own: the
    /// timeout where the entry does not set one, and the least that it may set.
    fn needs(&self) -> Option<Duration> {
        None
    }
}

/// What is shared by the probes of one configuration while they are built.
#[derive(Debug, Default)]
pub struct Context {
    /// The certificate authorities of the system, read once and only if somebody needs them.
    pub roots: Roots,
    /// The buses on which systemd is asked: all units on one of them share a connection.
    pub buses: Buses,
}

/// The description of a kind: its row in the table, in words and families.
#[derive(Debug, PartialEq)]
pub struct Kind {
    /// The key of its block and the value of the label `kind`.
    pub name: &'static str,
    /// What it measures, in one line.
    pub summary: &'static str,
    /// An example in YAML: an entry under `probes:`.
    pub example: &'static str,
    /// The reasons with which it can fail; each has a counter from the start.
    pub reasons: &'static [Reason],
    /// The families that only this kind publishes.
    pub families: &'static [&'static Family],
    /// The quantities on which thresholds can be set, beside the duration.
    pub signals: &'static [&'static Signal],
}

impl Kind {
    /// Resolves thresholds against the signals of this kind.
    pub fn limits(&self, thresholds: &BTreeMap<String, Thresholds>, invalid: &mut Vec<Invalid>) -> Vec<Limit> {
        let signals: Vec<&'static Signal> = std::iter::once(&DURATION).chain(self.signals.iter().copied()).collect();
        limits(thresholds, &signals, &format!("a probe of kind {}", self.name), invalid)
    }
}

/// The duration of a run, on which every kind can have thresholds.
pub static DURATION: Signal = Signal { key: "duration", unit: Unit::Seconds, threshold: &DURATION_THRESHOLD };

/// Where the thresholds on the duration are published.
static DURATION_THRESHOLD: Family = Family::gauge(
    "banken_probe_duration_threshold_seconds",
    Scope::Probe,
    &["severity"],
    "Configured threshold on the duration of a run, in seconds",
);

/// Cadence and patience, where a probe does not say its own.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Defaults {
    /// How often a healthy target is probed.
    pub interval: Period,
    /// How soon it is probed again while it is suspect.
    pub retry_interval: Period,
    /// How long one run may take.
    pub timeout: Period,
    /// Failures in a row until a target is unhealthy.
    pub failure_threshold: NonZeroU32,
    /// Successes in a row until an unhealthy target is healthy again.
    pub success_threshold: NonZeroU32,
}

impl Default for Defaults {
    fn default() -> Self {
        Self {
            interval: Period(Duration::from_secs(30)),
            retry_interval: Period(Duration::from_secs(5)),
            timeout: Period(Duration::from_secs(10)),
            failure_threshold: NonZeroU32::MIN.saturating_add(2),
            success_threshold: NonZeroU32::MIN.saturating_add(1),
        }
    }
}

/// When a probe runs and how long it may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cadence {
    /// Between two runs while the state is settled.
    pub interval: Duration,
    /// Between two runs while the state is in doubt; never longer than the interval.
    pub retry_interval: Duration,
    /// The longest that one run may take.
    pub timeout: Duration,
}

/// A probe that is ready to be built: everything resolved, nothing left to default.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Unique name; the label `probe`.
    pub name: String,
    /// Its kind.
    pub kind: &'static Kind,
    /// The label `group`.
    pub group: Option<String>,
    /// When it runs.
    pub cadence: Cadence,
    /// How results become health.
    pub policy: health::Policy,
    /// Configured thresholds.
    pub limits: Vec<Limit>,
    /// The names of the probes whose failure explains its own.
    pub depends_on: Vec<String>,
    /// The kind's own block.
    pub block: Block,
}

macro_rules! kinds {
    ($( $module:ident $variant:ident ),* ; built_in $( $own_module:ident $own_variant:ident ),*) => {
        /// Every kind, in the order of the table.
        pub static KINDS: &[&Kind] = &[$( &$module::KIND, )* $( &$own_module::KIND, )*];

        /// One entry under `probes:`, as it is written. Exactly one of the kinds' blocks must be there.
        #[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct Spec {
            /// Unique name, the label `probe`: lower-case letters, digits, `_`, `.`, `-`.
            #[schemars(regex(pattern = r"^[a-z0-9][a-z0-9_.-]*$|\$\{"))]
            pub name: String,
            /// Optional label to gather probes by.
            #[serde(default)]
            pub group: Option<String>,
            /// How often it is probed while it is healthy.
            #[serde(default)]
            pub interval: Option<Period>,
            /// How soon it is probed again while it is suspect.
            #[serde(default)]
            pub retry_interval: Option<Period>,
            /// How long one run may take.
            #[serde(default)]
            pub timeout: Option<Period>,
            /// Failures in a row until it is unhealthy.
            #[serde(default)]
            pub failure_threshold: Option<NonZeroU32>,
            /// Successes in a row until it is healthy again.
            #[serde(default)]
            pub success_threshold: Option<NonZeroU32>,
            /// Names of other probes whose failure explains a failure of this one, so that only the cause alerts.
            #[serde(default)]
            pub depends_on: Vec<String>,
            /// Thresholds by signal: `duration`, and what the kind adds (`memory`, `cpu`, …).
            #[serde(default)]
            pub thresholds: BTreeMap<String, Thresholds>,
            $(
                #[doc = concat!("A probe of kind `", stringify!($module), "`.")]
                #[serde(default)]
                pub $module: Option<$module::Config>,
            )*
        }

        /// The block of one kind.
        #[derive(Debug, Clone, PartialEq)]
        #[allow(clippy::large_enum_variant, reason = "one per probe while a configuration is loaded")]
        pub enum Block {
            $( #[doc = concat!("Of kind `", stringify!($module), "`.")] $variant($module::Config), )*
            $( #[doc = concat!("Of kind `", stringify!($own_module), "`, which is built in.")] $own_variant($own_module::Config), )*
        }

        impl Block {
            /// The description of its kind.
            pub fn kind(&self) -> &'static Kind {
                match self {
                    $( Block::$variant(_) => &$module::KIND, )*
                    $( Block::$own_variant(_) => &$own_module::KIND, )*
                }
            }

            fn needs(&self) -> Option<Duration> {
                match self {
                    $( Block::$variant(config) => config.needs(), )*
                    $( Block::$own_variant(config) => config.needs(), )*
                }
            }

            fn build(&self, context: &Context) -> Result<Worker, Vec<Invalid>> {
                match self {
                    $( Block::$variant(config) => config.build(context).map(|probe| Worker::$variant(Box::new(probe))), )*
                    $( Block::$own_variant(config) => config.build(context).map(|probe| Worker::$own_variant(Box::new(probe))), )*
                }
            }
        }

        /// A probe that was built, of whichever kind.
        pub enum Worker {
            $( #[doc = concat!("Of kind `", stringify!($module), "`.")] $variant(Box<$module::Probe>), )*
            $( #[doc = concat!("Of kind `", stringify!($own_module), "`.")] $own_variant(Box<$own_module::Probe>), )*
        }

        impl Probe for Worker {
            async fn run(&mut self, out: &mut Readings) -> Result<(), Failure> {
                // In a box, or each of thousands of waiting probes would have room for a run of the largest kind.
                match self {
                    $( Worker::$variant(probe) => Box::pin(probe.run(out)).await, )*
                    $( Worker::$own_variant(probe) => Box::pin(probe.run(out)).await, )*
                }
            }

            async fn wake(&mut self) {
                match self {
                    $( Worker::$variant(probe) => probe.wake().await, )*
                    $( Worker::$own_variant(probe) => probe.wake().await, )*
                }
            }
        }

        impl Spec {
            /// The blocks that are there; exactly one should be.
            fn blocks(&self) -> Vec<Block> {
                let mut blocks = Vec::new();
                $( blocks.extend(self.$module.clone().map(Block::$variant)); )*
                blocks
            }
        }
    };
}

kinds! {
    http Http,
    tcp Tcp,
    tls Tls,
    process Process,
    dns Dns,
    icmp Icmp,
    postgres Postgres,
    redis Redis,
    file File,
    port Port,
    prometheus Prometheus,
    atr Atr,
    command Command,
    systemd Systemd,
    container Container,
    pm2 Pm2;
    built_in host Host
}

impl Spec {
    /// Resolves the entry against the defaults.
    ///
    /// # Errors
    /// Every mistake in it, with paths from this entry on.
    pub fn plan(&self, defaults: &Defaults) -> Result<Plan, Vec<Invalid>> {
        let mut invalid = Vec::new();
        if let Err(message) = check_name(&self.name) {
            invalid.push(Invalid::new("name", message));
        }
        let blocks = self.blocks();
        if blocks.len() != 1 {
            let known: Vec<_> = KINDS.iter().map(|kind| kind.name).filter(|name| *name != host::KIND.name).collect();
            let found: Vec<_> = blocks.iter().map(|block| block.kind().name).collect();
            let message = if found.is_empty() {
                format!("this probe has no kind: add exactly one of {}", known.join(", "))
            } else {
                format!("this probe has several kinds ({}): keep one and make probes of the others", found.join(", "))
            };
            invalid.push(Invalid::new("", message));
        }
        let block = blocks.into_iter().next();
        let cadence = self.cadence(defaults, block.as_ref().and_then(Block::needs), &mut invalid);
        let Some(block) = block else { return Err(invalid) };
        let limits = block.kind().limits(&self.thresholds, &mut invalid);
        if !invalid.is_empty() {
            return Err(invalid);
        }
        Ok(Plan {
            name: self.name.clone(),
            kind: block.kind(),
            group: self.group.clone(),
            cadence,
            policy: health::Policy {
                failure_threshold: self.failure_threshold.unwrap_or(defaults.failure_threshold).get(),
                success_threshold: self.success_threshold.unwrap_or(defaults.success_threshold).get(),
            },
            limits,
            depends_on: self.depends_on.clone(),
            block,
        })
    }

    fn cadence(&self, defaults: &Defaults, needs: Option<Duration>, invalid: &mut Vec<Invalid>) -> Cadence {
        let interval = self.interval.unwrap_or(defaults.interval).0;
        let retry_interval = self.retry_interval.unwrap_or(defaults.retry_interval).0;
        let timeout = self.timeout.map_or_else(|| needs.unwrap_or(defaults.timeout.0), |timeout| timeout.0);
        if let Some(needs) = needs.filter(|needs| *needs > timeout) {
            let needs = humantime::format_duration(needs);
            let message =
                format!("a run of this probe can take {needs}: remove timeout, set it to that, or ask for less");
            invalid.push(Invalid::new("timeout", message));
        }
        for (key, period) in [("interval", interval), ("retry_interval", retry_interval), ("timeout", timeout)] {
            invalid.extend(too_short(key, period));
        }
        Cadence { interval, retry_interval: retry_interval.min(interval), timeout }
    }
}

impl Plan {
    /// Builds the probe.
    ///
    /// # Errors
    /// Every mistake in its block, with paths from this entry on.
    pub fn build(&self, context: &Context) -> Result<Worker, Vec<Invalid>> {
        self.block
            .build(context)
            .map_err(|mistakes| mistakes.into_iter().map(|mistake| mistake.within(self.kind.name)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_no_name_twice_and_every_row_is_whole() {
        let mut names: Vec<_> = KINDS.iter().map(|kind| kind.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), KINDS.len());
        for kind in KINDS {
            assert!(!kind.summary.is_empty() && !kind.summary.ends_with('.'), "{}", kind.name);
            assert!(!kind.reasons.contains(&Reason::Local), "{}: local is not a failure of the target", kind.name);
            for family in kind.families {
                assert!(family.name.starts_with("banken_"), "{}", family.name);
                assert!(!family.help.ends_with('.'), "{}", family.name);
            }
            for signal in kind.signals {
                assert_eq!(signal.threshold.labels, ["severity"], "{}", signal.key);
            }
        }
    }

    #[test]
    fn every_example_is_a_probe_that_can_be_built() {
        for kind in KINDS.iter().filter(|kind| kind.name != host::KIND.name) {
            let specs: Vec<Spec> = serde_yaml::from_str(kind.example)
                .unwrap_or_else(|error| panic!("the example of {}: {error}", kind.name));
            for spec in specs {
                let plan = spec.plan(&Defaults::default()).unwrap_or_else(|e| panic!("{}: {e:?}", kind.name));
                assert_eq!(plan.kind.name, kind.name);
                assert!(plan.build(&Context::default()).is_ok(), "{}", kind.name);
            }
        }
    }
}
