//! Ages on a page: they change with each second, and what they stand in does not. So a page is made with the moments in it,
//! compared by them, and the ages are written into it at the very end.

use crate::board::report::{Ago, rfc3339};
use crate::web::words::{Form, Words, fill};
use std::fmt::Write as _;

/// From the private use area of Unicode: no text of a person has them.
const BEGIN: char = '\u{e0b0}';
const END: char = '\u{e0b1}';

/// A moment, in seconds since the Unix epoch, as it stands in a page until it becomes an age.
pub fn age(form: Form, at: f64) -> String {
    let form = match form {
        Form::Ago => 'a',
        Form::Lasting => 'l',
    };
    format!("{BEGIN}{form}{at:.1}{END}")
}

/// How long ago, or nothing.
pub fn ago(at: Option<f64>) -> String {
    at.map_or_else(|| "–".to_owned(), |at| age(Form::Ago, at))
}

/// Writes the ages into a page, in elements by which the script keeps them current.
pub fn with_ages(html: &str, words: &Words, now: f64) -> String {
    let mut page = String::with_capacity(html.len() + html.len() / 8);
    let mut rest = html;
    while let Some((before, after)) = rest.split_once(BEGIN) {
        page.push_str(before);
        match after.split_once(END).and_then(|(moment, after)| Some((parsed(moment)?, after))) {
            Some(((form, at), after)) => {
                let (name, text) = match form {
                    Form::Ago => ("ago", words.age(form, Ago::since(at, now))),
                    Form::Lasting => ("for", words.age(form, Ago::since(at, now))),
                };
                // Writing to a String cannot fail.
                let _ = write!(page, "<time datetime=\"{}\" data-{name}=\"{at:.1}\">{text}</time>", rfc3339(at));
                rest = after;
            }
            None => rest = after,
        }
    }
    page.push_str(rest);
    page
}

fn parsed(moment: &str) -> Option<(Form, f64)> {
    let (form, at) = moment.split_at_checked(1)?;
    let form = match form {
        "a" => Form::Ago,
        "l" => Form::Lasting,
        _ => return None,
    };
    Some((form, at.parse().ok().filter(|at: &f64| at.is_finite())?))
}

/// The forms of ages for the script, as JSON.
pub fn for_script(words: &Words) -> String {
    let json = serde_json::json!({
        "ago": words.ages(Form::Ago),
        "for": words.ages(Form::Lasting),
        "stale": words.stale,
        "gone": words.no_answer,
        "live": words.live,
        "asOf": fill(words.as_of, &["{0}"]),
    });
    json.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::words::Language;

    #[test]
    fn a_moment_becomes_an_age_in_an_element_that_a_script_finds() {
        let html = format!("<p>{} {}</p>", age(Form::Ago, 1000.0), age(Form::Lasting, 400.0));
        let page = with_ages(&html, Language::English.words(), 1012.0);
        assert_eq!(
            page,
            "<p><time datetime=\"1970-01-01T00:16:40Z\" data-ago=\"1000.0\">12 s ago</time> \
             <time datetime=\"1970-01-01T00:06:40Z\" data-for=\"400.0\">for 10 min</time></p>"
        );
    }

    #[test]
    fn marks_that_a_stranger_wrote_become_nothing() {
        let words = Language::English.words();
        for strange in
            [format!("{BEGIN}a<b>{END}x"), format!("{BEGIN}x"), format!("{BEGIN}q1{END}"), format!("{BEGIN}aNaN{END}")]
        {
            let page = with_ages(&strange, words, 0.0);
            assert!(!page.contains("<time") && !page.contains(BEGIN), "{page}");
        }
    }
}
