//! Tells the moment when a watched process ends, through its pidfd.

use super::find::{Found, Identity};
use std::future::poll_fn;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// The pidfds of one probe.
#[derive(Debug, Default)]
pub(super) struct Watch {
    open: Vec<(Identity, AsyncFd<OwnedFd>)>,
    /// Ended already: kept by name so that what lingers is not opened, and does not wake us, again and again.
    fired: Vec<Identity>,
}

impl Watch {
    /// Those that need no new pidfd.
    pub(super) fn identities(&self) -> Vec<Identity> {
        self.open.iter().map(|(id, _)| *id).chain(self.fired.iter().copied()).collect()
    }

    /// Drops what was not found again and takes over the pidfds that the look has opened.
    pub(super) fn renew(&mut self, found: &mut [Found]) {
        let is_found = |id: &Identity| found.iter().any(|found| found.id == *id);
        self.open.retain(|(id, _)| is_found(id));
        self.fired.retain(is_found);
        for found in found {
            let Some(fd) = found.pidfd.take() else { continue };
            #[allow(
                deprecated,
                reason = "its successor is unsafe for types that change their descriptor; OwnedFd does not"
            )]
            let registered = AsyncFd::with_interest(fd, Interest::READABLE);
            match registered {
                Ok(fd) => self.open.push((found.id, fd)),
                Err(error) => tracing::debug!(pid = found.id.pid, %error, "cannot wait on a pidfd"),
            }
        }
    }

    /// Ends when one of the processes has ended, and never if none is watched. Safe to drop and to call again.
    pub(super) async fn exit(&mut self) {
        poll_fn(|context| self.poll_exit(context)).await;
    }

    fn poll_exit(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let fired = &mut self.fired;
        let mut woken = false;
        self.open.retain(|(id, fd)| match fd.poll_read_ready(context) {
            Poll::Pending => true,
            Poll::Ready(result) => {
                // An error says that the runtime is closing down, which is no news of the process.
                woken |= result.is_ok();
                fired.push(*id);
                false
            }
        });
        if woken { Poll::Ready(()) } else { Poll::Pending }
    }
}
