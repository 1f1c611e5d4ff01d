//! Starts the real binary and real servers on free ports, and ends them by their own pids.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long a condition may take to come true. Generous: a busy machine is not a failed test.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Polls until `look` sees something.
pub async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(Instant::now() < deadline, "it did not happen within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Says that a part of the tests cannot be had on this machine. Not through a macro: its words are swallowed where a test
/// succeeds.
pub fn left_out(why: &str) {
    // Where nobody reads, nobody can be told.
    let _ = writeln!(std::io::stderr(), "\nLEFT OUT: {why}");
}

/// A port that is free now. Whoever is told to use it should say so soon.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A client that never leaves this machine through a proxy.
pub fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap()
}

/// A process that ends with the test.
pub struct Process {
    child: Child,
    output: Arc<Mutex<String>>,
}

impl Process {
    /// Starts a command; everything it prints is kept.
    pub fn start(command: &mut Command) -> Self {
        let name = command.get_program().display().to_string();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{name} cannot be started: {error}; tests/run installs what is needed"));
        let output = Arc::new(Mutex::new(String::new()));
        let readers: [Box<dyn std::io::Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        for reader in readers {
            let output = Arc::clone(&output);
            std::thread::spawn(move || {
                for line in BufReader::new(reader).lines().map_while(Result::ok) {
                    let mut output = output.lock().unwrap();
                    output.push_str(&line);
                    output.push('\n');
                }
            });
        }
        Self { child, output }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything printed so far.
    pub fn output(&self) -> String {
        self.output.lock().unwrap().clone()
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(self.child.id().cast_signed()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Whether it has ended; how is still there to be asked for.
    fn has_ended(&self) -> bool {
        use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
        let pid = Pid::from_raw(self.child.id().cast_signed()).unwrap();
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        waitid(WaitId::Pid(pid), look).unwrap().is_some()
    }

    /// Waits for its end.
    pub async fn ended(&mut self) -> ExitStatus {
        eventually("the process ends", async || self.child.try_wait().unwrap()).await
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A running Banken with its configuration in a folder of its own.
pub struct Banken {
    pub process: Process,
    page: Page,
    folder: tempfile::TempDir,
}

impl std::ops::Deref for Banken {
    type Target = Page;

    fn deref(&self) -> &Page {
        &self.page
    }
}

impl Banken {
    /// The command, with nothing of the caller's environment that would change what it does.
    pub fn command() -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_banken"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("BANKEN_")) {
            command.env_remove(name);
        }
        command
    }

    /// The command through a shell, in whose script it is `"$0" "$@"`.
    pub fn through_shell(script: &str) -> Command {
        let mut command = Command::new("bash");
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("BANKEN_")) {
            command.env_remove(name);
        }
        command.arg("-c").arg(script).arg(env!("CARGO_BIN_EXE_banken"));
        command
    }

    /// Starts with this configuration, to which `listen` is added; ready when the first round is done.
    pub async fn start(yaml: &str) -> Self {
        Self::start_with(yaml, &[]).await
    }

    /// Starts with more arguments.
    pub async fn start_with(yaml: &str, arguments: &[&str]) -> Self {
        let mut command = Self::command();
        command.args(arguments);
        let banken = Self::launch(yaml, command).await;
        banken.until_ready().await;
        banken
    }

    /// Starts by a command of the caller's, to which the configuration is added; waits for the page alone.
    pub async fn launch(yaml: &str, mut command: Command) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("banken.yml");
        std::fs::write(&config, completed(yaml, folder.path())).unwrap();
        command.arg("--config").arg(&config).current_dir(folder.path());
        let process = Process::start(&mut command);
        let page = Page { base: page_of(&process).await };
        Self { process, page, folder }
    }

    /// Waits until the first round is done.
    pub async fn until_ready(&self) {
        eventually("the first round is done", async || (self.status_code("/readyz").await == 200).then_some(())).await;
    }

    pub fn config_file(&self) -> PathBuf {
        self.folder.path().join("banken.yml")
    }

    /// Writes another configuration, without telling anybody.
    pub fn write_config(&self, yaml: &str) {
        std::fs::write(self.config_file(), completed(yaml, self.folder.path())).unwrap();
    }
}

/// What a Banken shows over HTTP.
pub struct Page {
    pub base: String,
}

impl Page {
    pub async fn get(&self, path: &str) -> reqwest::Response {
        client().get(format!("{}{path}", self.base)).send().await.unwrap()
    }

    pub async fn status_code(&self, path: &str) -> u16 {
        match client().get(format!("{}{path}", self.base)).send().await {
            Ok(answer) => answer.status().as_u16(),
            Err(_) => 0,
        }
    }

    pub async fn json(&self, path: &str) -> serde_json::Value {
        self.get(path).await.json().await.unwrap()
    }

    /// The detail of one probe.
    pub async fn probe(&self, name: &str) -> serde_json::Value {
        self.json(&format!("/api/v1/probes/{name}")).await
    }

    /// The message of a probe's last run.
    pub async fn message(&self, probe: &str) -> String {
        self.probe(probe).await["message"].as_str().unwrap_or_default().to_owned()
    }

    /// Waits until the message of a probe's last run holds these words.
    pub async fn until_message(&self, probe: &str, words: &str) {
        let mut said = String::new();
        let deadline = Instant::now() + PATIENCE;
        while !said.contains(words) {
            assert!(Instant::now() < deadline, "{probe} says {said:?} and not {words:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
            said = self.message(probe).await;
        }
    }

    pub async fn metrics(&self) -> String {
        self.get("/metrics").await.text().await.unwrap()
    }

    /// The value of one sample, written as it stands: `banken_probe_success{probe="x",kind="tcp"}`.
    pub async fn sample(&self, series: &str) -> Option<f64> {
        value_of(&self.metrics().await, series)
    }

    /// Waits until the status of a probe is this one.
    pub async fn until_status(&self, probe: &str, status: &str) -> serde_json::Value {
        eventually(&format!("{probe} is {status}"), async || {
            let detail = self.probe(probe).await;
            (detail["status"] == status).then_some(detail)
        })
        .await
    }

    /// Waits until the last run of a probe failed for this reason.
    pub async fn until_reason(&self, probe: &str, reason: &str) -> serde_json::Value {
        eventually(&format!("{probe} fails with {reason}"), async || {
            let detail = self.probe(probe).await;
            (detail["reason"] == reason).then_some(detail)
        })
        .await
    }
}

/// The value of a sample in a scrape.
pub fn value_of(scrape: &str, series: &str) -> Option<f64> {
    let line = scrape.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?;
    line.parse().ok()
}

/// With a free port, and with a folder for its state that no other test has. The latter stands last, so that the lines that
/// are told in mistakes stay what they are.
fn completed(yaml: &str, folder: &Path) -> String {
    let begin = if yaml.contains("listen:") { "" } else { "listen: 127.0.0.1:0\n" };
    let end = format!("\nstate_dir: {}/state\n", folder.display());
    format!("{begin}{yaml}{}", if yaml.contains("state_dir:") { "" } else { &end })
}

/// Where a Banken says that its page is.
pub async fn page_of(process: &Process) -> String {
    eventually("Banken says where its page is", async || {
        let ended = process.has_ended();
        let output = process.output();
        assert!(!ended, "it has ended instead: {output}");
        let line = output.lines().find_map(|line| line.trim().strip_prefix("page "))?.trim().to_owned();
        Some(line.trim_end_matches('/').to_owned())
    })
    .await
}

/// A running demo: the simulated trading service.
pub struct Demo {
    pub process: Process,
    pub http: SocketAddr,
    pub tls: SocketAddr,
    pub control: SocketAddr,
    pub folder: tempfile::TempDir,
}

impl Demo {
    pub async fn start(arguments: &[&str]) -> Self {
        Self::start_at(["127.0.0.1:0"; 3].map(|any| any.parse().unwrap()), tempfile::tempdir().unwrap(), arguments)
            .await
    }

    /// Ends what is left of it and starts another one on the same ports and in the same folder.
    pub async fn start_again(self) -> Self {
        let Self { process, http, tls, control, folder } = self;
        drop(process);
        Self::start_at([http, tls, control], folder, &[]).await
    }

    async fn start_at(addresses: [SocketAddr; 3], folder: tempfile::TempDir, arguments: &[&str]) -> Self {
        let mut command = Banken::command();
        command.arg("demo").arg("--dir").arg(folder.path()).args(arguments);
        for (option, address) in ["--listen", "--tls-listen", "--control"].into_iter().zip(addresses) {
            command.arg(option).arg(address.to_string());
        }
        let process = Process::start(&mut command);
        let address = async |word: &str, scheme: &str| {
            eventually(&format!("the demo says where its {word} is"), async || {
                let output = process.output();
                let line = output.lines().find_map(|line| line.trim().strip_prefix(word))?.trim().to_owned();
                line.strip_prefix(scheme)?.split('/').next()?.parse().ok()
            })
            .await
        };
        let http = address("service ", "http://").await;
        let tls = address("TLS ", "https://").await;
        let control = address("faults ", "http://").await;
        Self { process, http, tls, control, folder }
    }

    /// Switches a fault on; `query` as in `value=2s&for=10s`.
    pub async fn fault(&self, name: &str, query: &str) {
        let url = format!("http://{}/demo/{name}?{query}", self.control);
        let answer = client().put(url).send().await.unwrap();
        assert!(answer.status().is_success(), "{name}: {}", answer.status());
    }

    /// Clears every fault.
    pub async fn reset(&self) {
        let answer = client().post(format!("http://{}/demo/reset", self.control)).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.status());
    }
}
