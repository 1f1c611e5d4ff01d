//! Several requests in a row: log in, then use what the answer gave. Each is named and timed.
//!
//! A step that was not reached has no series: 0 says that it was tried and failed.

use super::expect::Expect;
use super::json::Field;
use super::request::{Part, Request, Shared};
use super::take::{Source, Take};
use crate::fetch::{Auth, Fetcher, Method, Redirects, Session};
use crate::observation::{Failure, Family, Labels, Readings, Scope};
use crate::values::{HttpUrl, Invalid, Secret, check_name};
use http::HeaderMap;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::time::Instant;

pub(super) static DURATION: Family = Family::gauge(
    "banken_probe_http_step_duration_seconds",
    Scope::Probe,
    &["step"],
    "How long the step took in the last run, in seconds; absent for a step that was not reached or not done in time",
);
pub(super) static SUCCESS: Family = Family::gauge(
    "banken_probe_http_step_success",
    Scope::Probe,
    &["step"],
    "Whether the step succeeded in the last run, 1 or 0; absent for a step that was not reached",
);

/// The most steps of one probe.
pub(super) const MAX_STEPS: usize = 16;

/// One entry under `steps:`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Its name, the label `step`: lower-case letters, digits, `_`, `.`, `-`.
    #[schemars(regex(pattern = r"^[a-z0-9][a-z0-9_.-]*$|\$\{"))]
    pub name: String,
    /// What is asked for; `{{NAME}}` in its path or query stands for a value that an earlier step took.
    pub url: HttpUrl,
    /// The method of the request.
    #[serde(default)]
    pub method: Method,
    /// Headers of the request, each a text or `{ file: PATH }`, with `{{NAME}}`; sent to the host of `url` alone.
    #[serde(default)]
    pub headers: BTreeMap<String, Secret>,
    /// The body of the request, with `{{NAME}}`.
    #[serde(default)]
    pub body: Option<Secret>,
    /// Credentials, with `{{NAME}}` in `bearer`; sent to the host of `url` alone.
    #[serde(default)]
    pub auth: Option<Auth>,
    /// What the answer must be.
    #[serde(default)]
    pub expect: Expect,
    /// What fields of a JSON answer must be.
    #[serde(default)]
    pub json: Vec<Field>,
    /// Whether and how far redirects are followed.
    #[serde(default)]
    pub redirects: Redirects,
    /// Values of the answer by name, for the steps after this one.
    #[serde(default)]
    pub take: BTreeMap<String, Source>,
}

impl Step {
    fn part(&self) -> Part<'_> {
        Part {
            url: &self.url,
            method: &self.method,
            headers: &self.headers,
            body: self.body.as_ref(),
            auth: self.auth.as_ref(),
            expect: &self.expect,
            json: &self.json,
            redirects: self.redirects,
        }
    }
}

/// Builds the requests of all steps; every mistake is written to `invalid`.
pub(super) fn build(steps: &[Step], shared: &Shared<'_>, invalid: &mut Vec<Invalid>) -> Vec<Request> {
    if steps.len() > MAX_STEPS {
        let message = format!("there are {} steps, and at most {MAX_STEPS} are made: make probes of some", steps.len());
        invalid.push(Invalid::new("steps", message));
        return Vec::new();
    }
    check_hosts(steps, shared, invalid);
    let mut names = BTreeSet::new();
    let mut requests = Vec::with_capacity(steps.len());
    for (index, step) in steps.iter().enumerate() {
        let mut mistakes = Vec::new();
        check_names(step, &steps[..index], &mut mistakes);
        let place = Place::new(step, &mut mistakes);
        requests.push(Request::new(&step.part(), Some((place, &names)), shared, &mut mistakes));
        names.extend(step.take.keys().map(String::as_str));
        for mistake in mistakes {
            // What all steps share stands above them, and is wrong once.
            let shared = mistake.path == "tls" || mistake.path.starts_with("tls.");
            let mistake = if shared { mistake } else { mistake.within(&format!("steps[{index}]")) };
            if !invalid.contains(&mistake) {
                invalid.push(mistake);
            }
        }
    }
    requests
}

