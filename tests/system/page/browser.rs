//! A headless Chromium, driven through its debugging pipe: NUL-separated JSON on two FIFOs, no websocket, no driver.

use crate::support::{PATIENCE, Process};
use base64::Engine as _;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::unix::pipe::{OpenOptions, Receiver, Sender};

pub struct Browser {
    process: Process,
    to: Sender,
    from: BufReader<Receiver>,
    session: Option<String>,
    calls: u64,
    complaints: Vec<String>,
    folder: tempfile::TempDir,
}

const OPTIONS: [&str; 11] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-pipe",
];

impl Browser {
    /// Opens a page and waits until it is loaded.
    pub async fn open(url: &str) -> Self {
        Self::open_in(url, "en").await
    }

    /// The same for a reader of a language.
    pub async fn open_in(url: &str, language: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let [commands, answers] = ["commands", "answers"].map(|name| folder.path().join(name));
        for fifo in [&commands, &answers] {
            let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
            rustix::fs::mknodat(rustix::fs::CWD, fifo, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        }
        // Opened for both directions, neither end waits for the other.
        let to = OpenOptions::new().read_write(true).open_sender(&commands).unwrap();
        let from = OpenOptions::new().read_write(true).open_receiver(&answers).unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", r#"exec 3<"$1" 4>"$2"; shift 2; exec "$@""#, "sh"]).arg(&commands).arg(&answers);
        command.arg("chromium").args(OPTIONS).arg(format!("--user-data-dir={}/profile", folder.path().display()));
        let process = Process::start(&mut command);
        let from = BufReader::new(from);
        let mut browser = Self { process, to, from, session: None, calls: 0, complaints: Vec::new(), folder };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" })).await;
        let attached =
            browser.call("Target.attachToTarget", json!({ "targetId": target["targetId"], "flatten": true })).await;
        browser.session = Some(attached["sessionId"].as_str().unwrap().to_owned());
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), json!({})).await;
        }
        let headers = json!({ "headers": { "Accept-Language": language } });
        browser.call("Network.setExtraHTTPHeaders", headers).await;
        browser.go(url).await;
        browser
    }

    /// Goes to a page and waits until it is loaded.
    pub async fn go(&mut self, url: &str) {
        self.call("Page.navigate", json!({ "url": url })).await;
        let there = format!(
            "document.readyState === 'complete' && location.href.replace(/\\/$/, '') === {url:?}.replace(/\\/$/, '')"
        );
        self.until(&there).await;
    }

    /// A method of the protocol, and what it gives.
    pub async fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.calls += 1;
        let mut message = json!({ "id": self.calls, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            message["sessionId"] = session.as_str().into();
        }
        self.to.write_all(format!("{message}\0").as_bytes()).await.unwrap();
        loop {
            let message = self.message(method).await;
            if message["id"] == self.calls {
                assert!(message["error"].is_null(), "{method}: {message}");
                return message["result"].clone();
            }
            self.listen(&message);
        }
    }

    async fn message(&mut self, awaited: &str) -> Value {
        let mut bytes = Vec::new();
        let read = tokio::time::timeout(PATIENCE, self.from.read_until(0, &mut bytes)).await;
        assert!(read.is_ok(), "Chromium does not answer {awaited}: {}", self.process.output());
        serde_json::from_slice(bytes.strip_suffix(&[0]).unwrap()).unwrap()
    }

    /// Keeps what the browser complains about: scripts that fail, what a policy refuses, what does not load.
    fn listen(&mut self, event: &Value) {
        let entry = &event["params"]["entry"];
        match event["method"].as_str() {
            Some("Log.entryAdded") if entry["level"] == "error" || entry["level"] == "warning" => {
                self.complaints.push(format!("{} ({})", entry["text"], entry["url"]));
            }
            Some("Runtime.exceptionThrown" | "Runtime.consoleAPICalled") => {
                self.complaints.push(event["params"].to_string());
            }
            _ => {}
        }
    }

    /// The value of an expression in the page.
    pub async fn evaluate(&mut self, expression: &str) -> Value {
        let parameters = json!({ "expression": expression, "returnByValue": true });
        let answer = self.call("Runtime.evaluate", parameters).await;
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    /// The value that a promise comes to.
    pub async fn evaluate_async(&mut self, expression: &str) -> Value {
        let parameters = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let answer = self.call("Runtime.evaluate", parameters).await;
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    /// Waits until an expression is true in the page.
    pub async fn until(&mut self, expression: &str) {
        let deadline = std::time::Instant::now() + PATIENCE;
        while self.evaluate(expression).await != true {
            let text = self.evaluate("document.body.innerText").await;
            assert!(std::time::Instant::now() < deadline, "it did not come true: {expression}\n{text}");
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }

    /// What the page says, as a reader sees it.
    pub async fn text(&mut self) -> String {
        self.evaluate("document.body.innerText").await.as_str().unwrap().to_owned()
    }

    /// Shows the page on a screen of this size, in light or dark.
    pub async fn show_on(&mut self, (width, height): (u32, u32), scheme: &str) {
        let screen = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.call("Emulation.setDeviceMetricsOverride", screen).await;
        self.call("Emulation.setScrollbarsHidden", json!({ "hidden": true })).await;
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.call("Emulation.setEmulatedMedia", media).await;
    }

    /// Writes what is seen as a PNG.
    pub async fn screenshot(&mut self, file: &Path) {
        let answer = self.call("Page.captureScreenshot", json!({ "format": "png" })).await;
        let image = base64::engine::general_purpose::STANDARD.decode(answer["data"].as_str().unwrap()).unwrap();
        std::fs::write(file, image).unwrap();
    }

    /// A folder for files, which goes with the browser.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Ends it, and gives what it complained about.
    pub async fn close(mut self) -> Vec<String> {
        self.session = None;
        self.call("Browser.close", json!({})).await;
        self.process.ended().await;
        self.complaints
    }
}
