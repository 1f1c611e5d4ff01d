//! `/badge/{name}.svg`: the state of a probe, or its availability, as a picture for other pages.

use super::State;
use super::page::percent;
use super::words::Language;
use crate::board::Window;
use crate::health::Status;
use crate::observation::unix_now;
use axum::extract::{self, Path, Query};
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tokio::time::Instant;

/// Long enough for a page that is read by many, short enough for a state.
const CACHE: &str = "public, max-age=15";

/// What of the probe is shown.
#[derive(Debug, Deserialize)]
pub struct Wish {
    availability: Option<String>,
}

/// The picture.
pub async fn badge(
    extract::State(state): extract::State<State>,
    Path(file): Path<String>,
    Query(wish): Query<Wish>,
) -> Response {
    let Some(name) = file.strip_suffix(".svg") else { return not_found("no such badge") };
    let Some(cell) = state.board.probe(name) else { return not_found("unknown probe") };
    let window = match wish.availability.as_deref() {
        None => None,
        Some(text) => match Window::ALL.into_iter().find(|window| window.as_str() == text) {
            Some(window) => Some(window),
            None => return answer(StatusCode::BAD_REQUEST, "availability", "1h, 24h, 7d or 30d", GREY),
        },
    };
    let at = unix_now();
    let (label, value, colour) = cell.read_at(at, Instant::now(), |record| match window {
        None => {
            let status = record.state.status();
            (name.to_owned(), Language::English.words().status(status).to_owned(), colour(status))
        }
        Some(window) => {
            let ratio = record.history.uptime(window, at).ratio();
            let text = ratio.map_or_else(|| "unknown".to_owned(), percent);
            (format!("{name} {}", window.as_str()), text, colour_of_ratio(ratio))
        }
    });
    answer(StatusCode::OK, &label, &value, colour)
}

fn not_found(what: &str) -> Response {
    answer(StatusCode::NOT_FOUND, "banken", what, GREY)
}

fn answer(status: StatusCode, label: &str, value: &str, colour: &str) -> Response {
    let headers: [(HeaderName, &str); 2] =
        [(header::CONTENT_TYPE, "image/svg+xml; charset=utf-8"), (header::CACHE_CONTROL, CACHE)];
    (status, headers, draw(label, value, colour)).into_response()
}

// Each is dark enough for white letters.
const GREEN: &str = "#1a7f42";
const ORANGE: &str = "#a84a00";
const RED: &str = "#b3202c";
const GREY: &str = "#566072";

fn colour(status: Status) -> &'static str {
    match status {
        Status::Healthy => GREEN,
        Status::Suspect => ORANGE,
        Status::Unhealthy => RED,
        Status::Unknown => GREY,
    }
}

fn colour_of_ratio(ratio: Option<f64>) -> &'static str {
    match ratio {
        None => GREY,
        Some(ratio) if ratio >= 0.999 => GREEN,
        Some(ratio) if ratio >= 0.99 => ORANGE,
        Some(_) => RED,
    }
}

/// The letters are pressed into the width that they are given, whatever font the reader has.
fn draw(label: &str, value: &str, colour: &str) -> String {
    let [left, right] = [label, value].map(width);
    let all = left + right;
    let (label, value) = (escaped(label), escaped(value));
    let text = |x: u32, width: u32, text: &str| {
        format!(
            "<text x=\"{x}\" y=\"14\" textLength=\"{}\" lengthAdjust=\"spacingAndGlyphs\">{text}</text>",
            width - 12
        )
    };
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{all}\" height=\"20\" viewBox=\"0 0 {all} 20\" role=\"img\" \
         aria-label=\"{label}: {value}\"><title>{label}: {value}</title><rect width=\"{all}\" height=\"20\" rx=\"3\" \
         fill=\"{colour}\"/><path fill=\"#3b4252\" d=\"M3 0H{left}V20H3a3 3 0 0 1-3-3V3a3 3 0 0 1 3-3z\"/>\
         <g fill=\"#fff\" font-family=\"Verdana,DejaVu Sans,sans-serif\" font-size=\"11\">{}{}</g></svg>\n",
        text(6, left, &label),
        text(left + 6, right, &value)
    )
}

/// About how wide a text is, with its margins.
fn width(text: &str) -> u32 {
    let letters: f64 = text.chars().map(|letter| if letter.is_ascii() { 6.8 } else { 11.0 }).sum();
    letters.round() as u32 + 12
}

fn escaped(text: &str) -> String {
    text.chars().fold(String::new(), |mut escaped, letter| {
        match letter {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            letter => escaped.push(letter),
        }
        escaped
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_badge_says_the_same_to_who_sees_it_and_to_who_hears_it_and_lets_nothing_in() {
        let svg = draw("a<b>&\"c", "100 %", GREEN);
        assert!(svg.contains("aria-label=\"a&lt;b&gt;&amp;&quot;c: 100 %\""), "{svg}");
        assert_eq!(svg.matches("<b>").count(), 0, "{svg}");
        assert!(!svg.contains("style=") && !svg.contains("href"), "{svg}");
    }

    #[test]
    fn availability_is_green_from_three_nines() {
        let colours = [None, Some(1.0), Some(0.999), Some(0.998), Some(0.99), Some(0.98)].map(colour_of_ratio);
        assert_eq!(colours, [GREY, GREEN, GREEN, ORANGE, ORANGE, RED]);
    }
}
