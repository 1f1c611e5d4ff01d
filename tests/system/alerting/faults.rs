//! A fault, and the message that somebody gets: through the real Prometheus with the rules that are shipped and the real
//! Alertmanager with the configuration that is shipped.

use super::heard::Heard;
use super::pace::Pace;
use super::scenarios::{BESIDES, Begin, Message, NEVER_NAMED, SCENARIOS, Scenario};
use super::scene::{Alarm, Scene};
use crate::support::{Banken, Demo, free_port};
use std::time::{Duration, Instant};

/// The longest that an alert of the scenarios waits, with what is shipped.
const LONGEST: Duration = Duration::from_secs(25 * 60);

/// The longest that Alertmanager gathers what is new in a group.
const GROUP_INTERVAL: Duration = Duration::from_secs(5 * 60);

/// How fast: quick, or with `BANKEN_ALERTS=real-time` as shipped (see `tests/soak/alerts_real_time.sh`).
fn pace() -> Pace {
    match std::env::var("BANKEN_ALERTS").as_deref() {
        Ok("real-time") => Pace::SHIPPED,
        _ => Pace::QUICK,
    }
}

/// A message that must arrive in one channel.
struct Due<'a> {
    fault: &'a str,
    began: Instant,
    message: &'a Message,
    channel: &'a str,
}

impl Due<'_> {
    /// The messages that it stands for: that it fires, or that it is over.
    fn among<'h>(&self, heard: &'h [Heard], is_over: bool) -> Vec<&'h Heard> {
        let meant =
            |heard: &&Heard| heard.is_over == is_over && heard.channel == self.channel && heard.is_about(self.message);
        heard.iter().filter(meant).collect()
    }

    fn words(&self) -> String {
        let Self { fault, message, channel, .. } = self;
        format!("{fault}: {} ({}) of {} in {channel}", message.alert, message.severity, message.names)
    }
}

#[tokio::test]
async fn every_fault_reaches_its_channels_once_and_so_does_its_end() {
    let pace = pace();
    let mut scene = Scene::set(pace).await;
    assert!(scene.alarm.heard().is_empty(), "nothing is wrong yet: {:#?}", scene.alarm.heard());
    let mut due = Vec::new();
    let possible = |scenario: &&Scenario| scene.has_disk || !matches!(scenario.begin, Begin::FillDisk);
    for Scenario { fault, begin, messages } in SCENARIOS.iter().filter(possible) {
        let began = Instant::now();
        scene.begin(begin).await;
        for message in *messages {
            let channels = message.channels().iter();
            due.extend(channels.map(|channel| Due { fault, began, message, channel }));
        }
    }
    until_heard(&scene.alarm, &due, false, pace).await;
    what_is_inhibited_fires(&scene, pace).await;
    let repaired = Instant::now();
    scene.repair().await;
    until_heard(&scene.alarm, &due, true, pace).await;
    let heard = until_quiet(&scene.alarm, pace).await;
    table(&due, repaired, &heard);
    each_once(&due, &heard);
    nothing_else(&due, &heard);
    let [dead, ..] = due.as_slice() else { panic!("nothing was due") };
    let took = dead.among(&heard, false)[0].at - dead.began;
    assert!(pace.is_real() || took < Duration::from_secs(10), "a dead endpoint was heard of after {took:?}");
}

