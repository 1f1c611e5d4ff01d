//! Drives the real binary, and the real servers around it, as a user does.

mod config;
mod support;
