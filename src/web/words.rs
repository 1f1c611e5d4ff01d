//! What the pages say, in English and Japanese, and which of them a reader wants.

mod table;

pub use table::Words;

use crate::board::report::Ago;
use crate::board::{JobResult, RemedyState, Suppression, Window};
use crate::health::Status;
use crate::observation::{Gravity, Phase, Reason, Severity};
use axum::http::{HeaderMap, header};

/// A language of the pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// Where nothing else is asked for.
    English,
    /// 日本語.
    Japanese,
}

impl Language {
    /// All of them.
    pub const ALL: [Language; 2] = [Language::English, Language::Japanese];

    /// The tag in `lang=` (BCP 47).
    pub const fn tag(self) -> &'static str {
        match self {
            Language::English => "en",
            Language::Japanese => "ja",
        }
    }

    /// What it says.
    pub fn words(self) -> &'static Words {
        match self {
            Language::English => &table::ENGLISH,
            Language::Japanese => &table::JAPANESE,
        }
    }

    /// The one that a reader likes best, by `Accept-Language` (RFC 9110, section 12.5.4).
    pub fn of(headers: &HeaderMap) -> Self {
        let wishes = headers.get_all(header::ACCEPT_LANGUAGE);
        Self::negotiate(wishes.iter().filter_map(|wishes| wishes.to_str().ok()))
    }

    fn negotiate<'a>(lists: impl Iterator<Item = &'a str>) -> Self {
        let mut best = (Language::English, 0.0);
        for range in lists.flat_map(|list| list.split(',')) {
            let mut parts = range.split(';').map(str::trim);
            let tag = parts.next().unwrap_or_default().to_ascii_lowercase();
            let quality = parts.find_map(|part| part.strip_prefix("q=")).map_or(Some(1.0), |q| q.parse::<f64>().ok());
            let primary = tag.split('-').next().unwrap_or_default();
            let Some(language) = Self::ALL.into_iter().find(|language| language.tag() == primary || primary == "*")
            else {
                continue;
            };
            // Of equal wishes the first counts.
            if let Some(quality) = quality.filter(|quality| *quality > best.1) {
                best = (language, quality);
            }
        }
        best.0
    }
}

/// A text with its `{0}`, `{1}` filled in.
pub fn fill(text: &str, values: &[&str]) -> String {
    let mut filled = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        let (number, after) = after.split_once('}').unwrap_or((after, ""));
        filled.push_str(number.parse::<usize>().ok().and_then(|number| values.get(number)).unwrap_or(&""));
        rest = after;
    }
    filled.push_str(rest);
    filled
}

/// Whether a time is told as a moment or as a span that goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `5 s ago`.
    Ago,
    /// `for 5 s`.
    Lasting,
}

impl Words {
    /// How long ago something was, or how long it has gone on.
    pub fn age(&self, form: Form, ago: Ago) -> String {
        let (number, unit) = ago.parts();
        fill(self.ages(form)[unit], &[&format!("{number:.0}")])
    }

    /// The same in seconds, minutes, hours and days, for the script that keeps ages current.
    pub fn ages(&self, form: Form) -> [&'static str; 4] {
        match form {
            Form::Ago => [self.seconds_ago, self.minutes_ago, self.hours_ago, self.days_ago],
            Form::Lasting => [self.for_seconds, self.for_minutes, self.for_hours, self.for_days],
        }
    }

