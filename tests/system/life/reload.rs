//! A new configuration: what goes on, what goes, and what a mistake in it changes (nothing).

use crate::support::{Banken, eventually};
use crate::targets::{Target, head_of, response};
use rustix::process::Signal;
use std::sync::{Arc, Mutex};
use std::time::Instant;
use tokio::io::AsyncWriteExt as _;

const SUCCESSFUL: &str = "banken_config_last_reload_successful";

fn runs(probe: &str, kind: &str) -> String {
    format!("banken_probe_runs_total{{probe=\"{probe}\",kind=\"{kind}\"}}")
}

/// Asks for a reload by SIGHUP and waits for the `nth` one to be logged.
async fn hang_up(banken: &Banken, nth: usize, outcome: &str) {
    banken.process.signal(Signal::HUP);
    eventually(outcome, async || (banken.process.output().matches(outcome).count() >= nth).then_some(())).await;
}

const TAKEN: &str = "the configuration was reloaded";
const REFUSED: &str = "the new configuration is refused, the old one goes on";

#[tokio::test]
async fn unchanged_probes_go_on_in_their_cadence_and_changed_ones_keep_their_counters() {
    let arrivals = Arc::new(Mutex::new(Vec::new()));
    let steady = Target::start({
        let arrivals = Arc::clone(&arrivals);
        move |mut stream| {
            let arrivals = Arc::clone(&arrivals);
            async move {
                arrivals.lock().unwrap().push(Instant::now());
                head_of(&mut stream).await;
                let _ = stream.write_all(response("200 OK", "fine").as_bytes()).await;
            }
        }
    })
    .await;
    let other = Target::saying("fine").await;
    let yaml = |changed: &str, last: &str| {
        format!(
            "host: false\ndefaults: {{ interval: 500ms, timeout: 5s }}\nprobes:\n  \
             - {{ name: steady, http: {{ url: '{}' }} }}\n  - {{ name: changed, interval: {changed}, tcp: {{ address: '{}' }} }}\n  \
             - {{ name: own, process: {{ name: banken{last} }} }}\n",
            steady.url(),
            other.address
        )
    };
    let banken = Banken::start(&yaml("200ms", "")).await;
    eventually("some runs", async || (banken.sample(&runs("changed", "tcp")).await? >= 5.0).then_some(())).await;
    let (before, steady_before) =
        (banken.sample(&runs("changed", "tcp")).await.unwrap(), banken.sample(&runs("steady", "http")).await.unwrap());
    let cpu = "banken_process_cpu_seconds_total{probe=\"own\"}";
    let cpu_before =
        eventually("CPU time is counted", async || banken.sample(cpu).await.filter(|cpu| *cpu > 0.0)).await;
    let steady_runs = || arrivals.lock().unwrap().len();
    let begun = Instant::now();
    let runs_at_begin = steady_runs();
    for round in 1..=7 {
        banken.write_config(&yaml(if round % 2 == 1 { "30s" } else { "200ms" }, ", min: 1"));
        hang_up(&banken, round, TAKEN).await;
        let seen = steady_runs();
        eventually("the next run", async || (steady_runs() > seen).then_some(())).await;
    }
    // A probe that were started anew would run at once, beside its cadence.
    let due = begun.elapsed().as_secs_f64() / 0.5 + 1.0;
    let seen = steady_runs() - runs_at_begin;
    assert!(seen as f64 <= due, "{seen} runs where {due:.1} were due");
    assert!(banken.sample(&runs("changed", "tcp")).await.unwrap() >= before, "its counter went on");
    assert!(banken.sample(cpu).await.unwrap() >= cpu_before, "the counters of its kind went on");
    assert!(banken.sample("banken_probe_interval_seconds{probe=\"changed\",kind=\"tcp\"}").await == Some(30.0));
    assert!(banken.sample(&runs("steady", "http")).await.unwrap() >= steady_before + 7.0);
}

