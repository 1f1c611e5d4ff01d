//! The shipped templates, rendered by amtool.

use super::{amtool, of_the_project, shipped};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// What Alertmanager gives to a template.
pub struct Message {
    alerts: Vec<Value>,
    /// Where Alertmanager says that it is.
    pub base: String,
}

impl Message {
    pub fn of(alerts: Vec<Value>) -> Self {
        Self { alerts, base: "http://localhost:9093".to_owned() }
    }

    fn data(&self) -> Value {
        let mut common = self.alerts[0]["labels"].as_object().unwrap().clone();
        common.retain(|name, value| self.alerts.iter().all(|alert| alert["labels"].get(name) == Some(value)));
        let pick = |wanted: &[&str]| -> Map<String, Value> {
            let labels = common.iter().filter(|(name, _)| wanted.contains(&name.as_str()));
            labels.map(|(name, value)| (name.clone(), value.clone())).collect()
        };
        let firing = self.alerts.iter().any(|alert| alert["status"] == "firing");
        json!({
            "receiver": "r",
            "status": if firing { "firing" } else { "resolved" },
            "alerts": self.alerts,
            "groupLabels": pick(&["alertname", "group"]),
            "commonLabels": common,
            "commonAnnotations": {},
            "externalURL": self.base,
        })
    }

    pub fn rendered(&self, language: &str, text: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data.json");
        std::fs::write(&data, self.data().to_string()).unwrap();
        let templates = of_the_project("deploy/alertmanager/templates").join(language);
        amtool(&[
            "template",
            "render",
            &format!("--template.glob={}/*.tmpl", templates.display()),
            &format!("--template.text={text}"),
            &format!("--template.data={}", data.display()),
        ])
    }

    /// Title, message and content at once.
    pub fn parts(&self, language: &str) -> [String; 3] {
        let names = ["title", "message", "content"];
        let parts = names.map(|name| format!(r#"{{{{ template "banken.discord.{name}" . }}}}"#));
        let text = self.rendered(language, &parts.join("\u{1}"));
        text.split('\u{1}').map(str::to_owned).collect::<Vec<_>>().try_into().unwrap()
    }

    pub fn title(&self, language: &str) -> String {
        self.rendered(language, r#"{{ template "banken.discord.title" . }}"#)
    }

    pub fn message(&self, language: &str) -> String {
        self.rendered(language, r#"{{ template "banken.discord.message" . }}"#)
    }

    /// The administrator's, as the configuration has it.
    pub fn content(&self, language: &str) -> String {
        let shipped = shipped();
        let line = shipped.lines().find_map(|line| line.trim().strip_prefix("content: ")).unwrap();
        self.rendered(language, line.trim_matches('\''))
    }
}

pub fn alert(status: &str, labels: &[(&str, &str)], annotations: &[(&str, &str)]) -> Value {
    let map = |pairs: &[(&str, &str)]| json!(pairs.iter().copied().collect::<BTreeMap<_, _>>());
    let ends_at = if status == "resolved" { "2026-11-22T12:00:05.4Z" } else { "0001-01-01T00:00:00Z" };
    json!({
        "status": status,
        "labels": map(labels),
        "annotations": map(annotations),
        "startsAt": "2026-11-22T10:00:00Z",
        "endsAt": ends_at,
    })
}
