//! What one probe carries from request to request: connections that are kept, and, until its run ends, cookies and values
//! that answers gave.

use super::Fetcher;
use super::connection::Connection;
use super::cookies::Jar;
use super::exchange::Answer;
use super::taken::{Taken, encoded_forms};
use crate::observation::{Failure, Family, Readings, Scope, unix_now};
use crate::values::Redactor;
use http::{HeaderMap, HeaderValue, Uri};
use std::collections::BTreeMap;

/// Whether a run came by without a new connection; only published where connections are kept.
pub static CONNECTION_REUSED: Family = Family::gauge(
    "banken_probe_http_connection_reused",
    Scope::Probe,
    &[],
    "Whether the last run needed no new connection, 1 or 0; only with keep_alive",
);

/// The memory of one probe.
#[derive(Default)]
pub struct Session {
    pub(super) keep_alive: bool,
    /// By origin. Only origins of configured URLs stand here, so there are never many.
    kept: BTreeMap<String, Connection>,
    cookies: Option<Jar>,
    pub(super) taken: Taken,
    redactor: Redactor,
}

impl Session {
    /// For the requests of these fetchers, whose secrets it hides. It opens a new connection for each request and keeps
    /// no cookies.
    pub fn new<'a>(fetchers: impl IntoIterator<Item = &'a Fetcher>) -> Self {
        let mut session = Self::default();
        for fetcher in fetchers {
            session.redactor.join(&fetcher.redactor);
        }
        session
    }

    /// Whether connections to configured origins are kept, also from run to run.
    #[must_use]
    pub fn keeping_connections(self, keep_alive: bool) -> Self {
        Self { keep_alive, ..self }
    }

    /// Whether cookies are sent back within a run.
    #[must_use]
    pub fn with_cookies(self, wanted: bool) -> Self {
        Self { cookies: wanted.then(Jar::default), ..self }
    }

    /// Between two runs: nothing but connections is left.
    pub fn forget(&mut self) {
        if let Some(jar) = &mut self.cookies {
            jar.clear();
        }
        self.taken.clear();
        self.redactor.forget();
    }

    /// Hides our secrets, and those that answers gave, in what targets say.
    pub fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    /// Whether the bodies of answers stand in no failure.
    pub fn withhold_bodies(&mut self, withhold: bool) {
        self.redactor.withhold_bodies(withhold);
    }

    /// Remembers a value of an answer for later requests. From now on it is a secret.
    ///
    /// # Errors
    /// When it is empty or too long.
    pub fn take(&mut self, name: &str, value: &str) -> Result<(), Failure> {
        // A value is hidden even if it is not accepted: a failure may be about to quote it.
        self.redactor.learn([value.to_owned()]);
        self.taken.insert(name, value)?;
        self.redactor.learn(encoded_forms(value));
        Ok(())
    }

    /// The value of a cookie that the host of this fetcher's URL set in this run.
    pub fn cookie(&self, fetcher: &Fetcher, name: &str) -> Option<String> {
        let jar = self.cookies.as_ref()?;
        jar.get(fetcher.template.first.host(), name).map(str::to_owned)
    }

    /// Keeps the connection of an answer, if it may be kept and the answer was read to its end.
    pub async fn keep(&mut self, mut answer: Answer) {
        if let Some(home) = answer.home.take()
            && let Some(connection) = answer.into_connection().await
        {
            self.kept.insert(home, connection);
        }
    }

    /// The connection that was kept under this name; whoever takes it gives it back with [`Session::keep`].
    pub(super) fn kept(&mut self, home: &str) -> Option<Connection> {
        self.kept.remove(home)
    }

    /// The header `cookie` of a request.
    pub(super) fn cookies_for(&self, uri: &Uri) -> Option<HeaderValue> {
        self.cookies.as_ref()?.header(uri)
    }

    /// Takes the cookies of an answer.
    pub(super) fn hear(&mut self, uri: &Uri, headers: &HeaderMap, out: &mut Readings) {
        let Some(jar) = &mut self.cookies else { return };
        let learned = jar.learn(uri, headers, unix_now());
        self.redactor.learn(learned.values);
        if let Some(why) = learned.ignored {
            out.note("cookie", format!("ignored: {why}"));
        }
    }
}
