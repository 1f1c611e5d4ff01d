//! Banken as nobody: what it may not read it says, what it needs no right for it still sees.

use crate::support::{Page, Process, eventually, page_of, value_of};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A folder that everybody may enter, with a copy of the binary: the build's own folder may be closed to others.
pub struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    pub fn with_config(yaml: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        allow(folder.path(), 0o755);
        std::fs::copy(env!("CARGO_BIN_EXE_banken"), folder.path().join("banken")).unwrap();
        std::fs::write(folder.path().join("banken.yml"), yaml).unwrap();
        Self { folder }
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn into_folder(self) -> tempfile::TempDir {
        self.folder
    }

    /// Starts it as nobody; a test that is nobody special already needs no change of user.
    pub fn start(&self, arguments: &[&str]) -> Process {
        let binary = self.file("banken");
        let mut command = if rustix::process::geteuid().is_root() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(binary);
            command
        } else {
            Command::new(binary)
        };
        Process::start(command.args(arguments).current_dir(self.folder.path()))
    }
}

pub fn allow(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// Starts Banken as nobody with this configuration; ready when the first round is done.
pub async fn as_nobody(yaml: &str) -> (Place, Process, Page) {
    let place = Place::with_config(yaml);
    let process = place.start(&[]);
    let page = Page { base: page_of(&process).await };
    eventually("the first round is done", async || (page.status_code("/readyz").await == 200).then_some(())).await;
    (place, process, page)
}

async fn refused(place: &Place, words: &[&str]) {
    let mut process = place.start(&["check"]);
    assert_eq!(process.ended().await.code(), Some(2), "{}", process.output());
    for word in words {
        eventually(word, async || process.output().contains(word).then_some(())).await;
    }
}

#[tokio::test]
async fn a_configuration_that_may_not_be_read_is_named_with_a_remedy() {
    let place = Place::with_config("host: false\n");
    allow(&place.file("banken.yml"), 0o000);
    refused(&place, &["banken.yml: cannot be read: Permission denied", "check the path and its permissions"]).await;
}

#[tokio::test]
async fn a_secret_that_may_not_be_read_is_located_in_the_configuration() {
    let place = Place::with_config(
        "probes:\n  - name: a\n    http: { url: 'http://127.0.0.1/', auth: { bearer: { file: token } } }\n",
    );
    std::fs::write(place.file("token"), "hunter2").unwrap();
    allow(&place.file("token"), 0o000);
    refused(&place, &["banken.yml:3:", "probes[0].http.auth.bearer: cannot read", "Permission denied"]).await;
}

#[tokio::test]
async fn without_any_right_it_watches_this_host_and_the_processes_of_others() {
    let pid = std::process::id();
    let place = Place::with_config("");
    std::fs::write(place.file("test.pid"), pid.to_string()).unwrap();
    let pidfile = place.file("test.pid").display().to_string();
    let yaml = format!("listen: 127.0.0.1:0\nprobes:\n  - name: other\n    process: {{ pidfile: {pidfile} }}\n");
    std::fs::write(place.file("banken.yml"), yaml).unwrap();
    let process = place.start(&[]);
    let page = Page { base: page_of(&process).await };
    eventually("the first round is done", async || (page.status_code("/readyz").await == 200).then_some(())).await;
    let scrape = page.metrics().await;
    assert_eq!(value_of(&scrape, "banken_process_up{probe=\"other\"}"), Some(1.0));
    assert!(value_of(&scrape, "banken_process_resident_memory_bytes{probe=\"other\"}").unwrap() > 0.0);
    assert!(value_of(&scrape, "banken_host_memory_total_bytes").unwrap() > 0.0);
    assert_eq!(page.probe("other").await["status"], "healthy");
    assert_eq!(page.probe("host").await["status"], "healthy");
}
