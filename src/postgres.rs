//! Speaks with PostgreSQL: where it is, TLS on our own handshake, the login, and questions over a connection that has no task
//! beside whoever asks. What is asked is for the kind of probe and for the action that use it.

mod dialer;
mod refusal;
mod session;
mod table;
mod target;
mod wire;

pub use dialer::Dialer;
pub use refusal::During;
pub use session::{Question, Session, Trouble};
pub use table::{MAX_COLUMNS, Row, Table, beginning, number};
