//! The five fields of a cron line.

use jiff::civil::Date;

/// What the fields select, a bit for each value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fields {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// The minute or the hour begins with `*`.
    follow_clock: bool,
    /// The day of the month or the day of the week begins with `*`.
    days_agree: bool,
}

/// What a field may hold.
struct Field {
    name: &'static str,
    first: u8,
    last: u8,
    /// Words for the values from `first` on.
    words: &'static [&'static str],
}

const FIELDS: [Field; 5] = [
    Field { name: "minute", first: 0, last: 59, words: &[] },
    Field { name: "hour", first: 0, last: 23, words: &[] },
    Field { name: "day of the month", first: 1, last: 31, words: &[] },
    Field {
        name: "month",
        first: 1,
        last: 12,
        words: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
    },
    // Sunday is 0 and 7.
    Field { name: "day of the week", first: 0, last: 7, words: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"] },
];

const NICKNAMES: [(&str, &str); 7] = [
    ("@hourly", "0 * * * *"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@weekly", "0 0 * * 0"),
    ("@monthly", "0 0 1 * *"),
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
];

impl Fields {
    /// Parses a line.
    ///
    /// # Errors
    /// What is wrong with it and how to mend it.
    pub fn parse(line: &str) -> Result<Self, String> {
        let written = line.trim();
        if let Some(nickname) = written.strip_prefix('@') {
            let full = NICKNAMES.iter().find(|(name, _)| name[1..].eq_ignore_ascii_case(nickname));
            return full.map_or_else(|| Err(unknown_nickname(written)), |(_, full)| Self::parse(full));
        }
        let texts: Vec<&str> = written.split_ascii_whitespace().collect();
        let texts: [&str; 5] = texts.try_into().map_err(|texts: Vec<&str>| wrong_count(line, texts.len()))?;
        let mut sets = [0; 5];
        for ((set, field), text) in sets.iter_mut().zip(&FIELDS).zip(texts) {
            *set = field.parse(text).map_err(|problem| format!("{}: {problem}", field.name))?;
        }
        let [minutes, hours, days, months, weekdays] = sets;
        let star = |index: usize| texts[index].starts_with('*');
        Ok(Self {
            minutes,
            hours,
            days,
            months,
            weekdays: weekdays | weekdays >> 7 & 1,
            follow_clock: star(0) || star(1),
            days_agree: star(2) || star(4),
        })
    }

    /// Whether it runs whenever the clock shows its time, rather than once for each of its times.
    pub fn follow_clock(&self) -> bool {
        self.follow_clock
    }

    /// Whether it runs on a day.
    pub fn runs_on(&self, date: Date) -> bool {
        let has = |set: u64, value: i8| set >> value & 1 == 1;
        let (day, weekday) = (has(self.days, date.day()), has(self.weekdays, date.weekday().to_sunday_zero_offset()));
        has(self.months, date.month()) && if self.days_agree { day && weekday } else { day || weekday }
    }

    /// The hours of a day, ascending.
    pub fn hours(&self) -> impl Iterator<Item = i8> {
        let hours = self.hours;
        (0..24).filter(move |hour| hours >> hour & 1 == 1)
    }

    /// The minutes of an hour, ascending.
    pub fn minutes(&self) -> impl Iterator<Item = i8> {
        let minutes = self.minutes;
        (0..60).filter(move |minute| minutes >> minute & 1 == 1)
    }
}

fn unknown_nickname(written: &str) -> String {
    let known = NICKNAMES.map(|(name, _)| name).join(", ");
    format!("{written:?} is not a time of cron: use five fields or one of {known}")
}

fn wrong_count(line: &str, count: usize) -> String {
    let hint = match count {
        6 | 7 => "; seconds and years are not known to cron: leave them out",
        _ => "",
    };
    format!(
        "{line:?} has {count} fields and needs 5: minute, hour, day of the month, month, day of the week, \
         as in \"*/5 * * * *\"{hint}"
    )
}

impl Field {
    fn parse(&self, text: &str) -> Result<u64, String> {
        text.split(',').try_fold(0, |set, part| Ok(set | self.part(part)?))
    }

    /// `*`, `7`, `1-5`, and the first and the last with a step.
    fn part(&self, part: &str) -> Result<u64, String> {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, Some(self.step(step)?)),
            None => (part, None),
        };
        let (from, to) = match range.split_once('-') {
            _ if range == "*" => (self.first, self.last - u8::from(self.name == "day of the week")),
            Some((from, to)) => (self.value(from)?, self.value(to)?),
            None if step.is_some() => {
                return Err(format!("{part:?}: a step needs * or a range, as in {range}-{}/2", self.last));
            }
            None => {
                let value = self.value(range)?;
                (value, value)
            }
        };
        if from > to {
            return Err(format!("{part:?} ends before it begins: write two ranges with a comma between them"));
        }
        Ok((from..=to).step_by(step.unwrap_or(1)).fold(0, |set, value| set | 1 << value))
    }

    fn step(&self, text: &str) -> Result<usize, String> {
        let most = usize::from(self.last - self.first);
        match text.parse() {
            Ok(step) if (1..=most).contains(&step) => Ok(step),
            _ => Err(format!(
                "the step {text:?} is not a number from 1 to {most}; what runs at longer distances is written with every:"
            )),
        }
    }

    fn value(&self, text: &str) -> Result<u8, String> {
        let word = self.words.iter().position(|word| word.eq_ignore_ascii_case(text));
        let digits = || text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
        let value = word.map(|index| self.first + index as u8).or_else(digits);
        value.filter(|value| (self.first..=self.last).contains(value)).ok_or_else(|| {
            let words = match self.words {
                [first, .., last] => format!(" or {first} to {last}"),
                _ => String::new(),
            };
            format!("{text:?} is not a value from {} to {}{words}", self.first, self.last)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(values: impl IntoIterator<Item = u8>) -> u64 {
        values.into_iter().fold(0, |set, value| set | 1 << value)
    }

    #[test]
    fn lists_ranges_steps_and_names_are_read() {
        let fields = Fields::parse("*/20,5 8-18/5 1,15 jan-MAR Sun,5-7").unwrap();
        assert_eq!(fields.minutes, set([0, 5, 20, 40]));
        assert_eq!(fields.hours, set([8, 13, 18]));
        assert_eq!(fields.days, set([1, 15]));
        assert_eq!(fields.months, set([1, 2, 3]));
        assert_eq!(fields.weekdays & 0x7f, set([0, 5, 6]));
        assert!(fields.follow_clock && !fields.days_agree);
        assert_eq!(Fields::parse(" @Daily "), Fields::parse("0 0 * * *"));
        assert_eq!(Fields::parse("* * * * */2").unwrap().weekdays, set([0, 2, 4, 6]));
    }

    #[test]
    fn every_mistake_is_told_with_its_field_and_a_remedy() {
        for (line, said) in [
            ("", "0 fields"),
            ("* * * *", "4 fields"),
            ("0 */5 * * * *", "seconds"),
            ("60 * * * *", "minute: \"60\" is not a value from 0 to 59"),
            ("* 24 * * *", "hour"),
            ("* * 0 * *", "day of the month"),
            ("* * * 13 *", "jan to dec"),
            ("* * * * 8", "sun to sat"),
            ("*/0 * * * *", "step"),
            ("*/90 * * * *", "every:"),
            ("5/10 * * * *", "5-59/2"),
            ("30-10 * * * *", "ends before it begins"),
            ("* * * * fri-mon", "two ranges"),
            ("* * ? * *", "\"?\""),
            ("* * L * *", "\"L\""),
            ("+5 * * * *", "\"+5\""),
            ("1,,2 * * * *", "\"\""),
            ("@reboot", "@hourly"),
            ("*/-1 * * * *", "step"),
            ("1-2-3 * * * *", "\"2-3\""),
            ("99999999999999999999 * * * *", "minute"),
        ] {
            let message = Fields::parse(line).unwrap_err();
            assert!(message.contains(said), "{line:?}: {message}");
        }
    }
}
