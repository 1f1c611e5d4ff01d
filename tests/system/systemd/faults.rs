//! What happens to the bus and to who is on it. The bus is real, systemd is played by a stand-in.

use super::bus::{Bus, Manner, Systemd};
use super::{config, sample};
use crate::support::{Banken, eventually};
use rustix::process::Signal;
use std::time::{Duration, Instant};

const BOT: (&str, &str) = ("bot", "unit: bot.service");

/// The interval is so long that only what is told by itself is seen in time.
const NEVER: &str = "1h";

#[tokio::test]
async fn a_bus_that_is_not_there_and_one_without_systemd_say_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let mut bus = Bus::start(folder.path()).await;
    bus.end();
    let banken = Banken::start(&config("200ms", &bus.address(), &[BOT])).await;
    let detail = banken.until_reason("bot", "connect").await;
    let words = detail["message"].as_str().unwrap();
    assert!(words.contains("there is no bus unix:path=") && words.contains("mount"), "{words}");
    bus.start_again().await;
    eventually("it is said that nobody is there", async || {
        banken.message("bot").await.contains("no systemd answers on the bus").then_some(())
    })
    .await;
    assert_eq!(sample(&banken, "banken_systemd_active", "bot").await, None, "nothing is known of the unit");
    let _systemd = Systemd::on(&bus, &["bot.service"]).await;
    banken.until_status("bot", "healthy").await;
    assert_eq!(sample(&banken, "banken_systemd_active", "bot").await, Some(1.0));
    assert_eq!(sample(&banken, "banken_systemd_restarts_total", "bot").await, Some(0.0));
    assert_eq!(sample(&banken, "banken_systemd_memory_bytes", "bot").await, None, "systemd does not account for it");
}

#[tokio::test]
async fn what_is_no_bus_and_who_refuses_and_who_hangs_have_reasons_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let bus = Bus::start(folder.path()).await;
    let systemd = Systemd::on(&bus, &["bot.service"]).await;
    let stranger = folder.path().join("stranger");
    let listener = tokio::net::UnixListener::bind(&stranger).unwrap();
    let greeting = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            use tokio::io::AsyncWriteExt as _;
            let _ = stream.write_all(b"220 mail ready\r\n").await;
        }
    });
    let mut yaml = config("200ms", &bus.address(), &[BOT, ("gone", "unit: nothing.service")])
        .replace("retry_interval", "timeout: 2s, retry_interval");
    yaml.push_str(&format!(
        "  - name: stranger\n    systemd: {{ unit: bot.service, bus: 'unix:path={}' }}\n",
        stranger.display()
    ));
    let banken = Banken::start(&yaml).await;
    banken.until_reason("stranger", "protocol").await;
    assert!(banken.message("stranger").await.contains("does not speak like a bus"));
    banken.until_reason("gone", "missing").await;
    assert!(banken.message("gone").await.contains("there is no unit"), "{}", banken.message("gone").await);
    assert_eq!(sample(&banken, "banken_systemd_active", "gone").await, Some(0.0));
    banken.until_status("bot", "healthy").await;
    for error in [
        "org.freedesktop.DBus.Error.AccessDenied",
        "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired",
        "org.freedesktop.PolicyKit1.Error.NotAuthorized",
    ] {
        systemd.world().manner = Manner::Refuses(error);
        banken.until_reason("bot", "auth").await;
        assert!(banken.message("bot").await.contains("a policy says no"), "{error}");
        systemd.world().manner = Manner::Answers;
        banken.until_status("bot", "healthy").await;
    }
    systemd.world().manner = Manner::Refuses("org.freedesktop.DBus.Error.Failed");
    banken.until_reason("bot", "protocol").await;
    systemd.world().manner = Manner::Refuses("org.freedesktop.systemd1.NoSuchUnit");
    banken.until_reason("bot", "missing").await;
    systemd.world().manner = Manner::Hangs;
    let detail = banken.until_reason("bot", "timeout").await;
    assert!(detail["message"].as_str().unwrap().contains("in the phase wait"), "{detail:#}");
    // Nobody who waited in vain stays connected: each one gives the connection up and the next makes a new one.
    for _ in 0..20 {
        let guests = bus.guests().await;
        assert!(guests.len() <= 4, "{guests:?} are connected, besides the stand-in only one or two should be");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    systemd.world().manner = Manner::Answers;
    banken.until_status("bot", "healthy").await;
    greeting.abort();
}

#[tokio::test]
async fn a_bus_that_hangs_costs_a_timeout_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let bus = Bus::start(folder.path()).await;
    let _systemd = Systemd::on(&bus, &["bot.service"]).await;
    let units: Vec<String> = (0..10).map(|number| format!("bot-{number}")).collect();
    let units: Vec<(&str, &str)> = units.iter().map(|name| (name.as_str(), "unit: bot.service")).collect();
    let yaml = config("100ms", &bus.address(), &units).replace("retry_interval", "timeout: 500ms, retry_interval");
    let banken = Banken::start(&yaml).await;
    banken.until_status("bot-0", "healthy").await;
    let descriptors = async || banken.sample("process_open_fds").await.unwrap();
    let before = descriptors().await;
    bus.process().signal(Signal::STOP);
    banken.until_reason("bot-0", "timeout").await;
    let runs = "banken_probe_failures_total{probe=\"bot-9\",kind=\"systemd\",reason=\"timeout\"}";
    eventually("many runs have timed out", async || (banken.sample(runs).await? >= 5.0).then_some(())).await;
    let after = descriptors().await;
    assert!(after <= before + 3.0, "descriptors grew from {before} to {after}");
    bus.process().signal(Signal::CONT);
    for (name, _) in units {
        banken.until_status(name, "healthy").await;
    }
}

