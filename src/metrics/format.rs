//! The two text formats, chosen by `Accept`, and the way from one to the other.

use memchr::memmem;

/// A text format of a scrape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `text/plain; version=0.0.4`
    Prometheus,
    /// `application/openmetrics-text; version=1.0.0`
    OpenMetrics,
}

impl Format {
    /// The value of `Content-Type`.
    pub const fn content_type(self) -> &'static str {
        match self {
            Format::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// The format that an `Accept` header asks for: the highest q-value wins, a tie goes to the first; 0.0.4 when
    /// nothing that we have is asked for, because a scraper would rather read something than nothing.
    pub fn negotiate(accept: &str) -> Self {
        let mut best = (Format::Prometheus, 0.0);
        for entry in accept.split(',') {
            let mut parts = entry.split(';').map(str::trim);
            let format = match parts.next().map(str::to_ascii_lowercase).as_deref() {
                Some("application/openmetrics-text") => Format::OpenMetrics,
                Some("text/plain" | "text/*" | "*/*") => Format::Prometheus,
                _ => continue,
            };
            let mut quality: f32 = 1.0;
            let mut known_version = true;
            for parameter in parts {
                match parameter.split_once('=').map(|(key, value)| (key.trim(), value.trim().trim_matches('"'))) {
                    Some(("q", value)) => quality = value.parse().unwrap_or(0.0),
                    Some(("version", value)) => {
                        known_version = match format {
                            Format::OpenMetrics => matches!(value, "1.0.0" | "0.0.1"),
                            Format::Prometheus => value == "0.0.4",
                        }
                    }
                    _ => {}
                }
            }
            if known_version && quality > best.1 {
                best = (format, quality);
            }
        }
        best.0
    }

    /// The text in this format, from OpenMetrics.
    pub fn render(self, open_metrics: Vec<u8>) -> Vec<u8> {
        match self {
            Format::OpenMetrics => open_metrics,
            Format::Prometheus => to_prometheus(&open_metrics),
        }
    }
}

/// Only comment lines differ: 0.0.4 names a counter as its samples are named, and knows no end mark.
fn to_prometheus(open_metrics: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(open_metrics.len() + 4096);
    let mut rest = open_metrics;
    while !rest.is_empty() {
        let (line, after) = split_line(rest);
        if let Some(help) = line.strip_prefix(b"# HELP ") {
            let (type_line, after) = split_line(after);
            let suffix: &[u8] = if type_line.trim_ascii_end().ends_with(b" counter") { b"_total" } else { b"" };
            let typed = type_line.strip_prefix(b"# TYPE ").unwrap_or(type_line);
            for (prefix, tail) in [(b"# HELP ", help), (b"# TYPE ", typed)] {
                let (name, tail) = tail.split_at(memchr::memchr(b' ', tail).unwrap_or(tail.len()));
                for part in [prefix, name, suffix, tail] {
                    text.extend_from_slice(part);
                }
            }
            rest = after;
        } else if line.starts_with(b"# EOF") {
            break;
        } else {
            // Everything up to the next comment is samples, which are the same in both formats.
            let (samples, after) = rest.split_at(memmem::find(rest, b"\n# ").map_or(rest.len(), |end| end + 1));
            text.extend_from_slice(samples);
            rest = after;
        }
    }
    text
}

/// The first line with its end, and what follows.
fn split_line(text: &[u8]) -> (&[u8], &[u8]) {
    text.split_at(memchr::memchr(b'\n', text).map_or(text.len(), |end| end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_quality_wins_and_nothing_means_prometheus() {
        let prometheus_2 = "application/openmetrics-text;version=1.0.0;q=0.75,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
        let cases = [
            ("", Format::Prometheus),
            ("*/*", Format::Prometheus),
            ("text/html", Format::Prometheus),
            ("application/openmetrics-text", Format::OpenMetrics),
            ("text/plain, application/openmetrics-text", Format::Prometheus),
            ("text/plain;q=0.5, application/openmetrics-text;q=0.9", Format::OpenMetrics),
            ("text/plain;version=0.0.4;q=0.9, application/openmetrics-text;q=0.5", Format::Prometheus),
            ("application/openmetrics-text;q=0", Format::Prometheus),
            ("application/openmetrics-text; version=\"1.0.0\"; q=0.3", Format::OpenMetrics),
            ("application/openmetrics-text;version=2.0.0", Format::Prometheus),
            ("application/openmetrics-text;q=oops", Format::Prometheus),
            (prometheus_2, Format::OpenMetrics),
        ];
        for (accept, expected) in cases {
            assert_eq!(Format::negotiate(accept), expected, "Accept: {accept}");
        }
    }

    #[test]
    fn only_counters_comments_and_the_end_mark_differ_between_the_formats() {
        let open_metrics = "# HELP a_runs Runs.\n# TYPE a_runs counter\na_runs_total{x=\"# HELP y\"} 1\na_runs_total 2\n# HELP b Depth.\n# TYPE b gauge\n# HELP c C.\n# TYPE c counter\nc_total 3\n# EOF\n";
        let expected = "# HELP a_runs_total Runs.\n# TYPE a_runs_total counter\na_runs_total{x=\"# HELP y\"} 1\na_runs_total 2\n# HELP b Depth.\n# TYPE b gauge\n# HELP c_total C.\n# TYPE c_total counter\nc_total 3\n";
        assert_eq!(Format::Prometheus.render(open_metrics.into()), expected.as_bytes());
    }
}
