//! What is written under `remedies:`.

use super::action;
use super::patterns_file::{Difference, Mapping, Translated, translate};
use super::switches::LONGEST_PAUSE;
use crate::jobs::{Cron, time_zone};
use crate::observation::Severity;
use crate::values::{Invalid, Period, Secret, check_name};
use jiff::tz::TimeZone;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IntoDeserializer as _, MapAccess, Visitor};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

/// One entry under `remedies:`: a remedy, or `from_patterns` alone, which makes one of each pattern of a file that says
/// how it is repaired.
#[derive(Debug, Clone, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "a few of each in a configuration")]
pub enum Entry {
    /// A remedy.
    One(Spec),
    /// Those of a file such as `error_patterns.json`.
    FromPatterns(FromPatterns),
}

/// Remedies from a file of patterns.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FromPatterns {
    /// The file, and with what its actions are done.
    pub from_patterns: Mapping,
    /// Whether they may act. Without it, they only say what they would do.
    #[serde(default)]
    pub armed: bool,
}

impl<'de> Deserialize<'de> for Entry {
    /// The key decides, so that a mistake in either form is told with its own place.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EitherForm;
        impl<'de> Visitor<'de> for EitherForm {
            type Value = Entry;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a remedy with name, when and steps, or from_patterns")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entry, A::Error> {
                let Some(first) = map.next_key::<String>()? else {
                    return Err(A::Error::custom("an empty remedy: add name, when and steps"));
                };
                let is_mapping = first == "from_patterns";
                let rest = MapAccessDeserializer::new(Rejoined { first: Some(first), map });
                if is_mapping {
                    FromPatterns::deserialize(rest).map(Entry::FromPatterns)
                } else {
                    Spec::deserialize(rest).map(Entry::One)
                }
            }
        }
        deserializer.deserialize_map(EitherForm)
    }
}

impl JsonSchema for Entry {
    fn schema_name() -> Cow<'static, str> {
        "RemedyEntry".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (one, many) = (generator.subschema_for::<Spec>(), generator.subschema_for::<FromPatterns>());
        json_schema!({ "anyOf": [one, many] })
    }
}

/// A mapping of which the first key was read already.
struct Rejoined<A> {
    first: Option<String>,
    map: A,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Rejoined<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        match self.first.take() {
            Some(first) => seed.deserialize(first.into_deserializer()).map(Some),
            None => self.map.next_key_seed(seed),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}

impl FromPatterns {
    /// The remedies of the file, each with the id of its pattern, and every place where they differ from what the file says.
    ///
    /// # Errors
    /// Every mistake in the mapping, with its path from this entry on.
    pub fn specs(&self) -> Result<(Vec<Spec>, Vec<Difference>), Vec<Invalid>> {
        let mapping = &self.from_patterns;
        let invalid = mapping.mistakes();
        let file = mapping.file.auto_fix();
        let (true, Ok(file)) = (invalid.is_empty(), file) else {
            return Err(invalid.into_iter().map(|mistake| mistake.within("from_patterns")).collect());
        };
        let (translated, differences) = translate(&file, mapping);
        let spec = |one: Translated| Spec {
            name: format!("{}-{}", mapping.log, one.name),
            when: When {
                log: Some(mapping.log.clone()),
                pattern: Some(one.pattern),
                and_probe: mapping.and_probe.clone(),
                ..When::default()
            },
            recover_within: None,
            steps: one.steps,
            max_attempts: NonZeroU32::new(one.max_attempts).unwrap_or(NonZeroU32::MIN),
            retry_delay: Period(one.retry_delay),
            max_retry_delay: Period(default_max_retry_delay().0.max(one.retry_delay)),
            cooldown: Period(one.cooldown),
            start_grace: default_start_grace(),
            verify: Verify::default(),
            open_for: None,
            depends_on: Vec::new(),
            armed: self.armed,
        };
        Ok((translated.into_iter().map(spec).collect(), differences))
    }
}

/// A remedy, as it is written.
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

/// The block `repair:`: what holds for all remedies.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Repair {
    /// While this file exists, nothing is repaired; without it `no-repair` in `remedies` below `state_dir`.
    pub kill_switch: Option<PathBuf>,
    /// When nothing is repaired, because people are at work. Each window ends by itself.
    pub maintenance: Vec<Window>,
    /// What Alertmanager must send as `Authorization: Bearer …` with its webhook; without it no alerts are taken.
    pub webhook_token: Option<Secret>,
}

