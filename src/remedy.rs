//! Repairs, with a contract: limits before, verification after, a record of each step.
//!
//! A remedy watches one condition on the board. What it does next is decided by a pure function; what it intends is written
//! down before it is done. The actions are in [`action`], one file each.

pub mod action;
pub mod patterns_file;
pub mod webhook;
