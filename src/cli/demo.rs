//! `banken demo`: the simulated trading service, watched in the same process where that is asked for.

use super::{FAILED, OK, print};
use crate::app::{self, App};
use crate::config::Source;
use crate::demo::{self, Demo, Ended};
use anyhow::Context as _;
use clap::Args;
use std::net::SocketAddr;
use std::path::Path;
use tokio::sync::watch;

/// What `demo` takes.
#[derive(Debug, Args)]
// Its group would have the name that the group of the flattened options has.
#[group(skip)]
pub struct Options {
    #[command(flatten)]
    demo: demo::Options,
    /// Watch the service too, in this process.
    #[arg(long)]
    watch: bool,
    /// Where the page and the metrics of --watch are served.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9810")]
    watch_listen: SocketAddr,
    /// Print the configuration that --watch uses, and end.
    #[arg(long)]
    print_config: bool,
}

/// The job of its configuration to which cycles report.
const JOB: &str = "continuous-processing";

const CONFIG: &str = include_str!("demo.yml");

pub async fn demo(options: Options) -> anyhow::Result<u8> {
    let Options { demo: mut service, watch, watch_listen, print_config } = options;
    if print_config {
        return print(&filled(watch_listen, service.listen, service.tls_listen, &service.dir));
    }
    service.in_process = watch;
    let end = app::termination()?;
    let demo = Demo::bind(service).await?;
    let (http, tls, control) = (demo.addr(), demo.tls_addr(), demo.control_addr());
    print(&format!(
        "banken demo — a simulated trading service\n  service  http://{http}/\n  TLS      https://{tls}/\n  \
         faults   http://{control}/demo\n  folder   {}\n",
        demo.dir().display()
    ))?;
    let text = filled(watch_listen, http, tls, demo.dir());
    if watch {
        return both(demo, text, end).await;
    }
    match demo.serve(end).await? {
        Ended::Shutdown => Ok(OK),
        Ended::Crashed => Ok(FAILED),
    }
}

async fn both(mut demo: Demo, text: String, end: impl Future<Output = ()>) -> anyhow::Result<u8> {
    let (stop, stopped) = watch::channel(false);
    let until = |mut stopped: watch::Receiver<bool>| async move {
        // A sender that is gone means the end too.
        let _ = stopped.wait_for(|stop| *stop).await;
    };
    let source = Source::Text { name: "(demo)", text: text.into() };
    let config = source.load()?;
    // The service is bound already, so that probes wait for its first answer; it begins once its runs can be reported.
    let app = App::start(source, config).await?;
    let address = app.address();
    demo.report_jobs_to(format!("http://{address}/api/v1/jobs/{JOB}").parse()?)?;
    let serving = tokio::spawn(demo.serve(until(stopped.clone())));
    print(&format!("  page     http://{address}/\n  metrics  http://{address}/metrics\n"))?;
    let ended = async {
        end.await;
        stop.send_replace(true);
    };
    app.run(ended, false).await;
    stop.send_replace(true);
    serving.await.context("the simulated service failed")??;
    Ok(OK)
}

/// The configuration with its addresses in place, as text, so that it can be printed and used alike.
fn filled(listen: SocketAddr, http: SocketAddr, tls: SocketAddr, folder: &Path) -> String {
    CONFIG
        .replace("${DEMO_LISTEN}", &listen.to_string())
        .replace("${DEMO_HTTPS}", &tls.to_string())
        .replace("${DEMO_HTTP}", &http.to_string())
        .replace("${DEMO_CA}", &folder.join("ca.pem").display().to_string())
        .replace("${DEMO_STATE}", &folder.join("state").display().to_string())
        .replace("${DEMO_LOG}", &folder.join("app.log").display().to_string())
        .replace("${DEMO_PIDFILE}", &folder.join("demo.pid").display().to_string())
}
