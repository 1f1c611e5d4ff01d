//! The templates with whatever an alert may hold, rendered by amtool: within Discord's limits, and whole.

use super::discord::length;
use super::{amtool, of_the_project, shipped};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// What Alertmanager gives to a template.
struct Message {
    alerts: Vec<Value>,
    base: String,
}

impl Message {
    fn of(alerts: Vec<Value>) -> Self {
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

    fn rendered(&self, language: &str, text: &str) -> String {
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
    fn parts(&self, language: &str) -> [String; 3] {
        let names = ["title", "message", "content"];
        let parts = names.map(|name| format!(r#"{{{{ template "banken.discord.{name}" . }}}}"#));
        let text = self.rendered(language, &parts.join("\u{1}"));
        text.split('\u{1}').map(str::to_owned).collect::<Vec<_>>().try_into().unwrap()
    }

    fn title(&self, language: &str) -> String {
        self.rendered(language, r#"{{ template "banken.discord.title" . }}"#)
    }

    fn message(&self, language: &str) -> String {
        self.rendered(language, r#"{{ template "banken.discord.message" . }}"#)
    }

    /// The administrator's, as the configuration has it.
    fn content(&self, language: &str) -> String {
        let shipped = shipped();
        let line = shipped.lines().find_map(|line| line.trim().strip_prefix("content: ")).unwrap();
        self.rendered(language, line.trim_matches('\''))
    }
}

fn alert(status: &str, labels: &[(&str, &str)], annotations: &[(&str, &str)]) -> Value {
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

/// An alert in which everything that may be long is as long as this text.
fn long(status: &str, text: &str) -> Value {
    let labels = [("alertname", text), ("severity", "critical"), ("group", text), ("instance", text), ("probe", text)];
    let (runbook, dashboard) = (format!("http://r/{text}"), format!("http://d/{text}"));
    let annotations = [
        ("summary", text),
        ("summary_ja", text),
        ("description", text),
        ("description_ja", text),
        ("runbook_url", runbook.as_str()),
        ("dashboard_url", dashboard.as_str()),
    ];
    alert(status, &labels, &annotations)
}

/// Texts whose characters take one unit or two, are escaped, or end words and lines.
fn texts() -> Vec<String> {
    let ones = ["x", "語", "🔥", "*", "[", "_", "\\", "<@1>", "語\n", "👩‍💻", "%", "\"", "a)(", "&+?#"];
    let mut texts: Vec<_> = ones.iter().map(|one| one.repeat(1200 / one.chars().count())).collect();
    // Links just within what is shown.
    texts.extend([190, 195, 390, 395].map(|count| "x".repeat(count)));
    texts.extend([30, 60, 100].map(|count| "語".repeat(count)));
    texts
}

#[test]
fn whatever_an_alert_holds_title_and_message_keep_within_the_limits_of_discord_in_english() {
    keeps_within_the_limits("en");
}

#[test]
fn whatever_an_alert_holds_title_and_message_keep_within_the_limits_of_discord_in_japanese() {
    keeps_within_the_limits("ja");
}

fn keeps_within_the_limits(language: &str) {
    let mut longest = [0, 0, 0];
    for text in texts() {
        for (firing, resolved) in [(1, 0), (0, 1), (40, 0), (0, 40), (40, 40)] {
            let alerts = [vec![long("firing", &text); firing], vec![long("resolved", &text); resolved]].concat();
            let mut message = Message::of(alerts);
            message.base = format!("http://{}", "b".repeat(150));
            let parts = message.parts(language);
            let shape = format!("{language} {firing}+{resolved} {text:.20}");
            for (at, (part, most)) in parts.iter().zip([256, 4096, 256]).enumerate() {
                assert!((1..=most).contains(&length(part)), "{shape}: {} {part}", length(part));
                longest[at] = longest[at].max(length(part));
                assert!(!part.contains('\u{fffd}'), "{shape}: {part}");
                assert_eq!(part.trim(), part, "{shape}");
            }
            let [title, body, content] = parts;
            assert!(!title.contains('\n') && !content.contains('\n'), "{shape}: {title:?} {content:?}");
            links_are_whole(&body, &shape);
            lines_are_short(&body, &shape);
            if firing + resolved > 1 {
                assert_eq!(counted(&body), firing + resolved, "{shape}: {body}");
            }
        }
    }
    println!("longest title, message and content: {longest:?}");
    assert!(longest[0] > 190 && longest[1] > 2900, "these texts try nothing: {longest:?}");
}

/// The last line is links and nothing but links, where there are any.
fn links_are_whole(message: &str, shape: &str) {
    let Some(line) = message.lines().find(|line| line.starts_with('[')) else {
        assert!(!message.contains("]("), "{shape}: {message}");
        return;
    };
    let link = r"\[[^\]]+\]\(https?://[^\s()<>]+\)";
    let links = regex::Regex::new(&format!("^{link}( · {link})*$")).unwrap();
    assert!(links.is_match(line), "{shape}: {line}");
    assert_eq!(message.lines().last(), Some(line), "{shape}");
}

/// No line but the links takes more than the table in the templates allows it.
fn lines_are_short(message: &str, shape: &str) {
    for line in message.lines().filter(|line| !line.starts_with('[')) {
        let listed = line.starts_with("• ") || line.starts_with("✅ ") || line.starts_with("**");
        let most = if listed { 330 } else { 1602 };
        assert!(length(line) <= most, "{shape}: {} {line}", length(line));
    }
}

/// Alerts that a message lists or counts as more.
fn counted(message: &str) -> usize {
    let count = |line: &str| {
        if line.starts_with("• ") || line.starts_with("✅ ") {
            return 1;
        }
        let more = line.strip_prefix("… ").unwrap_or_default();
        more.split(' ').find_map(|word| word.parse().ok()).unwrap_or(0)
    };
    message.lines().map(count).sum()
}

#[test]
fn each_severity_has_a_word_and_a_mark_in_both_languages() {
    for (severity, english, japanese) in [
        ("critical", "🚨 CRITICAL: s", "🚨 緊急: 要約"),
        ("warning", "⚠️ WARNING: s", "⚠️ 警告: 要約"),
        ("info", "ℹ️ INFO: s", "ℹ️ 情報: 要約"),
        ("page", "🔔 ALERT: s", "🔔 通知: 要約"),
    ] {
        let annotations = [("summary", "s"), ("summary_ja", "要約")];
        let message = Message::of(vec![alert("firing", &[("alertname", "A"), ("severity", severity)], &annotations)]);
        assert_eq!([message.title("en"), message.title("ja")], [english, japanese]);
    }
    let message = Message::of(vec![alert("firing", &[("alertname", "Bare")], &[])]);
    assert_eq!([message.title("en"), message.title("ja")], ["🔔 ALERT: Bare", "🔔 通知: Bare"]);
    assert!(message.message("en").starts_with("**Bare** · since <t:1795341600:R>\n[Silence](http://"));
    // What has no Japanese summary is said as it is.
    let message = Message::of(vec![alert("firing", &[("alertname", "Bare")], &[("summary", "s")])]);
    assert_eq!(message.title("ja"), "🔔 通知: s");
}

#[test]
fn the_administrator_is_called_by_what_fires_and_by_nothing_that_a_text_holds() {
    let labels = [("alertname", "A"), ("severity", "critical")];
    let annotations = [("summary", "@here <@123> is\ndown"), ("summary_ja", "<@&9>@everyone 停止")];
    let firing = alert("firing", &labels, &annotations);
    let over = alert("resolved", &labels, &annotations);
    let content =
        |alerts: &[&Value], language: &str| Message::of(alerts.iter().copied().cloned().collect()).content(language);
    assert_eq!(content(&[&firing], "en"), "@everyone 🚨 CRITICAL: here 123 is down");
    assert_eq!(content(&[&firing], "ja"), "@everyone 🚨 緊急: &9everyone 停止");
    assert_eq!(content(&[&firing, &over], "en"), "@everyone 🚨 CRITICAL (1 resolved): A");
    assert_eq!(content(&[&over], "en"), "✅ RESOLVED (critical): here 123 is down");
    assert_eq!(content(&[&over, &over], "ja"), "✅ 復旧 2 件(緊急): A");
}

#[test]
fn marks_of_markdown_in_a_text_are_shown_and_not_obeyed() {
    let annotations = [("summary", "a *b* __c__ `d` [e](http://f) ||g|| h_i"), ("description", "**x** ~~y~~ <t:1:R>")];
    let one = alert("firing", &[("alertname", "A"), ("probe", "1")], &annotations);
    let lines = Message::of(vec![one.clone()]).message("en");
    assert_eq!(lines.lines().next(), Some(r"\*\*x\*\* \~\~y\~\~ \<t:1:R\>"));
    let lines = Message::of(vec![one.clone(), one]).message("en");
    let expected = r"• a \*b\* \__c\__ \`d\` \[e\](http://f) \|\|g\|\| h_i · <t:1795341600:R>";
    assert_eq!(lines.lines().next(), Some(expected));
}

#[test]
fn a_link_that_cannot_be_a_link_is_left_out_and_a_silence_that_is_too_long_leads_to_the_alerts() {
    let urls = |runbook, dashboard| {
        let annotations = [("runbook_url", runbook), ("dashboard_url", dashboard)];
        let message = Message::of(vec![alert("resolved", &[("alertname", "A")], &annotations)]).message("en");
        message.split_once('\n').map(|(_, links)| links.to_owned()).unwrap_or_default()
    };
    assert_eq!(
        urls("http://r/x", "http://d/?a=b c&d=(e)"),
        "[Runbook](http://r/x) · [Dashboard](http://d/?a=b%20c&d=%28e%29)"
    );
    assert_eq!(urls("javascript:alert(1)", "http://d/語"), "");
    assert_eq!(urls("http://r/a b", "https://d"), "[Dashboard](https://d)");
    let silence = |value: &str| {
        let message = Message::of(vec![alert("firing", &[("alertname", "A"), ("x", value)], &[])]).message("en");
        message.lines().last().unwrap().to_owned()
    };
    let filter = "%7Balertname%3D%22A%22%2C%20x%3D%22a%20%2B%5C%22b%22%7D";
    assert_eq!(silence("a +\"b"), format!("[Silence](http://localhost:9093/#/silences/new?filter={filter})"));
    assert_eq!(silence(&"語".repeat(90)), "[Alertmanager](http://localhost:9093/#/alerts)");
}

#[test]
fn how_long_it_took_is_said_without_what_is_zero() {
    for (ends_at, english, japanese) in [
        ("2026-11-22T10:00:41.6Z", "42s", "42秒"),
        ("2026-11-22T10:03:00Z", "3m", "3分"),
        ("2026-11-22T10:10:10Z", "10m10s", "10分10秒"),
        ("2026-11-22T12:00:00Z", "2h", "2時間"),
        ("2026-11-24T12:00:05Z", "50h0m5s", "50時間0分5秒"),
    ] {
        let mut over = alert("resolved", &[("alertname", "A")], &[]);
        over["endsAt"] = ends_at.into();
        let one = Message::of(vec![over.clone()]);
        let [first, second] = ["en", "ja"].map(|language| one.message(language).lines().next().unwrap().to_owned());
        assert_eq!([first, second], [format!("**A** · resolved after {english}"), format!("**A** · {japanese}で復旧")]);
        let two = Message::of(vec![over.clone(), over]);
        let [first, second] = ["en", "ja"].map(|language| two.message(language).lines().next().unwrap().to_owned());
        assert_eq!([first, second], [format!("✅ A · after {english}"), format!("✅ A · {japanese}で復旧")]);
    }
}

#[test]
fn the_mail_says_everything_in_plain_text() {
    let labels = [("alertname", "BankenProbeDown"), ("severity", "critical"), ("instance", "host:9810")];
    let annotations = [
        ("summary", "ticker is down"),
        ("description", "It failed <5 times>."),
        ("summary_ja", "ticker が停止しています"),
        ("description_ja", "失敗しました。"),
        ("runbook_url", "http://r/x"),
        ("dashboard_url", "http://d/x"),
    ];
    let message = Message::of(vec![alert("firing", &labels, &annotations), alert("resolved", &labels, &annotations)]);
    let subject = message.rendered("en", r#"{{ template "banken.mail.subject" . }}"#);
    assert_eq!(subject, "🚨 CRITICAL (1 resolved): BankenProbeDown");
    let english = message.rendered("en", r#"{{ template "banken.mail.text" . }}"#);
    assert_eq!(
        english,
        "FIRING (1)\n\n- ticker is down\n  BankenProbeDown, critical, host:9810, since 2026-11-22 10:00:00 UTC\n  It failed <5 times>.\n  \
         Runbook: http://r/x\n  Dashboard: http://d/x\n\nRESOLVED (1)\n\n- ticker is down\n  BankenProbeDown, critical, host:9810, \
         after 2h0m5s\n\nSilence: http://localhost:9093/#/alerts\n"
    );
    let japanese = message.rendered("ja", r#"{{ template "banken.mail.text" . }}"#);
    for part in [
        "発生中(1 件)",
        "- ticker が停止しています",
        "失敗しました。",
        "対処手順: http://r/x",
        "復旧(1 件)",
        "2h0m5s で復旧",
    ] {
        assert!(japanese.contains(part), "{part}: {japanese}");
    }
}