#[tokio::test]
async fn added_removed_and_renamed_probes_come_and_go_with_their_series() {
    let target = Target::saying("fine").await;
    let probe = |name: &str| format!("  - {{ name: {name}, tcp: {{ address: '{}' }} }}\n", target.address);
    let yaml = |names: &[&str]| {
        let probes: String = names.iter().map(|name| probe(name)).collect();
        format!("host: false\nprobes:\n{probes}")
    };
    let banken = Banken::start(&yaml(&["stays", "goes", "old-name"])).await;
    assert!(banken.metrics().await.contains("probe=\"goes\""));
    banken.write_config(&yaml(&["stays", "new-name", "comes"]));
    hang_up(&banken, 1, TAKEN).await;
    let text = banken.metrics().await;
    assert!(!text.contains("probe=\"goes\"") && !text.contains("probe=\"old-name\""), "{text}");
    assert_eq!(banken.status_code("/api/v1/probes/goes").await, 404);
    assert!(banken.process.output().contains("2 added, 0 changed, 2 removed, 1 kept"), "{}", banken.process.output());
    for name in ["stays", "new-name", "comes"] {
        banken.until_status(name, "healthy").await;
    }
    // A name that comes back begins anew, and another kind of the same name is another probe.
    let other_kind =
        yaml(&["comes", "goes"]) + &format!("  - {{ name: stays, http: {{ url: '{}' }} }}\n", target.url());
    banken.write_config(&other_kind);
    hang_up(&banken, 2, TAKEN).await;
    let text = banken.metrics().await;
    assert!(!text.contains("probe=\"stays\",kind=\"tcp\""), "{text}");
    banken.until_status("stays", "healthy").await;
}

#[tokio::test]
async fn a_mistake_is_said_with_its_place_and_changes_nothing_until_it_is_mended() {
    let target = Target::saying("fine").await;
    let good = format!(
        "host: false\nprobes:\n  - {{ name: good, interval: 100ms, timeout: 50ms, tcp: {{ address: '{}' }} }}\n",
        target.address
    );
    let banken = Banken::start(&good).await;
    let taken_at = banken.sample("banken_config_last_reload_success_timestamp_seconds").await.unwrap();
    for (nth, bad) in
        [good.replace("interval", "intervall"), good.replace("probes:", "probes: ["), "\u{0}".into()].iter().enumerate()
    {
        banken.write_config(bad);
        hang_up(&banken, nth + 1, REFUSED).await;
        eventually("the metric", async || (banken.sample(SUCCESSFUL).await == Some(0.0)).then_some(())).await;
    }
    let place = format!("{}:4:19: probes[0].intervall: unknown key", banken.config_file().display());
    assert!(banken.process.output().contains(&place), "{}", banken.process.output());
    let before = banken.sample(&runs("good", "tcp")).await.unwrap();
    eventually("the old probes go on", async || {
        (banken.sample(&runs("good", "tcp")).await? > before + 2.0).then_some(())
    })
    .await;
    assert_eq!(banken.sample("banken_config_last_reload_success_timestamp_seconds").await, Some(taken_at));
    banken.write_config(&good);
    hang_up(&banken, 1, TAKEN).await;
    assert_eq!(banken.sample(SUCCESSFUL).await, Some(1.0));
    assert!(banken.sample("banken_config_last_reload_success_timestamp_seconds").await > Some(taken_at));
}

#[tokio::test]
async fn a_changed_file_is_taken_over_where_that_is_asked_for() {
    let watching = Banken::start_with("host: false\n", &["--reload-on-change"]).await;
    let deaf = Banken::start("host: false\n").await;
    let target = Target::saying("fine").await;
    let more = format!("host: false\nprobes:\n  - {{ name: more, tcp: {{ address: '{}' }} }}\n", target.address);
    watching.write_config(&more);
    deaf.write_config(&more);
    eventually("the new probe", async || (watching.status_code("/api/v1/probes/more").await == 200).then_some(()))
        .await;
    let cause = "cause=\"the file changed\"";
    eventually(cause, async || watching.process.output().contains(cause).then_some(())).await;
    assert_eq!(deaf.status_code("/api/v1/probes/more").await, 404);
}
