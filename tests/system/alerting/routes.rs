//! Which alert goes where, and that the configuration is one that Alertmanager takes.

use super::{Office, amtool, of_the_project, shipped, turned_on};
use serde_yaml::Value;
use std::collections::BTreeSet;

#[tokio::test]
async fn amtool_has_nothing_to_say_about_the_configuration_in_either_language() {
    for language in ["en", "ja"] {
        let office = Office::open(language).await;
        let everything = turned_on(&turned_on(&shipped(), "email_configs"), "webhook_configs");
        for config in [shipped(), turned_on(&shipped(), "email_configs"), everything] {
            let said = amtool(&["check-config", &office.config_file(&config).display().to_string()]);
            for found in ["SUCCESS", "2 inhibit rules", "5 receivers", "1 templates"] {
                assert!(said.contains(found), "{language}: {said}");
            }
        }
    }
}

#[tokio::test]
async fn the_mail_to_the_administrator_and_the_dead_mans_switch_are_one_hash_away() {
    let office = Office::open("en").await;
    let config = turned_on(&turned_on(&shipped(), "email_configs"), "webhook_configs");
    let config = std::fs::read_to_string(office.config_file(&config)).unwrap();
    let config: Value = serde_yaml::from_str(&config).unwrap();
    let receiver = |name: &str| {
        let receivers = config["receivers"].as_sequence().unwrap();
        receivers.iter().find(|receiver| receiver["name"] == name).unwrap().clone()
    };
    let administrator = receiver("administrator");
    assert!(administrator["discord_configs"][0]["webhook_url"].is_string());
    let mail = &administrator["email_configs"][0];
    assert_eq!(mail["text"], r#"{{ template "banken.mail.text" . }}"#);
    assert_eq!(mail["headers"]["Subject"], r#"{{ template "banken.mail.subject" . }}"#);
    assert_eq!(mail["html"], "", "Alertmanager's own page would be sent beside our text");
    assert_eq!(mail["auth_password_file"], "/run/secrets/smtp_password");
    let switch = receiver("dead-mans-switch");
    assert_eq!(switch["webhook_configs"][0]["url"].as_str().unwrap(), format!("{}/ping", office.discord.base));
    assert_eq!(switch["webhook_configs"][0]["send_resolved"], false);
}

#[tokio::test]
async fn every_alert_goes_to_the_channel_of_its_severity_and_a_critical_one_to_the_administrator_too() {
    let office = Office::open("en").await;
    let file = format!("--config.file={}", office.config_file(&shipped()).display());
    let receivers = |labels: &[String]| {
        let labels = labels.iter().map(String::as_str);
        let arguments: Vec<_> = ["config", "routes", "test", &file].into_iter().chain(labels).collect();
        amtool(&arguments).trim().to_owned()
    };
    let mut alerts = shipped_alerts();
    for severity in ["critical", "warning", "info"] {
        alerts.insert(("SomebodyElsesAlert".to_owned(), severity.to_owned()));
    }
    for (name, severity) in alerts {
        let expected = match (name.as_str(), severity.as_str()) {
            ("BankenWatchdog", _) => "dead-mans-switch",
            (_, "critical") => "administrator,discord-critical",
            (_, "warning") => "discord-warning",
            (_, "info") => "discord-info",
            unknown => panic!("{unknown:?}"),
        };
        for more in [&[][..], &["group=bot".to_owned(), "probe=ticker".to_owned()]] {
            let labels = [&[format!("alertname={name}"), format!("severity={severity}")], more].concat();
            assert_eq!(receivers(&labels), expected, "{labels:?}");
        }
    }
    // The dead man's switch may have any severity or none; of all others, none is lost for want of a severity that is known.
    for (labels, expected) in [
        (&["alertname=BankenWatchdog"][..], "dead-mans-switch"),
        (&["alertname=BankenWatchdog", "severity=critical"], "dead-mans-switch"),
        (&["alertname=BankenWatchdogs", "severity=info"], "discord-info"),
        (&["alertname=X"], "discord-warning"),
        (&["alertname=X", "severity=page"], "discord-warning"),
        (&["alertname=X", "severity=criticality"], "discord-warning"),
    ] {
        let labels: Vec<_> = labels.iter().map(|label| (*label).to_owned()).collect();
        assert_eq!(receivers(&labels), expected, "{labels:?}");
    }
}

/// Name and severity of every alert in the rule files.
fn shipped_alerts() -> BTreeSet<(String, String)> {
    let mut alerts = BTreeSet::new();
    for entry in std::fs::read_dir(of_the_project("alert-rules")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "yml") {
            continue;
        }
        let file: Value = serde_yaml::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let groups = file["groups"].as_sequence().unwrap();
        for rule in groups.iter().flat_map(|group| group["rules"].as_sequence().unwrap()) {
            if let Some(name) = rule.get("alert") {
                let severity =
                    rule["labels"]["severity"].as_str().unwrap_or_else(|| panic!("{name:?} has no severity"));
                alerts.insert((name.as_str().unwrap().to_owned(), severity.to_owned()));
            }
        }
    }
    assert!(alerts.len() > 3, "{alerts:?}");
    alerts
}

#[test]
fn both_languages_have_the_same_templates_and_the_configuration_asks_for_those_only() {
    let names = |text: &str, before: &str| -> BTreeSet<String> {
        let parts = text.split(before).skip(1);
        parts.map(|part| part.split('"').next().unwrap().to_owned()).collect()
    };
    let [english, japanese] = ["en", "ja"].map(|language| {
        let file = of_the_project("deploy/alertmanager/templates").join(language).join("banken.tmpl");
        let text = std::fs::read_to_string(file).unwrap();
        let defined = names(&text, "define \"");
        let used = names(&text, "template \"");
        assert!(used.is_subset(&defined), "{used:?}");
        defined
    });
    assert_eq!(english, japanese);
    let wanted = names(&shipped(), "template \"");
    assert!(wanted.len() >= 5 && wanted.is_subset(&english), "{wanted:?} of {english:?}");
}

#[test]
fn what_is_sent_does_not_come_more_often_than_discord_takes() {
    let config: Value = serde_yaml::from_str(&shipped()).unwrap();
    let route = &config["route"];
    assert_eq!(route["group_by"], serde_yaml::from_str::<Value>("[alertname, group]").unwrap());
    let seconds = |value: &Value| humantime::parse_duration(value.as_str().unwrap()).unwrap().as_secs();
    for child in route["routes"].as_sequence().unwrap() {
        let of = |key: &str| seconds(child.get(key).unwrap_or(&route[key]));
        let [wait, interval, repeat] = ["group_wait", "group_interval", "repeat_interval"].map(of);
        let expected = match child["receiver"].as_str().unwrap() {
            "dead-mans-switch" => [1, 30, 60],
            "administrator" => [1, 30, 3600],
            "discord-critical" => [1, 30, 4 * 3600],
            "discord-warning" => [30, 300, 12 * 3600],
            "discord-info" => [120, 120, 24 * 3600],
            other => panic!("{other}"),
        };
        assert_eq!([wait, interval, repeat], expected);
        assert_eq!(repeat % interval, 0, "repeat_interval is looked at once in a group_interval");
        assert!(child.get("group_by").is_none());
    }
}

#[test]
fn every_channel_has_the_words_of_the_templates_and_the_end_of_what_it_was_told() {
    let config: Value = serde_yaml::from_str(&shipped()).unwrap();
    let receivers = config["receivers"].as_sequence().unwrap();
    let ways: Vec<_> =
        receivers.iter().filter_map(|receiver| receiver.get("discord_configs")?.as_sequence()).flatten().collect();
    assert_eq!(ways.len(), 4);
    for way in ways {
        assert_eq!(way["send_resolved"], true);
        assert_eq!(way["title"], r#"{{ template "banken.discord.title" . }}"#);
        assert_eq!(way["message"], r#"{{ template "banken.discord.message" . }}"#);
        let rings = way["webhook_url_file"] == "/run/secrets/discord_webhook_administrator";
        assert_eq!(way.get("content").is_some(), rings, "only the administrator is called");
    }
}
