//! What the page remembers: over a restart, over damage, and where nothing can be kept.

use crate::support::{Banken, eventually};
use crate::targets::Target;
use std::path::Path;

fn config(target: &Target, state: &Path) -> String {
    format!(
        "host: false\nstate_dir: {}\nprobes:\n  - {{ name: good, group: bot, interval: 200ms, timeout: 100ms, http: {{ url: '{}' }} }}\n  \
         - {{ name: dead, interval: 200ms, timeout: 100ms, failure_threshold: 2, depends_on: [ good ], tcp: {{ address: '127.0.0.1:1' }} }}\n",
        state.display(),
        target.url()
    )
}

async fn end(mut banken: Banken) -> String {
    banken.process.signal(rustix::process::Signal::TERM);
    assert!(banken.process.ended().await.success());
    banken.process.output()
}

/// Until so many seconds of a probe are known.
async fn known(banken: &Banken, probe: &str, seconds: f64) -> serde_json::Value {
    eventually("it is known for a while", async || {
        let detail = banken.probe(probe).await;
        let known = detail["availability"]["1h"]["known_ratio"].as_f64().unwrap() * 3600.0;
        (known > seconds).then_some(detail)
    })
    .await
}

#[tokio::test]
async fn availability_failures_and_changes_survive_a_restart_and_a_damaged_file() {
    let (good, state) = (Target::saying("fine").await, tempfile::tempdir().unwrap());
    let banken = Banken::start(&config(&good, state.path())).await;
    let before = known(&banken, "good", 1.0).await;
    assert_eq!(before["availability"]["24h"]["ratio"], 1.0);
    banken.until_status("dead", "unhealthy").await;
    let dead = known(&banken, "dead", 1.0).await;
    assert_eq!(dead["availability"]["1h"]["ratio"], 0.0, "{dead:#}");
    let runs = dead["runs"].as_u64().unwrap();
    end(banken).await;

    let banken = Banken::start(&config(&good, state.path())).await;
    let after = banken.probe("dead").await;
    assert!(after["runs"].as_u64().unwrap() < runs, "a restart counts anew");
    let seconds = |detail: &serde_json::Value| detail["availability"]["30d"]["incident_seconds"].as_f64().unwrap();
    assert!(seconds(&after) >= seconds(&dead), "{after:#}");
    assert!(!after["last_failures"].as_array().unwrap().is_empty());
    let states: Vec<_> = after["changes"].as_array().unwrap().iter().map(|c| c["to"].as_str().unwrap()).collect();
    assert!(states.ends_with(&["unhealthy", "suspect"]), "{states:?}");
    end(banken).await;

    std::fs::write(state.path().join("history/0.json"), "damaged").unwrap();
    std::fs::remove_file(state.path().join("history/0.json.previous")).unwrap();
    let banken = Banken::start(&config(&good, state.path())).await;
    assert_eq!(banken.sample("banken_state_damaged_total").await, Some(1.0));
    assert!(banken.process.output().contains("a file of the page's history is damaged"));
}

#[tokio::test]
async fn a_history_that_cannot_be_kept_is_one_friendly_line_and_no_alert() {
    let good = Target::saying("fine").await;
    let nowhere = Path::new("/proc/banken");
    let banken = Banken::start(&config(&good, nowhere)).await;
    known(&banken, "good", 0.5).await;
    assert_eq!(banken.sample("banken_state_save_failures_total").await, Some(0.0));
    let output = end(banken).await;
    let lines: Vec<_> = output.lines().filter(|line| line.contains("history")).collect();
    assert_eq!(lines.len(), 1, "{output}");
    assert!(lines[0].contains("INFO") && lines[0].contains("state_dir"), "{output}");
}

#[tokio::test]
async fn a_second_banken_with_the_same_folder_watches_all_the_same_if_only_the_history_is_at_stake() {
    let (good, state) = (Target::saying("fine").await, tempfile::tempdir().unwrap());
    let first = Banken::start(&config(&good, state.path())).await;
    let second = Banken::start(&config(&good, state.path())).await;
    second.until_status("good", "healthy").await;
    assert!(second.process.output().contains("kept in memory only"), "{}", second.process.output());
    drop(first);
}

#[tokio::test]
async fn the_page_of_a_probe_has_its_history_its_failures_and_what_it_depends_on() {
    let (good, state) = (Target::saying("fine").await, tempfile::tempdir().unwrap());
    let banken = Banken::start(&config(&good, state.path())).await;
    banken.until_status("dead", "unhealthy").await;
    known(&banken, "dead", 1.0).await;
    let html = banken.get("/probes/dead").await.text().await.unwrap();
    for seen in [
        "Last failures",
        "no connection",
        "Connection refused",
        "depends on <a href=\"/probes/good\">",
        "/runbooks/BankenProbeDown",
    ] {
        assert!(html.contains(seen), "{seen} is not in {html}");
    }
    assert!(html.contains("<svg class=\"chart\"") && html.contains("<svg class=\"strip\""), "{html}");
    assert!(!html.contains("style=") && !html.contains("http://"), "{html}");
    let good = banken.get("/probes/good").await.text().await.unwrap();
    assert!(good.contains("affects <a href=\"/probes/dead\">"), "{good}");
    let missing = banken.get("/probes/nobody").await;
    assert_eq!(missing.status(), 404);
    assert!(missing.text().await.unwrap().contains("There is no probe of this name"));
}

#[tokio::test]
async fn a_badge_says_the_state_or_the_availability_and_404_for_a_stranger() {
    let (good, state) = (Target::saying("fine").await, tempfile::tempdir().unwrap());
    let banken = Banken::start(&config(&good, state.path())).await;
    banken.until_status("dead", "unhealthy").await;
    known(&banken, "good", 0.5).await;
    for (path, status, said) in [
        ("/badge/good.svg", 200, "good: healthy"),
        ("/badge/dead.svg", 200, "dead: unhealthy"),
        ("/badge/good.svg?availability=24h", 200, "good 24h: 100 %"),
        ("/badge/good.svg?availability=1y", 400, "1h, 24h, 7d or 30d"),
        ("/badge/nobody.svg", 404, "unknown probe"),
        ("/badge/good", 404, "no such badge"),
    ] {
        let answer = banken.get(path).await;
        assert_eq!(answer.status(), status, "{path}");
        assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("image/svg+xml"), "{path}");
        assert!(answer.headers()["cache-control"].to_str().unwrap().contains("max-age"), "{path}");
        let svg = answer.text().await.unwrap();
        assert!(svg.contains(said), "{path}: {svg}");
    }
}
