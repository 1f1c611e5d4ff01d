//! What this machine can be asked and told: `/proc`, the Docker socket, systemd, programs. Nothing here decides anything.
//!
//! It is to this machine what `net` is to the network: kinds of probes, sources of logs and commands say what they want
//! to know, and here it is found out, with every bound.

pub mod aside;
pub mod bell;
pub mod child;
pub mod confined;
pub mod docker;
pub mod globs;
pub mod holders;
pub mod kin;
pub mod open_files;
pub mod pidfd;
pub mod pm2;
pub mod procfs;
pub mod program;
pub mod sockets;
pub mod supervisor;
pub mod systemd;
pub mod until;
pub mod usage;
pub mod user;

use std::future::Future;
use tokio::task::AbortHandle;

/// A task that ends with whoever holds this.
#[derive(Debug)]
struct Errand(AbortHandle);

impl Errand {
    fn spawn(work: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(work).abort_handle())
    }
}

impl Drop for Errand {
    fn drop(&mut self) {
        self.0.abort();
    }
}