    /// A state in a word.
    pub fn status(&self, status: Status) -> &'static str {
        match status {
            Status::Unknown => self.unknown,
            Status::Healthy => self.healthy,
            Status::Suspect => self.suspect,
            Status::Unhealthy => self.unhealthy,
        }
    }

    /// How grave a threshold is.
    pub fn severity(&self, severity: Severity) -> &'static str {
        match severity {
            Severity::Info => self.info,
            Severity::Warning => self.warning,
            Severity::Critical => self.critical,
        }
    }

    /// How grave what a log says is.
    pub fn gravity(&self, gravity: Gravity) -> &'static str {
        match gravity {
            Gravity::Info => self.info,
            Gravity::Warning => self.warning,
            Gravity::Error => self.error,
            Gravity::Critical => self.critical,
        }
    }

    /// Why a run failed.
    pub fn reason(&self, reason: Reason) -> &'static str {
        match reason {
            Reason::Resolve => self.reason_resolve,
            Reason::Connect => self.reason_connect,
            Reason::Tls => self.reason_tls,
            Reason::Timeout => self.reason_timeout,
            Reason::Protocol => self.reason_protocol,
            Reason::Status => self.reason_status,
            Reason::Body => self.reason_body,
            Reason::Json => self.reason_json,
            Reason::Auth => self.reason_auth,
            Reason::Query => self.reason_query,
            Reason::Missing => self.reason_missing,
            Reason::Stale => self.reason_stale,
            Reason::Limit => self.reason_limit,
            Reason::Exit => self.reason_exit,
            Reason::Local => self.reason_local,
        }
    }

    /// A part of a run.
    pub fn phase(&self, phase: Phase) -> &'static str {
        match phase {
            Phase::Resolve => self.phase_resolve,
            Phase::Connect => self.phase_connect,
            Phase::Tls => self.phase_tls,
            Phase::Wait => self.phase_wait,
            Phase::Transfer => self.phase_transfer,
        }
    }

    /// A span of availability, short.
    pub fn window(&self, window: Window) -> &'static str {
        match window {
            Window::Hour => self.window_hour,
            Window::Day => self.window_day,
            Window::Week => self.window_week,
            Window::Month => self.window_month,
        }
    }

    /// How a run of a job ended.
    pub fn result(&self, result: JobResult) -> &'static str {
        match result {
            JobResult::Success => self.run_success,
            JobResult::Failure => self.run_failure,
            JobResult::Abandoned => self.run_abandoned,
        }
    }

    /// Where a remedy stands.
    pub fn remedy(&self, state: RemedyState) -> &'static str {
        match state {
            RemedyState::Idle => self.remedy_idle,
            RemedyState::Acting => self.remedy_acting,
            RemedyState::Verifying => self.remedy_verifying,
            RemedyState::BackingOff => self.remedy_backing_off,
            RemedyState::Exhausted => self.remedy_exhausted,
        }
    }

    /// Why a remedy does not act.
    pub fn suppression(&self, suppression: Suppression) -> &'static str {
        match suppression {
            Suppression::DryRun => self.suppressed_dry_run,
            Suppression::Cooldown => self.suppressed_cooldown,
            Suppression::Breaker => self.suppressed_breaker,
            Suppression::SharedCause => self.suppressed_shared_cause,
            Suppression::Flapping => self.suppressed_flapping,
            Suppression::Maintenance => self.suppressed_maintenance,
            Suppression::KillSwitch => self.suppressed_kill_switch,
            Suppression::Dependency => self.suppressed_dependency,
            Suppression::TargetBusy => self.suppressed_target_busy,
            Suppression::OwnFault => self.suppressed_own_fault,
            Suppression::Journal => self.suppressed_journal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::table::TABLE;
    use super::*;

    #[test]
    fn both_languages_have_every_text_with_the_same_places_to_fill() {
        let places = |text: &str| {
            let mut found: Vec<_> = text.match_indices('{').map(|(at, _)| text[at..at + 3].to_owned()).collect();
            found.sort();
            found
        };
        assert!(TABLE.len() > 100, "the table was not found");
        for (key, english, japanese) in TABLE {
            assert!(!english.is_empty() && !japanese.is_empty(), "{key}");
            assert_eq!(places(english), places(japanese), "{key}");
            let is_a_name = ["JSON", "TLS"].contains(english);
            assert!(is_a_name || japanese.chars().any(|c| c > '\u{2e80}'), "{key} is not Japanese: {japanese}");
            let english = english.replace("番犬", "");
            assert!(english.chars().all(|c| c < '\u{2e80}'), "{key} is not English: {english}");
        }
    }

    #[test]
    fn the_best_liked_language_is_shown_and_english_where_none_is_ours() {
        let cases = [
            ("", Language::English),
            ("ja", Language::Japanese),
            ("ja-JP,en;q=0.8", Language::Japanese),
            ("en-US,en;q=0.9,ja;q=0.8", Language::English),
            ("fr, ja;q=0.2, en;q=0.1", Language::Japanese),
            ("de-DE,fr;q=0.9", Language::English),
            ("*", Language::English),
            ("en;q=0, ja;q=0.1", Language::Japanese),
            ("ja;q=nonsense,en", Language::English),
            ("jam, ja;q=0", Language::English),
        ];
        for (header, expected) in cases {
            assert_eq!(Language::negotiate([header].into_iter()), expected, "{header:?}");
        }
    }

    #[test]
    fn a_text_is_filled_in_the_order_of_its_language() {
        assert_eq!(fill("{0} of {1} need attention", &["2", "7"]), "2 of 7 need attention");
        assert_eq!(fill("{1} 件中 {0} 件", &["2", "7"]), "7 件中 2 件");
        assert_eq!(fill("{9}, {", &["{0}"]), ", ");
    }

    #[test]
    fn ages_are_told_in_the_unit_a_person_would_use() {
        let told = |language: Language, form, seconds| language.words().age(form, Ago { seconds });
        assert_eq!(told(Language::English, Form::Ago, 5.0), "5 s ago");
        assert_eq!(told(Language::English, Form::Lasting, 7200.0), "for 2 h");
        assert_eq!(told(Language::Japanese, Form::Ago, 300.0), "5 分前");
        assert_eq!(told(Language::Japanese, Form::Lasting, 864_000.0), "10 日間");
    }
}
