//! Runs programs: no shell, nothing of our environment, everything bounded, and nobody is left behind.
//!
//! A program gets a process group of its own. When it ends (unless what it started is to be spared), when whoever waits for it is dropped (a timeout), or when it is
//! told to end, the whole group is killed with `SIGKILL` and the program is collected, so that neither a child that ignores
//! signals nor a grandchild nor a zombie stays. Only what leaves the group on purpose, as a daemon does, lives on; it cannot
//! keep us waiting either, even if it holds the output open.
//!
//! A program runs once at a time: the next start waits until the former one is gone. So what even `SIGKILL` does not end,
//! because it hangs in a dead file system or runs as another user, never becomes more than one.

mod pipe;
#[cfg(test)]
mod tests;

pub use pipe::Kept;

use crate::observation::{Failure, Reason, is_own_shortage};
use crate::values::Secret;
use pipe::Pipe;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::process::{ChildStderr, ChildStdout, Command};
use tokio::runtime::Handle;
use tokio::signal::unix::{Signal as SignalStream, SignalKind, signal};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// Where a program is looked for that is named without a path, in this order. Our own `PATH` has no say in what is run.
pub const FOLDERS: &[&str] = &["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// The same folders, as programs are told them.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How long what was killed may take to be gone before we stop waiting for it.
const GONE_WITHIN: Duration = Duration::from_secs(2);

/// How long we rely on being told of an end before we look.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Finds a program in one of these folders.
pub fn find(name: &str, folders: &[&str]) -> Option<PathBuf> {
    folders.iter().map(|folder| Path::new(folder).join(name)).find(|place| place.is_file())
}

/// How much is kept of what a program says, in bytes from the beginning. The rest is read and counted, so that it never
/// waits for us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// Of its output.
    pub stdout: usize,
    /// Of its complaints.
    pub stderr: usize,
}

/// A program that has ended.
#[derive(Debug)]
pub struct Ended {
    /// How.
    pub status: ExitStatus,
    /// Its output.
    pub stdout: Kept,
    /// Its complaints.
    pub stderr: Kept,
}

/// A program and how it is run.
///
/// Of the environment it is given `PATH`, `LC_ALL=C` and what [`Program::env`] says; its standard input is empty.
#[derive(Debug, Clone)]
pub struct Program {
    file: PathBuf,
    args: Vec<String>,
    env: Vec<(String, Secret)>,
    dir: PathBuf,
    spares: bool,
    turn: Arc<Semaphore>,
}

