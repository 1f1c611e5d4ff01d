//! One request and what its answer must be.
//!
//! Of several things that are wrong the first in this order gives the reason: the status; an answer that breaks off or
//! is too large; headers and body; of the JSON fields a missing one before a stale one before one with a wrong type or
//! value; a value that cannot be taken. The detail names all of them.

use super::expect::Expect;
use super::json::{Field, Fields};
use super::steps::Place;
use super::{BODY_BYTES, REDIRECTS, STATUS_CODE};
use crate::fetch::{Answer, Ask, Auth, Fetcher, Method, Outcome, Protocol, Redirects, Session};
use crate::net::{IpChoice, Roots, TlsConfig};
use crate::observation::{Failure, Readings, Reason, unix_now};
use crate::values::{HttpUrl, Invalid, Secret};
use http::HeaderMap;
use std::collections::{BTreeMap, BTreeSet};

/// What a probe with one request and a step have in common.
pub(super) struct Part<'a> {
    pub(super) url: &'a HttpUrl,
    pub(super) method: &'a Method,
    pub(super) headers: &'a BTreeMap<String, Secret>,
    pub(super) body: Option<&'a Secret>,
    pub(super) auth: Option<&'a Auth>,
    pub(super) expect: &'a Expect,
    pub(super) json: &'a [Field],
    pub(super) redirects: Redirects,
}

/// What all requests of a probe share.
pub(super) struct Shared<'a> {
    pub(super) protocol: Protocol,
    pub(super) ip: IpChoice,
    pub(super) tls: &'a TlsConfig,
    pub(super) roots: &'a Roots,
}

/// A request that was built.
pub(super) struct Request {
    fetcher: Fetcher,
    expect: Expect,
    needs_body: bool,
    fields: Fields,
    place: Option<Place>,
}

impl Request {
    /// Builds a request; as a step where it has a place among others, whose values it may use.
    pub(super) fn new(
        part: &Part<'_>,
        step: Option<(Place, &BTreeSet<&str>)>,
        shared: &Shared<'_>,
        invalid: &mut Vec<Invalid>,
    ) -> Self {
        let ask = Ask {
            url: part.url,
            method: part.method,
            headers: part.headers,
            body: part.body,
            auth: part.auth,
            redirects: part.redirects,
            protocol: shared.protocol,
            ip: shared.ip,
            tls: shared.tls,
        };
        let (place, names) = step.unzip();
        let fetcher = match names {
            Some(names) => Fetcher::with_values(&ask, names, shared.roots, invalid),
            None => Fetcher::new(&ask, shared.roots, invalid),
        };
        let takes_from_body = place.as_ref().is_some_and(Place::takes_from_body);
        let needs_body = part.expect.needs_body() || !part.json.is_empty() || takes_from_body;
        part.expect.check(needs_body, invalid);
        if needs_body && part.method.has_no_body() {
            let message = "the answer to HEAD has no body: use GET, or remove what is expected of the body";
            invalid.push(Invalid::new("method", message));
        }
        let fields = Fields::new(part.json, invalid);
        Self { fetcher, expect: part.expect.clone(), needs_body, fields, place }
    }

    pub(super) fn fetcher(&self) -> &Fetcher {
        &self.fetcher
    }

    /// What has a series whatever becomes of the run.
    pub(super) fn begin(&self, out: &mut Readings) {
        self.fields.begin(out);
    }

    /// Asks until there is an answer that stays, and judges it; a step says how long that took.
    pub(super) async fn run(
        &mut self,
        session: &mut Session,
        body: &mut Vec<u8>,
        out: &mut Readings,
    ) -> Result<(), Failure> {
        let Some(clock) = self.place.as_ref().map(|place| place.begin(out)) else {
            return self.ask(session, body, out).await;
        };
        session.withhold_bodies(self.takes_values());
        let result = self.ask(session, body, out).await;
        out.leave();
        clock.end(result, session, out)
    }

    fn takes_values(&self) -> bool {
        self.place.as_ref().is_some_and(Place::takes_values)
    }

    async fn ask(&mut self, session: &mut Session, body: &mut Vec<u8>, out: &mut Readings) -> Result<(), Failure> {
        let expect = &self.expect;
        let asked = self.fetcher.ask(session, out, |status, redirects, out| {
            out.set(&STATUS_CODE, f64::from(status));
            out.set(&REDIRECTS, redirects as f64);
            out.withdraw(&BODY_BYTES);
            expect.accepts(status)
        });
        match asked.await? {
            Outcome::Accepted(answer) => self.judge(answer, session, body, out).await,
            Outcome::Refused(refusal) => {
                // A refused login gives nothing away, and says why.
                session.withhold_bodies(self.takes_values() && refusal.status() < 400);
                let expected = self.expect.statuses();
                let (failure, bytes) = refusal.explain(&expected, session, body, out).await;
                if let Some(bytes) = bytes {
                    out.set(&BODY_BYTES, bytes as f64);
                }
                Err(failure)
            }
        }
    }

    /// An answer with the expected status: headers, body and fields.
    async fn judge(
        &mut self,
        mut answer: Answer,
        session: &mut Session,
        body: &mut Vec<u8>,
        out: &mut Readings,
    ) -> Result<(), Failure> {
        let cap = self.expect.max_body.0;
        let keep = if self.needs_body { usize::MAX } else { 0 };
        let bytes = answer.read(cap, keep, body).await;
        out.leave();
        let headers = std::mem::take(&mut answer.head.headers);
        // The connection is done with before the work that needs none.
        session.keep(answer).await;
        let mut wrong = self.expect.judge_headers(&headers);
        match bytes {
            Ok(bytes) => out.set(&BODY_BYTES, bytes as f64),
            Err(failure) => {
                wrong.insert(0, failure);
                return Err(gather(wrong));
            }
        }
        // Before anything is said about the body: what is taken from it is a secret.
        let untaken = self.take(&headers, body, session);
        wrong.extend(self.expect.judge_body(body, session.redactor()));
        if !self.fields.is_empty() {
            self.fields.judge(body, unix_now(), session.redactor(), out, &mut wrong);
        }
        wrong.extend(untaken);
        if wrong.is_empty() { Ok(()) } else { Err(gather(wrong)) }
    }

    fn take(&self, headers: &HeaderMap, body: &[u8], session: &mut Session) -> Vec<Failure> {
        self.place.as_ref().map_or_else(Vec::new, |place| place.take(&self.fetcher, headers, body, session))
    }
}

/// Several things that are wrong as one failure: the first reason counts, every detail is told.
fn gather(wrong: Vec<Failure>) -> Failure {
    let mut all = wrong.into_iter();
    let Some(mut first) = all.next() else { return Failure::new(Reason::Local, "nothing is wrong") };
    for other in all {
        first.detail.push_str("; ");
        first.detail.push_str(&other.detail);
    }
    first
}
