//! Runs `journalctl`: no shell, nothing of our environment, and it ends with us.

use super::cutter::{Cut, Cutter};
use super::record;
use crate::logs::stream::End;
use crate::observation::{Failure, Reason};
use crate::values::one_line;
use rustix::process::{Pid, Signal, kill_process_group};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use tokio::process::{ChildStderr, ChildStdout, Command};
use tokio::time::{Instant, timeout, timeout_at};

/// Where `journalctl` may be. Our own `PATH` has no say in what is run.
pub const FOLDERS: &[&str] = &["/usr/bin", "/bin"];

/// How long the question for the newest record may take: a large journal on a slow disk takes seconds.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// How long a child that has nothing more to say may take to end.
const END_WITHIN: Duration = Duration::from_secs(2);

/// What is kept of what it complains about.
const MAX_COMPLAINT: usize = 4 << 10;

/// How much is read at once.
const CHUNK: usize = 64 << 10;

/// What journalctl says of a cursor that it cannot use.
const LOST_CURSOR: &str = "Failed to seek to cursor";

/// Whether it failed because the cursor means nothing to it.
pub fn is_lost_cursor(failure: &Failure) -> bool {
    failure.detail.contains(LOST_CURSOR)
}

/// The program.
#[derive(Debug)]
pub struct Journalctl(PathBuf);

impl Journalctl {
    /// Finds it in one of these folders.
    ///
    /// # Errors
    /// [`Reason::Missing`].
    pub fn find(folders: &[&str]) -> Result<Self, Failure> {
        let mut places = folders.iter().map(|folder| Path::new(folder).join("journalctl"));
        places.find(|place| place.is_file()).map(Self).ok_or_else(|| {
            let folders = folders.join(" or ");
            Failure::new(
                Reason::Missing,
                format!("there is no journalctl in {folders}: install systemd's, or read files under paths:"),
            )
        })
    }

    fn command(&self, matches: &[String]) -> Command {
        let mut command = Command::new(&self.0);
        command
            .args(["--output=json", "--output-fields=MESSAGE,_PID", "--all", "--no-pager"])
            // Following would leave out former boots otherwise.
            .arg("--merge")
            .args(matches)
            .env_clear()
            .env("LC_ALL", "C")
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        command
    }

    /// Starts to follow, from the record with this cursor on, or from the beginning. If we are killed, it ends too:
    /// it watches whether its output is still read.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn follow(&self, matches: &[String], cursor: Option<&str>) -> Result<Child, Failure> {
        let mut command = self.command(matches);
        command.args(["--follow", "--lines=all"]);
        command.args(cursor.map(|cursor| format!("--cursor={cursor}")));
        Child::start(command)
    }

    /// The cursor of the newest record.
    ///
    /// # Errors
    /// When journalctl fails or does not answer.
    pub async fn newest(&self, matches: &[String]) -> Result<Option<String>, Failure> {
        let mut command = self.command(matches);
        command.arg("--lines=1");
        let mut child = Child::start(command)?;
        let asking = async {
            let mut cutter = Cutter::default();
            let mut newest = None;
            loop {
                if let Err(end) = child.read(cutter.buffer()).await {
                    return (newest, end);
                }
                while let Some(cut) = cutter.next() {
                    newest = match cut {
                        Cut::Line(line) => record::parse(&line).and_then(Result::ok).map(|record| record.cursor),
                        Cut::Long(cursor) => cursor,
                    };
                }
            }
        };
        match timeout(ANSWER_WITHIN, asking).await {
            Ok((newest, End::Over)) => Ok(newest),
            Ok((_, End::Failed(failure))) => Err(failure),
            Ok((_, End::Stopped)) | Err(_) => {
                child.end().await;
                Err(Failure::new(Reason::Timeout, format!("journalctl did not answer within {ANSWER_WITHIN:?}")))
            }
        }
    }
}

/// A running `journalctl`.
#[derive(Debug)]
pub struct Child {
    process: tokio::process::Child,
    output: ChildStdout,
    errors: Option<ChildStderr>,
    said: Vec<u8>,
}

impl Child {
    fn start(mut command: Command) -> Result<Self, Failure> {
        let failed = |error| Failure::io(Reason::Exit, "journalctl cannot be started", &error);
        let mut process = command.spawn().map_err(failed)?;
        let (Some(output), errors) = (process.stdout.take(), process.stderr.take()) else {
            return Err(Failure::new(Reason::Local, "journalctl was started without an output"));
        };
        Ok(Self { process, output, errors, said: Vec::new() })
    }

    /// Waits for more of its output. It may be dropped while it waits without losing anything.
    ///
    /// # Errors
    /// When it has ended; [`End::Over`] if it had no reason to complain.
    pub async fn read(&mut self, buffer: &mut Vec<u8>) -> Result<(), End> {
        buffer.reserve(CHUNK);
        loop {
            let Some(errors) = &mut self.errors else {
                return match self.output.read_buf(buffer).await {
                    Ok(1..) => Ok(()),
                    Ok(0) | Err(_) => Err(self.ended().await),
                };
            };
            tokio::select! {
                biased;
                said = errors.read_buf(&mut self.said) => {
                    if !matches!(said, Ok(1..)) {
                        self.errors = None;
                    }
                    let surplus = self.said.len().saturating_sub(MAX_COMPLAINT);
                    self.said.drain(..surplus);
                }
                read = self.output.read_buf(buffer) => {
                    return match read {
                        Ok(1..) => Ok(()),
                        Ok(0) | Err(_) => Err(self.ended().await),
                    };
                }
            }
        }
    }

