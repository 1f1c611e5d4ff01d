//! `banken run`.

use super::{OK, print};
use crate::app::{self, App};
use crate::config::{EMBEDDED_NAME, Source};
use clap::Args;
use std::path::PathBuf;

/// What `run` takes.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct Options {
    /// Reload when the configuration file changes, as on SIGHUP.
    #[arg(long)]
    reload_on_change: bool,
}

pub async fn run(config: Option<PathBuf>, options: Options) -> anyhow::Result<u8> {
    let source = Source::find(config);
    let end = app::termination()?;
    let app = App::start(source.clone(), source.load()?).await?;
    print(&greeting(&source, &app))?;
    app.run(end, options.reload_on_change).await;
    Ok(OK)
}

fn greeting(source: &Source, app: &App) -> String {
    let address = app.address();
    let origin = match source.name() {
        name if name == EMBEDDED_NAME => "no banken.yml found: watching this host and Banken itself".to_owned(),
        name => format!("configuration {name}"),
    };
    let version = env!("CARGO_PKG_VERSION");
    let extent = app.extent();
    format!(
        "Banken {version} — {origin} ({extent})\n  page     http://{address}/\n  metrics  http://{address}/metrics\n"
    )
}
