//! The pages: the status of everything, and each probe. They are made here; the script only puts parts in place.

mod ages;
mod charts;
mod feed;
mod live;
mod look;
mod model;
mod probe;
mod rows;
mod say;

pub use charts::percent;
pub use live::events;
pub use probe::page as probe;

use super::State;
use super::words::{Language, Words, fill};
use crate::board::Window;
use crate::board::report::clock_time;
use crate::observation::unix_now;
use ages::{for_script, with_ages};
use askama::Template;
use axum::extract;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use feed::Feed;
use live::MAX_SUBSCRIBERS;
use model::Model;
use std::sync::Arc;
use tokio::sync::{Semaphore, watch};

/// Nothing from elsewhere, nothing inline.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What the pages share: each language's latest, and who is kept current.
pub struct Pages {
    feeds: [Feed; Language::ALL.len()],
    subscribers: Arc<Semaphore>,
    stopped: watch::Receiver<bool>,
    boot: u64,
}

impl Pages {
    /// Who is kept current is told the end by `stopped`.
    pub fn new(stopped: watch::Receiver<bool>) -> Self {
        let boot = (unix_now() * 1e6) as u64;
        let feeds = Language::ALL.map(|language| Feed::new(language, boot));
        Self { feeds, subscribers: Arc::new(Semaphore::new(MAX_SUBSCRIBERS)), stopped, boot }
    }

    fn feed(&self, language: Language) -> &Feed {
        &self.feeds[language as usize]
    }
}

#[derive(Template)]
#[template(path = "status.html")]
struct StatusPage<'a> {
    w: &'static Words,
    lang: &'static str,
    overall: &'static str,
    overall_word: &'static str,
    headline: &'a str,
    updated: String,
    version: String,
    now: f64,
    script_words: String,
    counts: &'a str,
    attention: &'a str,
    known: &'a str,
    sections: Vec<SectionView<'a>>,
    windows: [&'static str; 4],
    watches: String,
}

struct SectionView<'a> {
    id: &'a str,
    title: &'a str,
    head: &'a str,
    is_probes: bool,
    rows: Vec<&'a str>,
}

/// The status page.
pub async fn status(extract::State(state): extract::State<State>, headers: HeaderMap) -> Response {
    let language = Language::of(&headers);
    match state.pages.feed(language).page(&state.board).await {
        Ok((model, version)) => {
            let now = unix_now();
            answer(language, StatusPage::of(language, &model, version.to_string(), now).render(), now)
        }
        Err(error) => defect(&error),
    }
}

impl<'a> StatusPage<'a> {
    fn of(language: Language, model: &'a Model, version: String, now: f64) -> Self {
        let words = language.words();
        let section = |section: &'a model::Section| SectionView {
            id: &section.id,
            title: &section.title,
            head: &section.head.html,
            is_probes: section.is_probes,
            rows: section.rows.iter().map(|row| row.html.as_str()).collect(),
        };
        let [counts, attention, known] = &model.parts;
        Self {
            w: words,
            lang: language.tag(),
            overall: model.overall,
            overall_word: model.overall_word,
            headline: &model.headline,
            updated: fill(words.as_of, &[&clock_time(now)]),
            version,
            now,
            script_words: for_script(words),
            counts: &counts.html,
            attention: &attention.html,
            known: &known.html,
            sections: model.sections.iter().map(section).collect(),
            windows: Window::ALL.map(|window| words.window(window)),
            watches: fill(words.watches, &[env!("CARGO_PKG_VERSION")]),
        }
    }
}

/// A page in a language, with its ages.
fn answer(language: Language, rendered: askama::Result<String>, now: f64) -> Response {
    match rendered {
        Ok(html) => {
            let headers = [(header::VARY, "accept-language"), (header::CONTENT_LANGUAGE, language.tag())];
            (headers, Html(with_ages(&html, language.words(), now))).into_response()
        }
        Err(error) => defect(&error.into()),
    }
}

fn defect(error: &anyhow::Error) -> Response {
    tracing::error!(%error, "the page cannot be rendered, which is a defect of Banken");
    (StatusCode::INTERNAL_SERVER_ERROR, "the page cannot be rendered; see the log\n").into_response()
}

/// The page's style.
pub async fn stylesheet() -> Response {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], include_str!("assets/page.css")).into_response()
}

/// The page's script.
pub async fn script() -> Response {
    ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], include_str!("assets/page.js")).into_response()
}

/// The page's icon.
pub async fn icon() -> Response {
    ([(header::CONTENT_TYPE, "image/svg+xml")], include_str!("assets/icon.svg")).into_response()
}
