//! The kind `file` against real files, folders and mounts.

use crate::privilege::{allow, as_nobody};
use crate::support::{Banken, eventually, left_out, value_of};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

/// A folder with one probe on it, in whose block `DIR` stands for the folder.
struct Scene {
    folder: tempfile::TempDir,
    banken: Banken,
}

impl Scene {
    async fn with(block: &str, prepare: impl FnOnce(&Path)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        prepare(folder.path());
        let block = block.replace("DIR", &folder.path().display().to_string());
        let yaml = format!(
            "host: false\ndefaults: {{ interval: 100ms, retry_interval: 100ms, timeout: 20s, failure_threshold: 2 }}\n\
             probes:\n  - name: it\n    {block}\n"
        );
        let banken = Banken::start(&yaml).await;
        Self { folder, banken }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn sample(&self, family: &str) -> Option<f64> {
        self.banken.sample(&format!("{family}{{probe=\"it\",kind=\"file\"}}")).await
    }

    async fn until_sample(&self, family: &str, value: f64) {
        eventually(&format!("{family} is {value}"), async || {
            self.sample(family).await.filter(|seen| (seen - value).abs() < 0.5)
        })
        .await;
    }
}

fn seconds_ago(path: &Path, seconds: u64) {
    let at = SystemTime::now() - Duration::from_secs(seconds);
    File::options().append(true).open(path).unwrap().set_modified(at).unwrap();
}

fn message(probe: &serde_json::Value) -> &str {
    probe["message"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn a_backup_that_grows_stale_fails_until_a_new_one_is_there() {
    let block = "file: { path: DIR/*/app-*.dump, max_age: 26h, min_size: 1KiB }\n    \
                 thresholds: { age: { warning: 25h }, size: { critical: 1GiB } }";
    let scene = Scene::with(block, |folder| {
        fs::create_dir(folder.join("daily")).unwrap();
        fs::write(folder.join("daily/app-1.dump"), vec![7; 2000]).unwrap();
        fs::write(folder.join("daily/other.dump"), "").unwrap();
    })
    .await;
    scene.banken.until_status("it", "healthy").await;
    scene.until_sample("banken_file_matches", 1.0).await;
    scene.until_sample("banken_file_size_bytes", 2000.0).await;
    let scrape = scene.banken.metrics().await;
    let threshold = "banken_file_age_threshold_seconds{probe=\"it\",kind=\"file\",severity=\"warning\"}";
    assert_eq!(value_of(&scrape, threshold), Some(90_000.0));

    seconds_ago(&scene.path("daily/app-1.dump"), 27 * 3600);
    let failed = scene.banken.until_reason("it", "stale").await;
    assert!(message(&failed).contains("app-1.dump was written 1day 3h ago, at most 1day 2h was expected"), "{failed}");
    scene.banken.until_status("it", "unhealthy").await;

    fs::write(scene.path("daily/app-2.dump"), "half").unwrap();
    let failed = scene.banken.until_reason("it", "limit").await;
    assert!(message(&failed).contains("app-2.dump has 4 B, at least 1.0 KiB are expected"), "{failed}");
    fs::write(scene.path("daily/app-2.dump"), vec![7; 1024]).unwrap();
    scene.banken.until_status("it", "healthy").await;
    scene.until_sample("banken_file_total_bytes", 3024.0).await;
}

#[tokio::test]
async fn a_configuration_that_breaks_is_told_with_its_place_until_it_is_mended() {
    let cases = [
        ("json", "{\"a\": 1}", "{\"a\": 1,\n", "json", "EOF while parsing an object at line 2 column 0"),
        (
            "yaml",
            "a: 1\nb: 2\n",
            "a: 1\na: 2\n",
            "body",
            "the key \"a\" stands twice in one mapping, again at line 2 column 1",
        ),
    ];
    for (syntax, good, bad, reason, words) in cases {
        let block = format!("file: {{ path: DIR/settings, syntax: {syntax} }}");
        let scene = Scene::with(&block, |folder| fs::write(folder.join("settings"), good).unwrap()).await;
        scene.until_sample("banken_file_valid", 1.0).await;
        fs::write(scene.path("settings"), bad).unwrap();
        let failed = scene.banken.until_reason("it", reason).await;
        assert!(message(&failed).contains(words), "{failed}");
        scene.until_sample("banken_file_valid", 0.0).await;
        fs::write(scene.path("settings"), good).unwrap();
        scene.banken.until_status("it", "healthy").await;
        scene.until_sample("banken_file_valid", 1.0).await;
    }
}

#[tokio::test]
async fn a_file_that_did_not_change_is_parsed_once() {
    let block = "file: { path: DIR/large.json, syntax: json }";
    let scene = Scene::with(block, |folder| {
        fs::write(folder.join("large.json"), format!("[{}1]", "1,".repeat(2_000_000))).unwrap();
    })
    .await;
    let pid = scene.banken.process.pid();
    // As /proc says it: bytes read by any means, whether from the disk or from memory.
    let read = || {
        let text = fs::read_to_string(format!("/proc/{pid}/io")).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap();
        line.parse::<u64>().unwrap()
    };
    let runs = async || scene.sample("banken_probe_runs_total").await.unwrap();
    // Only what has not changed for some seconds can be told from what changes now.
    eventually("runs cost nothing", async || {
        let (before, from) = (read(), runs().await);
        eventually("ten runs are over", async || (runs().await >= from + 10.0).then_some(())).await;
        (read() - before < 4_000_000).then_some(())
    })
    .await;
    fs::write(scene.path("large.json"), "{").unwrap();
    scene.banken.until_reason("it", "json").await;
}

#[tokio::test]
async fn a_fifo_in_place_of_the_file_is_told_and_never_opened() {
    let block = "file: { path: DIR/settings, syntax: json }";
    let scene = Scene::with(block, |folder| {
        let status = Command::new("mkfifo").arg(folder.join("settings")).status().unwrap();
        assert!(status.success());
    })
    .await;
    let failed = scene.banken.until_reason("it", "missing").await;
    assert!(message(&failed).contains("settings is a FIFO"), "{failed}");
    fs::remove_file(scene.path("settings")).unwrap();
    fs::write(scene.path("settings"), "{}").unwrap();
    scene.banken.until_status("it", "healthy").await;
}

#[tokio::test]
async fn what_must_not_be_there_is_told_when_it_comes() {
    let scene = Scene::with("file: { path: DIR/maintenance, absent: true }", |_| {}).await;
    scene.banken.until_status("it", "healthy").await;
    fs::write(scene.path("maintenance"), "").unwrap();
    let failed = scene.banken.until_reason("it", "limit").await;
    assert!(message(&failed).contains("maintenance is there and should not be"), "{failed}");
    scene.until_sample("banken_file_matches", 1.0).await;
}

#[tokio::test]
async fn a_folder_of_a_hundred_thousand_files_is_counted_and_one_more_is_too_many() {
    let block = "file: { path: DIR/spool/*, max_count: 100000 }";
    let scene = Scene::with(block, |folder| {
        let spool = folder.join("spool");
        fs::create_dir(&spool).unwrap();
        for index in 0..100_000 {
            File::create(spool.join(index.to_string())).unwrap();
        }
    })
    .await;
    scene.until_sample("banken_file_matches", 100_000.0).await;
    scene.banken.until_status("it", "healthy").await;
    File::create(scene.path("spool/one-more")).unwrap();
    let failed = scene.banken.until_reason("it", "limit").await;
    assert!(message(&failed).starts_with("limit: more than 100000 names had to be looked at"), "{failed}");
}

#[tokio::test]
async fn what_may_not_be_seen_is_unknown_and_not_failed() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.json"), "{}").unwrap();
    allow(folder.path(), 0o000);
    let path = folder.path().display();
    let yaml = format!(
        "listen: 127.0.0.1:0\nhost: false\ndefaults: {{ interval: 100ms }}\n\
         probes:\n  - {{ name: it, file: {{ path: {path}/*.json, syntax: json, which: all }} }}\n"
    );
    let (_place, _banken, page) = as_nobody(&yaml).await;
    let probe = page.until_reason("it", "local").await;
    assert_eq!(probe["status"], "unknown");
    assert!(
        message(&probe).contains("Permission denied") && message(&probe).contains("allow it to Banken's user"),
        "{probe}"
    );
    allow(folder.path(), 0o755);
    page.until_status("it", "healthy").await;
}

/// A file system that answers nobody, as when a file server has gone; it ends with its holder. Mounted where only this
/// Banken can see it.
const HANGING: &str = r#"
mkdir hanging && exec 9<>/dev/fuse || exit 77
mount -i -t fuse -o fd=9,rootmode=40000,user_id=0,group_id=0 hanging "$PWD/hanging" || exit 77
setpriv --pdeathsig KILL sleep 1000 >/dev/null 2>&1 &
echo "holder $!"
exec 9>&-
exec "$0" "$@"
"#;

#[tokio::test]
async fn a_mount_that_hangs_costs_one_thread_and_is_told_as_a_timeout() {
    if !rustix::process::geteuid().is_root() || !Path::new("/dev/fuse").exists() {
        left_out("a mount that hangs needs root and FUSE");
        return;
    }
    let mut command = Command::new("unshare");
    command.args(["--mount", "bash", "-c", HANGING, env!("CARGO_BIN_EXE_banken")]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hanging").display().to_string();
    let yaml = format!(
        "listen: 127.0.0.1:0\nhost: false\ndefaults: {{ interval: 100ms, retry_interval: 100ms, timeout: 200ms }}\n\
         probes:\n  - {{ name: it, file: {{ path: {path}/a.json, syntax: json }} }}\n  \
         - {{ name: other, file: {{ path: /etc/passwd }} }}\n"
    );
    fs::write(folder.path().join("banken.yml"), yaml).unwrap();
    command.arg("--config").arg("banken.yml").current_dir(folder.path());
    let mut process = crate::support::Process::start(&mut command);
    // Not everywhere may even root mount something.
    let holder = eventually("the mount is there, or may not be", async || {
        let holder = process.output().lines().find_map(|line| line.strip_prefix("holder ")?.parse::<i32>().ok());
        if holder.is_none() && !process.is_running() { Some(None) } else { holder.map(Some) }
    })
    .await;
    let Some(holder) = holder else { return };
    let page = crate::support::Page { base: crate::support::page_of(&process).await };
    page.until_reason("it", "timeout").await;
    page.until_status("it", "unhealthy").await;
    page.until_status("other", "healthy").await;
    let after_runs = async |wanted: f64| {
        let runs = "banken_probe_runs_total{probe=\"it\",kind=\"file\"}";
        eventually("it has hung often", async || page.sample(runs).await.filter(|runs| *runs >= wanted)).await;
        fs::read_dir(format!("/proc/{}/task", process.pid())).unwrap().count()
    };
    let (few, many) = (after_runs(5.0).await, after_runs(20.0).await);
    assert!(many < few + 8, "{few} threads after 5 runs that hung, {many} after 20");
    rustix::process::kill_process(rustix::process::Pid::from_raw(holder).unwrap(), rustix::process::Signal::KILL)
        .unwrap();
    let failed = page.until_reason("it", "missing").await;
    assert!(message(&failed).contains("Transport endpoint is not connected"), "{failed}");
}
