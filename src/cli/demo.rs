//! Stub.
use clap::Args;
/// What `demo` takes.
#[derive(Debug, Args)]
pub struct Options {}
pub async fn demo(_: Options) -> anyhow::Result<u8> {
    Ok(0)
}
