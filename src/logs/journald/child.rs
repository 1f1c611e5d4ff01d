//! What is asked of `journalctl`, what it says, and why it has ended.

use super::cutter::{Cut, Cutter};
use super::record;
use crate::logs::recent::Ask;
use crate::logs::stream::End;
use crate::machine::child::{Group, Keep, Program, Running, find};
use crate::observation::{Failure, Reason};
use crate::values::one_line;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use tokio::process::{ChildStderr, ChildStdout};
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
        find("journalctl", folders).map(Self).ok_or_else(|| {
            let folders = folders.join(" or ");
            Failure::new(
                Reason::Missing,
                format!("there is no journalctl in {folders}: install systemd's, or read files under paths:"),
            )
        })
    }

    fn program(&self, matches: &[String]) -> Program {
        Program::new(&self.0)
            .args(["--output=json", "--output-fields=MESSAGE,_PID", "--all", "--no-pager"])
            // Following would leave out former boots otherwise.
            .args(["--merge"])
            .args(matches)
    }

    /// Starts to follow, from the record with this cursor on, or from the beginning. If we are killed, it ends too:
    /// it watches whether its output is still read.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn follow(&self, matches: &[String], cursor: Option<&str>) -> Result<Child, Failure> {
        let program = self.program(matches).args(["--follow", "--lines=all"]);
        Child::start(program.args(cursor.map(|cursor| format!("--cursor={cursor}")))).await
    }

    /// The last records, the newest first, as far as `max_bytes` hold them.
    ///
    /// # Errors
    /// When journalctl fails.
    pub async fn last(&self, matches: &[String], ask: &Ask, max_bytes: usize) -> Result<Vec<u8>, Failure> {
        let since = ask.since.map(|since| format!("--since=@{}", since.max(0.0) as u64));
        let program = self.program(matches).args(["--reverse".into(), format!("--lines={}", ask.lines)]).args(since);
        let ended = program.run(Keep { stdout: max_bytes, stderr: MAX_COMPLAINT }).await?;
        match explain(Some(ended.status), &String::from_utf8_lossy(&ended.stderr.text)) {
            End::Failed(failure) => Err(failure),
            End::Over | End::Stopped => Ok(ended.stdout.text),
        }
    }

    /// The cursor of the newest record.
    ///
    /// # Errors
    /// When journalctl fails or does not answer.
    pub async fn newest(&self, matches: &[String]) -> Result<Option<String>, Failure> {
        let mut child = Child::start(self.program(matches).args(["--lines=1"])).await?;
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
    group: Group,
    output: ChildStdout,
    errors: Option<ChildStderr>,
    said: Vec<u8>,
}

impl Child {
    async fn start(program: Program) -> Result<Self, Failure> {
        let Running { stdout, stderr, group } = program.start().await?;
        Ok(Self { group, output: stdout, errors: Some(stderr), said: Vec::new() })
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
        let by_itself = timeout(END_WITHIN, self.group.ended()).await.is_ok();
        let status = self.group.end().await.filter(|_| by_itself);
        explain(status, &String::from_utf8_lossy(&self.said))
    }

    /// Ends it and waits until it is gone.
    pub async fn end(&mut self) {
        self.group.end().await;
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
        let script = "head -c 200000 /dev/zero | tr '\\0' x >&2; echo last words >&2; exit 3";
        let mut child = Child::start(Program::new("/bin/sh").args(["-c", script])).await.unwrap();
        let Err(End::Failed(failure)) = child.read(&mut Vec::new()).await else { panic!("it went on") };
        assert!(failure.detail.contains("exit status: 3") && failure.detail.ends_with("last words"), "{failure}");
        assert!(failure.detail.len() < 2 * MAX_COMPLAINT, "{}", failure.detail.len());
    }

    #[tokio::test]
    async fn what_closes_its_output_and_stays_is_ended() {
        let mut child = Child::start(Program::new("/bin/sh").args(["-c", "exec >&-; sleep 120"])).await.unwrap();
        let Err(End::Failed(failure)) = child.read(&mut Vec::new()).await else { panic!("it went on") };
        assert!(failure.detail.contains("it closed its output"), "{failure}");
    }
}
