//! The process that writes a log, and the signal at which it opens it again.

use crate::machine::confined::{Facts, Folder, show};
use crate::machine::open_files::program;
use crate::machine::procfs::{Reader, caught_signals, effective_uid};
use crate::machine::user::User;
use crate::remedy::action::Setback;
use crate::remedy::files::owner;
use crate::values::Invalid;
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal, test_kill_process};
use schemars::JsonSchema;
use serde::Deserialize;
use std::fmt;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// The block `signal:`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "LogRotateSignal")]
pub struct WriterSignal {
    /// The file in which the process has written its number.
    pub pidfile: PathBuf,
    /// Its program, by the absolute path without symbolic links, as `/proc/PID/exe` shows it. Another process never gets
    /// the signal, whatever the file says.
    pub exe: PathBuf,
    /// The user that it runs as, a name or a uid; without it, the user that runs Banken.
    #[serde(default)]
    pub user: Option<User>,
    /// The signal: `HUP`, `USR1` or `USR2`. A process that does not catch it never gets it.
    #[serde(default)]
    pub name: SignalName,
}

/// A signal at which programs open their logs again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[schemars(rename = "LogRotateSignalName")]
pub enum SignalName {
    /// As most do.
    #[default]
    #[serde(rename = "HUP")]
    Hup,
    /// As nginx does.
    #[serde(rename = "USR1")]
    Usr1,
    /// As some do.
    #[serde(rename = "USR2")]
    Usr2,
}

impl SignalName {
    fn signal(self) -> Signal {
        match self {
            SignalName::Hup => Signal::HUP,
            SignalName::Usr1 => Signal::USR1,
            SignalName::Usr2 => Signal::USR2,
        }
    }
}

impl WriterSignal {
    pub(super) fn build(&self) -> Result<Reopening, Invalid> {
        for (key, path) in [("pidfile", &self.pidfile), ("exe", &self.exe)] {
            if !path.is_absolute() || path.file_name().is_none() {
                return Err(Invalid::new(key, "not an absolute path of a file: begin it with '/'"));
            }
        }
        let uid = owner(self.user.as_ref()).map_err(|mistake| Invalid::new("user", mistake.message))?;
        Ok(Reopening { pidfile: self.pidfile.clone(), exe: self.exe.clone(), uid, name: self.name })
    }
}

/// How to find the writer, and what to tell it.
#[derive(Debug, Clone)]
pub(super) struct Reopening {
    pidfile: PathBuf,
    exe: PathBuf,
    uid: u32,
    name: SignalName,
}

/// The writer, held by a descriptor, so that a process that gets its number later is never meant.
#[derive(Debug)]
pub(super) struct Writer {
    pidfd: OwnedFd,
    pid: Pid,
    exe: PathBuf,
    name: SignalName,
}

/// A pidfile holds a number and a line end.
const MAX_PIDFILE: u64 = 64;

impl Reopening {
    /// Finds the process and makes sure that it is the expected one, and that the signal does not end it.
    pub(super) fn find(&self) -> Result<Writer, Setback> {
        let pid = self.read()?;
        let refuse =
            |why: String| Err(Setback::Refused(format!("the process {pid} of {}: {why}", show(&self.pidfile))));
        if pid.as_raw_nonzero().get() == 1 || pid == rustix::process::getpid() {
            return refuse("it is never signalled".into());
        }
        let pidfd = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pidfd) => pidfd,
            Err(Errno::SRCH) => return refuse("it does not run; start the service, or correct pidfile".into()),
            Err(error) => return refuse(format!("it cannot be held: {error}")),
        };
        let raw = pid.as_raw_nonzero().get();
        match program(raw) {
            Ok(exe) if exe == self.exe => {}
            Ok(exe) => return refuse(format!("it runs {}, not {}", show(exe), show(&self.exe))),
            Err(error) => {
                return refuse(format!("its program cannot be seen: {error}; run Banken as its user or as root"));
            }
        }
        let mut reader = Reader::default();
        let status = reader.read(raw, "status")?.unwrap_or_default();
        match effective_uid(status) {
            Some(uid) if uid == self.uid => {}
            Some(uid) => return refuse(format!("it runs as the user {uid}, not {}: set user", self.uid)),
            None => return refuse("it has just ended".into()),
        }
        let signal = self.name.signal();
        if caught_signals(status).is_none_or(|caught| caught & (1 << (signal.as_raw() - 1)) == 0) {
            return refuse(format!("it does not catch {} and would be ended by it: use copytruncate", self.name));
        }
        if test_kill_process(pid) == Err(Errno::PERM) {
            return refuse("we may not signal it: run Banken as its user or as root".into());
        }
        Ok(Writer { pidfd, pid, exe: self.exe.clone(), name: self.name })
    }

    fn read(&self) -> Result<Pid, Setback> {
        let shown = show(&self.pidfile);
        let (Some(folder), Some(name)) = (self.pidfile.parent(), self.pidfile.file_name()) else {
            return Err(Setback::Refused(format!("{shown} names no file")));
        };
        let unusable = |why: &str| Setback::Refused(format!("{shown} {why}"));
        let folder = Folder::root(folder)?;
        let file = match folder.open(name, OFlags::RDONLY) {
            Err(trouble) if trouble.is_missing() => {
                return Err(unusable("is not there: start the service, or correct pidfile"));
            }
            file => file?,
        };
        if !Facts::of(&file).is_ok_and(|facts| facts.is_file()) {
            return Err(unusable("is no regular file"));
        }
        let mut text = String::new();
        file.take(MAX_PIDFILE).read_to_string(&mut text).map_err(|error| unusable(&error.to_string()))?;
        let pid = text.trim().parse().ok().filter(|pid| *pid > 0).and_then(Pid::from_raw);
        pid.ok_or_else(|| unusable("holds no process number"))
    }
}

impl Writer {
    pub(super) fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Sends the signal. Whether there was still somebody to get it.
    pub(super) fn tell(&self) -> Result<bool, Setback> {
        match pidfd_send_signal(&self.pidfd, self.name.signal()) {
            Ok(()) => Ok(true),
            Err(Errno::SRCH) => Ok(false),
            Err(error) => Err(Setback::Failed(format!("{self} could not be sent: {error}"))),
        }
    }
}

impl fmt::Display for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {} ({})", self.name, self.pid(), show(&self.exe))
    }
}

impl fmt::Display for SignalName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SignalName::Hup => "SIGHUP",
            SignalName::Usr1 => "SIGUSR1",
            SignalName::Usr2 => "SIGUSR2",
        })
    }
}
