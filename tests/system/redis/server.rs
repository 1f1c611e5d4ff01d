//! A redis-server of Debian's package on a free port, in a folder of its own.

use crate::support::{Process, eventually, free_port};
use std::path::Path;
use std::process::Command;
use tokio::net::TcpStream;

pub struct Redis {
    // Ends before its folder goes.
    pub process: Process,
    pub port: u16,
    options: String,
    folder: tempfile::TempDir,
}

impl Redis {
    /// Starts one with these lines beside where it is; it listens when this returns.
    pub async fn start(options: &str) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), options).await
    }

    /// The same, in a folder in which something is already.
    pub async fn start_in(folder: tempfile::TempDir, options: &str) -> Self {
        Self::start_at(folder, free_port(), options.to_owned()).await
    }

    async fn start_at(folder: tempfile::TempDir, port: u16, options: String) -> Self {
        let file = folder.path().join("redis.conf");
        let place = format!("bind 127.0.0.1\nport {port}\ndir {}\ndaemonize no\n", folder.path().display());
        // Nothing is saved unless a test asks for it: the server waits for that when it ends.
        std::fs::write(&file, format!("{place}save \"\"\n{options}\n")).unwrap();
        let process = Process::start(Command::new("redis-server").arg(&file));
        let redis = Self { process, port, options, folder };
        eventually("the Redis server listens", async || {
            let is_ready = redis.process.output().contains("Ready to accept connections");
            let listens = is_ready && TcpStream::connect(("127.0.0.1", port)).await.is_ok();
            listens.then_some(())
        })
        .await;
        redis
    }

    /// Kills it.
    pub async fn kill(&mut self) {
        self.process.signal(rustix::process::Signal::KILL);
        self.process.ended().await;
    }

    /// Kills it and starts another one at its place.
    pub async fn start_again(mut self) -> Self {
        self.kill().await;
        let Self { port, options, folder, .. } = self;
        Self::start_at(folder, port, options).await
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The entry of a probe of this server, every 200 ms; `more` are keys of its block, `entry` of the entry.
    pub fn entry(&self, name: &str, more: &str, entry: &str) -> String {
        let block = format!("{{ address: 127.0.0.1:{}, {more} }}", self.port);
        format!("  - {{ name: {name}, {entry} redis: {block} }}\n")
    }

    /// What `redis-cli` says.
    pub async fn cli(&self, arguments: &[&str]) -> String {
        let mut command = tokio::process::Command::new("redis-cli");
        command.args(["-h", "127.0.0.1", "-p", &self.port.to_string()]).args(arguments);
        let output = command.env_remove("REDISCLI_AUTH").output().await.unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// A field of INFO, as `redis-cli` shows it.
    pub async fn info(&self, key: &str) -> String {
        let info = self.cli(&["INFO"]).await;
        let line = info.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        line.unwrap_or_else(|| panic!("INFO has no {key}: {info}")).trim_end().to_owned()
    }
}
