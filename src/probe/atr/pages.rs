//! Where the candles are asked for. Some exchanges put the day or the year into the path: then the address changes with the
//! time, in UTC, and what a young day lacks is on the page before.

use crate::fetch::{Ask, Fetcher, Method, Protocol, Redirects};
use crate::net::Roots;
use crate::observation::{Failure, Reason};
use crate::values::{HttpUrl, Invalid};
use jiff::ToSpan as _;
use jiff::civil::Date;

/// What stands for a part of the date, in the notation of strftime, and how far apart the pages then are.
const MARKS: [(&str, &str, Step); 4] = [
    ("{yyyymmdd}", "%Y%m%d", Step::Day),
    ("{dd}", "%d", Step::Day),
    ("{mm}", "%m", Step::Month),
    ("{yyyy}", "%Y", Step::Year),
];

/// At most so many pages are asked for in one attempt.
pub(super) const MAX_PAGES: u8 = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Day,
    Month,
    Year,
}

/// An address that may hold marks for the date.
#[derive(Debug, Clone)]
pub(super) struct Dated {
    text: String,
    step: Option<Step>,
}

impl Dated {
    pub(super) fn new(url: &HttpUrl, invalid: &mut Vec<Invalid>) -> Self {
        let text = url.uri().to_string();
        let without = MARKS.iter().fold(text.clone(), |text, (mark, _, _)| text.replace(mark, ""));
        if without.contains(['{', '}']) {
            let message = "it has braces that hold no part of a date: use {yyyymmdd}, {yyyy}, {mm} and {dd}, \
                           and write %7B and %7D for braces themselves";
            invalid.push(Invalid::new("url", message));
        }
        // The finest comes first.
        let step = MARKS.iter().find(|(mark, _, _)| text.contains(mark)).map(|(_, _, step)| *step);
        Self { text, step }
    }

    pub(super) fn is_dated(&self) -> bool {
        self.step.is_some()
    }

    /// The address of the page that lies `back` pages before the one of `today`.
    fn at(&self, today: Date, back: u8) -> String {
        let back = i64::from(back.min(MAX_PAGES));
        let date = match self.step {
            None => return self.text.clone(),
            Some(Step::Day) => today.saturating_sub(back.days()),
            Some(Step::Month) => today.first_of_month().saturating_sub(back.months()),
            Some(Step::Year) => today.first_of_year().saturating_sub(back.years()),
        };
        MARKS
            .iter()
            .fold(self.text.clone(), |text, (mark, format, _)| text.replace(mark, &date.strftime(format).to_string()))
    }
}

/// The pages of one probe.
pub(super) struct Pages {
    dated: Dated,
    config: super::Config,
    roots: Roots,
    open: Vec<(String, Fetcher)>,
}

impl Pages {
    pub(super) fn new(config: &super::Config, roots: &Roots, invalid: &mut Vec<Invalid>) -> Self {
        let dated = Dated::new(&config.url, invalid);
        let mut pages = Self { dated, config: config.clone(), roots: roots.clone(), open: Vec::new() };
        let fetcher = fetcher(config, &config.url, roots, invalid);
        if !pages.dated.is_dated() {
            pages.open.push((pages.dated.text.clone(), fetcher));
        }
        pages
    }

    pub(super) fn are_dated(&self) -> bool {
        self.dated.is_dated()
    }

    /// Whoever asks for the page that lies `back` pages before the one of `today`.
    pub(super) fn fetcher(&mut self, today: Date, back: u8) -> Result<&mut Fetcher, Failure> {
        let text = self.dated.at(today, back);
        if let Some(index) = self.open.iter().position(|(known, _)| *known == text) {
            return Ok(&mut self.open[index].1);
        }
        let wrong = |what: String| Failure::new(Reason::Local, format!("the address of a page cannot be made: {what}"));
        let url: HttpUrl = text.parse().map_err(wrong)?;
        let mut invalid = Vec::new();
        let fetcher = fetcher(&self.config, &url, &self.roots, &mut invalid);
        if let Some(mistake) = invalid.pop() {
            return Err(wrong(mistake.message));
        }
        // The oldest is from a day that is over.
        if self.open.len() >= usize::from(MAX_PAGES) {
            self.open.remove(0);
        }
        self.open.push((text, fetcher));
        let last = self.open.len() - 1;
        Ok(&mut self.open[last].1)
    }
}

fn fetcher(config: &super::Config, url: &HttpUrl, roots: &Roots, invalid: &mut Vec<Invalid>) -> Fetcher {
    let ask = Ask {
        url,
        method: &Method::default(),
        headers: &config.headers,
        body: None,
        auth: config.auth.as_ref(),
        redirects: Redirects::default(),
        protocol: Protocol::Auto,
        ip: config.ip,
        tls: &config.tls,
    };
    Fetcher::new(&ask, roots, invalid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    fn dated(url: &str) -> (Dated, Vec<Invalid>) {
        let mut invalid = Vec::new();
        (Dated::new(&url.parse().unwrap(), &mut invalid), invalid)
    }

    fn pages(url: &str, today: Date) -> Vec<String> {
        let (dated, invalid) = dated(url);
        assert_eq!(invalid, []);
        [0, 1, 2].map(|back| dated.at(today, back).trim_start_matches("https://a/").to_owned()).into()
    }

    #[test]
    fn a_page_is_a_day_a_month_or_a_year_by_the_finest_mark() {
        let today = date(2024, 3, 31);
        assert_eq!(pages("https://a/1hour/{yyyymmdd}", today), ["1hour/20240331", "1hour/20240330", "1hour/20240329"]);
        assert_eq!(pages("https://a/4hour/{yyyy}", today), ["4hour/2024", "4hour/2023", "4hour/2022"]);
        assert_eq!(pages("https://a/x?m={yyyy}-{mm}", today), ["x?m=2024-03", "x?m=2024-02", "x?m=2024-01"]);
        assert_eq!(pages("https://a/{yyyy}/{mm}/{dd}", date(2024, 1, 1)), ["2024/01/01", "2023/12/31", "2023/12/30"]);
        assert_eq!(pages("https://a/candles", today), ["candles"; 3]);
    }

    #[test]
    fn braces_that_hold_no_date_are_a_mistake() {
        for url in ["https://a/{day}", "https://a/{yyyy", "https://a/{YYYY}"] {
            let (_, invalid) = dated(url);
            assert!(invalid[0].message.contains("{yyyymmdd}"), "{url}: {invalid:?}");
        }
        assert!(!dated("https://a/x").0.is_dated());
    }
}
