use reqwest::{Method, StatusCode, redirect};

use super::rig::{Rig, eventually};
use crate::demo::faults::TABLE;

#[tokio::test]
async fn every_fault_is_listed_and_off_at_first() {
    let rig = Rig::start().await;
    let (status, list) = rig.ask(Method::GET, "").await;
    assert_eq!(status, StatusCode::OK);
    let faults = list["faults"].as_array().unwrap();
    assert_eq!(faults.len(), TABLE.len());
    assert!(faults.iter().all(|fault| fault["on"] == false && fault["summary"].is_string()), "{list}");
    let (_, slow) = rig.ask(Method::GET, "/slow").await;
    assert_eq!(slow["parameter"]["default"], "6s");
}

#[tokio::test]
async fn an_unknown_fault_is_answered_with_the_list() {
    let rig = Rig::start().await;
    for method in [Method::GET, Method::PUT, Method::POST, Method::DELETE] {
        let (status, answer) = rig.ask(method, "/explode").await;
        assert_eq!(status, StatusCode::NOT_FOUND);
        assert!(answer["faults"].as_array().unwrap().iter().any(|name| name == "slow"), "{answer}");
    }
}

#[tokio::test]
async fn a_bad_value_is_refused_with_what_is_expected_and_switches_nothing() {
    let rig = Rig::start().await;
    for (path, expected) in [
        ("/slow?value=never", "a duration"),
        ("/slow?for=0s", "a duration"),
        ("/error?value=200", "400 to 599"),
        ("/missing_field?value=nope", "current_price"),
        ("/memory?value=1TiB", "1MiB to 4GiB"),
        ("/hang?value=1", "takes no value"),
        ("/slow?valeu=1s", "only value and for are known"),
    ] {
        let (status, answer) = rig.ask(Method::PUT, path).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path}");
        assert!(answer["error"].as_str().unwrap().contains(expected), "{path}: {answer}");
    }
    let (_, list) = rig.ask(Method::GET, "").await;
    assert!(list["faults"].as_array().unwrap().iter().all(|fault| fault["on"] == false), "{list}");
}

#[tokio::test]
async fn for_ends_a_fault_by_itself() {
    let rig = Rig::start().await;
    let (_, answer) = rig.ask(Method::PUT, "/error?value=503&for=400ms").await;
    assert_eq!((&answer["value"], &answer["ends_in_seconds"]), (&"503".into(), &1.into()), "{answer}");
    assert_eq!(rig.get("/health").await.unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
    eventually("a healthy answer", async || rig.get("/health").await.unwrap().status() == StatusCode::OK).await;
    let (_, answer) = rig.ask(Method::GET, "/error").await;
    assert_eq!(answer["on"], false);
}

#[tokio::test]
async fn reset_switches_everything_off() {
    let rig = Rig::start().await;
    for fault in ["hang", "error", "slow", "api_only"] {
        rig.on(fault).await;
    }
    let (status, list) = rig.ask(Method::POST, "/reset").await;
    assert_eq!(status, StatusCode::OK);
    assert!(list["faults"].as_array().unwrap().iter().all(|fault| fault["on"] == false), "{list}");
    assert_eq!(rig.get("/health").await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn a_browser_gets_a_page_whose_forms_work() {
    let rig = Rig::start().await;
    let browser = reqwest::Client::builder().no_proxy().redirect(redirect::Policy::none()).build().unwrap();
    let accept = |request: reqwest::RequestBuilder| request.header("accept", "text/html,*/*;q=0.8");
    let form = accept(browser.post(format!("{}/slow", rig.control)))
        .header("content-type", "application/x-www-form-urlencoded")
        .body("value=1h+2m&for=");
    let answer = form.send().await.unwrap();
    assert_eq!((answer.status(), &answer.headers()["location"]), (StatusCode::SEE_OTHER, &"/demo".parse().unwrap()));
    let page = accept(browser.get(&rig.control)).send().await.unwrap().text().await.unwrap();
    for row in TABLE {
        assert!(page.contains(&format!("action=\"/demo/{}", row.name)), "no form for {}", row.name);
    }
    assert!(page.contains("is on: 1h 2m") && page.contains("action=\"/demo/slow/off\""), "{page}");
    let answer = accept(browser.post(format!("{}/slow/off", rig.control))).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    assert_eq!(rig.ask(Method::GET, "/slow").await.1["on"], false);
}

#[tokio::test]
async fn pages_of_other_sites_and_big_bodies_are_refused() {
    let rig = Rig::start().await;
    let post = || rig.client.post(format!("{}/memory", rig.control));
    let foreign = post().header("sec-fetch-site", "cross-site").send().await.unwrap();
    assert_eq!(foreign.status(), StatusCode::FORBIDDEN);
    let big = post().header("content-type", "application/x-www-form-urlencoded").body("x".repeat(5000)).send().await;
    assert_eq!(big.unwrap().status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(post().body("{}").send().await.unwrap().status(), StatusCode::BAD_REQUEST);
    assert_eq!(rig.ask(Method::GET, "/memory").await.1["on"], false);
}