    /// What it complains about while it runs.
    pub fn complaint(&self) -> Option<Failure> {
        let said = String::from_utf8_lossy(&self.said);
        said.contains("not seeing messages").then(|| {
            Failure::new(
                Reason::Auth,
                "journalctl may not see every record: add the user that runs Banken to the group systemd-journal",
            )
        })
    }

    /// Its end, in words.
    async fn ended(&mut self) -> End {
        // Somebody else may hold the other end open.
        let until = Instant::now() + END_WITHIN;
        while let Some(errors) = &mut self.errors {
            match timeout_at(until, errors.read_buf(&mut self.said)).await {
                Ok(Ok(1..)) if self.said.len() < MAX_COMPLAINT => {}
                _ => self.errors = None,
            }
        }
        let status = match timeout(END_WITHIN, self.process.wait()).await {
            Ok(Ok(status)) => Some(status),
            Ok(Err(_)) | Err(_) => None,
        };
        self.end().await;
        explain(status, &String::from_utf8_lossy(&self.said))
    }

    /// Ends it and waits until it is gone.
    pub async fn end(&mut self) {
        // Once it was waited for it has no id, and the group's number may be somebody else's.
        if let Some(group) = self.process.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
            // It may have ended already.
            let _ = kill_process_group(group, Signal::KILL);
            let _ = timeout(END_WITHIN, self.process.wait()).await;
        }
    }
}

/// Why it has ended.
fn explain(status: Option<ExitStatus>, said: &str) -> End {
    if status.is_some_and(|status| status.success()) {
        return End::Over;
    }
    let said = one_line(said);
    let status = status.map_or("it closed its output".to_owned(), |status| status.to_string());
    let (reason, remedy) = if ["insufficient permissions", "Permission denied"].iter().any(|text| said.contains(text)) {
        (Reason::Auth, ": add the user that runs Banken to the group systemd-journal")
    } else if said.contains("No such file or directory") {
        (Reason::Missing, ": correct directory:, or mount it")
    } else {
        (Reason::Exit, "")
    };
    let said = if said.is_empty() { "it did not say why" } else { said.as_str() };
    End::Failed(Failure::new(reason, format!("journalctl has ended ({status}): {said}{remedy}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_without_journalctl_is_told_what_to_do() {
        let failure = Journalctl::find(&["/nowhere", "/proc"]).unwrap_err();
        assert_eq!(failure.reason, Reason::Missing);
        assert!(failure.detail.contains("/nowhere or /proc: install"), "{}", failure.detail);
    }

    #[test]
    fn why_it_ended_is_found_in_what_it_said() {
        let said = [
            ("No journal files were opened due to insufficient permissions.\n", Reason::Auth, "systemd-journal"),
            ("Failed to open /x: No such file or directory\n", Reason::Missing, "directory:"),
            ("Failed to seek to cursor: Invalid argument\n", Reason::Exit, LOST_CURSOR),
            ("", Reason::Exit, "did not say why"),
        ];
        for (said, reason, word) in said {
            let End::Failed(failure) = explain(None, said) else { panic!("{said}") };
            assert_eq!(failure.reason, reason, "{said}");
            assert!(failure.detail.contains(word), "{}", failure.detail);
            assert_eq!(is_lost_cursor(&failure), word == LOST_CURSOR);
        }
    }

    #[tokio::test]
    async fn an_endless_complaint_is_bounded_and_its_end_is_kept() {
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", "head -c 200000 /dev/zero | tr '\\0' x >&2; echo last words >&2; exit 3"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        let mut child = Child::start(command).unwrap();
        let Err(End::Failed(failure)) = child.read(&mut Vec::new()).await else { panic!("it went on") };
        assert!(failure.detail.contains("exit status: 3") && failure.detail.ends_with("last words"), "{failure}");
        assert!(failure.detail.len() < 2 * MAX_COMPLAINT, "{}", failure.detail.len());
    }

    #[tokio::test]
    async fn what_is_ended_takes_its_own_children_along() {
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", "sleep 1000 & echo $!; wait"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        let mut child = Child::start(command).unwrap();
        let mut said = Vec::new();
        child.read(&mut said).await.unwrap();
        let grandchild = String::from_utf8(said).unwrap();
        child.end().await;
        assert!(child.process.id().is_none(), "it was not waited for");
        // It is gone, or dead and not yet collected by whoever inherited it.
        let status = format!("/proc/{}/status", grandchild.trim());
        let is_alive = || std::fs::read_to_string(&status).is_ok_and(|status| !status.contains("State:\tZ"));
        let deadline = Instant::now() + Duration::from_secs(10);
        while is_alive() {
            assert!(Instant::now() < deadline, "it outlives its parent");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
