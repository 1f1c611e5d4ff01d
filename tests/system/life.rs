//! From the start to the end: what the log says, what ends it and what does not.

mod own_faults;
mod reload;
mod secrets;
mod service_manager;

use crate::support::{Banken, Process, eventually, free_port};
use crate::targets::{Target, response};
use rustix::process::Signal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long runs that have begun may go on, as `src/app.rs` says it, and what a busy machine may add.
const GRACE: Duration = Duration::from_secs(5);
const SLACK: Duration = Duration::from_secs(3);

#[tokio::test]
async fn a_signal_ends_it_with_0_also_while_a_probe_hangs() {
    let hanging = Target::hanging().await;
    for (signal, name) in [(Signal::TERM, "SIGTERM"), (Signal::INT, "SIGINT")] {
        let yaml =
            format!("host: false\nprobes:\n  - {{ name: slow, timeout: 60s, http: {{ url: '{}' }} }}\n", hanging.url());
        let mut banken = Banken::launch(&yaml, Banken::command()).await;
        assert_eq!(banken.status_code("/healthz").await, 200);
        let begun = Instant::now();
        banken.process.signal(signal);
        assert_eq!(banken.process.ended().await.code(), Some(0), "{name}");
        assert!(begun.elapsed() < GRACE + SLACK, "{name}: {:?}", begun.elapsed());
        let said = |what: &str| banken.process.output().contains(what).then_some(());
        eventually("the log says it", async || said(&format!("asked to end signal=\"{name}\""))).await;
        eventually("the log says it", async || said("INFO ended")).await;
    }
}

#[tokio::test]
async fn a_port_in_use_is_named_with_its_remedy() {
    let other = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = other.local_addr().unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("banken.yml"), format!("listen: {address}\n")).unwrap();
    let mut process = Process::start(Banken::command().current_dir(folder.path()));
    assert_eq!(process.ended().await.code(), Some(1));
    let message = format!("banken: cannot listen on {address}: ");
    let line = eventually("the message", async || {
        process.output().lines().find(|line| line.starts_with(&message)).map(ToOwned::to_owned)
    })
    .await;
    assert!(line.contains("another process listens there") && line.contains("choose another port"), "{line}");
}

#[tokio::test]
async fn a_configuration_that_cannot_be_read_ends_it_with_2() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.yml");
    for (path, words) in [(missing.as_path(), "check the path"), (folder.path(), "is a folder: name the file in it")] {
        let mut process = Process::start(Banken::command().arg("--config").arg(path));
        assert_eq!(process.ended().await.code(), Some(2));
        eventually(words, async || process.output().contains(words).then_some(())).await;
        assert!(process.output().starts_with(&path.display().to_string()), "{}", process.output());
    }
}

/// A target that answers 200 or 503, and a configuration that sees it fail at once.
async fn switched() -> (Target, Arc<AtomicBool>, String) {
    let well = Arc::new(AtomicBool::new(true));
    let target = Target::http({
        let well = Arc::clone(&well);
        move |_| {
            let status = if well.load(Ordering::Relaxed) { "200 OK" } else { "503 Out" };
            response(status, "two\nlines")
        }
    })
    .await;
    let yaml = format!(
        "host: false\ndefaults: {{ interval: 100ms, retry_interval: 100ms, timeout: 5s }}\n\
         probes:\n  - {{ name: switched, group: bot, http: {{ url: '{}' }} }}\n",
        target.url()
    );
    (target, well, yaml)
}

/// Healthy, down, healthy again, and some runs more.
async fn walk(banken: &Banken, well: &AtomicBool) {
    for (answer, status) in [(true, "healthy"), (false, "unhealthy"), (true, "healthy")] {
        well.store(answer, Ordering::Relaxed);
        banken.until_status("switched", status).await;
        let runs = banken.probe("switched").await["runs"].as_u64().unwrap();
        eventually("some runs more", async || {
            (banken.probe("switched").await["runs"].as_u64().unwrap() > runs + 3).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn each_change_of_state_is_one_line_for_people() {
    let (_target, well, yaml) = switched().await;
    let banken = Banken::start(&yaml).await;
    walk(&banken, &well).await;
    let output = banken.process.output();
    let lines: Vec<_> = output.lines().filter(|line| line.contains("probe=\"switched\"")).collect();
    let expected = [("unknown", "healthy"), ("healthy", "suspect"), ("suspect", "unhealthy"), ("unhealthy", "healthy")];
    assert_eq!(lines.len(), expected.len(), "{output}");
    for (line, (from, to)) in lines.iter().zip(expected) {
        assert!(line.contains(&format!("from=\"{from}\" to=\"{to}\"")), "{line}");
    }
    assert!(lines[2].contains("ERROR probe is unhealthy") && lines[2].contains("reason=\"status\""), "{}", lines[2]);
    assert!(lines[3].contains("INFO probe has recovered"), "{}", lines[3]);
}

#[tokio::test]
async fn each_change_of_state_is_one_json_object() {
    let (_target, well, yaml) = switched().await;
    let banken = Banken::start_with(&yaml, &["--log-format", "json"]).await;
    walk(&banken, &well).await;
    let output = banken.process.output();
    let objects: Vec<serde_json::Value> =
        output.lines().filter(|line| line.starts_with('{')).map(|line| serde_json::from_str(line).unwrap()).collect();
    let changes: Vec<_> = objects.iter().filter(|object| object["probe"] == "switched").collect();
    let walked: Vec<_> = changes.iter().map(|c| (c["from"].as_str().unwrap(), c["to"].as_str().unwrap())).collect();
    let expected = [("unknown", "healthy"), ("healthy", "suspect"), ("suspect", "unhealthy"), ("unhealthy", "healthy")];
    assert_eq!(walked, expected);
    let down = changes[2];
    assert_eq!((&down["level"], &down["reason"]), (&"ERROR".into(), &"status".into()));
    assert_eq!((&down["kind"], &down["group"]), (&"http".into(), &"bot".into()));
    assert!(down["detail"].as_str().unwrap().contains("503") && down["timestamp"].is_string(), "{down}");
}

#[tokio::test]
async fn a_log_that_nobody_reads_any_more_ends_no_watch() {
    let (_target, well, yaml) = switched().await;
    let banken = Banken::launch(&yaml, Banken::through_shell(r#"exec "$0" "$@" 2> >(exec true)"#)).await;
    banken.until_ready().await;
    walk(&banken, &well).await;
}

#[tokio::test]
async fn a_port_of_its_own_is_used_as_it_is_configured() {
    let port = free_port();
    let banken = Banken::start(&format!("listen: 127.0.0.1:{port}\nhost: false\n")).await;
    assert_eq!(banken.base, format!("http://127.0.0.1:{port}"));
}
