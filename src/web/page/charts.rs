//! Charts as SVG, drawn here: no script, no style in an attribute. Each says in words what it shows.

use crate::board::{EndedRun, JobResult, Point, Uptime};
use crate::observation::{Phase, Unit};
use crate::web::words::{Words, fill};
use std::fmt::Write as _;
use std::time::Duration;

/// A drawing, to be put into a page as it is: everything in it that is not ours is a number.
pub type Svg = String;

/// A share for people. Only what is whole is told as whole.
pub fn percent(ratio: f64) -> String {
    let percent = ratio * 100.0;
    match percent {
        _ if ratio >= 1.0 => "100 %".into(),
        _ if percent >= 99.0 => format!("{:.2} %", (percent * 100.0).floor() / 100.0),
        _ if percent >= 10.0 => format!("{:.1} %", (percent * 10.0).floor() / 10.0),
        _ if percent >= 0.1 => format!("{percent:.1} %"),
        _ if percent > 0.0 => "< 0.1 %".into(),
        _ => "0 %".into(),
    }
}

/// A span of time in seconds for people, to two units: `1 min 20 s`.
pub fn span(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        _ if seconds < 10.0 => Unit::Seconds.show(seconds),
        _ if whole < 60 => format!("{whole} s"),
        _ if whole < 3600 => format!("{} min {} s", whole / 60, whole % 60),
        _ if whole < 86_400 => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
        _ => format!("{} d {} h", whole / 86_400, whole % 86_400 / 3600),
    }
}

/// What the runs of some points took, in words.
pub fn latency_in_words(words: &Words, points: &[Point]) -> String {
    let Some(all) = Totals::of(points) else { return words.no_latency.to_owned() };
    let show = |seconds| Unit::Seconds.show(seconds);
    let values = [all.runs.to_string(), show(all.min), show(all.max), show(all.mean), all.failed.to_string()];
    fill(words.latency_told, &[&values[0], &values[1], &values[2], &values[3], &values[4]])
}

struct Totals {
    runs: u64,
    failed: u64,
    min: f64,
    mean: f64,
    max: f64,
}

impl Totals {
    fn of(points: &[Point]) -> Option<Self> {
        let mut all = Totals { runs: 0, failed: 0, min: f64::MAX, mean: 0.0, max: 0.0 };
        for (point, latency) in points.iter().filter_map(|point| Some((point, point.latency?))) {
            all.runs += u64::from(point.runs);
            all.failed += u64::from(point.failed);
            all.min = all.min.min(latency.min);
            all.max = all.max.max(latency.max);
            all.mean += latency.mean * f64::from(point.runs);
        }
        all.mean /= all.runs as f64;
        (all.runs > 0).then_some(all)
    }
}

/// Height and width of a sparkline, in its own units: two for each minute.
const SPARK: (usize, f64) = (120, 22.0);

/// The latency of the last hour, small.
pub fn sparkline(words: &Words, points: &[Point]) -> Svg {
    let (width, height) = SPARK;
    let Some(all) = Totals::of(points) else { return String::new() };
    let show = |seconds| Unit::Seconds.show(seconds);
    let told = fill(words.latency_short, &[&show(all.min), &show(all.max), &show(all.mean)]);
    let highest = points.iter().filter_map(|point| point.latency).map(|latency| latency.mean).fold(0.0, f64::max);
    let y = |mean: f64| (height - 2.0 - mean / highest.max(1e-9) * (height - 5.0)).round() as i64;
    let (mut line, mut bad, mut before) = (String::new(), String::new(), None);
    for (x, point) in points.iter().enumerate().map(|(minute, point)| (minute * 2, point)) {
        // Writing to a String cannot fail.
        if point.failed > 0 || point.bad > 0.5 {
            let _ = write!(bad, "M{x} 0v{height}");
        }
        let Some(latency) = point.latency else { continue };
        let here = y(latency.mean);
        let _ = match before {
            // A run every few minutes is a line too; a longer silence is a gap.
            Some(last) if x - last <= 12 => write!(line, "L{x} {here}"),
            _ => write!(line, "M{x} {here}h1"),
        };
        before = Some(x);
    }
    let bad = if bad.is_empty() { bad } else { format!("<path class=\"b\" d=\"{bad}\"/>") };
    format!(
        "<svg class=\"spark\" viewBox=\"0 0 {width} {height}\" preserveAspectRatio=\"none\" role=\"img\" \
         aria-label=\"{told}\">{bad}<path d=\"{line}\"/></svg>"
    )
}

