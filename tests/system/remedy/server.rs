//! A plain server that a script starts, as people have them, and the Banken that looks after it.

use crate::support::{Banken, PATIENCE, eventually, free_port};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// What is looked at often, so that nobody waits; the timeout leaves a busy machine some room.
pub const QUICK: &str = "interval: 300ms, retry_interval: 100ms, timeout: 2s";

/// A server on a port of its own. It is not a child of the test: whoever restarts it is its parent.
pub struct Server {
    folder: tempfile::TempDir,
    pub port: u16,
}

impl Server {
    /// Starts it by its own script.
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let dir = folder.path().display();
        std::fs::create_dir(folder.path().join("www")).unwrap();
        std::fs::write(folder.path().join("www/index.html"), "served").unwrap();
        let script = format!(
            "#!/bin/sh\n\
             old=$(cat {dir}/pid 2>/dev/null) && kill -9 $old 2>/dev/null\n\
             # Its port is free once it is gone, or only waits to be buried.\n\
             while [ -n \"$old\" ] && [ -e /proc/$old ] && ! grep -q ') Z' /proc/$old/stat; do sleep 0.02; done\n\
             busybox httpd -f -p 127.0.0.1:{port} -h {dir}/www >/dev/null 2>&1 &\n\
             echo $! >{dir}/pid.new\n\
             mv {dir}/pid.new {dir}/pid\n\
             echo started >>{dir}/starts\n"
        );
        let path = folder.path().join("start.sh");
        std::fs::write(&path, script).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let server = Self { folder, port };
        server.start_by_hand();
        eventually("the server serves", async || server.is_serving().then_some(())).await;
        server
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn script(&self) -> String {
        self.path("start.sh").display().to_string()
    }

    /// Runs the script, as a person would.
    pub fn start_by_hand(&self) {
        // Not executed itself: another thread may be forking while it is still open for writing.
        assert!(Command::new("/bin/sh").arg(self.path("start.sh")).status().unwrap().success());
    }

    pub fn is_serving(&self) -> bool {
        std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok()
    }

    /// How often it was started so far.
    pub fn starts(&self) -> usize {
        std::fs::read_to_string(self.path("starts")).unwrap_or_default().lines().count()
    }

    fn pid(&self) -> Option<Pid> {
        Pid::from_raw(std::fs::read_to_string(self.path("pid")).ok()?.trim().parse().ok()?)
    }

    pub fn kill(&self) {
        kill_process(self.pid().unwrap(), Signal::KILL).unwrap();
    }

    /// A configuration whose probe `web` looks at it, with a remedy `restart` that runs its script.
    pub fn config(&self, armed: bool, more: &str) -> String {
        self.config_with(armed, &format!("- command: {{ argv: [ {} ], timeout: 10s }}", self.script()), more)
    }

    /// The same with other steps.
    pub fn config_with(&self, armed: bool, step: &str, more: &str) -> String {
        let (dir, port) = (self.folder.path().display(), self.port);
        format!(
            "state_dir: {dir}/state\nhost: false\nprobes:\n  \
               - {{ name: web, {QUICK}, http: {{ url: 'http://127.0.0.1:{port}/' }} }}\n\
             remedies:\n  - name: restart\n    when: {{ probe: web }}\n    armed: {armed}\n    start_grace: 5s\n    \
               retry_delay: 500ms\n    max_attempts: 1\n    steps:\n      {step}\n{more}"
        )
    }

    /// A Banken that has seen that all is well.
    pub async fn guarded(&self, config: &str) -> Banken {
        let banken = Banken::start(config).await;
        banken.until_status("web", "healthy").await;
        banken
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(pid) = self.pid() {
            // It may have ended already.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// `banken remedy` with the configuration of a Banken that runs.
pub fn remedy(banken: &Banken, arguments: &[&str]) -> Output {
    remedy_of(&banken.config_file(), arguments)
}

pub fn remedy_of(config: &Path, arguments: &[&str]) -> Output {
    Banken::command().arg("--config").arg(config).arg("remedy").args(arguments).output().unwrap()
}

/// What it printed, after it ended well.
pub fn said(output: Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// What it complained of, after it ended with 1.
pub fn complained(output: Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
}

/// The journal, the oldest entry first.
pub fn history(banken: &Banken) -> Vec<Value> {
    let text = said(remedy(banken, &["history", "--json"]));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What happened, in the words of the journal.
pub fn happened(banken: &Banken) -> Vec<String> {
    history(banken).iter().map(|entry| entry["what"].as_str().unwrap().to_owned()).collect()
}

/// Waits until this has happened so often, and gives the latest entry of it.
pub async fn until_happened(banken: &Banken, what: &str, times: usize) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let journal = history(banken);
        let mut found: Vec<_> = journal.iter().filter(|entry| entry["what"] == what).collect();
        if found.len() >= times {
            return found.pop().unwrap().clone();
        }
        assert!(Instant::now() < deadline, "{what} did not happen {times} times: {journal:#?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A sample of the remedy `restart`.
pub async fn sample(banken: &Banken, family: &str, more: &str) -> Option<f64> {
    let more = if more.is_empty() { String::new() } else { format!(",{more}") };
    banken.sample(&format!("{family}{{remedy=\"restart\"{more}}}")).await
}

pub async fn until_state(banken: &Banken, state: &str) {
    eventually(&format!("the remedy is {state}"), async || {
        let value = sample(banken, "banken_remedy_state", &format!("state=\"{state}\"")).await;
        (value == Some(1.0)).then_some(())
    })
    .await;
}
