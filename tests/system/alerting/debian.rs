//! The shipped configuration needs Alertmanager 0.28; Debian has 0.25. This makes the one out of the other: URLs are read from the
//! files of secrets, what 0.25 does not know is left out, templates are where the test has them. All else stays as it is.

use super::of_the_project;
use serde_yaml::Value;
use std::path::{Path, PathBuf};

/// The secrets that the shipped configuration names, and the channel of each at Discord.
pub const WEBHOOKS: [&str; 4] = ["critical", "warning", "info", "administrator"];

/// Where a test has what the shipped configuration expects below `/run/secrets` and `/etc/alertmanager`.
pub struct Places {
    /// A folder with files as they stand below `/run/secrets`.
    pub secrets: PathBuf,
    /// A folder with `*.tmpl`.
    pub templates: PathBuf,
}

impl Places {
    /// Writes the secrets into `folder`: webhooks at `discord` (`http://127.0.0.1:1234`), one channel each, and the dead man's
    /// switch beside them. `language` is `en` or `ja`.
    pub fn prepare(folder: &Path, language: &str, discord: &str) -> Self {
        let secrets = folder.join("secrets");
        std::fs::create_dir_all(&secrets).unwrap();
        for channel in WEBHOOKS {
            let url = super::discord::webhook(discord, channel);
            std::fs::write(secrets.join(format!("discord_webhook_{channel}")), format!("{url}\n")).unwrap();
        }
        std::fs::write(secrets.join("dead_mans_switch_url"), format!("{discord}/ping")).unwrap();
        Self { secrets, templates: of_the_project("deploy/alertmanager/templates").join(language) }
    }

    fn secret(&self, path: &str) -> Result<String, String> {
        let name = path.strip_prefix("/run/secrets/").ok_or(format!("{path} is not below /run/secrets"))?;
        let url = std::fs::read_to_string(self.secrets.join(name)).map_err(|error| format!("{path}: {error}"))?;
        Ok(url.trim().to_owned())
    }
}

/// The shipped configuration for Debian's Alertmanager.
///
/// # Errors
///
/// Names a key that neither Alertmanager 0.25 nor this function knows, or a secret that is not there.
pub fn adapted(shipped: &str, places: &Places) -> Result<String, String> {
    let mut adapted = String::new();
    for line in shipped.split_inclusive('\n') {
        adapted.push_str(&adapted_line(line, places)?);
    }
    let config: Value = serde_yaml::from_str(&adapted).map_err(|error| error.to_string())?;
    only_known(&config)?;
    Ok(adapted)
}

fn adapted_line(line: &str, places: &Places) -> Result<String, String> {
    let text = line.trim_start();
    if text.starts_with('#') {
        return Ok(line.to_owned());
    }
    let entry = text.strip_prefix("- ").unwrap_or(text);
    let before = &line[..line.len() - entry.len()];
    match entry.trim_end().split_once(": ") {
        Some((key @ ("webhook_url_file" | "url_file"), path)) => {
            let (key, url) = (key.trim_end_matches("_file"), places.secret(path)?);
            Ok(format!("{before}{key}: '{url}'\n"))
        }
        Some(("content", _)) => Ok(String::new()),
        Some(("templates", _)) => {
            Ok(line.replace("/etc/alertmanager/templates", &places.templates.display().to_string()))
        }
        _ => Ok(line.to_owned()),
    }
}

/// The same configuration, in which nobody waits long: for tests of what is sent and not of when.
pub fn hurried(config: &str) -> String {
    let hurry = |line: &str| {
        let indent = &line[..line.len() - line.trim_start().len()];
        match line.trim().split_once(": ") {
            Some(("group_wait", _)) => format!("{indent}group_wait: 2s\n"),
            Some(("group_interval", _)) => format!("{indent}group_interval: 2s\n"),
            _ => line.to_owned(),
        }
    };
    config.split_inclusive('\n').map(hurry).collect()
}

/// What Alertmanager 0.25 knows, as far as the shipped configuration may want it.
const KNOWN: [(&str, &[&str]); 7] = [
    ("the top level", &["global", "templates", "route", "receivers", "inhibit_rules", "time_intervals"]),
    (
        "a route",
        &[
            "receiver",
            "group_by",
            "continue",
            "matchers",
            "group_wait",
            "group_interval",
            "repeat_interval",
            "mute_time_intervals",
            "active_time_intervals",
            "routes",
        ],
    ),
    ("inhibit_rules", &["source_matchers", "target_matchers", "equal"]),
    ("receivers", &["name", "discord_configs", "email_configs", "webhook_configs"]),
    ("discord_configs", &["webhook_url", "title", "message", "send_resolved", "http_config"]),
    (
        "email_configs",
        &[
            "to",
            "from",
            "smarthost",
            "hello",
            "auth_username",
            "auth_password",
            "auth_password_file",
            "auth_secret",
            "auth_identity",
            "headers",
            "html",
            "text",
            "require_tls",
            "tls_config",
            "send_resolved",
        ],
    ),
    ("webhook_configs", &["url", "max_alerts", "send_resolved", "http_config"]),
];