/// Good, bad and unknown time, one cell after the other.
pub fn strip(words: &Words, points: &[Point], width_seconds: f64, uptime: Uptime) -> Svg {
    let told = fill(words.strip_told, &[&span(uptime.bad), &percent(uptime.known())]);
    let count = points.len().max(1);
    let mut cells = String::new();
    for (index, point) in points.iter().enumerate() {
        let known = point.good + point.bad;
        // A second of an incident must not be lost in a day.
        let class = match (known, point.bad) {
            (known, _) if known < width_seconds * 0.001 => continue,
            (_, bad) if bad > 0.0 => "bad",
            _ => "good",
        };
        let height = if class == "bad" { (point.bad / known * 20.0).clamp(4.0, 20.0) } else { 20.0 };
        let under = if class == "bad" && height < 20.0 {
            format!("<rect class=\"good\" x=\"{}\" y=\"0\" width=\"3.4\" height=\"20\"/>", index * 4)
        } else {
            String::new()
        };
        // Writing to a String cannot fail.
        let _ = write!(
            cells,
            "{under}<rect class=\"{class}\" x=\"{}\" y=\"{:.1}\" width=\"3.4\" height=\"{height:.1}\"/>",
            index * 4,
            20.0 - height
        );
    }
    format!(
        "<svg class=\"strip\" viewBox=\"0 0 {} 20\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{told}\">\
         <rect class=\"ground\" width=\"{}\" height=\"20\"/>{cells}</svg>",
        count * 4,
        count * 4
    )
}

/// Size of a large chart, in its own units.
const CHART: (f64, f64) = (560.0, 150.0);

/// Room for the figures at its side and below it.
const MARGIN: (f64, f64) = (58.0, 20.0);

/// Latency over time: a band from the shortest to the longest run, the mean as a line, failures as marks.
pub fn latency(words: &Words, points: &[Point], marks: &[(usize, String)]) -> Svg {
    let Some(all) = Totals::of(points) else { return String::new() };
    let (width, height) = (CHART.0 - MARGIN.0, CHART.1 - MARGIN.1 - 8.0);
    let top = round_up(all.max);
    let step = width / points.len().max(2) as f64;
    let x = |index: usize| MARGIN.0 + (index as f64 + 0.5) * step;
    let y = |seconds: f64| 8.0 + height - seconds / top * height;
    let mut drawn = String::new();
    // Writing to a String cannot fail.
    for share in [0.0, 0.5, 1.0] {
        let (level, label) = (y(top * share), Unit::Seconds.show(top * share));
        let label = if share == 0.0 { "0".to_owned() } else { label };
        let _ = write!(
            drawn,
            "<path class=\"grid\" d=\"M{} {level:.1}H{}\"/><text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
            MARGIN.0,
            CHART.0,
            MARGIN.0 - 6.0,
            level + 4.0
        );
    }
    for (index, label) in marks {
        let _ =
            write!(drawn, "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{label}</text>", x(*index), CHART.1 - 4.0);
    }
    let (mut band, mut line, mut failed, mut before) = (String::new(), String::new(), String::new(), None);
    for (index, point) in points.iter().enumerate() {
        let here = x(index);
        if point.failed > 0 || point.bad > 0.5 {
            let _ = write!(failed, "M{here:.1} 8V{:.1}", 8.0 + height);
        }
        let Some(latency) = point.latency else { continue };
        let _ = write!(band, "M{here:.1} {:.1}V{:.1}", y(latency.max), y(latency.min) + 0.8);
        let _ = match before {
            Some(last) if index - last <= 6 => write!(line, "L{here:.1} {:.1}", y(latency.mean)),
            _ => write!(line, "M{here:.1} {:.1}h1", y(latency.mean)),
        };
        before = Some(index);
    }
    let told = latency_in_words(words, points);
    format!(
        "<svg class=\"chart\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{told}\">{drawn}\
         <path class=\"b\" stroke-width=\"{:.1}\" d=\"{failed}\"/>\
         <path class=\"band\" stroke-width=\"{:.1}\" d=\"{band}\"/><path class=\"line\" d=\"{line}\"/></svg>",
        CHART.0,
        CHART.1,
        step.min(10.0),
        (step * 0.8).clamp(1.0, 8.0)
    )
}

/// The next of 1, 2, 5 times a power of ten.
fn round_up(value: f64) -> f64 {
    let power = 10_f64.powf(value.max(1e-6).log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|step| step * power).find(|step| *step >= value).unwrap_or(value)
}

/// Where the time of a run went, as a bar; the words stand beside it.
pub fn phases(phases: &[(Phase, Duration)], total: Duration) -> Svg {
    let total = phases.iter().map(|(_, time)| *time).sum::<Duration>().max(total).as_secs_f64().max(1e-9);
    let (mut x, mut bars) = (0.0, String::new());
    for (phase, time) in phases {
        let width = time.as_secs_f64() / total * 200.0;
        // Writing to a String cannot fail.
        let _ =
            write!(bars, "<rect class=\"phase-{}\" x=\"{x:.1}\" width=\"{width:.1}\" height=\"6\"/>", phase.as_str());
        x += width;
    }
    format!(
        "<svg class=\"phases\" viewBox=\"0 0 200 6\" preserveAspectRatio=\"none\" aria-hidden=\"true\"><rect class=\"ground\" width=\"200\" height=\"6\"/>{bars}</svg>"
    )
}

