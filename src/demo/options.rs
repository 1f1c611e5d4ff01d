//! What the command line can say about the simulated service, and the one home of its defaults.

use std::convert::Infallible;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Result, ensure};

/// The shortest cycle allowed; anything faster would only flood the receiver of the pings.
const SHORTEST_CYCLE: Duration = Duration::from_millis(50);
/// The longest cycle allowed.
const LONGEST_CYCLE: Duration = Duration::from_secs(24 * 3600);

/// Where the simulated service listens and what it reports.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Address of the simulated service (port 0: any free port)
    #[arg(long, value_name = "ADDR", default_value_t = Options::default().listen)]
    pub listen: SocketAddr,
    /// Address of the same service behind TLS
    #[arg(long, value_name = "ADDR", default_value_t = Options::default().tls_listen)]
    pub tls_listen: SocketAddr,
    /// Address where faults are switched on and off (`/demo`); no fault ever affects it
    #[arg(long, value_name = "ADDR", default_value_t = Options::default().control)]
    pub control: SocketAddr,
    /// Folder for app.log, ca.pem and demo.pid
    #[arg(long, value_name = "PATH", default_value_os_t = Options::default().dir)]
    pub dir: PathBuf,
    /// Where cycles report their runs, such as `http://127.0.0.1:9810/api/v1/jobs/continuous-processing`
    #[arg(long, value_name = "URL")]
    pub jobs_url: Option<reqwest::Url>,
    /// Bearer token sent with the reports
    #[arg(long, value_name = "TOKEN", env = "BANKEN_DEMO_JOB_TOKEN", hide_env_values = true)]
    pub job_token: Option<Secret>,
    /// How often a processing cycle runs
    #[arg(long, value_name = "DURATION", default_value_t = Options::default().cycle)]
    pub cycle: humantime::Duration,
    /// Whether the service shares its process with someone else: a crash then closes its listeners instead of ending
    /// the process, until the fault is over.
    #[arg(skip)]
    pub in_process: bool,
}

impl Default for Options {
    fn default() -> Self {
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Self {
            listen: local(8082),
            tls_listen: local(8443),
            control: local(8083),
            dir: default_dir(),
            jobs_url: None,
            job_token: None,
            cycle: Duration::from_secs(20).into(),
            in_process: false,
        }
    }
}

pub(super) fn default_dir() -> PathBuf {
    std::env::temp_dir().join("banken-demo")
}

impl Options {
    /// # Errors
    /// When an option has a value the service cannot work with.
    pub(super) fn check(&self) -> Result<()> {
        let cycle = *self.cycle;
        ensure!(
            (SHORTEST_CYCLE..=LONGEST_CYCLE).contains(&cycle),
            "--cycle is {}: give a duration from 50ms to 24h, such as 20s",
            self.cycle
        );
        if let Some(url) = &self.jobs_url {
            ensure!(
                url.scheme() == "http" && url.query().is_none() && url.fragment().is_none(),
                "--jobs-url: give a plain http:// address without a query, such as http://127.0.0.1:9810/api/v1/jobs/NAME"
            );
        }
        Ok(())
    }
}

/// A value that never shows itself in a debug print or an error.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// The value, unless it is empty: compose files pass unset variables on as empty strings.
    pub(super) fn reveal(&self) -> Option<&str> {
        Some(self.0.as_str()).filter(|token| !token.is_empty())
    }
}

impl FromStr for Secret {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    fn parse(arguments: &[&str]) -> Options {
        Line::try_parse_from([&["demo"], arguments].concat()).unwrap().options
    }

    #[test]
    fn an_empty_command_line_gives_the_defaults() {
        let parsed = parse(&[]);
        let expected = Options { job_token: parsed.job_token.clone(), ..Options::default() };
        assert_eq!(format!("{parsed:?}"), format!("{expected:?}"));
        assert!(parsed.check().is_ok());
    }

    #[test]
    fn a_token_is_never_printed() {
        let parsed = parse(&["--job-token", "s3cret"]);
        assert!(!format!("{parsed:?}").contains("s3cret"));
        assert_eq!(parsed.job_token.unwrap().reveal(), Some("s3cret"));
    }

    #[test]
    fn a_cycle_of_nothing_and_an_https_jobs_url_are_refused() {
        assert!(parse(&["--cycle", "1ms"]).check().unwrap_err().to_string().contains("50ms"));
        assert!(parse(&["--jobs-url", "https://localhost/x"]).check().is_err());
        assert!(parse(&["--jobs-url", "http://localhost/x"]).check().is_ok());
    }
}
