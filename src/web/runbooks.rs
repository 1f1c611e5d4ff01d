//! `/runbooks` and `/runbooks/{alert}`: what to do about an alert, from the binary itself. A browser gets a page, everybody
//! else the text.

mod markdown;

use crate::shipped::{RUNBOOKS, runbook};
use askama::Template;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use std::fmt::Write as _;

#[derive(Template)]
#[template(path = "runbook.html")]
struct RunbookPage<'a> {
    title: &'a str,
    content: String,
}

/// All of them, each with its first sentence.
pub async fn list(headers: HeaderMap) -> Response {
    answer(&headers, "Runbooks", &index(RUNBOOKS))
}

/// The one for an alert.
pub async fn one(Path(alert): Path<String>, headers: HeaderMap) -> Response {
    if let Some(text) = runbook(&alert) {
        answer(&headers, &alert, text)
    } else {
        let text = "there is no runbook for an alert of this name; /runbooks lists them\n";
        (StatusCode::NOT_FOUND, text).into_response()
    }
}

/// The list, as a text like the others.
fn index(runbooks: &[(&str, &str)]) -> String {
    let mut text = String::from("# Runbooks\n\n");
    for (file, runbook) in runbooks {
        let alert = file.trim_end_matches(".md");
        let lines = runbook.lines().skip(1).skip_while(|line| line.is_empty());
        let first = lines.take_while(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
        // Writing to a String cannot fail.
        let _ = writeln!(text, "- [{alert}](/runbooks/{alert}): {first}");
    }
    text
}

fn answer(headers: &HeaderMap, title: &str, text: &str) -> Response {
    let wants_page = |value: &HeaderValue| value.to_str().is_ok_and(|value| value.contains("text/html"));
    let vary = [(header::VARY, "accept")];
    if !headers.get_all(header::ACCEPT).iter().any(wants_page) {
        return (vary, text.to_owned()).into_response();
    }
    match (RunbookPage { title, content: markdown::html(text) }).render() {
        Ok(html) => (vary, Html(html)).into_response(),
        Err(error) => {
            tracing::error!(%error, "a runbook cannot be rendered, which is a defect of Banken");
            (StatusCode::INTERNAL_SERVER_ERROR, "the page cannot be rendered; see the log\n").into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_has_the_first_sentence_of_each() {
        let list = index(&[("A.md", "# A\n\nIt is\nbroken.\n\n## More\n"), ("B.md", "# B\n")]);
        assert_eq!(list, "# Runbooks\n\n- [A](/runbooks/A): It is broken.\n- [B](/runbooks/B): \n");
    }

    #[test]
    fn every_runbook_becomes_a_page_in_which_nothing_of_its_markdown_is_left() {
        let code = regex::Regex::new("(?s)<code>.*?</code>").unwrap();
        for (file, text) in RUNBOOKS {
            let page = markdown::html(text);
            let outside = code.replace_all(&page, "");
            for sign in ["```", "**", "](", "\n#", "\n- ", "\n| ", "`"] {
                assert!(!outside.contains(sign), "{file}: {sign:?} is left in\n{outside}");
            }
        }
    }
}