/// The last runs of a job: a bar for each, as high as it took long. What failed is red and stands on a foot.
pub fn runs<'a>(words: &Words, runs: impl Iterator<Item = &'a EndedRun> + Clone) -> Svg {
    let count = runs.clone().count();
    if count == 0 {
        return String::new();
    }
    let bad = runs.clone().filter(|run| run.result != JobResult::Success).count();
    let told = fill(words.runs_told, &[&count.to_string(), &bad.to_string()]);
    let longest = runs.clone().filter_map(|run| run.duration).fold(0.0, f64::max);
    let mut bars = String::new();
    for (index, run) in runs.enumerate() {
        let share = run.duration.map_or(0.3, |duration| duration / longest.max(1e-9));
        let height = (share * 20.0).clamp(3.0, 20.0);
        let class = if run.result == JobResult::Success { "good" } else { "bad" };
        // Writing to a String cannot fail.
        let _ = write!(
            bars,
            "<rect class=\"{class}\" x=\"{}\" y=\"{:.1}\" width=\"9\" height=\"{height:.1}\" rx=\"1.5\"/>",
            index * 12,
            22.0 - height
        );
    }
    format!("<svg class=\"spark runs\" viewBox=\"0 0 120 22\" role=\"img\" aria-label=\"{told}\">{bars}</svg>")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::Latency;
    use crate::web::words::Language;

    fn point(milliseconds: f64, failed: u16) -> Point {
        let seconds = milliseconds / 1000.0;
        let latency = Latency { min: seconds / 2.0, mean: seconds, max: seconds * 2.0 };
        Point { begin: 0.0, good: 60.0, bad: 0.0, runs: 2, failed, latency: Some(latency) }
    }

    const NOTHING: Point = Point { begin: 0.0, good: 0.0, bad: 0.0, runs: 0, failed: 0, latency: None };

    #[test]
    fn only_what_is_whole_is_told_as_whole() {
        let told = [1.0, 0.999_999, 0.9995, 0.99, 0.985, 0.5, 0.004, 0.0004, 0.0].map(percent);
        assert_eq!(told, ["100 %", "99.99 %", "99.95 %", "99.00 %", "98.5 %", "50.0 %", "0.4 %", "< 0.1 %", "0 %"]);
    }

    #[test]
    fn a_span_is_told_in_two_units() {
        let told = [0.25, 12.0, 80.0, 3661.0, 200_000.0].map(span);
        assert_eq!(told, ["250 ms", "12 s", "1 min 20 s", "1 h 1 min", "2 d 7 h"]);
    }

    #[test]
    fn a_sparkline_has_a_gap_where_nothing_ran_and_a_mark_where_a_run_failed() {
        let words = Language::English.words();
        assert_eq!(sparkline(words, &[NOTHING; 60]), "");
        let mut points = vec![NOTHING; 60];
        points[0] = point(10.0, 0);
        points[1] = point(20.0, 1);
        points[30] = point(20.0, 0);
        let svg = sparkline(words, &points);
        assert!(svg.contains("aria-label=\"latency from 5 ms to 40 ms, on average 17 ms\""), "{svg}");
        assert!(svg.contains("class=\"b\" d=\"M2 0v22\""), "{svg}");
        assert_eq!(svg.matches("h1").count(), 2, "two pieces: {svg}");
        assert!(!svg.contains("style="), "{svg}");
    }

    #[test]
    fn a_chart_is_as_high_as_a_round_number() {
        for (value, round) in [(0.0009, 0.001), (0.012, 0.02), (3.0, 5.0), (5.1, 10.0)] {
            let found = round_up(value);
            assert!((found - round).abs() < round * 1e-6, "{value}: {found}");
        }
    }

    #[test]
    fn a_second_of_an_incident_is_seen_among_thirty_days_and_unknown_time_is_empty() {
        let words = Language::English.words();
        let bad = Point { good: 3599.0, bad: 1.0, ..NOTHING };
        let svg = strip(words, &[bad, NOTHING], 3600.0, Uptime { good: 3599.0, bad: 1.0, span: 7200.0 });
        assert!(svg.contains("class=\"bad\"") && svg.contains("height=\"4.0\""), "{svg}");
        assert_eq!(svg.matches("<rect").count(), 3, "{svg}");
        assert!(svg.contains("aria-label=\"1.0 s in incidents, 50.0 % of the time is known\""), "{svg}");
    }
}
