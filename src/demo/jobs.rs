//! The processing cycle, and the pings that report its runs.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use reqwest::{Client, Url, redirect};
use serde_json::{Value as Json, json};
use time::OffsetDateTime;
use tokio::time::{Instant, MissedTickBehavior};

use super::Service;
use super::faults::{Fault, Value};
use super::market::hash;
use super::options::Options;

const LOGGER: &str = "trading_bot.continuous_processing";
const TIMEOUT: Duration = Duration::from_secs(5);
/// The longest that ordinary work takes; a short cycle has a shorter one.
const WORK: Duration = Duration::from_millis(1200);

/// Reports runs to whoever watches the jobs.
#[derive(Debug, Clone)]
pub(super) struct Pinger {
    client: Client,
    url: Url,
    token: Option<String>,
    reached: bool,
}

impl Pinger {
    /// Nothing when the options name no one to report to.
    ///
    /// # Errors
    /// When the HTTP client cannot be made.
    pub fn build(options: &Options) -> Result<Option<Self>> {
        let Some(url) = options.jobs_url.clone() else { return Ok(None) };
        let client = Client::builder()
            .no_proxy()
            .timeout(TIMEOUT)
            .redirect(redirect::Policy::none())
            .build()
            .context("cannot make the HTTP client for --jobs-url")?;
        let token = options.job_token.as_ref().and_then(|token| token.reveal().map(str::to_owned));
        Ok(Some(Self { client, url, token, reached: true }))
    }

    /// A ping that does not arrive is told once, not on every cycle.
    async fn send(&mut self, event: &str, body: &Json) {
        let outcome = self.try_send(event, body).await;
        let reached = outcome.is_ok();
        if reached != self.reached {
            match outcome {
                Ok(()) => tracing::info!(url = %self.place(), "demo: job reports arrive again"),
                Err(error) => tracing::warn!(url = %self.place(), "demo: job reports do not arrive: {error:#}"),
            }
        }
        self.reached = reached;
    }

    async fn try_send(&self, event: &str, body: &Json) -> Result<()> {
        let mut url = self.url.clone();
        url.set_path(&format!("{}/{event}", self.url.path().trim_end_matches('/')));
        let mut request = self.client.post(url).json(body);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await.map_err(reqwest::Error::without_url)?;
        answer.error_for_status().map_err(reqwest::Error::without_url)?;
        Ok(())
    }

    /// The address without the password it may hold.
    fn place(&self) -> String {
        format!("{}{}", self.url.authority().rsplit('@').next().unwrap_or_default(), self.url.path())
    }
}

/// Runs a cycle every `every`, one at a time; cycles missed behind a slow one are skipped.
pub(super) async fn run(service: Arc<Service>, mut pinger: Option<Pinger>, every: Duration) {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    for number in 1_u64.. {
        ticks.tick().await;
        if !service.switches.is_on(Fault::JobSkip) {
            cycle(&service, pinger.as_mut(), number, every).await;
        }
    }
}

async fn cycle(service: &Service, mut pinger: Option<&mut Pinger>, number: u64, every: Duration) {
    let run = format!("{}-{number}", OffsetDateTime::now_utc().unix_timestamp());
    let records = 1 + hash(21, number) % 10;
    if let Some(pinger) = pinger.as_mut() {
        pinger.send("start", &json!({"run": run, "message": "processing cycle started"})).await;
    }
    service.log.info(LOGGER, &format!("Processing cycle started (run {run})"));
    let began = Instant::now();
    work(service, number, every).await;
    let took = began.elapsed();
    let good = !service.switches.is_on(Fault::JobFail);
    let (event, body) = if good {
        let message = format!("{records} records processed in {:.2}s", took.as_secs_f64());
        service.log.info(LOGGER, &format!("Processing cycle finished (run {run}): {message}"));
        ("success", json!({"run": run, "records": records, "message": message}))
    } else {
        let message = "psycopg2.OperationalError: could not connect to server: Connection refused";
        service.log.error(LOGGER, &format!("Processing cycle failed (run {run}): {message}"));
        ("failure", json!({"run": run, "records": 0, "message": message}))
    };
    service.counters.cycle(took, good);
    if let Some(pinger) = pinger {
        pinger.send(event, &body).await;
    }
}

async fn work(service: &Service, number: u64, every: Duration) {
    if let Some(Value::Duration(slow)) = service.switches.value(Fault::JobSlow) {
        let _ = tokio::time::timeout(slow, service.switches.until_off(Fault::JobSlow)).await;
    } else {
        let share = 50 + hash(22, number) % 50;
        tokio::time::sleep(WORK.min(every / 4) * share as u32 / 100).await;
    }
}