#[tokio::test]
async fn a_bus_that_hangs_for_ever_is_left_for_the_one_that_takes_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let mut bus = Bus::start(folder.path()).await;
    let systemd = Systemd::on(&bus, &["bot.service"]).await;
    let yaml = config("100ms", &bus.address(), &[BOT]).replace("retry_interval", "timeout: 500ms, retry_interval");
    let banken = Banken::start(&yaml).await;
    banken.until_status("bot", "healthy").await;
    bus.process().signal(Signal::STOP);
    banken.until_status("bot", "unhealthy").await;
    let _hanging = bus.abandon();
    drop(systemd);
    bus.start_again().await;
    let _systemd = Systemd::on(&bus, &["bot.service"]).await;
    banken.until_status("bot", "healthy").await;
}

#[tokio::test]
async fn a_hundred_units_share_one_connection_and_it_ends_with_the_last_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let bus = Bus::start(folder.path()).await;
    let units: Vec<String> = (0..100).map(|number| format!("bot-{number}")).collect();
    let names: Vec<String> = units.iter().map(|unit| format!("{unit}.service")).collect();
    let systemd = Systemd::on(&bus, &names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let blocks: Vec<String> = names.iter().map(|name| format!("unit: {name}")).collect();
    let probes: Vec<_> = units.iter().map(String::as_str).zip(blocks.iter().map(String::as_str)).collect();
    let banken = Banken::start(&config("200ms", &bus.address(), &probes)).await;
    for unit in &units {
        banken.until_status(unit, "healthy").await;
    }
    {
        let world = systemd.world();
        assert_eq!(world.clients.len(), 1, "{:?}", world.clients);
        assert!(world.clients.values().all(|subscriptions| *subscriptions == 1), "{:?}", world.clients);
    }
    banken.write_config("host: false\nprobes: [ { name: x, tcp: { address: '127.0.0.1:1' } } ]\n");
    banken.process.signal(Signal::HUP);
    eventually("Banken has left the bus", async || (bus.guests().await.len() == 1).then_some(())).await;
}

#[tokio::test]
async fn a_change_is_seen_at_once_and_one_that_never_ends_once_a_second() {
    let folder = tempfile::tempdir().unwrap();
    let bus = Bus::start(folder.path()).await;
    let systemd = Systemd::on(&bus, &["bot.service", "other.service"]).await;
    let banken = Banken::start(&config(NEVER, &bus.address(), &[BOT, ("other", "unit: other.service")])).await;
    banken.until_status("other", "healthy").await;
    banken.until_status("bot", "healthy").await;
    systemd.change("bot.service", ("failed", "failed")).await;
    banken.until_status("bot", "unhealthy").await;
    systemd.change("bot.service", ("active", "running")).await;
    banken.until_status("bot", "healthy").await;
    let runs = async |probe: &str| {
        banken.sample(&format!("banken_probe_runs_total{{probe=\"{probe}\",kind=\"systemd\"}}")).await.unwrap()
    };
    assert_eq!(runs("other").await, 1.0, "nobody else is woken");
    let (begun, before, looks) = (Instant::now(), runs("bot").await, systemd.world().looks);
    while begun.elapsed() < Duration::from_secs(4) {
        for _ in 0..50 {
            systemd.tell("bot.service").await;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let seconds = begun.elapsed().as_secs_f64();
    let woken = runs("bot").await - before;
    assert!(woken >= 2.0 && woken <= seconds + 2.0, "{woken} runs in {seconds:.1} s");
    assert!(systemd.world().looks - looks <= seconds as usize + 3);
    // A flood has not stopped answers from coming through.
    systemd.change("bot.service", ("inactive", "dead")).await;
    banken.until_reason("bot", "exit").await;
}

#[tokio::test]
async fn after_the_bus_or_systemd_were_started_again_changes_are_heard_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut bus = Bus::start(folder.path()).await;
    let systemd = Systemd::on(&bus, &["bot.service"]).await;
    systemd.world().restarts = 7;
    let banken = Banken::start(&config("3s", &bus.address(), &[BOT])).await;
    banken.until_status("bot", "healthy").await;
    let restarts = async || sample(&banken, "banken_systemd_restarts_total", "bot").await;
    assert_eq!(restarts().await, Some(0.0), "what was before the watch does not count");
    systemd.world().restarts = 9;
    eventually("restarts are counted", async || (restarts().await == Some(2.0)).then_some(())).await;
    // Another one takes its place on the same bus: it must be asked anew to tell of changes.
    systemd.leave().await;
    let systemd = Systemd::on(&bus, &["bot.service"]).await;
    eventually("the new one was subscribed to", async || systemd.is_subscribed().then_some(())).await;
    banken.until_status("bot", "healthy").await;
    systemd.change("bot.service", ("failed", "failed")).await;
    banken.until_reason("bot", "exit").await;
    drop(systemd);
    bus.start_again().await;
    let systemd = Systemd::on(&bus, &["bot.service"]).await;
    systemd.world().restarts = 1;
    eventually("the one on the new bus was subscribed to", async || systemd.is_subscribed().then_some(())).await;
    banken.until_status("bot", "healthy").await;
    assert!(restarts().await >= Some(2.0), "a counter never goes back");
}
