//! When a cron line runs: five fields and a time zone. Pure; the clock comes from the caller.
//!
//! It follows Debian's cron, also where clocks change. A line with a fixed minute and hour runs once for each time that
//! the clock should show: right after the gap if the clock jumps over that time, and only the first time if the clock
//! shows it twice. A line whose minute or hour begins with `*` runs whenever the clock shows its time: not within a
//! gap, and twice within a repeated hour. If both the day of the month and the day of the week are given, one of them is
//! enough; if either begins with `*`, both must agree.

mod fields;

use fields::Fields;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};
use jiff::{SignedDuration, Timestamp};

/// No zone puts its clock back or forth by more, days that were left out whole apart.
const REACH: SignedDuration = SignedDuration::from_hours(3);

/// The 29th of February falls on one certain day of the week after 40 years at the latest.
const HORIZON_DAYS: usize = 41 * 366;

/// Where looking begins for whether a line runs at all: any day would do.
const ANY_DAY: i64 = 1_704_067_200;

/// A cron line in its time zone that runs some day.
#[derive(Debug, Clone, PartialEq)]
pub struct Cron {
    fields: Fields,
    zone: TimeZone,
}

impl Cron {
    /// Parses a line.
    ///
    /// # Errors
    /// What is wrong with it and how to mend it.
    pub fn parse(line: &str, zone: TimeZone) -> Result<Self, String> {
        let cron = Self { fields: Fields::parse(line)?, zone };
        match cron.next(ANY_DAY as f64) {
            Some(_) => Ok(cron),
            None => Err(format!("{line:?} never runs: no month has such a day")),
        }
    }

    /// The first instant after another at which it runs, both in seconds since the Unix epoch; none beyond some 40
    /// years, or beyond the calendar.
    pub fn next(&self, after: f64) -> Option<f64> {
        // It runs on whole seconds, so what is after the whole second before is after the instant too.
        let after = Timestamp::from_second(after.floor() as i64).ok()?;
        let begin = self.zone.to_datetime(after).checked_sub(REACH).ok()?;
        let mut first: Option<Timestamp> = None;
        let mut last_hour: Option<DateTime> = None;
        for hour in self.hours_from(begin) {
            if last_hour.is_some_and(|last| hour > last) {
                break;
            }
            let within = self.instants_of(hour).into_iter().filter(|instant| *instant > after).min();
            if let Some(instant) = within {
                first = Some(first.map_or(instant, |first| first.min(instant)));
                // Where the clock is put back, a later hour of the clock can come earlier.
                last_hour = last_hour.or_else(|| hour.checked_add(REACH).ok());
            }
        }
        first.map(|instant| instant.as_second() as f64)
    }

    /// The hours of the clock in which it runs, from the one of `begin` on.
    fn hours_from(&self, begin: DateTime) -> impl Iterator<Item = DateTime> {
        let days = std::iter::successors(Some(begin.date()), |day| day.tomorrow().ok());
        let days = days.take(HORIZON_DAYS).filter(|day| self.fields.runs_on(*day));
        days.flat_map(|day| self.fields.hours().map(move |hour| day.at(hour, 0, 0, 0)))
            .skip_while(move |hour| hour.date() == begin.date() && hour.hour() < begin.hour())
    }

    /// The instants at which it runs within an hour of the clock.
    fn instants_of(&self, hour: DateTime) -> Vec<Timestamp> {
        let times = self.fields.minutes().map(|minute| hour.date().at(hour.hour(), minute, 0, 0));
        times.flat_map(|time| self.instants_at(time)).flatten().collect()
    }

    /// The instants at which it runs for one time of the clock.
    fn instants_at(&self, time: DateTime) -> [Option<Timestamp>; 2] {
        let follows_clock = self.fields.follow_clock();
        match self.zone.to_ambiguous_timestamp(time).offset() {
            AmbiguousOffset::Unambiguous { offset } => [offset.to_timestamp(time).ok(), None],
            AmbiguousOffset::Fold { before, after } => {
                let second = after.to_timestamp(time).ok().filter(|_| follows_clock);
                [before.to_timestamp(time).ok(), second]
            }
            AmbiguousOffset::Gap { .. } if follows_clock => [None, None],
            AmbiguousOffset::Gap { before, .. } => [before.to_timestamp(time).ok().and_then(|t| self.change(t)), None],
        }
    }

    /// The change of clocks that an instant follows, or is.
    fn change(&self, instant: Timestamp) -> Option<Timestamp> {
        let just_after = instant.checked_add(SignedDuration::from_secs(1)).ok()?;
        self.zone.preceding(just_after).next().map(|change| change.timestamp())
    }
}