/// Names are told apart over all steps: they are labels, and what is taken is known to every later step.
fn check_names(step: &Step, earlier: &[Step], invalid: &mut Vec<Invalid>) {
    if let Err(message) = check_name(&step.name) {
        invalid.push(Invalid::new("name", message));
    }
    if let Some(first) = earlier.iter().position(|other| other.name == step.name) {
        invalid.push(Invalid::new("name", format!("{:?} is already the name of steps[{first}]", step.name)));
    }
    for (index, field) in step.json.iter().enumerate() {
        let same = |other: &Step| other.json.iter().position(|known| known.field == field.field);
        if let Some((first, at)) = earlier.iter().enumerate().find_map(|(first, other)| Some((first, same(other)?))) {
            let message = format!("{:?} is already the name of steps[{first}].json[{at}]", field.field);
            invalid.push(Invalid::new(format!("json[{index}].field"), message));
        }
    }
    for name in step.take.keys() {
        if let Some(first) = earlier.iter().position(|other| other.take.contains_key(name)) {
            let message = format!("{name} is already taken by steps[{first}]: choose another name");
            invalid.push(Invalid::new(format!("take.{name}"), message));
        }
    }
}

/// A name to verify instead of the host's is one name.
fn check_hosts(steps: &[Step], shared: &Shared<'_>, invalid: &mut Vec<Invalid>) {
    let hosts: BTreeSet<_> = steps.iter().filter_map(|step| step.url.uri().host()).map(str::to_lowercase).collect();
    if shared.tls.server_name.is_some() && hosts.len() > 1 {
        let hosts: Vec<_> = hosts.into_iter().collect();
        let message = format!("one name for several hosts ({}): remove it, or make a probe of each", hosts.join(", "));
        invalid.push(Invalid::new("tls.server_name", message));
    }
}

/// What makes a request a step: its name, and what it takes.
pub(super) struct Place {
    name: Arc<str>,
    labels: Arc<Labels>,
    takes: Vec<Take>,
}

impl Place {
    fn new(step: &Step, invalid: &mut Vec<Invalid>) -> Self {
        let labels = Arc::new(Labels::render(&[("step", &step.name)]));
        let takes = step.take.iter().filter_map(|(name, source)| Take::new(name, source, invalid)).collect();
        Self { name: step.name.as_str().into(), labels, takes }
    }

    pub(super) fn takes_values(&self) -> bool {
        !self.takes.is_empty()
    }

    pub(super) fn takes_from_body(&self) -> bool {
        self.takes.iter().any(Take::needs_body)
    }

    /// Begins the step. It has failed until it is done.
    pub(super) fn begin(&self, out: &mut Readings) -> Clock {
        out.begin_part(&self.name);
        out.note("step", &*self.name);
        out.flag_with(&SUCCESS, &self.labels, false);
        Clock { name: Arc::clone(&self.name), labels: Arc::clone(&self.labels), begun: Instant::now() }
    }

    /// Takes every value; what cannot be taken is a failure.
    pub(super) fn take(
        &self,
        fetcher: &Fetcher,
        headers: &HeaderMap,
        body: &[u8],
        session: &mut Session,
    ) -> Vec<Failure> {
        self.takes.iter().filter_map(|take| take.from(fetcher, headers, body, session).err()).collect()
    }
}

/// A step that goes on.
pub(super) struct Clock {
    name: Arc<str>,
    labels: Arc<Labels>,
    begun: Instant,
}

impl Clock {
    /// Writes down how it ended. A failure begins with the step's name, and holds nothing that was taken.
    pub(super) fn end(self, result: Result<(), Failure>, session: &Session, out: &mut Readings) -> Result<(), Failure> {
        out.set_with(&DURATION, &self.labels, self.begun.elapsed().as_secs_f64());
        out.flag_with(&SUCCESS, &self.labels, result.is_ok());
        result.map_err(|failure| {
            let detail = session.redactor().clean(failure.detail);
            Failure::new(failure.reason, format!("{}: {detail}", self.name))
        })
    }
}