/// A maintenance window. Exactly one of `cron` and `from` must be there.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(try_from = "WrittenWindow")]
#[schemars(with = "WrittenWindow")]
pub struct Window {
    opens: Opens,
    lasting: Duration,
    /// Of these remedies; of all where there are none.
    pub remedies: Vec<String>,
}

#[derive(Debug, Clone, PartialEq)]
enum Opens {
    Again(Cron),
    Once(f64),
}

/// A maintenance window as it is written. Exactly one of `cron` and `from` must be there.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "MaintenanceWindow")]
struct WrittenWindow {
    /// When it opens, again and again: minute, hour, day of the month, month, day of the week, as in crontab(5).
    cron: Option<String>,
    /// The time zone of `cron`, by its IANA name; UTC without it.
    time_zone: Option<String>,
    /// When it opens, once: RFC 3339, as in 2026-12-31T22:00:00+09:00.
    from: Option<String>,
    /// How long it stays open; at most 7days.
    #[serde(rename = "for")]
    lasting: Period,
    /// Of these remedies; of all where there are none.
    #[serde(default)]
    remedies: Vec<String>,
}

impl TryFrom<WrittenWindow> for Window {
    type Error = String;

    fn try_from(written: WrittenWindow) -> Result<Self, String> {
        let WrittenWindow { cron, time_zone: zone, from, lasting, remedies } = written;
        if lasting.0 > LONGEST_PAUSE || lasting.0.is_zero() {
            return Err("for: a window stays open for more than nothing, and for at most 7days".into());
        }
        let opens = match (cron, from) {
            (Some(line), None) => {
                let zone = zone.as_deref().map_or(Ok(TimeZone::UTC), time_zone)?;
                Opens::Again(Cron::parse(&line, zone)?)
            }
            (None, Some(text)) if zone.is_none() => {
                let at: jiff::Timestamp = text.parse().map_err(|error| {
                    format!("from: {text:?} is no time ({error}): write it as in 2026-12-31T22:00:00+09:00")
                })?;
                Opens::Once(at.as_millisecond() as f64 / 1000.0)
            }
            (None, Some(_)) => return Err("time_zone goes with cron; from has an offset of its own".into()),
            _ => return Err("when does it open? write exactly one of cron and from".into()),
        };
        Ok(Self { opens, lasting: lasting.0, remedies })
    }
}

impl Window {
    /// Whether it is open at `now`, in seconds since the Unix epoch.
    pub fn is_open(&self, now: f64) -> bool {
        let earliest = now - self.lasting.as_secs_f64();
        match &self.opens {
            Opens::Again(cron) => cron.next(earliest).is_some_and(|opened| opened <= now),
            Opens::Once(opened) => earliest < *opened && *opened <= now,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(yaml: &str) -> Result<Window, String> {
        serde_yaml::from_str(yaml).map_err(|error| error.to_string())
    }

    #[test]
    fn a_window_opens_by_the_clock_of_its_zone_and_closes_by_itself() {
        let window = window("{ cron: '0 3 * * *', time_zone: Asia/Tokyo, for: 2h }").unwrap();
        // 2026-11-28T18:00:00Z is 03:00 in Tokyo.
        let opens = 1_795_888_800.0;
        for (after, open) in [(-1.0, false), (0.0, true), (7199.0, true), (7200.0, false), (86_400.0, true)] {
            assert_eq!(window.is_open(opens + after), open, "{after} s after it opens");
        }
    }

    #[test]
    fn a_window_that_would_never_end_or_has_no_beginning_is_refused() {
        let once = window("{ from: '2026-12-31T22:00:00+09:00', for: 1h }").unwrap();
        assert!(once.is_open(1_798_722_000.0) && !once.is_open(1_798_725_600.0));
        for yaml in [
            "{ cron: '0 3 * * *' }",
            "{ for: 2h }",
            "{ cron: '0 3 * * *', for: 30days }",
            "{ cron: '0 3 * * *', from: '2026-12-31T22:00:00Z', for: 1h }",
            "{ from: yesterday, for: 1h }",
        ] {
            assert!(window(yaml).is_err(), "{yaml}");
        }
    }
}
