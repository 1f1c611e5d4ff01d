//! Files that are followed: every line is counted once, whatever happens to the file, to Banken and to its disk.

mod faults;
mod restarts;
mod rotation;

use crate::support::{Banken, eventually, value_of};
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The series of the one rule that these tests have.
pub const MATCHES: &str = r#"banken_log_matches_total{log="app",pattern="hit",severity="error"}"#;
pub const LINES: &str = r#"banken_log_lines_total{log="app"}"#;
pub const TRUNCATIONS: &str = r#"banken_log_truncations_total{log="app"}"#;
pub const ROTATIONS: &str = r#"banken_log_rotations_total{log="app"}"#;
pub const READABLE: &str = r#"banken_log_readable{log="app"}"#;

/// A folder with a log that is written to, and one for Banken's state.
pub struct Site {
    pub logs: tempfile::TempDir,
    pub state: tempfile::TempDir,
}

impl Site {
    pub fn new() -> Self {
        Self { logs: tempfile::tempdir().unwrap(), state: tempfile::tempdir().unwrap() }
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.logs.path().join(name)
    }

    /// Watches `app.log` from its beginning.
    pub fn config(&self) -> String {
        self.config_of(&format!("paths: ['{}']\n    from: beginning", self.file("app.log").display()))
    }

    /// Watches what these keys say.
    pub fn config_of(&self, keys: &str) -> String {
        format!(
            "host: false\nstate_dir: '{}'\nlogs:\n  - name: app\n    {keys}\n    rules:\n      - {{ id: hit, pattern: ERROR, severity: error }}\n",
            self.state.path().display()
        )
    }

    pub async fn start(&self) -> Banken {
        start(&self.config()).await
    }
}

/// Starts Banken and waits for its page; the log may not be caught up with yet.
pub async fn start(yaml: &str) -> Banken {
    Banken::launch(yaml, Banken::command()).await
}

/// Adds text to a file.
pub fn append(path: &Path, text: impl AsRef<[u8]>) {
    let mut file = OpenOptions::new().append(true).create(true).open(path).unwrap();
    file.write_all(text.as_ref()).unwrap();
}

/// Waits until a series has this value.
pub async fn until(banken: &Banken, series: &str, value: f64) {
    let mut seen = None;
    eventually(&format!("{series} is {value}"), async || {
        seen = banken.sample(series).await;
        (seen == Some(value)).then_some(())
    })
    .await;
}

/// The state files of the log.
pub fn checkpoint(site: &Site) -> PathBuf {
    site.state.path().join("logs/app.json")
}

/// Waits until what was read is saved, and ends Banken without a chance to say goodbye.
pub async fn save_and_kill(site: &Site, mut banken: Banken, matches: u64) {
    let saved = format!("\"matches\":{matches}");
    eventually("the counts are saved", async || {
        fs::read_to_string(checkpoint(site)).ok().filter(|text| text.contains(&saved)).map(drop)
    })
    .await;
    banken.process.signal(rustix::process::Signal::KILL);
    banken.process.ended().await;
}

#[tokio::test]
async fn lines_are_counted_as_they_are_written_and_matches_by_pattern() {
    let site = Site::new();
    append(&site.file("app.log"), "INFO one\nERROR two\n");
    let banken = site.start().await;
    until(&banken, MATCHES, 1.0).await;
    append(&site.file("app.log"), "ERROR three\nINFO four\nERROR not complete");
    until(&banken, LINES, 4.0).await;
    let metrics = banken.metrics().await;
    assert_eq!(value_of(&metrics, MATCHES), Some(2.0), "a line without its end is not complete");
    append(&site.file("app.log"), "\n");
    until(&banken, MATCHES, 3.0).await;
    let report = banken.json("/api/v1/logs/app").await;
    assert_eq!(report["matches"]["hit"]["line"], "ERROR not complete");
    let page = banken.get("/").await.text().await.unwrap();
    assert!(page.contains("ERROR not complete") && page.contains("error, 3 ×"), "{page}");
}

#[tokio::test]
async fn reading_begins_at_the_end_unless_told_otherwise_and_new_files_at_their_beginning() {
    let site = Site::new();
    append(&site.file("old.log"), "ERROR before\n");
    let banken = start(&site.config_of(&format!("paths: ['{}/*.log']", site.logs.path().display()))).await;
    until(&banken, MATCHES, 0.0).await;
    append(&site.file("new.log"), "ERROR in a new file\n");
    until(&banken, MATCHES, 1.0).await;
    append(&site.file("old.log"), "ERROR after\n");
    until(&banken, MATCHES, 2.0).await;
    until(&banken, r#"banken_log_files{log="app"}"#, 2.0).await;
}

#[tokio::test]
async fn our_own_log_is_never_read() {
    let site = Site::new();
    let own = site.file("banken.log");
    append(&site.file("app.log"), "ERROR of the service\n");
    let mut command = Command::new("bash");
    command.args(["-c", &format!("exec \"$0\" \"$@\" 2>>'{}'", own.display())]).arg(env!("CARGO_BIN_EXE_banken"));
    let yaml = site.config_of(&format!("paths: ['{}/*.log']\n    from: beginning", site.logs.path().display()));
    let banken = Banken::launch(&yaml, command).await;
    until(&banken, MATCHES, 1.0).await;
    append(&own, "ERROR of our own\n");
    append(&site.file("app.log"), "ERROR of the service\n");
    until(&banken, MATCHES, 2.0).await;
    until(&banken, r#"banken_log_files{log="app"}"#, 1.0).await;
}
