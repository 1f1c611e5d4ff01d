//! Alertmanager's API (version 2, `POST /api/v2/alerts`): the alert `BankenRemedyAlert`, which ends by itself.

use super::insist::{Budget, Outcome};
use super::message::{Message, fit, stamp, stamp_in};
use super::post::Post;
use crate::fetch::Auth;
use crate::net::TlsConfig;
use crate::observation::unix_now;
use crate::remedy::action::Context;
use crate::values::{HttpUrl, Invalid, Period};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// The block `alertmanager:`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "AlertAlertmanager")]
pub struct Config {
    /// Where it is, without a path of its API: `http://127.0.0.1:9093`.
    pub url: HttpUrl,
    /// Credentials.
    #[serde(default)]
    pub auth: Option<Auth>,
    /// How TLS is spoken.
    #[serde(default)]
    pub tls: TlsConfig,
    /// The label `group`, by which messages are gathered.
    #[serde(default = "default_group")]
    pub group: String,
    /// More labels, such as a team to route by. They cannot take the place of Banken's own.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// After which time the alert ends if it is not told again.
    #[serde(default = "default_expires")]
    #[schemars(with = "Period")]
    pub expires: Period,
}

fn default_group() -> String {
    "remedies".into()
}

const fn default_expires() -> Period {
    Period(Duration::from_secs(3600))
}

/// The name of the alert.
pub const ALERT_NAME: &str = "BankenRemedyAlert";

/// The labels that say what it is; the remedy and the target tell alerts apart.
const OWN_LABELS: [&str; 6] = ["alertname", "severity", "remedy", "target", "group", "host"];

/// The most characters of the description: as much as Discord takes, with room for what its template adds.
const MAX_DESCRIPTION: usize = 2500;

/// An Alertmanager.
pub struct Alertmanager {
    post: Post,
    group: String,
    labels: BTreeMap<String, String>,
    expires: Duration,
}

impl Alertmanager {
    pub fn build(config: &Config, context: &Context) -> Result<Self, Vec<Invalid>> {
        let mut invalid = Vec::new();
        for name in config.labels.keys() {
            let legal = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && !name.starts_with("__");
            let path = format!("labels.{name}");
            if !legal || name.starts_with(|c: char| c.is_ascii_digit()) || name.is_empty() {
                invalid.push(Invalid::new(path, "a label is made of letters, digits and '_'"));
            } else if OWN_LABELS.contains(&name.as_str()) {
                invalid.push(Invalid::new(path, "Banken sets this label itself: choose another name"));
            }
        }
        if config.expires.0 < Duration::from_secs(60) {
            invalid.push(Invalid::new(
                "expires",
                "Alertmanager would hear of its end before it has told anybody: at least 1m",
            ));
        }
        let base = config.url.uri().to_string();
        let base = base.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
        let url: Result<HttpUrl, String> = format!("{base}/api/v2/alerts").parse();
        match url
            .map_err(|message| vec![Invalid::new("url", message)])
            .and_then(|url| Post::build(url, &BTreeMap::new(), config.auth.as_ref(), &config.tls, context))
        {
            Ok(post) if invalid.is_empty() => {
                Ok(Self { post, group: config.group.clone(), labels: config.labels.clone(), expires: config.expires.0 })
            }
            Ok(_) => Err(invalid),
            Err(mistakes) => {
                invalid.extend(mistakes);
                Err(invalid)
            }
        }
    }

    pub fn shown(&self) -> String {
        format!("Alertmanager at {}", self.post.host())
    }

    pub async fn send(&self, message: &Message, budget: Budget) -> Outcome {
        self.post.send(&self.body(message), budget).await
    }

    fn body(&self, message: &Message) -> Value {
        let mut labels = self.labels.clone();
        let own = [
            ALERT_NAME,
            message.severity.as_str(),
            message.remedy.as_str(),
            message.target.as_str(),
            self.group.as_str(),
            message.host.as_str(),
        ];
        labels.extend(OWN_LABELS.iter().zip(own).map(|(name, value)| ((*name).to_owned(), value.to_owned())));
        // An empty label is none.
        labels.retain(|_, value| !value.is_empty());
        let begun = if message.since > 0.0 { message.since } else { unix_now() };
        let lines = [message.summary(), message.found()].concat();
        json!([{
            "labels": labels,
            "annotations": { "summary": message.title, "description": fit(&lines, MAX_DESCRIPTION) },
            "startsAt": stamp(begun),
            "endsAt": stamp_in(self.expires),
        }])
    }
}
