//! `banken healthy`: asks a running Banken whether it is alive, for health checks where there is no shell and no curl.

use super::place::{DEFAULT_URL, address, client};
use super::{OK, print};
use anyhow::Context as _;
use clap::Args;
use std::time::Duration;

/// What `healthy` takes.
///
/// The configuration is not read: it would be read every few seconds, with every file that it names, and a mistake that
/// somebody saves into it would make a running Banken look dead.
#[derive(Debug, Args)]
pub struct Options {
    /// Where Banken is.
    #[arg(long, value_name = "URL", env = "BANKEN_URL", default_value = DEFAULT_URL)]
    url: String,
}

/// The longest that the question may take, answer included.
const WITHIN: Duration = Duration::from_secs(3);

/// What a Banken that is alive says.
const ALIVE: &str = "alive";

pub async fn healthy(options: Options) -> anyhow::Result<u8> {
    // A variable that is set to nothing is not set.
    let url = if options.url.is_empty() { DEFAULT_URL } else { &options.url };
    let base = address(url)?;
    let mut answer = client(WITHIN)?
        .get(format!("{base}/healthz"))
        .send()
        .await
        .map_err(reqwest::Error::without_url)
        .context("Banken does not answer")?;
    let status = answer.status();
    anyhow::ensure!(status.is_success(), "Banken is not well: it answers {status}");
    // One piece is enough, and whoever answers there is not trusted to stop.
    let said =
        answer.chunk().await.map_err(reqwest::Error::without_url).context("Banken does not finish its answer")?;
    anyhow::ensure!(said.is_some_and(|said| said.starts_with(ALIVE.as_bytes())), "whoever answers there is not Banken");
    print(&format!("{ALIVE}\n"))?;
    Ok(OK)
}
