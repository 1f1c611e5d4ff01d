//! `banken rules`: the alert rules that the binary brings along, for Prometheus or for the Prometheus Operator.
//!
//! `rendered` makes the texts (pure), `folder` writes them.

mod folder;
mod rendered;

use super::{OK, print};
use crate::shipped::RULES;
use clap::{Args, ValueEnum};
use rendered::{Label, Links, Prefix};
use std::path::PathBuf;

/// Options of `banken rules`.
#[derive(Debug, Args)]
pub struct Options {
    /// Write each rule file into this folder; without it all of them are printed as one file.
    #[arg(long, short, value_name = "FOLDER")]
    output: Option<PathBuf>,
    /// For whom the rules are.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Where this Banken's page can be reached, for the links to runbooks in alerts [default: `http://localhost:9810`].
    #[arg(long, value_name = "URL")]
    banken_url: Option<Prefix>,
    /// Where Grafana can be reached, for the links to dashboards in alerts [default: `http://localhost:3000`].
    #[arg(long, value_name = "URL")]
    grafana_url: Option<Prefix>,
    /// The namespace of the manifest; only with --format kubernetes.
    #[arg(long, value_name = "NAME", value_parser = rendered::namespace)]
    namespace: Option<String>,
    /// A label of the manifest, as the operator's `ruleSelector` asks for; may be given several times; only with --format
    /// kubernetes.
    #[arg(long, value_name = "KEY=VALUE")]
    label: Vec<Label>,
    /// Overwrite files in the folder that were changed by hand, or that are not Banken's.
    #[arg(long, requires = "output")]
    force: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Rule files.
    #[default]
    Prometheus,
    /// One manifest of kind `PrometheusRule`, printed.
    Kubernetes,
}

/// Prints or writes the rules.
///
/// # Errors
/// When options contradict each other, or the folder holds files that must not or cannot be written.
pub fn rules(options: &Options) -> anyhow::Result<u8> {
    let links = Links { banken: options.banken_url.as_ref(), grafana: options.grafana_url.as_ref() };
    let files: Vec<(&str, String)> = RULES.iter().map(|(name, text)| (*name, links.replace(text))).collect();
    let for_kubernetes = options.format == Format::Kubernetes;
    if !for_kubernetes && (options.namespace.is_some() || !options.label.is_empty()) {
        anyhow::bail!("--namespace and --label belong to a manifest: add --format kubernetes");
    }
    match &options.output {
        Some(_) if for_kubernetes => {
            anyhow::bail!("a manifest is printed, not written into a folder: leave --output out and redirect it")
        }
        None if for_kubernetes => print(&rendered::manifest(&files, options.namespace.as_deref(), &options.label)?),
        None => print(&rendered::one_file(&files)),
        Some(path) => {
            let done = folder::write(path, &files, options.force)?;
            print(&done.in_words(path))?;
            Ok(OK)
        }
    }
}
