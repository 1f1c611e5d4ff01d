//! A webhook: a fixed form of JSON, or the one that Discord takes.

use super::insist::{Budget, Outcome};
use super::message::{MAX_TITLE, Message, fit, stamp};
use super::post::{Post, secret_url};
use crate::fetch::Auth;
use crate::net::TlsConfig;
use crate::observation::{Severity, unix_now};
use crate::remedy::action::Context;
use crate::values::{HttpUrl, Invalid, Secret};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The block `webhook:`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "AlertWebhook")]
pub struct Config {
    /// Where it is sent: a text or `{ file: PATH }`. It is a secret, and only its host is ever shown.
    pub url: Secret,
    /// In which form.
    #[serde(default)]
    pub form: Form,
    /// Headers of the request.
    #[serde(default)]
    pub headers: BTreeMap<String, Secret>,
    /// Credentials.
    #[serde(default)]
    pub auth: Option<Auth>,
    /// How TLS is spoken.
    #[serde(default)]
    pub tls: TlsConfig,
    /// Who is called in Discord, such as `<@ID>`, `<@&ID>` or `@everyone`; nobody else is, whatever stands in a log.
    #[serde(default)]
    pub mention: Option<String>,
}

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "AlertWebhookForm")]
pub enum Form {
    /// Discord's where the address is one of Discord's webhooks, otherwise JSON.
    #[default]
    Auto,
    /// Banken's own form.
    Json,
    /// A message with an embed, as Discord takes it.
    Discord,
}

/// The most characters that Discord takes as a description.
const MAX_DESCRIPTION: usize = 4096;

/// A webhook.
pub struct Webhook {
    post: Post,
    is_discord: bool,
    mention: Option<String>,
}

fn is_discords(url: &HttpUrl) -> bool {
    let host = url.uri().host().unwrap_or_default().to_ascii_lowercase();
    let own = ["discord.com", "discordapp.com"].iter().any(|own| host == *own || host.ends_with(&format!(".{own}")));
    own && url.uri().path().starts_with("/api/")
}

impl Webhook {
    pub fn build(config: &Config, context: &Context) -> Result<Self, Vec<Invalid>> {
        let url = secret_url(&config.url).map_err(|mistake| vec![mistake])?;
        let is_discord = config.form == Form::Discord || (config.form == Form::Auto && is_discords(&url));
        let mut invalid = Vec::new();
        if let Some(mention) = &config.mention {
            if !is_discord {
                invalid.push(Invalid::new("mention", "only Discord knows mentions: remove it, or write form: discord"));
            } else if mention.len() > 200 || mention.chars().any(char::is_control) {
                invalid.push(Invalid::new("mention", "write <@ID>, <@&ID> or @everyone"));
            }
        }
        match Post::build(url, &config.headers, config.auth.as_ref(), &config.tls, context) {
            Ok(post) if invalid.is_empty() => Ok(Self { post, is_discord, mention: config.mention.clone() }),
            Ok(_) => Err(invalid),
            Err(mistakes) => {
                invalid.extend(mistakes);
                Err(invalid)
            }
        }
    }

    pub fn shown(&self) -> String {
        let what = if self.is_discord { "Discord" } else { "the webhook" };
        format!("{what} at {}", self.post.host())
    }

    pub async fn send(&self, message: &Message, budget: Budget) -> Outcome {
        let body = if self.is_discord { self.discord(message) } else { own_form(message) };
        self.post.send(&body, budget).await
    }

    fn discord(&self, message: &Message) -> Value {
        let summary: Vec<_> = message.summary().iter().map(|line| as_text(line)).collect();
        let mut description = summary.join("\n");
        let found = message.found();
        if !found.is_empty() {
            // Within a block of code nothing is formatted; what would end the block is taken out.
            let lines: Vec<_> = found.iter().map(|line| line.replace('`', "'")).collect();
            let room = MAX_DESCRIPTION - 20 - description.chars().count().min(MAX_DESCRIPTION - 20);
            description = format!("{description}\n```\n{}\n```", fit(&lines, room));
        }
        let colour = match message.severity {
            Severity::Info => 0x34_98_db,
            Severity::Warning => 0xf1_c4_0f,
            Severity::Critical => 0xe7_4c_3c,
        };
        let title: String =
            format!("[{}] {}", message.severity, as_text(&message.title)).chars().take(MAX_TITLE).collect();
        let calls: &[&str] = if self.mention.is_some() { &["users", "roles", "everyone"] } else { &[] };
        json!({
            // The only part of a message whose mentions ring, and nothing of a stranger's stands in it.
            "content": self.mention.as_deref().unwrap_or_default(),
            "embeds": [{
                "title": title,
                "description": description.chars().take(MAX_DESCRIPTION).collect::<String>(),
                "color": colour,
                "timestamp": stamp(unix_now()),
            }],
            "allowed_mentions": { "parse": calls },
        })
    }
}

/// Takes the meaning of Discord's formatting from a text.
fn as_text(line: &str) -> String {
    let mut text = String::new();
    for c in line.chars() {
        if matches!(c, '\\' | '*' | '_' | '`' | '~' | '|' | '>' | '[' | ']' | '#') {
            text.push('\\');
        }
        text.push(c);
    }
    text
}

/// The fixed form for everybody else; docs/actions/alert.md shows it.
fn own_form(message: &Message) -> Value {
    let findings: Vec<_> =
        message.findings.iter().map(|finding| json!({ "action": finding.action, "lines": finding.lines })).collect();
    json!({
        "version": 1,
        "remedy": message.remedy,
        "incident": message.incident,
        "target": message.target,
        "host": message.host,
        "severity": message.severity.as_str(),
        "title": message.title,
        "reason": message.reason,
        "detail": message.detail,
        "attempt": message.attempt,
        "since": stamp(message.since),
        "findings": findings,
    })
}
