//! A real journal, written without systemd.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

/// Turns the export format into files of the journal.
const WRITER: &str = "/lib/systemd/systemd-journal-remote";

const BOOT: &str = "0123456789abcdef0123456789abcde";

/// Writes records while it is there.
pub struct Journal {
    writer: Child,
    input: Option<ChildStdin>,
    /// Boots are told apart by their ids.
    pub boot: u8,
}

impl Journal {
    /// Opens a journal in this folder.
    pub fn open(folder: &Path) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let mut writer = Command::new(WRITER)
            .arg("--output")
            .arg(folder.join("test.journal"))
            .arg("-")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{WRITER}: {error}; tests/run installs it"));
        let input = writer.stdin.take();
        Self { writer, input, boot: 0 }
    }

    /// A record of the unit `bot.service`.
    pub fn bot(&mut self, message: impl AsRef<[u8]>) {
        self.write("bot.service", 4242, message);
    }

    pub fn write(&mut self, unit: &str, pid: u32, message: impl AsRef<[u8]>) {
        let message = message.as_ref();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros();
        let boot = self.boot;
        let mut record = format!(
            "__REALTIME_TIMESTAMP={now}\n__MONOTONIC_TIMESTAMP={}\n_BOOT_ID={BOOT}{boot}\n_SYSTEMD_UNIT={unit}\n\
             _PID={pid}\nSYSLOG_IDENTIFIER=tag-{unit}\nMESSAGE\n",
            now % 1_000_000_000_000
        )
        .into_bytes();
        record.extend_from_slice(&(message.len() as u64).to_le_bytes());
        record.extend_from_slice(message);
        record.extend_from_slice(b"\n\n");
        let input = self.input.as_mut().unwrap();
        input.write_all(&record).unwrap();
        input.flush().unwrap();
    }

    /// Waits until everything is in the file.
    pub fn close(mut self) {
        drop(self.input.take());
        assert!(self.writer.wait().unwrap().success());
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        drop(self.input.take());
        // It may have ended already.
        let _ = self.writer.wait();
    }
}

/// The command lines of running journalctls that read this folder.
pub fn readers(folder: &Path) -> Vec<PathBuf> {
    let option = format!("--directory={}", folder.display());
    let processes = std::fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path().join("cmdline"));
    let reads = |file: &PathBuf| {
        let line = std::fs::read(file).unwrap_or_default();
        line.split(|byte| *byte == 0).any(|argument| argument == option.as_bytes())
    };
    processes.filter(reads).collect()
}
