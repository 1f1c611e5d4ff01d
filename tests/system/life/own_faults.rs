//! What is Banken's own fault is unknown, and never a failure of the target.

use crate::support::{Banken, client, eventually, value_of};
use crate::targets::{Target, head_of, response};
use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};
use std::fmt::Write as _;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;

fn sum_of(scrape: &str, family_and_probe: &str) -> f64 {
    let lines = scrape.lines().filter(|line| line.starts_with(family_and_probe));
    lines.map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()).sum()
}

fn failures(scrape: &str, probe: &str) -> f64 {
    sum_of(scrape, &format!("banken_probe_failures_total{{probe=\"{probe}\""))
}

fn set_descriptor_limit(banken: &Banken, limit: u64) {
    let pid = Pid::from_raw(banken.process.pid().cast_signed());
    let maximum = rustix::process::getrlimit(Resource::Nofile).maximum;
    prlimit(pid, Resource::Nofile, Rlimit { current: Some(limit), maximum }).unwrap();
}

#[tokio::test]
async fn without_file_descriptors_every_target_is_unknown_and_none_has_failed() {
    let good = Target::saying("fine").await;
    let port = good.address.port();
    let yaml = format!(
        "host: {{ interval: 200ms }}\ndefaults: {{ interval: 200ms, retry_interval: 100ms, timeout: 5s, failure_threshold: 1 }}\n\
         probes:\n  - {{ name: by-address, http: {{ url: 'http://127.0.0.1:{port}/' }} }}\n  \
         - {{ name: by-name, http: {{ url: 'http://localhost:{port}/', ip: v4 }} }}\n  \
         - {{ name: port, tcp: {{ address: '127.0.0.1:{port}' }} }}\n  \
         - {{ name: own, process: {{ name: banken }} }}\n"
    );
    let probes = ["by-address", "by-name", "port", "own", "host"];
    let banken = Banken::start(&yaml).await;
    for probe in probes {
        banken.until_status(probe, "healthy").await;
    }
    // The page needs a descriptor too: one connection is kept, and asked before its idle time is over.
    let kept = client();
    let scrape = async || kept.get(format!("{}/metrics", banken.base)).send().await.unwrap().text().await.unwrap();
    scrape().await;
    set_descriptor_limit(&banken, 1);
    let text = eventually("all runs are unknown", async || {
        let text = scrape().await;
        let unknown = |probe: &&str| sum_of(&text, &format!("banken_probe_unknown_total{{probe=\"{probe}\"")) >= 3.0;
        probes.iter().all(|probe| unknown(probe) || failures(&text, probe) > 0.0).then_some(text)
    })
    .await;
    set_descriptor_limit(&banken, 1024);
    for probe in probes {
        let detail = banken.probe(probe).await;
        assert!(failures(&text, probe) == 0.0, "{probe} is blamed: {detail:#}");
        let kind = detail["kind"].as_str().unwrap();
        let state = format!("banken_probe_state{{probe=\"{probe}\",kind=\"{kind}\",state=\"unknown\"}}");
        assert_eq!(value_of(&text, &state), Some(1.0), "{probe}");
        let healthy = format!("banken_probe_healthy{{probe=\"{probe}\",kind=\"{kind}\"}}");
        assert_eq!(value_of(&text, &healthy), Some(1.0), "the last verdict on {probe} stays");
    }
    for probe in probes {
        let detail = banken.until_status(probe, "healthy").await;
        assert_eq!((&detail["incidents"], &detail["failures"]), (&0.into(), &serde_json::json!({})), "{probe}");
    }
}

#[tokio::test]
async fn a_low_limit_of_descriptors_makes_runs_wait_and_blames_nobody() {
    let (good, hanging) = (Target::saying("fine").await, Target::hanging().await);
    let mut yaml = format!(
        "host: {{ interval: 1s }}\ndefaults: {{ interval: 500ms, timeout: 5s }}\n\
         probes:\n  - {{ name: good, http: {{ url: '{}' }} }}\n",
        good.url()
    );
    for number in 0..40 {
        writeln!(yaml, "  - {{ name: h{number}, timeout: 400ms, http: {{ url: '{}' }} }}", hanging.url()).unwrap();
    }
    let banken = Banken::launch(&yaml, Banken::through_shell(r#"ulimit -n 32; exec "$0" "$@""#)).await;
    banken.until_ready().await;
    eventually("the good one runs again and again", async || {
        (banken.probe("good").await["runs"].as_u64()? >= 5).then_some(())
    })
    .await;
    let text = banken.metrics().await;
    assert!(failures(&text, "good") == 0.0 && failures(&text, "host") == 0.0, "{text}");
    assert_eq!(banken.probe("good").await["unknown"], 0);
    for number in 0..40 {
        let detail = banken.probe(&format!("h{number}")).await;
        let others = detail["failures"].as_object().unwrap().keys().any(|reason| reason != "timeout");
        assert!(!others && detail["unknown"] == 0, "{detail:#}");
    }
}

#[tokio::test]
async fn while_it_was_stopped_no_healthy_target_became_suspect() {
    let slow = Target::start(|mut stream| async move {
        head_of(&mut stream).await;
        tokio::time::sleep(Duration::from_millis(600)).await;
        let _ = stream.write_all(response("200 OK", "slow").as_bytes()).await;
    })
    .await;
    let mut yaml =
        "host: false\ndefaults: { interval: 800ms, timeout: 2500ms, failure_threshold: 1 }\nprobes:\n".to_owned();
    let names: Vec<_> = (0..8).map(|number| format!("slow-{number}")).collect();
    for name in &names {
        writeln!(yaml, "  - {{ name: {name}, http: {{ url: '{}' }} }}", slow.url()).unwrap();
    }
    let banken = Banken::start(&yaml).await;
    for name in &names {
        banken.until_status(name, "healthy").await;
    }
    for _ in 0..3 {
        banken.process.signal(Signal::STOP);
        // Being stopped for longer than every timeout is what happens here, not a wait for something.
        tokio::time::sleep(Duration::from_secs(3)).await;
        banken.process.signal(Signal::CONT);
        let runs = async || banken.probe(&names[0]).await["runs"].as_u64().unwrap();
        let before = runs().await;
        eventually("runs after the stop", async || (runs().await >= before + 3).then_some(())).await;
    }
    let text = banken.metrics().await;
    for name in &names {
        assert!(failures(&text, name) == 0.0, "{:#}", banken.probe(name).await);
    }
    assert!(!banken.process.output().contains("to=\"suspect\""), "{}", banken.process.output());
}
