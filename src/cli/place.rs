//! Where a running Banken is reached by the commands that speak to it: over plain HTTP, without a proxy, within bounds.

use anyhow::Context as _;
use reqwest::{Client, Url, redirect};
use std::time::Duration;

/// Where Banken listens if nothing else is said.
pub const DEFAULT_URL: &str = "http://127.0.0.1:9810";

/// An address of a Banken, without the slash at its end.
///
/// # Errors
/// When it is none, or holds more than an address. What it holds is not repeated.
pub fn address(url: &str) -> anyhow::Result<String> {
    let base: Url =
        url.parse().with_context(|| format!("the URL of Banken is not one; it looks like {DEFAULT_URL}"))?;
    anyhow::ensure!(base.scheme() == "http", "the URL of Banken begins with http://, as in {DEFAULT_URL}");
    anyhow::ensure!(
        base.username().is_empty() && base.password().is_none() && base.query().is_none(),
        "the URL of Banken is an address alone, as in {DEFAULT_URL}, without names, passwords and tokens"
    );
    Ok(base.as_str().trim_end_matches('/').to_owned())
}

/// A client that waits so long for a whole answer, and goes nowhere else.
///
/// # Errors
/// When none can be made.
pub fn client(timeout: Duration) -> anyhow::Result<Client> {
    let builder = Client::builder().no_proxy().timeout(timeout).redirect(redirect::Policy::none());
    Ok(builder.build().map_err(reqwest::Error::without_url)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_with_its_path_and_without_its_last_slash() {
        assert_eq!(address("http://127.0.0.1:9810").unwrap(), DEFAULT_URL);
        assert_eq!(address("http://banken/behind/nginx/").unwrap(), "http://banken/behind/nginx");
    }

    #[test]
    fn an_address_that_is_none_or_holds_a_secret_is_refused_without_repeating_it() {
        for url in [
            "https://localhost",
            "http://user:hunter2@localhost",
            "http://localhost?token=hunter2",
            "http://u:hunter2@x:y",
        ] {
            let error = address(url).unwrap_err();
            assert!(!format!("{error:#}").contains("hunter2"), "{error:#}");
        }
    }
}
