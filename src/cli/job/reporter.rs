//! Where reports go, and how: over HTTP, within bounds, without a proxy.

use crate::cli::complain;
use crate::cli::place::{DEFAULT_URL, address, client};
use crate::config::Source;
use crate::jobs::{Details, Step};
use anyhow::Context as _;
use reqwest::{Client, StatusCode};
use serde_json::json;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The longest that one attempt takes.
const ATTEMPT: Duration = Duration::from_millis(2500);

/// How long to wait before the attempts after the first. All together takes less than ten seconds.
const PAUSES: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(1)];

/// The variable that may hold the token.
pub const TOKEN_VARIABLE: &str = "BANKEN_JOB_TOKEN";

/// More of an answer is not shown.
const SHOWN: usize = 300;

/// What was said about where reports go.
#[derive(Debug)]
pub struct Place {
    /// The job.
    pub job: String,
    /// Where Banken is.
    pub url: Option<String>,
    /// Where the token is.
    pub token_file: Option<PathBuf>,
    /// The configuration.
    pub config: Option<PathBuf>,
}

/// Reports runs of one job.
pub struct Reporter {
    client: Client,
    /// The job's own address, without the step.
    url: String,
    token: Option<String>,
}

/// Why a report did not arrive.
struct Missed {
    error: anyhow::Error,
    /// Whether it may arrive the next time.
    passing: bool,
}

impl Reporter {
    /// Finds out where Banken is and which token the job has.
    ///
    /// # Errors
    /// When the address or the file of the token is wrong.
    pub async fn find(place: Place) -> anyhow::Result<Self> {
        // Reading files blocks.
        tokio::task::spawn_blocking(move || Self::resolve(place)).await?
    }

    fn resolve(place: Place) -> anyhow::Result<Self> {
        let Place { job, url, token_file, config } = place;
        let given = match &token_file {
            Some(file) => Some(read_token(file)?),
            None => std::env::var(TOKEN_VARIABLE).ok().filter(|token| !token.is_empty()),
        };
        // The configuration's token is for the Banken of this configuration and for nobody else.
        let (url, configured) = url.map_or_else(|| from_configuration(config, &job), |url| (url, None));
        let token = given.or(configured);
        let url = format!("{}/api/v1/jobs/{job}", address(&url)?);
        let client = client(ATTEMPT)?;
        Ok(Self { client, url, token })
    }

    /// Reports once.
    ///
    /// # Errors
    /// Why it did not arrive, or what Banken has against it.
    pub async fn send(&self, step: Step, details: &Details) -> anyhow::Result<()> {
        self.attempt(step, details).await.map_err(|missed| missed.error)
    }

    /// Reports, up to three times.
    ///
    /// # Errors
    /// Why the last attempt did not arrive, or what Banken has against it.
    pub async fn insist(&self, step: Step, details: &Details) -> anyhow::Result<()> {
        for pause in PAUSES {
            match self.attempt(step, details).await {
                Ok(()) => return Ok(()),
                Err(missed) if missed.passing => tokio::time::sleep(pause).await,
                Err(missed) => return Err(missed.error),
            }
        }
        self.send(step, details).await
    }

    async fn attempt(&self, step: Step, details: &Details) -> Result<(), Missed> {
        let body = json!({
            "run": details.run,
            "records": details.records,
            "message": details.message,
            "duration_seconds": details.duration,
        });
        let mut request = self.client.post(format!("{}/{}", self.url, step.as_str())).json(&body);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await.map_err(|error| Missed {
            error: anyhow::Error::from(error.without_url()).context("Banken does not answer"),
            passing: true,
        })?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        // Whatever answers there is not trusted to be short.
        let text = answer.text().await.unwrap_or_default();
        let problem: String = text.trim().chars().take(SHOWN).filter(|c| !c.is_control()).collect();
        let passing = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
        Err(Missed { error: anyhow::anyhow!("Banken refuses it ({status}): {problem}"), passing })
    }
}

fn read_token(file: &Path) -> anyhow::Result<String> {
    let text =
        std::fs::read_to_string(file).with_context(|| format!("the token cannot be read from {}", file.display()))?;
    let token = text.trim_end_matches(['\n', '\r']);
    anyhow::ensure!(!token.is_empty(), "the token in {} is empty", file.display());
    Ok(token.to_owned())
}

/// Address and token from the configuration, as far as it can be read: a mistake in it is not the job's.
fn from_configuration(named: Option<PathBuf>, job: &str) -> (String, Option<String>) {
    let source = Source::find(named);
    if source == Source::EMBEDDED {
        return (DEFAULT_URL.into(), None);
    }
    match source.load() {
        Ok(config) => {
            let plan = config.jobs.iter().find(|plan| plan.name() == job);
            let token = plan.and_then(|plan| plan.token()).map(|token| token.expose().to_owned());
            (format!("http://{}", reachable(config.listen)), token)
        }
        Err(error) => {
            let first = error.to_string();
            let first = first.lines().next().unwrap_or_default();
            complain(&format!("banken: the configuration is of no use here: {first}; reporting to {DEFAULT_URL}"));
            (DEFAULT_URL.into(), None)
        }
    }
}

/// Where one who listens on all addresses is reached from the same host.
fn reachable(mut listen: SocketAddr) -> SocketAddr {
    if listen.ip().is_unspecified() {
        listen.set_ip(match listen {
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        });
    }
    listen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_listens_everywhere_is_reached_on_the_loopback() {
        let at = |text: &str| reachable(text.parse().unwrap()).to_string();
        assert_eq!(at("0.0.0.0:1"), "127.0.0.1:1");
        assert_eq!(at("[::]:1"), "[::1]:1");
        assert_eq!(at("10.0.0.1:1"), "10.0.0.1:1");
    }
}