fn only_known(config: &Value) -> Result<(), String> {
    keys_of("the top level", config)?;
    only_known_routes(&config["route"])?;
    for rule in items(&config["inhibit_rules"]) {
        keys_of("inhibit_rules", rule)?;
    }
    for receiver in items(&config["receivers"]) {
        keys_of("receivers", receiver)?;
        for way in ["discord_configs", "email_configs", "webhook_configs"] {
            for settings in receiver.get(way).map(items).unwrap_or_default() {
                keys_of(way, settings)?;
            }
        }
    }
    Ok(())
}

fn only_known_routes(route: &Value) -> Result<(), String> {
    keys_of("a route", route)?;
    route.get("routes").map(items).unwrap_or_default().iter().try_for_each(only_known_routes)
}

fn items(list: &Value) -> &[Value] {
    list.as_sequence().map(Vec::as_slice).unwrap_or_default()
}

fn keys_of(place: &str, mapping: &Value) -> Result<(), String> {
    let (_, known) = KNOWN.iter().find(|(name, _)| *name == place).unwrap();
    for (key, _) in mapping.as_mapping().ok_or(format!("{place} is not a mapping"))? {
        let key = key.as_str().unwrap_or_default();
        if !known.contains(&key) {
            let advice = "say in tests/system/alerting/debian.rs what becomes of it there";
            return Err(format!("Alertmanager 0.25 knows no {key} in {place}: {advice}"));
        }
    }
    Ok(())
}

#[test]
fn nothing_else_changes_where_the_shipped_configuration_is_made_fit_for_debian() {
    let folder = tempfile::tempdir().unwrap();
    let places = Places::prepare(folder.path(), "ja", "http://127.0.0.1:1");
    let shipped = super::shipped();
    let adapted = adapted(&shipped, &places).unwrap();
    let [before, mut after] = [&shipped, &adapted].map(|text| text.lines());
    let mut changed = Vec::new();
    for line in before {
        if line.trim_start().starts_with("content: ") {
            changed.push((line.trim().split(' ').next().unwrap(), String::new()));
            continue;
        }
        let other = after.next().unwrap();
        if line != other {
            changed.push((line.trim(), other.trim().to_owned()));
        }
    }
    assert_eq!(after.next(), None);
    let webhook = |channel: &str| {
        let url = super::discord::webhook("http://127.0.0.1:1", channel);
        format!("- webhook_url: '{url}'")
    };
    let templates = format!("templates: [ '{}/*.tmpl' ]", places.templates.display());
    assert_eq!(
        changed,
        [
            ("templates: [ '/etc/alertmanager/templates/*.tmpl' ]", templates),
            ("- webhook_url_file: /run/secrets/discord_webhook_critical", webhook("critical")),
            ("- webhook_url_file: /run/secrets/discord_webhook_warning", webhook("warning")),
            ("- webhook_url_file: /run/secrets/discord_webhook_info", webhook("info")),
            ("- webhook_url_file: /run/secrets/discord_webhook_administrator", webhook("administrator")),
            ("content:", String::new()),
        ]
    );
}

#[test]
fn a_key_that_is_newer_than_debian_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let places = Places::prepare(folder.path(), "en", "http://127.0.0.1:1");
    let with = |line: &str, more: &str| {
        let shipped = super::shipped();
        let indent = |found: &str| " ".repeat(found.len() - found.trim_start().trim_start_matches("- ").len());
        let found = shipped.lines().find(|found| found.trim() == line).unwrap();
        let newer = shipped.replacen(&format!("{found}\n"), &format!("{found}\n{}{more}\n", indent(found)), 1);
        assert_ne!(newer, shipped);
        adapted(&newer, &places).unwrap_err()
    };
    let errors = [
        with("- webhook_url_file: /run/secrets/discord_webhook_info", "username: Banken"),
        with("- receiver: discord-critical", "send_limit: 3"),
        with("- name: discord-info", "msteamsv2_configs: []"),
        with("- source_matchers: [ 'severity=\"warning\"' ]", "name: milder"),
    ];
    let named = errors.each_ref().map(|error| error.split(':').next().unwrap());
    assert_eq!(
        named,
        [
            "Alertmanager 0.25 knows no username in discord_configs",
            "Alertmanager 0.25 knows no send_limit in a route",
            "Alertmanager 0.25 knows no msteamsv2_configs in receivers",
            "Alertmanager 0.25 knows no name in inhibit_rules",
        ]
    );
}
