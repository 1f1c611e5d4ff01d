//! What the templates say, to the letter.

use super::rendered::{Message, alert};
use serde_json::Value;

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
    let over = |severity| alert("resolved", &[("alertname", "A"), ("severity", severity)], &[("summary", "s")]);
    let title = |alerts: &[Value]| Message::of(alerts.to_vec()).title("en");
    assert_eq!(title(&[over("an unheard-of one")]), "✅ RESOLVED (an unheard…): s");
    assert_eq!(title(&[over("info"), over("info")]), "✅ RESOLVED ×2 (info): A");
    let firing = alert("firing", &[("alertname", "A"), ("severity", "info"), ("group", "g")], &[]);
    assert_eq!(title(&[firing.clone(), firing.clone()]), "ℹ️ INFO ×2: A (g)");
    assert_eq!(title(&[firing, over("info")]), "ℹ️ INFO (1 resolved): A");
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
    let other = alert("firing", &[("alertname", "<@5>")], &[]);
    assert_eq!(content(&[&other, &other], "en"), "@everyone 🔔 ALERT ×2: 5");
}

#[test]
fn marks_of_markdown_in_a_text_are_shown_and_not_obeyed() {
    let annotations = [("summary", "a *b* __c__ `d` [e](http://f) ||g|| h_i"), ("description", "**x** ~~y~~ <t:1:R>")];
    let labels = [("alertname", "*A*"), ("instance", "<i>")];
    let one = |status| alert(status, &labels, &annotations);
    let lines = |alerts: &[Value]| -> Vec<String> {
        let message = Message::of(alerts.to_vec()).message("en");
        message.lines().filter(|line| !line.starts_with('[')).map(str::to_owned).collect()
    };
    let name = r"**\*A\*** · \<i\> · ";
    let since = "since <t:1795341600:R>";
    assert_eq!(lines(&[one("firing")]), [r"\*\*x\*\* \~\~y\~\~ \<t:1:R\>".to_owned(), format!("{name}{since}")]);
    assert_eq!(lines(&[one("resolved")]), [format!("{name}resolved after 2h0m5s")]);
    let line = r"a \*b\* \__c\__ \`d\` \[e\](http://f) \|\|g\|\| h_i · \<i\> · ";
    let both = [format!("• {line}<t:1795341600:R>"), format!("✅ {line}after 2h0m5s")];
    assert_eq!(lines(&[one("firing"), one("resolved")]), ["**Firing (1)**", &both[0], "**Resolved (1)**", &both[1]]);
}

#[test]
fn line_ends_in_a_text_end_no_line() {
    let labels = [("alertname", "a\n b"), ("instance", "c\n d"), ("group", "e\n\tf"), ("severity", "g\nh")];
    let annotations = [("summary", "i\n\n j"), ("description", "k\r\n l")];
    let [firing, over] = ["firing", "resolved"].map(|status| alert(status, &labels, &annotations));
    let parts = |alerts: &[&Value]| {
        let [title, message, content] = Message::of(alerts.iter().copied().cloned().collect()).parts("en");
        let lines: Vec<_> = message.lines().filter(|line| !line.starts_with('[')).map(str::to_owned).collect();
        (title, lines.join("|"), content)
    };
    let expected = |title: &str, lines: &str, content: &str| (title.to_owned(), lines.to_owned(), content.to_owned());
    let since = "<t:1795341600:R>";
    let one = expected("🔔 ALERT: i j", &format!("k l|**a b** · c d · since {since}"), "🔔 ALERT: i j");
    assert_eq!(parts(&[&firing]), one);
    let lines = format!("• i j · c d · {since}|• i j · c d · {since}");
    assert_eq!(parts(&[&firing, &firing]), expected("🔔 ALERT ×2: a b (e f)", &lines, "🔔 ALERT ×2: a b"));
    let title = "✅ RESOLVED ×2 (g h): a b (e f)";
    let lines = "✅ i j · c d · after 2h0m5s|✅ i j · c d · after 2h0m5s";
    assert_eq!(parts(&[&over, &over]), expected(title, lines, "✅ RESOLVED ×2 (g h): a b"));
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
    let mut message = Message::of(vec![alert("firing", &[("alertname", "A")], &[])]);
    message.base = format!("http://{}", "b".repeat(700));
    assert_eq!(message.message("en"), "**A** · since <t:1795341600:R>");
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
