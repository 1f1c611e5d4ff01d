//! Runbooks, from the binary itself.

use super::QUIET;
use crate::support::{Banken, client};
use banken::shipped::RUNBOOKS;

async fn as_browser(banken: &Banken, path: &str) -> (u16, String, String) {
    let accept = "text/html,application/xhtml+xml,*/*;q=0.8";
    let answer = client().get(format!("{}{path}", banken.base)).header("Accept", accept).send().await.unwrap();
    let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
    (answer.status().as_u16(), kind, answer.text().await.unwrap())
}

#[tokio::test]
async fn every_runbook_is_served_as_a_text_and_as_a_page_and_the_list_leads_to_it() {
    let banken = Banken::start(QUIET).await;
    let list = banken.get("/runbooks").await.text().await.unwrap();
    let (status, kind, page) = as_browser(&banken, "/runbooks").await;
    assert_eq!((status, kind.as_str()), (200, "text/html; charset=utf-8"));
    for (file, text) in RUNBOOKS {
        let alert = file.trim_end_matches(".md");
        let path = format!("/runbooks/{alert}");
        assert!(list.contains(&format!("[{alert}]({path})")), "{list}");
        assert!(page.contains(&format!("<a href=\"{path}\">{alert}</a>")), "{page}");
        let answer = banken.get(&path).await;
        assert_eq!(answer.headers()["content-type"], "text/plain; charset=utf-8");
        assert_eq!(answer.headers()["vary"].to_str().unwrap().split(',').next(), Some("accept"));
        assert_eq!(answer.text().await.unwrap(), *text);
        let (status, kind, page) = as_browser(&banken, &path).await;
        assert_eq!((status, kind.as_str()), (200, "text/html; charset=utf-8"));
        assert!(page.contains(&format!("<h1>{alert}</h1>")), "{page}");
    }
}

#[tokio::test]
async fn what_is_no_runbook_is_not_found() {
    let banken = Banken::start(QUIET).await;
    for name in ["BankenNobody", "README", "README.md", "..%2f..%2fCargo.toml", "BankenProbeDown.md", "%00", "a/b"] {
        assert_eq!(banken.status_code(&format!("/runbooks/{name}")).await, 404, "{name}");
    }
    let (status, kind, text) = as_browser(&banken, "/runbooks/<script>").await;
    assert_eq!((status, kind.as_str()), (404, "text/plain; charset=utf-8"));
    assert!(text.contains("/runbooks lists them") && !text.contains("script"), "{text}");
}
