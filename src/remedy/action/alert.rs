//! Tells people: through Alertmanager, a webhook such as Discord's, or by mail. Where it goes is fixed in the configuration.

mod alertmanager;
mod insist;
mod mail;
mod message;
mod post;
mod smtp;
#[cfg(test)]
mod tests;
mod webhook;

use super::{Context, Done, Effect, Kind, Scene, Setback, Settings};
use crate::observation::Severity;
use crate::values::{Invalid, Period};
use insist::{Budget, Outcome};
use message::Message;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The row of this action in the table.
pub static KIND: Kind = Kind {
    name: "alert",
    summary: "Tells people what is broken and what was found out, through Alertmanager, a webhook (Discord), or by mail",
    example: "\
- alert: { alertmanager: { url: 'http://127.0.0.1:9093' }, severity: critical }
- alert:
    webhook: { url: 'https://discord.com/api/webhooks/1/TOKEN' }      # or: { file: /run/secrets/discord }
- alert:
    mail:
      server: smtp.example.org:587
      from: banken@example.org
      to: [ admin@example.org ]
      username: banken
      password: ${SMTP_PASSWORD}                    # or: { file: /run/secrets/smtp }
",
    effect: Effect::Looks,
};

/// The block `alert:`. Exactly one of `alertmanager`, `webhook` and `mail` must be there.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "AlertAction")]
pub struct Config {
    /// Alertmanager, which routes it as it routes the alerts of Prometheus.
    #[serde(default)]
    pub alertmanager: Option<alertmanager::Config>,
    /// A webhook.
    #[serde(default)]
    pub webhook: Option<webhook::Config>,
    /// A mail.
    #[serde(default)]
    pub mail: Option<mail::Config>,
    /// How grave it is: `info`, `warning` or `critical`.
    #[serde(default)]
    pub severity: Gravity,
    /// How often it is tried; a refusal for good is not tried again.
    #[serde(default = "default_attempts")]
    pub attempts: u32,
    /// The longest that it may take, with every attempt.
    #[serde(default = "default_timeout")]
    #[schemars(with = "Period")]
    pub timeout: Period,
}

/// The word for how grave it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "AlertSeverity")]
pub enum Gravity {
    /// Worth knowing.
    Info,
    /// Look at it today.
    #[default]
    Warning,
    /// A person acts now.
    Critical,
}

impl From<Gravity> for Severity {
    fn from(gravity: Gravity) -> Self {
        match gravity {
            Gravity::Info => Severity::Info,
            Gravity::Warning => Severity::Warning,
            Gravity::Critical => Severity::Critical,
        }
    }
}

const fn default_attempts() -> u32 {
    4
}

const fn default_timeout() -> Period {
    Period(Duration::from_secs(30))
}

/// More attempts than this are a flood.
const MAX_ATTEMPTS: u32 = 10;

impl Settings for Config {
    type Action = Action;

    fn build(&self, context: &Context) -> Result<Action, Vec<Invalid>> {
        let mut invalid = Vec::new();
        if !(1..=MAX_ATTEMPTS).contains(&self.attempts) {
            invalid.push(Invalid::new("attempts", format!("try 1 to {MAX_ATTEMPTS} times")));
        }
        if self.timeout.0 < Duration::from_secs(1) {
            invalid.push(Invalid::new("timeout", "too short to reach anybody: at least 1s"));
        }
        let within =
            |key: &str, mistakes: Vec<Invalid>| mistakes.into_iter().map(|m| m.within(key)).collect::<Vec<_>>();
        let way = match (&self.alertmanager, &self.webhook, &self.mail) {
            (Some(config), None, None) => alertmanager::Alertmanager::build(config, context)
                .map(Way::Alertmanager)
                .map_err(|mistakes| within("alertmanager", mistakes)),
            (None, Some(config), None) => webhook::Webhook::build(config, context)
                .map(Way::Webhook)
                .map_err(|mistakes| within("webhook", mistakes)),
            (None, None, Some(config)) => {
                mail::Mail::build(config, context).map(Way::Mail).map_err(|mistakes| within("mail", mistakes))
            }
            _ => {
                let message = "write exactly one of alertmanager, webhook and mail; make a step of each";
                Err(vec![Invalid::new("", message)])
            }
        };
        match way {
            Ok(way) if invalid.is_empty() => Ok(Action {
                way,
                severity: self.severity.into(),
                budget: Budget { attempts: self.attempts, time: self.timeout.0 },
                told: Mutex::default(),
            }),
            Ok(_) => Err(invalid),
            Err(mistakes) => {
                invalid.extend(mistakes);
                Err(invalid)
            }
        }
    }

    fn timeout(&self) -> Duration {
        self.timeout.0
    }
}

enum Way {
    Alertmanager(alertmanager::Alertmanager),
    Webhook(webhook::Webhook),
    Mail(mail::Mail),
}

/// More incidents than this are not remembered; the oldest is forgotten first.
const MAX_TOLD: usize = 256;

/// Somebody who can be told.
pub struct Action {
    way: Way,
    severity: Severity,
    budget: Budget,
    /// What was told already: the incident and its state.
    told: Mutex<VecDeque<(String, String)>>,
}

/// What is told once: the same incident with the same cause is no news, however often it is tried to end it.
fn state(scene: &Scene) -> (String, String) {
    let reason = scene.failure.as_ref().map_or("", |failure| failure.reason.as_str());
    (scene.incident.clone(), format!("{} {reason}", scene.condition))
}

impl Action {
    fn is_told(&self, state: &(String, String)) -> bool {
        // Alertmanager knows by itself what it knows, and must hear again what is not over.
        let repeats = matches!(self.way, Way::Alertmanager(_)) || state.0.is_empty();
        !repeats && self.told.lock().unwrap_or_else(PoisonError::into_inner).contains(state)
    }

    fn remember(&self, state: (String, String)) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() == MAX_TOLD {
            told.pop_front();
        }
        told.push_back(state);
    }

    fn shown(&self) -> String {
        match &self.way {
            Way::Alertmanager(alertmanager) => alertmanager.shown(),
            Way::Webhook(webhook) => webhook.shown(),
            Way::Mail(mail) => mail.shown(),
        }
    }

    async fn send(&self, message: &Message) -> Outcome {
        match &self.way {
            Way::Alertmanager(alertmanager) => alertmanager.send(message, self.budget).await,
            Way::Webhook(webhook) => webhook.send(message, self.budget).await,
            Way::Mail(mail) => mail.send(message, self.budget).await,
        }
    }
}

impl super::Action for Action {
    async fn rehearse(&self, scene: &Scene) -> Result<Vec<String>, Setback> {
        let (to, state) = (self.shown(), state(scene));
        if self.is_told(&state) {
            return Ok(vec![format!("would tell {to} nothing: it knows of this incident")]);
        }
        let message = Message::of(scene, self.severity);
        Ok(vec![format!("would tell {to}: {} ({})", message.title, message.severity)])
    }

    async fn act(&self, scene: &mut Scene) -> Result<Done, Setback> {
        let (to, state) = (self.shown(), state(scene));
        if self.is_told(&state) {
            return Ok(Done::new(format!("{to} knows of this incident already")));
        }
        let message = Message::of(scene, self.severity);
        match self.send(&message).await {
            Ok(remark) => {
                self.remember(state);
                Ok(Done::new(format!("told {to}{remark}")))
            }
            Err(why) => Err(Setback::Failed(format!("{to} was not told: {why}"))),
        }
    }
}