/// Waits until each of these has arrived.
async fn until_heard(alarm: &Alarm, due: &[Due<'_>], is_over: bool, pace: Pace) {
    let deadline = Instant::now() + pace.patience(LONGEST);
    loop {
        let heard = alarm.heard();
        let missing: Vec<_> = due.iter().filter(|due| due.among(&heard, is_over).is_empty()).map(Due::words).collect();
        if missing.is_empty() {
            return;
        }
        if Instant::now() > deadline {
            let said: Vec<_> = heard.iter().map(brief).collect();
            panic!("not heard of (is over: {is_over}): {missing:#?}\namong {said:#?}");
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn brief(heard: &Heard) -> String {
    format!("{}: {} — {}", heard.channel, heard.alert, heard.text.lines().next().unwrap_or_default())
}

/// Waits until nothing has arrived for longer than any group waits for more, and gives everything.
async fn until_quiet(alarm: &Alarm, pace: Pace) -> Vec<Heard> {
    let quiet = pace.length(GROUP_INTERVAL) + Duration::from_secs(3);
    loop {
        let heard = alarm.heard();
        if heard.iter().all(|heard| heard.at.elapsed() > quiet) {
            return heard;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// What must not arrive is really held back, and not just absent.
async fn what_is_inhibited_fires(scene: &Scene, pace: Pace) {
    let alarm = &scene.alarm;
    alarm.until(pace, "banken_probe_caused_by{probe=\"dead-page\",cause=\"dead-port\"}", |caused| caused == 1.0).await;
    alarm.until(pace, "banken_probe_healthy{probe=\"dead-page\"}", |healthy| healthy == 0.0).await;
    alarm.until_suppressed("BankenProbeSlow", "warning").await;
    if scene.has_disk {
        alarm.until_suppressed("BankenHostDiskFull", "warning").await;
        alarm.until_suppressed("BankenHostDiskFull", "info").await;
    }
}

fn each_once(due: &[Due<'_>], heard: &[Heard]) {
    for due in due {
        for is_over in [false, true] {
            let found = due.among(heard, is_over);
            assert_eq!(found.len(), 1, "{} (is over: {is_over}): {found:#?}", due.words());
        }
    }
}

fn nothing_else(due: &[Due<'_>], heard: &[Heard]) {
    let is_due = |heard: &&Heard| due.iter().any(|due| heard.is_about(due.message));
    let (besides, more): (Vec<_>, Vec<_>) =
        heard.iter().filter(|heard| !is_due(heard)).partition(|heard| BESIDES.contains(&heard.alert.as_str()));
    assert!(more.is_empty(), "nobody expected {more:#?}");
    for (at, one) in besides.iter().enumerate() {
        let again = besides[..at].iter().find(|other| other.channel == one.channel && other.text == one.text);
        assert!(again.is_none(), "heard of twice: {one:#?} {again:#?}");
    }
    for name in NEVER_NAMED {
        let named: Vec<_> = heard.iter().filter(|heard| heard.text.contains(name)).collect();
        assert!(named.is_empty(), "{name} is none of anybody's business: {named:#?}");
    }
}

fn table(due: &[Due<'_>], repaired: Instant, heard: &[Heard]) {
    println!("{:<20} {:<26} {:<14} {:>8} {:>9}", "fault", "alert", "channel", "seconds", "over");
    for due in due {
        let [fires, over] = [false, true].map(|is_over| due.among(heard, is_over).first().map(|heard| heard.at));
        let seconds = |from: Instant, to: Option<Instant>| {
            let length = to.and_then(|to| to.checked_duration_since(from));
            length.map_or("-".to_owned(), |length| format!("{:.1}", length.as_secs_f64()))
        };
        let (fires, over) = (seconds(due.began, fires), seconds(repaired, over));
        println!("{:<20} {:<26} {:<14} {fires:>8} {over:>9}", due.fault, due.message.alert, due.channel);
    }
}

#[tokio::test]
async fn with_what_is_shipped_a_dead_endpoint_is_heard_of_within_ninety_seconds() {
    let mut demo = Demo::start(&[]).await;
    let listen = format!("127.0.0.1:{}", free_port());
    let probe = format!("probes: [ {{ name: shop, http: {{ url: 'http://{}/' }} }} ]\n", demo.http);
    let banken = Banken::start(&format!("listen: {listen}\nhost: false\n{probe}")).await;
    banken.until_status("shop", "healthy").await;
    let alarm = Alarm::start(Pace::SHIPPED, &listen).await;
    alarm.until(Pace::QUICK, "banken_probe_healthy", |healthy| healthy == 1.0).await;
    let began = Instant::now();
    demo.fault("crash", "").await;
    demo.process.ended().await;
    let message = Message { alert: "BankenProbeDown", severity: "critical", names: "shop" };
    let channels = message.channels().iter();
    let due: Vec<_> =
        channels.map(|channel| Due { fault: "down, as shipped", began, message: &message, channel }).collect();
    until_heard(&alarm, &due, false, Pace::QUICK).await;
    let heard = alarm.heard();
    table(&due, began, &heard);
    nothing_else(&due, &heard);
    for due in due {
        let took = due.among(&heard, false)[0].at - began;
        assert!(took < Duration::from_secs(90), "{} took {took:?}", due.words());
    }
}
