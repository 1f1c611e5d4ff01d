//! The catalogue of every family, and the text of a scrape, encoded from the board when it is asked for.
//!
//! There is no second copy of the truth: nothing is registered or counted here. Families of a kind are declared in
//! the kind's file and reach this room through the cells.

mod catalogue;
mod collector;
pub mod docs;
mod format;
mod own_process;
mod samples;

pub use catalogue::{BUILD, BuildInfo, OWN, PER_PROBE};
pub use collector::Exposition;
pub use format::Format;
