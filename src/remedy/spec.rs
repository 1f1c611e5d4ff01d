//! What is written under `remedies:`.

use super::action;
use crate::observation::Severity;
use crate::values::{Invalid, Period, check_name};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

/// One entry under `remedies:`, as it is written.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "RemedySpec")]
pub struct Spec {
    /// Unique name, the label `remedy`: lower-case letters, digits, `_`, `.`, `-`.
    #[schemars(regex(pattern = r"^[a-z0-9][a-z0-9_.-]*$|\$\{"))]
    pub name: String,
    /// The one condition that it waits for.
    pub when: When,
    /// From the first failure to the verified recovery: refused if what is configured could take longer.
    #[serde(default)]
    pub recover_within: Option<Period>,
    /// What is done, from light to severe: each later step only if those before it did not help.
    pub steps: Vec<action::Spec>,
    /// Attempts within one incident.
    #[serde(default = "three")]
    pub max_attempts: NonZeroU32,
    /// Before the second attempt; it doubles with each one after, and strays by a tenth.
    #[serde(default = "default_retry_delay")]
    #[schemars(with = "Period")]
    pub retry_delay: Period,
    /// The longest that this grows.
    #[serde(default = "default_max_retry_delay")]
    #[schemars(with = "Period")]
    pub max_retry_delay: Period,
    /// A failure so soon after a recovery means that repairing does not help: the remedy gives up.
    #[serde(default = "default_cooldown")]
    #[schemars(with = "Period")]
    pub cooldown: Period,
    /// How long what was repaired may take until failures count.
    #[serde(default = "default_start_grace")]
    #[schemars(with = "Period")]
    pub start_grace: Period,
    /// What verifies a recovery.
    #[serde(default)]
    pub verify: Verify,
    /// After which time in exhaustion one trial is made; without it only a person helps (`banken remedy ack`).
    #[serde(default)]
    pub open_for: Option<Period>,
    /// Names of probes: while one of them fails, the cause is there, and nothing is done.
    #[serde(default)]
    pub depends_on: Vec<String>,
    /// Whether it may act. Without it, it only says what it would do.
    #[serde(default)]
    pub armed: bool,
}

const fn three() -> NonZeroU32 {
    NonZeroU32::MIN.saturating_add(2)
}

const fn default_retry_delay() -> Period {
    Period(Duration::from_secs(60))
}

const fn default_max_retry_delay() -> Period {
    Period(Duration::from_secs(15 * 60))
}

const fn default_cooldown() -> Period {
    Period(Duration::from_secs(300))
}

const fn default_start_grace() -> Period {
    Period(Duration::from_secs(10))
}

/// What verifies a recovery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "RemedyVerify")]
pub struct Verify {
    /// Good runs in a row of what is watched; without it, the probe's `success_threshold`.
    pub successes: Option<NonZeroU32>,
    /// How long after the grace a verdict is waited for at most; without it, what so many runs can take.
    pub within: Option<Period>,
}

/// The condition. Exactly one of `probe`, `all_down`, `threshold`, `log`, `job` and `alert` must be there.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "RemedyWhen")]
pub struct When {
    /// This probe is unhealthy.
    pub probe: Option<String>,
    /// All of these probes are unhealthy at once.
    pub all_down: Vec<String>,
    /// A threshold is crossed.
    pub threshold: Option<Crossed>,
    /// The pattern `pattern` was found in this log.
    pub log: Option<String>,
    /// Which pattern of `log`, by its id.
    pub pattern: Option<String>,
    /// How long ago the pattern was found at most.
    pub within: Option<Period>,
    /// This job is late: with `late: true`.
    pub job: Option<String>,
    /// Must be `true` with `job`.
    pub late: Option<bool>,
    /// An alert with these labels is firing, as Alertmanager's webhook told.
    pub alert: Option<BTreeMap<String, String>>,
    /// With `log`, `job` and `alert`: only while this probe is unhealthy too. Its runs verify the recovery.
    pub and_probe: Option<String>,
}

/// A threshold that is crossed. Exactly one of `probe` and `log` must be there.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "RemedyThreshold")]
pub struct Crossed {
    /// Of this probe.
    #[serde(default)]
    pub probe: Option<String>,
    /// Of this log.
    #[serde(default)]
    pub log: Option<String>,
    /// Which signal: `memory`, `cpu`, `size`, …
    pub signal: String,
    /// The threshold of this severity or a graver one.
    pub severity: Severity,
    /// For how long.
    #[serde(default, rename = "for")]
    pub lasting: Option<Period>,
}

/// The names that commands have of their own.
const RESERVED: [&str; 4] = ["ack", "history", "list", "pause"];

/// The name becomes the name of a file.
const MAX_NAME: usize = 128;

/// As many steps as anybody needs.
const MAX_STEPS: usize = 16;

impl Spec {
    /// Mistakes that need no knowledge of anything else.
    pub(super) fn check(&self, invalid: &mut Vec<Invalid>) {
        if let Err(message) = check_name(&self.name) {
            invalid.push(Invalid::new("name", message));
        }
        if self.name.len() > MAX_NAME {
            invalid.push(Invalid::new("name", format!("longer than {MAX_NAME} characters")));
        }
        if RESERVED.contains(&self.name.as_str()) {
            let message = format!("banken remedy {} is a command: choose another name", self.name);
            invalid.push(Invalid::new("name", message));
        }
        if self.steps.is_empty() || self.steps.len() > MAX_STEPS {
            invalid.push(Invalid::new("steps", format!("write 1 to {MAX_STEPS} steps, as in [ {{ command: … }} ]")));
        }
        let delays = [
            ("retry_delay", self.retry_delay),
            ("max_retry_delay", self.max_retry_delay),
            ("cooldown", self.cooldown),
            ("start_grace", self.start_grace),
        ];
        let longest = Duration::from_secs(7 * 24 * 3600);
        for (key, period) in delays.into_iter().filter(|(_, period)| period.0 > longest) {
            let message = format!("{} is too long: at most 7days", humantime::format_duration(period.0));
            invalid.push(Invalid::new(key, message));
        }
        if self.retry_delay > self.max_retry_delay {
            invalid.push(Invalid::new("retry_delay", "longer than max_retry_delay: shorten it, or raise that"));
        }
    }
}