/// A time zone by its IANA name: from the host's data, which is kept up to date, else from what this program carries.
///
/// # Errors
/// When neither knows it.
pub fn time_zone(name: &str) -> Result<TimeZone, String> {
    jiff::tz::db().get(name).or_else(|_| TimeZoneDatabase::bundled().get(name)).map_err(|_| {
        format!("there is no time zone {name:?}: write an IANA name, as in Europe/Berlin, Asia/Tokyo or UTC")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cron(line: &str, zone: &str) -> Cron {
        Cron::parse(line, time_zone(zone).unwrap()).unwrap()
    }

    fn instant(text: &str) -> f64 {
        text.parse::<Timestamp>().unwrap().as_second() as f64
    }

    /// The first `count` instants after one, in UTC.
    fn run(line: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
        let cron = cron(line, zone);
        let instants = std::iter::successors(Some(instant(after)), |after| cron.next(*after));
        instants.skip(1).take(count).map(|t| Timestamp::from_second(t as i64).unwrap().to_string()).collect()
    }

    #[test]
    fn a_time_within_the_gap_of_spring_runs_right_after_it_once() {
        assert_eq!(
            run("30 2 * * *", "Europe/Berlin", "2026-03-27T12:00:00Z", 3),
            ["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]
        );
        // Two times within the gap are one run after it.
        assert_eq!(
            run("0,30 2 * * *", "America/New_York", "2026-03-08T05:00:00Z", 2),
            ["2026-03-08T07:00:00Z", "2026-03-09T06:00:00Z"]
        );
    }

    #[test]
    fn a_time_that_comes_twice_in_autumn_runs_the_first_time() {
        assert_eq!(
            run("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2),
            ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]
        );
        assert_eq!(
            run("30 1 * * *", "America/New_York", "2026-11-01T00:00:00Z", 2),
            ["2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z"]
        );
    }

    #[test]
    fn a_line_with_a_star_runs_by_the_time_that_passes() {
        let every_half_hour = ["2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z"];
        assert_eq!(run("*/30 * * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", 3), every_half_hour);
        let autumn = ["2026-11-01T05:00:00Z", "2026-11-01T05:30:00Z", "2026-11-01T06:00:00Z", "2026-11-01T06:30:00Z"];
        assert_eq!(run("*/30 * * * *", "America/New_York", "2026-11-01T04:45:00Z", 4), autumn);
        let hourly = ["2026-10-25T00:15:00Z", "2026-10-25T01:15:00Z", "2026-10-25T02:15:00Z"];
        assert_eq!(run("15 * * * *", "Europe/Berlin", "2026-10-24T23:15:00Z", 3), hourly);
    }

    #[test]
    fn an_hour_that_comes_back_after_two_hours_is_in_order() {
        // Troll goes from 03:00 back to 01:00.
        let runs = run("30 * * * *", "Antarctica/Troll", "2026-10-24T23:00:00Z", 4);
        assert_eq!(
            runs,
            ["2026-10-24T23:30:00Z", "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-25T02:30:00Z"]
        );
    }

    #[test]
    fn a_zone_without_changes_has_the_same_hour_all_year() {
        assert_eq!(
            run("0 9 * * mon-fri", "Asia/Tokyo", "2026-03-27T00:00:00Z", 3),
            ["2026-03-30T00:00:00Z", "2026-03-31T00:00:00Z", "2026-04-01T00:00:00Z"]
        );
    }

    #[test]
    fn a_day_that_a_zone_left_out_runs_at_its_end() {
        // Samoa had no 30th of December 2011.
        assert_eq!(
            run("0 12 * * *", "Pacific/Apia", "2011-12-29T12:00:00Z", 3),
            ["2011-12-29T22:00:00Z", "2011-12-30T10:00:00Z", "2011-12-30T22:00:00Z"]
        );
    }

    #[test]
    fn either_day_is_enough_where_both_are_given_and_both_must_agree_where_one_has_a_star() {
        let either = run("0 0 13 * fri", "UTC", "2026-11-01T00:00:00Z", 3);
        assert_eq!(either, ["2026-11-06T00:00:00Z", "2026-11-13T00:00:00Z", "2026-11-20T00:00:00Z"]);
        let both = run("0 0 */2 * sun", "UTC", "2026-11-01T00:00:00Z", 2);
        assert_eq!(both, ["2026-11-15T00:00:00Z", "2026-11-29T00:00:00Z"]);
        assert_eq!(run("0 0 * * 7", "UTC", "2026-11-01T00:00:00Z", 1), ["2026-11-08T00:00:00Z"]);
    }

    #[test]
    fn a_leap_day_is_found_and_a_day_that_never_comes_is_a_mistake() {
        assert_eq!(run("0 0 29 2 *", "UTC", "2096-03-01T00:00:00Z", 1), ["2104-02-29T00:00:00Z"]);
        for line in ["0 0 30 2 *", "0 0 31 4,6,9,11 *"] {
            assert!(Cron::parse(line, TimeZone::UTC).unwrap_err().contains("never runs"), "{line}");
        }
    }

    #[test]
    fn an_instant_that_is_now_is_not_after_now() {
        let cron = cron("*/5 * * * *", "UTC");
        assert_eq!(cron.next(300.0), Some(600.0));
        assert_eq!(cron.next(299.9), Some(300.0));
        assert_eq!(cron.next(300.1), Some(600.0));
        assert_eq!(cron.next(f64::MAX), None);
    }

    #[test]
    fn zones_are_known_without_the_hosts_data_and_unknown_ones_are_told() {
        assert!(TimeZoneDatabase::bundled().get("Asia/Tokyo").is_ok());
        assert!(time_zone("Europe/Atlantis").unwrap_err().contains("IANA"));
        assert!(time_zone("../../etc/passwd").is_err());
    }
}