impl Program {
    /// By its path, or by a name without `/`, which is looked for in [`FOLDERS`] at each start.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            file: program.into(),
            args: Vec::new(),
            env: Vec::new(),
            dir: "/".into(),
            spares: false,
            turn: Arc::new(Semaphore::new(1)),
        }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: Into<String>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Adds variables to its environment; they win over `PATH` and `LC_ALL`.
    #[must_use]
    pub fn env(mut self, variables: impl IntoIterator<Item = (String, Secret)>) -> Self {
        self.env.extend(variables);
        self
    }

    /// Runs it in this folder instead of `/`.
    #[must_use]
    pub fn dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = dir.into();
        self
    }

    /// Leaves alone what it has started once it ends by itself: a program that starts a service in the background is
    /// meant to. When it is cut off, the whole group is killed all the same.
    #[must_use]
    pub fn sparing_what_it_started(mut self) -> Self {
        self.spares = true;
        self
    }

    /// Runs it until it ends. When this is dropped before, the whole group is killed.
    ///
    /// # Errors
    /// When it cannot be started; how it ends is no error here.
    pub async fn run(&self, keep: Keep) -> Result<Ended, Failure> {
        let Running { stdout, stderr, mut group } = self.start().await?;
        let (mut stdout, mut stderr) = (Pipe::new(stdout, keep.stdout), Pipe::new(stderr, keep.stderr));
        loop {
            tokio::select! {
                biased;
                () = group.ended() => break,
                () = stdout.read() => {}
                () = stderr.read() => {}
            }
        }
        let status = if self.spares { group.collect().await } else { group.end().await };
        // Everything that it said itself is in the pipes by now. Who else holds them open is not waited for.
        let (stdout, stderr) = (stdout.finish(), stderr.finish());
        match status {
            Some(status) => Ok(Ended { status, stdout, stderr }),
            None => Err(Failure::new(Reason::Local, format!("{} cannot be waited for", self.file.display()))),
        }
    }

    /// Starts it, once what was started before is gone.
    ///
    /// # Errors
    /// [`Reason::Missing`] with the remedy when there is no such program, it cannot be executed, or its folder is not
    /// there; [`Reason::Local`] when we ran out of something.
    pub async fn start(&self) -> Result<Running, Failure> {
        let turn = Arc::clone(&self.turn).acquire_owned().await;
        let turn = turn.map_err(|error| Failure::new(Reason::Local, error.to_string()))?;
        let ends = signal(SignalKind::child())
            .map_err(|error| Failure::io(Reason::Local, "cannot hear of the end of programs", &error))?;
        let program = self.clone();
        // A program on a file system that hangs would hold up this thread.
        let starting = spawn_blocking(move || program.spawn(turn, ends)).await;
        starting.unwrap_or_else(|error| Err(Failure::new(Reason::Local, format!("the start broke: {error}"))))
    }

    fn spawn(&self, turn: OwnedSemaphorePermit, ends: SignalStream) -> Result<Running, Failure> {
        let path = self.path()?;
        let mut command = Command::new(&path);
        command
            .args(&self.args)
            .env_clear()
            .env("PATH", PATH)
            .env("LC_ALL", "C")
            .envs(self.env.iter().map(|(name, value)| (name, value.expose())))
            .current_dir(&self.dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        let mut process = command.spawn().map_err(|error| self.explain(&path, &error))?;
        let (stdout, stderr) = (process.stdout.take(), process.stderr.take());
        let group = Group { process: Some(process), ends, turn: Some(turn) };
        match (stdout, stderr) {
            (Some(stdout), Some(stderr)) => Ok(Running { stdout, stderr, group }),
            _ => Err(Failure::new(Reason::Local, format!("{} was started without an output", path.display()))),
        }
    }

    fn path(&self) -> Result<PathBuf, Failure> {
        let name = self.file.to_str().filter(|name| !name.contains('/'));
        let Some(name) = name else { return Ok(self.file.clone()) };
        find(name, FOLDERS).ok_or_else(|| {
            let detail = format!("there is no {name} in {}: install it, or write its whole path", FOLDERS.join(", "));
            Failure::new(Reason::Missing, detail)
        })
    }

    /// Why it could not be started: the system says the same of several causes.
    fn explain(&self, path: &Path, error: &io::Error) -> Failure {
        let (shown, dir) = (path.display(), self.dir.display());
        if is_own_shortage(error) {
            return Failure::io(Reason::Local, format_args!("{shown} cannot be started"), error);
        }
        if let Err(error) = fs::read_dir(&self.dir)
            && error.kind() != ErrorKind::PermissionDenied
        {
            return Failure::io(Reason::Missing, format_args!("the folder {dir} in which {shown} is to run"), &error);
        }
        let detail = match (fs::metadata(path), error.kind()) {
            (Err(error), _) if error.kind() == ErrorKind::NotFound => {
                format!("there is no program {shown}: install it, or correct its path")
            }
            (Err(error), _) => format!("the program {shown} cannot be reached: {error}"),
            (Ok(found), _) if !found.is_file() => format!("{shown} is no program: it is not a regular file"),
            (Ok(_), ErrorKind::PermissionDenied) => format!(
                "{shown} must not be executed in {dir} by the user that runs Banken: make it executable (chmod a+x)"
            ),
            (Ok(_), ErrorKind::NotFound) => {
                format!("the interpreter that the first line of {shown} names is not there")
            }
            (Ok(_), _) if error.raw_os_error() == Some(rustix::io::Errno::NOEXEC.raw_os_error()) => {
                format!("{shown} is no program of this machine, nor a script that begins with #!")
            }
            (Ok(_), _) => format!("{shown} cannot be started: {error}"),
        };
        Failure::new(Reason::Missing, detail)
    }
}

