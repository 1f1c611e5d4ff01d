//! The configuration of Alertmanager that is shipped, in a real Alertmanager: who is told what, and in which words.

pub mod debian;
pub mod discord;
mod faults;
mod heard;
mod inhibition;
mod limits;
mod messages;
mod pace;
mod picture;
mod rendered;
mod routes;
mod scenarios;
mod scene;
pub mod servers;
mod words;

use crate::support::eventually;
use debian::Places;
use discord::{Delivery, Discord};
use serde_json::{Value, json};
use servers::Alertmanager;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file of the project, by its path in it.
pub fn of_the_project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The configuration of Alertmanager as it is shipped.
pub fn shipped() -> String {
    std::fs::read_to_string(of_the_project("deploy/alertmanager/alertmanager.yml")).unwrap()
}

/// A configuration in which a block is turned on that is shipped as comments: `email_configs` or `webhook_configs`.
pub fn turned_on(config: &str, block: &str) -> String {
    let mut inside = false;
    let mut found = 0;
    let line = |line: &str| {
        let text = line.trim_start();
        let commented = text.strip_prefix("# ").unwrap_or_default();
        inside = commented.starts_with(&format!("{block}:")) || (inside && commented.starts_with("  "));
        found += usize::from(inside);
        let indent = &line[..line.len() - text.len()];
        if inside { format!("{indent}{commented}") } else { line.to_owned() }
    };
    let config = config.split_inclusive('\n').map(line).collect();
    assert!(found > 1, "{block} is not there as comments");
    config
}

/// An alert as Prometheus hands it over, firing since now: Alertmanager would not wait for more if it had begun earlier.
pub fn alert(labels: &[(&str, &str)], annotations: &[(&str, &str)]) -> Value {
    let map = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let now = jiff::Timestamp::now();
    json!({ "labels": map(labels), "annotations": map(annotations), "startsAt": now.to_string() })
}

/// The same alert, over since just now.
pub fn resolved(alert: &Value) -> Value {
    let mut alert = alert.clone();
    alert["endsAt"] = jiff::Timestamp::now().to_string().into();
    alert
}

/// The shipped configuration in a folder of the test, before a stand-in for Discord.
pub struct Office {
    pub discord: Discord,
    pub places: Places,
    pub folder: tempfile::TempDir,
}

impl Office {
    pub async fn open(language: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let discord = Discord::start().await;
        let places = Places::prepare(folder.path(), language, &discord.base);
        Self { discord, places, folder }
    }

    /// A configuration that Debian's Alertmanager takes, in a file.
    pub fn config_file(&self, config: &str) -> PathBuf {
        let file = self.folder.path().join("checked.yml");
        std::fs::write(&file, debian::adapted(config, &self.places).unwrap()).unwrap();
        file
    }

    pub async fn alertmanager(&self, change: impl Fn(String) -> String) -> Alertmanager {
        let config = debian::adapted(&shipped(), &self.places).unwrap();
        Alertmanager::start(&change(config), self.folder.path()).await
    }

    /// Waits until a channel has these messages, and no more.
    pub async fn exactly<const N: usize>(&self, channel: &str) -> [Delivery; N] {
        self.until(channel, N).await.try_into().unwrap_or_else(|messages| panic!("more than {N}: {messages:#?}"))
    }

    /// Waits until a channel has at least so many messages.
    pub async fn until(&self, channel: &str, count: usize) -> Vec<Delivery> {
        eventually(&format!("{count} messages in {channel}"), async || {
            let messages = self.discord.messages(channel);
            (messages.len() >= count).then_some(messages)
        })
        .await
    }
}

/// What amtool prints.
pub fn amtool(arguments: &[&str]) -> String {
    let output = Command::new("amtool").args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("amtool: {error}; tests/run installs what is needed"));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "amtool {arguments:?}: {said}{}", String::from_utf8_lossy(&output.stderr));
    said
}
