//! What arrives at Discord, from a real Alertmanager with the shipped configuration and templates.

use super::discord::length;
use super::{Office, alert, debian, resolved, turned_on};
use crate::support::{client, eventually};
use serde_json::Value;
use std::time::{Duration, Instant};

const RUNBOOK: &str = "http://localhost:9810/runbooks/BankenProbeDown";
const DASHBOARD: &str = "http://localhost:3000/d/banken-check?var-job=banken&var-instance=host:9810&var-probe=ticker";

fn down(probe: &str, severity: &str) -> Value {
    let labels = [
        ("alertname", "BankenProbeDown"),
        ("severity", severity),
        ("job", "banken"),
        ("instance", "host:9810"),
        ("group", "bot"),
        ("probe", probe),
    ];
    let annotations = [
        ("summary", format!("{probe} is down")),
        ("description", format!("The probe {probe} failed.\nReason: missing.")),
        ("summary_ja", format!("{probe} が停止しています")),
        ("description_ja", format!("プローブ {probe} が失敗しました。")),
        ("runbook_url", RUNBOOK.to_owned()),
        ("dashboard_url", DASHBOARD.to_owned()),
    ];
    alert(&labels, &annotations.each_ref().map(|(name, text)| (*name, text.as_str())))
}

fn starts_at(alert: &Value) -> i64 {
    alert["startsAt"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_second()
}

#[tokio::test]
async fn an_alert_and_its_end_come_to_its_channel_and_to_the_administrator_in_english() {
    let office = Office::open("en").await;
    let alertmanager = office.alertmanager(|config| debian::hurried(&config)).await;
    let ticker = down("ticker", "critical");
    alertmanager.post(std::slice::from_ref(&ticker)).await;
    let since = starts_at(&ticker);
    let silence = format!(
        "{}/#/silences/new?filter=%7Balertname%3D%22BankenProbeDown%22%2C%20group%3D%22bot%22%2C%20instance%3D%22host%3A9810%22%2C%20\
         job%3D%22banken%22%2C%20probe%3D%22ticker%22%2C%20severity%3D%22critical%22%7D",
        alertmanager.url
    );
    for channel in ["critical", "administrator"] {
        let [message] = office.exactly(channel).await;
        assert_eq!(message.title(), "🚨 CRITICAL: ticker is down");
        assert_eq!(message.content(), "", "Debian's Alertmanager has no content");
        assert_eq!(
            message.description(),
            format!(
                "The probe ticker failed. Reason: missing.\n\
                 **BankenProbeDown** · host:9810 · since <t:{since}:R>\n\
                 [Runbook]({RUNBOOK}) · [Dashboard]({DASHBOARD}) · [Silence]({silence})"
            )
        );
    }
    alertmanager.post(&[resolved(&ticker)]).await;
    for channel in ["critical", "administrator"] {
        let [_, message] = office.exactly(channel).await;
        assert_eq!(message.title(), "✅ RESOLVED (critical): ticker is down");
        let (what, links) = message.description().split_once('\n').unwrap();
        assert!(what.starts_with("**BankenProbeDown** · host:9810 · resolved after ") && what.ends_with('s'), "{what}");
        assert_eq!(links, format!("[Runbook]({RUNBOOK}) · [Dashboard]({DASHBOARD})"));
    }
    assert_eq!(office.discord.deliveries().len(), 4, "nothing else came anywhere");
}

#[tokio::test]
async fn alerts_of_one_kind_come_together_and_their_ends_are_told_apart_in_japanese() {
    let office = Office::open("ja").await;
    let alertmanager = office.alertmanager(|config| debian::hurried(&config)).await;
    let alerts = ["api", "gateway", "ticker"].map(|probe| down(probe, "warning"));
    alertmanager.post(&alerts).await;
    let [message] = office.exactly("warning").await;
    assert_eq!(message.title(), "⚠️ 警告 3 件: BankenProbeDown (bot)");
    let since = starts_at(&alerts[0]);
    let (listed, last) = message.description().rsplit_once('\n').unwrap();
    let names = ["api", "gateway", "ticker"];
    let expected = names.map(|probe| format!("• {probe} が停止しています · host:9810 · <t:{since}:R>"));
    assert_eq!(listed.lines().map(|line| shifted(line, since)).collect::<Vec<_>>(), expected);
    assert!(last.starts_with(&format!("[対処手順]({RUNBOOK}) · [ダッシュボード](")), "{last}");
    alertmanager.post(&[resolved(&alerts[1])]).await;
    let [_, message] = office.exactly("warning").await;
    assert_eq!(message.title(), "⚠️ 警告 2 件(復旧 1 件): BankenProbeDown (bot)");
    let lines: Vec<_> = message.description().lines().collect();
    assert_eq!([lines[0], lines[3]], ["**発生中(2 件)**", "**復旧(1 件)**"]);
    assert!(lines[1].starts_with("• api") && lines[2].starts_with("• ticker"), "{lines:#?}");
    assert!(
        lines[4].starts_with("✅ gateway が停止しています · host:9810 · ") && lines[4].ends_with("秒で復旧"),
        "{lines:#?}"
    );
    alertmanager.post(&[resolved(&alerts[0]), resolved(&alerts[2])]).await;
    let [_, _, message] = office.exactly("warning").await;
    assert_eq!(message.title(), "✅ 復旧 2 件(警告): BankenProbeDown (bot)");
    assert!(!message.description().contains("通知を止める"), "there is nothing to silence");
    assert_eq!(office.discord.deliveries().len(), 3);
}

/// The same line with the time of another alert: three alerts may begin in two seconds.
fn shifted(line: &str, since: i64) -> String {
    let (before, time) = line.split_once("<t:").unwrap();
    let time: i64 = time.split_once(':').unwrap().0.parse().unwrap();
    assert!((0..3).contains(&(time - since)), "{line}");
    format!("{before}<t:{since}:R>")
}

#[tokio::test]
async fn a_hundred_alerts_with_endless_texts_are_one_message_that_discord_takes() {
    for language in ["en", "ja"] {
        let office = Office::open(language).await;
        let alertmanager = office.alertmanager(|config| debian::hurried(&config)).await;
        let text = "価格フィールドが見つかりません🔥*重要*🚨".repeat(15);
        let long = |at: usize| {
            let mut alert = down(&format!("probe-{at:03}"), "info");
            for words in ["summary", "description", "summary_ja", "description_ja"] {
                alert["annotations"][words] = format!("{at} {text}").into();
            }
            alert
        };
        let alerts: Vec<_> = (0..100).map(long).collect();
        alertmanager.post(&alerts).await;
        let [message] = office.exactly("info").await;
        let title = ["ℹ️ INFO ×100: BankenProbeDown (bot)", "ℹ️ 情報 100 件: BankenProbeDown (bot)"];
        assert_eq!(message.title(), title[usize::from(language == "ja")]);
        let shown = message.description().lines().filter(|line| line.starts_with("• ")).count();
        assert!((5..=20).contains(&shown), "{message:#?}");
        let rest = ["… and REST more", "… ほか REST 件"][usize::from(language == "ja")]
            .replace("REST", &(100 - shown).to_string());
        assert!(message.description().lines().any(|line| line == rest), "{message:#?}");
        assert!(length(message.description()) < 4096 - 500, "little room is left");
        let ends: Vec<_> = alerts.iter().map(resolved).collect();
        alertmanager.post(&ends).await;
        let [_, message] = office.exactly("info").await;
        assert!(message.title().starts_with("✅"), "{message:#?}");
        assert!(!alertmanager.process.output().contains("Truncated"), "{}", alertmanager.process.output());
        assert_eq!(alertmanager.metric("alertmanager_notifications_failed_total", "discord").await, 0.0);
    }
}

#[tokio::test]
async fn a_critical_alert_is_sent_within_seconds_as_it_is_shipped() {
    let office = Office::open("en").await;
    let alertmanager = office.alertmanager(|config| config).await;
    let begin = Instant::now();
    alertmanager.post(&[down("ticker", "critical"), down("ticker", "warning")]).await;
    for channel in ["critical", "administrator"] {
        let took = office.until(channel, 1).await[0].at - begin;
        println!("an alert is in channel {channel} after {took:?}");
        assert!((Duration::from_millis(900)..Duration::from_secs(5)).contains(&took), "{channel}: {took:?}");
    }
}

#[tokio::test]
async fn the_dead_mans_switch_is_not_for_discord_and_is_fed_for_as_long_as_it_is_turned_on() {
    let office = Office::open("en").await;
    let watchdog = alert(&[("alertname", "BankenWatchdog"), ("severity", "info")], &[("summary", "Alerting works")]);
    let alertmanager = office.alertmanager(|config| debian::hurried(&config)).await;
    alertmanager.post(&[watchdog.clone(), down("ticker", "info")]).await;
    office.until("info", 1).await;
    assert_eq!(office.discord.deliveries().len(), 1, "{:#?}", office.discord.deliveries());
    assert_eq!(office.discord.pings().len(), 0, "it is off as it is shipped");
    assert_eq!(alertmanager.metric("alertmanager_notifications_failed_total", "").await, 0.0);
    let config = debian::adapted(&turned_on(&super::shipped(), "webhook_configs"), &office.places).unwrap();
    let config = debian::hurried(&config).replacen("repeat_interval: 1m\n", "repeat_interval: 1s\n", 1);
    std::fs::write(office.folder.path().join("alertmanager.yml"), config).unwrap();
    let reloaded = client().post(format!("{}/-/reload", alertmanager.url)).send().await.unwrap();
    assert!(reloaded.status().is_success(), "{}", reloaded.text().await.unwrap());
    eventually("it is fed again and again", async || (office.discord.pings().len() >= 3).then_some(())).await;
    alertmanager.post(&[resolved(&watchdog)]).await;
    let after = eventually("it is over", async || {
        let over = alertmanager.alerts().await.iter().all(|alert| alert["labels"]["alertname"] != "BankenWatchdog");
        over.then(|| office.discord.pings().len())
    })
    .await;
    // One more may have been under way. Another alert's message shows that time has gone by.
    alertmanager.post(&[down("gateway", "warning")]).await;
    office.until("warning", 1).await;
    alertmanager.post(&[down("gateway", "warning"), down("api", "warning")]).await;
    office.until("warning", 2).await;
    assert!(office.discord.pings().len() <= after + 1, "it is fed though nothing fires");
    assert_eq!(office.discord.deliveries().len(), 3, "{:#?}", office.discord.deliveries());
}