/// A program that runs.
#[derive(Debug)]
pub struct Running {
    /// What it says; whoever does not read it stops it sooner or later.
    pub stdout: ChildStdout,
    /// What it complains about; the same holds.
    pub stderr: ChildStderr,
    /// By which it is ended.
    pub group: Group,
}

/// A running program and all that it has started in its group. Dropping this kills them.
#[derive(Debug)]
pub struct Group {
    /// Collected by nobody until the group was killed: until then no other group can have its number.
    process: Option<tokio::process::Child>,
    ends: SignalStream,
    turn: Option<OwnedSemaphorePermit>,
}

impl Group {
    /// Waits until the program itself has ended; what it has started may still run. It may be dropped while it waits.
    pub async fn ended(&mut self) {
        while !self.has_ended() {
            // Any child's end wakes us, and so does nothing at all, now and then.
            let _ = timeout(LOOK_EVERY, self.ends.recv()).await;
        }
    }

    /// Kills the group, and collects the program. Nothing is given if it is not gone soon; it is collected later then.
    pub async fn end(&mut self) -> Option<ExitStatus> {
        self.kill();
        self.collect().await
    }

    /// Collects the program, which has ended; the rest of its group goes on.
    async fn collect(&mut self) -> Option<ExitStatus> {
        let status = timeout(GONE_WITHIN, self.process.as_mut()?.wait()).await.ok()?.ok()?;
        (self.process, self.turn) = (None, None);
        Some(status)
    }

    fn id(&self) -> Option<Pid> {
        Pid::from_raw(self.process.as_ref()?.id()?.cast_signed())
    }

    fn has_ended(&self) -> bool {
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        self.id().is_none_or(|id| !matches!(waitid(WaitId::Pid(id), look), Ok(None)))
    }

    fn kill(&self) {
        if let Some(id) = self.id() {
            // Everybody in it may have ended already.
            let _ = kill_process_group(id, Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
        let (process, turn) = (self.process.take(), self.turn.take());
        if let (Some(mut process), Ok(runtime)) = (process, Handle::try_current()) {
            runtime.spawn(async move {
                let _ = process.wait().await;
                drop(turn);
            });
        }
    }
}

/// How a program has ended, for people.
pub fn in_words(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(number)) => {
            let known = SIGNALS.iter().find(|(signal, _)| signal.as_raw() == number);
            known.map_or_else(|| format!("killed by signal {number}"), |(_, name)| format!("killed by {name}"))
        }
        (None, None) => status.to_string(),
    }
}

/// The signals that end programs.
const SIGNALS: &[(Signal, &str)] = &[
    (Signal::HUP, "SIGHUP"),
    (Signal::INT, "SIGINT"),
    (Signal::QUIT, "SIGQUIT"),
    (Signal::ILL, "SIGILL"),
    (Signal::TRAP, "SIGTRAP"),
    (Signal::ABORT, "SIGABRT"),
    (Signal::BUS, "SIGBUS"),
    (Signal::FPE, "SIGFPE"),
    (Signal::KILL, "SIGKILL"),
    (Signal::USR1, "SIGUSR1"),
    (Signal::SEGV, "SIGSEGV"),
    (Signal::USR2, "SIGUSR2"),
    (Signal::PIPE, "SIGPIPE"),
    (Signal::ALARM, "SIGALRM"),
    (Signal::TERM, "SIGTERM"),
    (Signal::XCPU, "SIGXCPU"),
    (Signal::XFSZ, "SIGXFSZ"),
    (Signal::SYS, "SIGSYS"),
];
