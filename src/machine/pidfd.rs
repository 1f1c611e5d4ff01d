//! A process that is held by a descriptor: whoever gets its number after its end is somebody else, and is never meant.

use crate::observation::{Failure, Reason};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::io;
use std::os::fd::OwnedFd;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A process, or what was one.
#[derive(Debug)]
pub struct Handle {
    fd: OwnedFd,
    pid: i32,
}

/// What became of a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signalled {
    /// It was sent.
    Sent,
    /// The process has ended before.
    Gone,
}

impl Handle {
    /// Takes hold of whoever has this number now; nothing if nobody has.
    ///
    /// # Errors
    /// [`Reason::Local`] where the kernel gives no descriptor.
    pub fn open(pid: i32) -> Result<Option<Self>, Failure> {
        // Other numbers mean groups of processes, or all of them.
        let Some(number) = Some(pid).filter(|pid| *pid > 0).and_then(Pid::from_raw) else { return Ok(None) };
        match pidfd_open(number, PidfdFlags::empty()) {
            Ok(fd) => Ok(Some(Self { fd, pid })),
            Err(Errno::SRCH) => Ok(None),
            Err(error) => {
                Err(Failure::io(Reason::Local, format_args!("cannot take hold of process {pid}"), &error.into()))
            }
        }
    }

    /// Its number, which is its own as long as it has not ended.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Whether it has ended. If it has not, what `/proc` said of its number before was said of it.
    pub fn has_ended(&self) -> bool {
        let mut fds = [PollFd::new(&self.fd, PollFlags::IN)];
        matches!(poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })), Ok(ready) if ready > 0)
    }

    /// Sends it a signal, and nobody else.
    ///
    /// # Errors
    /// [`Reason::Auth`] where we may not.
    pub fn signal(&self, signal: Signal) -> Result<Signalled, Failure> {
        match pidfd_send_signal(&self.fd, signal) {
            Ok(()) => Ok(Signalled::Sent),
            Err(Errno::SRCH) => Ok(Signalled::Gone),
            Err(Errno::PERM) => {
                let remedy = "run Banken as its user, or give Banken CAP_KILL";
                Err(Failure::new(Reason::Auth, format!("process {} may not be ended: {remedy}", self.pid)))
            }
            Err(error) => {
                Err(Failure::io(Reason::Local, format_args!("cannot signal process {}", self.pid), &error.into()))
            }
        }
    }

    /// Waits until it has ended; the kernel tells it, nobody looks again and again.
    ///
    /// # Errors
    /// [`Reason::Local`] when we ran out of something ourselves.
    pub async fn ended(&self) -> Result<(), Failure> {
        let broken =
            |error: io::Error| Failure::io(Reason::Local, format_args!("cannot wait for process {}", self.pid), &error);
        let copy = self.fd.try_clone().map_err(broken)?;
        #[allow(
            deprecated,
            reason = "its successor is unsafe for types that change their descriptor; OwnedFd does not"
        )]
        let waiting = AsyncFd::with_interest(copy, Interest::READABLE).map_err(broken)?;
        while !self.has_ended() {
            waiting.readable().await.map_err(broken)?.clear_ready();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};
    use std::time::Duration;
    use tokio::time::timeout;

    #[tokio::test]
    async fn its_end_is_told_at_once_and_nobody_after_it_is_meant() {
        let mut child = Command::new("sleep").arg("60").stdin(Stdio::null()).spawn().unwrap();
        let handle = Handle::open(child.id().cast_signed()).unwrap().unwrap();
        assert!(!handle.has_ended());
        assert!(timeout(Duration::from_millis(50), handle.ended()).await.is_err());
        assert_eq!(handle.signal(Signal::TERM), Ok(Signalled::Sent));
        timeout(Duration::from_secs(10), handle.ended()).await.unwrap().unwrap();
        assert!(handle.has_ended());
        child.wait().unwrap();
        assert_eq!(handle.signal(Signal::KILL), Ok(Signalled::Gone));
        assert!(Handle::open(child.id().cast_signed()).unwrap().is_none());
    }

    #[test]
    fn no_number_that_means_many_is_ever_one() {
        for pid in [0, -1, i32::MIN, i32::MAX] {
            assert!(Handle::open(pid).unwrap().is_none(), "{pid}");
        }
    }
}
