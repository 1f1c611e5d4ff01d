//! What this machine can be asked: `/proc`, the Docker socket, systemd, programs. Nothing here decides anything.
//!
//! It is to this machine what `net` is to the network: kinds of probes, sources of logs and commands say what they want
//! to know, and here it is found out, with every bound.

pub mod child;
pub mod docker;
pub mod pm2;
pub mod procfs;
