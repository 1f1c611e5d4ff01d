//! What a file of patterns says about repairs: `auto_fix`, `actions` and `auto_fix_config`. It is read only where somebody
//! wants to act by it, so that a file whose repairs nobody understands can still be counted by.

use crate::observation::Gravity;
use serde_json::{Map, Value};
use std::time::Duration;

/// More actions for one pattern are a mistake.
const MAX_ACTIONS: usize = 20;

/// What a file says about repairs.
#[derive(Debug, Clone, PartialEq)]
pub struct AutoFix {
    /// Its patterns, in their order.
    pub patterns: Vec<Fix>,
    /// How often, how fast, and who is told.
    pub config: FixConfig,
}

/// What is to be done when a pattern is found.
#[derive(Debug, Clone, PartialEq)]
pub struct Fix {
    /// The pattern.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// How bad it is.
    pub gravity: Gravity,
    /// Whether anything is done at all.
    pub auto_fix: bool,
    /// What is done, one after the other.
    pub actions: Vec<FixAction>,
}

/// One entry of `actions`.
#[derive(Debug, Clone, PartialEq)]
pub struct FixAction {
    /// The word under `type`.
    pub kind: String,
    /// What it is for, in words; perhaps none.
    pub description: String,
    /// Everything else that stands there: `service`, `days`, …
    pub parameters: Map<String, Value>,
}

/// `auto_fix_config`.
#[derive(Debug, Clone, PartialEq)]
pub struct FixConfig {
    /// How often it is tried.
    pub max_retries: u64,
    /// From one attempt to the next.
    pub retry_delay: Duration,
    /// From one incident to the next.
    pub cooldown_period: Duration,
    /// Whether anybody is told.
    pub enable_notifications: bool,
    /// By which ways.
    pub notification_channels: Vec<String>,
    /// Whether a copy is made first.
    pub backup_before_fix: bool,
}

impl Default for FixConfig {
    fn default() -> Self {
        Self {
            max_retries: 3,
            retry_delay: Duration::from_secs(60),
            cooldown_period: Duration::from_secs(300),
            enable_notifications: true,
            notification_channels: vec!["log".into()],
            backup_before_fix: true,
        }
    }
}

/// The parts of a file that are read here, as they stand in it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Raw {
    pub(super) auto_fix: Value,
    pub(super) actions: Value,
}

/// Reads one key of an object, with a default where it is not there.
fn take<T>(value: &Value, path: &str, form: &str, read: impl Fn(&Value) -> Option<T>, unsaid: T) -> Result<T, String> {
    match value {
        Value::Null => Ok(unsaid),
        value => read(value).ok_or_else(|| format!("{path}: write {form}")),
    }
}

impl Raw {
    pub(super) fn fix(&self, index: usize, id: &str, name: &str, gravity: Gravity) -> Result<Fix, String> {
        let path = format!("error_patterns[{index}] ({id:?})");
        let auto_fix = take(&self.auto_fix, &format!("{path}.auto_fix"), "true or false", Value::as_bool, false)?;
        let list: Vec<Value> =
            take(&self.actions, &format!("{path}.actions"), "a list", |value| value.as_array().cloned(), Vec::new())?;
        if list.len() > MAX_ACTIONS {
            return Err(format!("{path}.actions: {} actions: at most {MAX_ACTIONS} are possible", list.len()));
        }
        let mut actions = Vec::new();
        for (number, written) in list.into_iter().enumerate() {
            actions.push(action(written).map_err(|message| format!("{path}.actions[{number}]: {message}"))?);
        }
        Ok(Fix { id: id.to_owned(), name: name.to_owned(), gravity, auto_fix, actions })
    }
}

fn action(written: Value) -> Result<FixAction, String> {
    let Value::Object(mut parameters) = written else { return Err("an action is an object with a type".into()) };
    let mut text = |key: &str| match parameters.remove(key) {
        Some(Value::String(text)) => Ok(Some(text)),
        None => Ok(None),
        Some(_) => Err(format!("{key} is a text")),
    };
    let kind = text("type")?.filter(|kind| !kind.is_empty()).ok_or("it has no type, such as service_restart")?;
    let description = text("description")?.unwrap_or_default();
    Ok(FixAction { kind, description, parameters })
}

fn seconds(value: &Value) -> Option<Duration> {
    Duration::try_from_secs_f64(value.as_f64()?).ok()
}

impl FixConfig {
    pub(super) fn read(written: &Value) -> Result<Self, String> {
        let unsaid = Self::default();
        let at = |key: &str| (written.get(key).cloned().unwrap_or_default(), format!("auto_fix_config.{key}"));
        if !written.is_null() && !written.is_object() {
            return Err("auto_fix_config: write an object".into());
        }
        let (retries, retries_at) = at("max_retries");
        let (delay, delay_at) = at("retry_delay");
        let (cooldown, cooldown_at) = at("cooldown_period");
        let (notify, notify_at) = at("enable_notifications");
        let (channels, channels_at) = at("notification_channels");
        let (backup, backup_at) = at("backup_before_fix");
        let texts = |value: &Value| -> Option<Vec<String>> {
            value.as_array()?.iter().map(|text| text.as_str().map(str::to_owned)).collect()
        };
        Ok(Self {
            max_retries: take(&retries, &retries_at, "a whole number", Value::as_u64, unsaid.max_retries)?,
            retry_delay: take(&delay, &delay_at, "seconds", seconds, unsaid.retry_delay)?,
            cooldown_period: take(&cooldown, &cooldown_at, "seconds", seconds, unsaid.cooldown_period)?,
            enable_notifications: take(
                &notify,
                &notify_at,
                "true or false",
                Value::as_bool,
                unsaid.enable_notifications,
            )?,
            notification_channels: take(
                &channels,
                &channels_at,
                "a list of texts",
                texts,
                unsaid.notification_channels,
            )?,
            backup_before_fix: take(&backup, &backup_at, "true or false", Value::as_bool, unsaid.backup_before_fix)?,
        })
    }
}
