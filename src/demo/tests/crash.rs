use std::time::Duration;

use reqwest::{Method, StatusCode};

use super::rig::{Rig, eventually};
use crate::demo::Ended;

#[tokio::test]
async fn a_crash_is_answered_and_then_ends_the_process() {
    let mut rig = Rig::start().await;
    let (status, answer) = rig.ask(Method::PUT, "/crash").await;
    assert_eq!((status, &answer["on"]), (StatusCode::ACCEPTED, &true.into()));
    assert_eq!(rig.ended().await, Ended::Crashed);
    assert!(rig.refuses().await);
    assert!(rig.client.get(&rig.control).send().await.is_err());
    assert!(rig.dir.path().join("demo.pid").exists(), "a crashed process cannot have removed its pid file");
}

#[tokio::test]
async fn a_crash_in_a_shared_process_closes_the_listeners_until_it_is_over() {
    let rig = Rig::with(|options| options.in_process = true).await;
    let pid_file = rig.dir.path().join("demo.pid");
    assert_eq!(rig.ask(Method::PUT, "/crash").await.0, StatusCode::ACCEPTED);
    eventually("refused", async || rig.refuses().await).await;
    assert!(tokio::net::TcpStream::connect(rig.tls).await.is_err());
    eventually("no pid file", async || !pid_file.exists()).await;
    rig.off("crash").await;
    eventually("an answer", async || rig.get("/health").await.is_ok()).await;
    eventually("a pid file", async || pid_file.exists()).await;
    assert_eq!(rig.stop().await, Ended::Shutdown);
}

#[tokio::test]
async fn a_crash_in_a_shared_process_ends_by_itself_and_starts_counting_anew() {
    let rig = Rig::with(|options| options.in_process = true).await;
    for _ in 0..5 {
        rig.get("/health").await.unwrap();
    }
    rig.ask(Method::PUT, "/crash?for=500ms").await;
    eventually("refused", async || rig.refuses().await).await;
    eventually("an answer", async || rig.get("/health").await.is_ok()).await;
    let metrics = rig.get("/metrics").await.unwrap().text().await.unwrap();
    assert!(metrics.contains("trading_bot_http_requests_total{code=\"2xx\"} 1\n"), "{metrics}");
}

#[tokio::test]
async fn a_request_that_hangs_is_cut_off_by_a_crash_and_answered_by_a_shutdown() {
    let rig = Rig::with(|options| options.in_process = true).await;
    rig.on("hang").await;
    let mut cut = tokio::spawn(rig.client.get(format!("{}/health", rig.base)).send());
    assert!(tokio::time::timeout(Duration::from_millis(200), &mut cut).await.is_err(), "answered though it hangs");
    rig.ask(Method::PUT, "/crash").await;
    assert!(cut.await.unwrap().is_err());

    rig.off("crash").await;
    eventually("listening", async || tokio::net::TcpStream::connect(rig.tls).await.is_ok()).await;
    let mut late = tokio::spawn(rig.client.get(format!("{}/health", rig.base)).send());
    assert!(tokio::time::timeout(Duration::from_millis(200), &mut late).await.is_err(), "answered though it hangs");
    let (ended, answer) = tokio::join!(rig.stop(), late);
    assert_eq!(ended, Ended::Shutdown);
    assert_eq!(answer.unwrap().unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
}
