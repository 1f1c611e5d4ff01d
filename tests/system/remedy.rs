//! The actions of remedies against real peers.

mod alert;
mod database_vacuum;
mod log_analysis;

use banken::remedy::action::{Action as _, Context, Done, Scene, Setback, Spec, Worker};

/// An action from an entry under `steps:`.
fn build(yaml: &str) -> Worker {
    build_with(yaml, &Context::default())
}

fn build_with(yaml: &str, context: &Context) -> Worker {
    let spec: Spec = serde_yaml::from_str(yaml).unwrap_or_else(|error| panic!("{yaml}: {error}"));
    spec.block().unwrap().build(context).unwrap_or_else(|mistakes| panic!("{yaml}: {mistakes:?}"))
}

async fn act(worker: &Worker) -> Result<Done, Setback> {
    worker.act(&mut Scene::default()).await
}
