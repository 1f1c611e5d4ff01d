//! Remedies at work on real files, real servers and real services.

mod alert;
mod asked;
mod cache_clear;
mod containers;
mod database_vacuum;
mod heard;
mod held_back;
mod log_analysis;
mod log_rotate;
mod plain;
mod pm2;
mod polkit;
mod repaired;
mod scenarios;
mod server;
mod supervisor;
mod systemd;

use banken::remedy::action::{Action as _, Context, Done, Scene, Setback, Spec, Worker};
use std::time::{Duration, Instant};

/// A step, built.
fn step(yaml: &str) -> Worker {
    step_with(yaml, &Context::default())
}

fn step_with(yaml: &str, context: &Context) -> Worker {
    let spec: Spec = serde_yaml::from_str(yaml).unwrap_or_else(|error| panic!("{yaml}: {error}"));
    let block = spec.block().unwrap_or_else(|error| panic!("{yaml}: {error:?}"));
    block.build(context).unwrap_or_else(|mistakes| panic!("{yaml}: {mistakes:?}"))
}

async fn act(worker: &Worker) -> Result<Done, Setback> {
    worker.act(&mut Scene::default()).await
}

/// What it has done, in words, and how long that took.
async fn done(worker: &Worker) -> (String, Duration) {
    let begun = Instant::now();
    let done = worker.act(&mut Scene::default()).await.unwrap_or_else(|setback| panic!("{setback}"));
    (done.detail, begun.elapsed())
}

async fn setback(worker: &Worker) -> Setback {
    match worker.act(&mut Scene::default()).await {
        Ok(done) => panic!("it was done: {}", done.detail),
        Err(setback) => setback,
    }
}

/// It is left alone, by the rehearsal too.
async fn busy(worker: &Worker, words: &str) {
    let rehearsed = worker.rehearse(&Scene::default()).await;
    assert!(matches!(&rehearsed, Err(Setback::Busy(said)) if said.contains(words)), "{words}: {rehearsed:?}");
    let setback = setback(worker).await;
    assert!(matches!(&setback, Setback::Busy(said) if said.contains(words)), "{words}: {setback:?}");
}

async fn failed(worker: &Worker, words: &str) {
    let setback = setback(worker).await;
    assert!(matches!(&setback, Setback::Failed(said) if said.contains(words)), "{words}: {setback:?}");
}

async fn refused(worker: &Worker, words: &str) {
    let setback = setback(worker).await;
    assert!(matches!(&setback, Setback::Refused(said) if said.contains(words)), "{words}: {setback:?}");
}
