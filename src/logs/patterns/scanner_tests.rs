//! What a scan finds is what trying every pattern on every line finds.

use super::super::super::intake::MAX_LINE;
use super::*;
use proptest::prelude::*;

/// With literals and without, anchored, of either case, that match nothing, that could cross lines, of any script.
const POOL: [&str; 32] = [
    "error",
    "ERROR|WARN",
    "^error",
    "error$",
    "^$",
    "",
    "x*",
    "(?i)error",
    "(?i)ſtraße|error",
    r"\berror\b",
    r"\Berror",
    r"\d{3}",
    r"^\d+ ",
    r"[^a]+$",
    r"\s+x",
    r"[^x]+y",
    r"(?s)a.*b",
    r"\Aab|ba\z",
    "é+",
    r"\w{5}",
    r"\W\W",
    "a\\nb",
    r"(error)? end",
    r"er{2}or: (\w+)",
    r"(?-u)\xff",
    "(?-u:[\\x80-\\xff]{2})",
    "rorerror",
    "a{3,}",
    r"(?-m)^ab$",
    "(?:end|err)+x",
    r".{20}",
    "\\r",
];

fn scanner(patterns: &[&str]) -> Scanner {
    Scanner::new(patterns.iter().map(|pattern| Expression::compile(pattern, true).unwrap()).collect()).unwrap()
}

fn stripped(line: &[u8]) -> &[u8] {
    let line = match line {
        [rest @ .., b'\r', b'\n'] | [rest @ .., b'\n'] => rest,
        line => line,
    };
    &line[..line.len().min(MAX_LINE)]
}

fn start_of_records() -> Pattern {
    serde_json::from_str(r#""^(error|[0-9]{2})""#).unwrap()
}

/// The lines, or the records: each begins with a line that `start` matches.
fn units<'t>(text: &'t [u8], start: Option<&Pattern>) -> Vec<&'t [u8]> {
    let mut units: Vec<(usize, usize)> = Vec::new();
    let mut at = 0;
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let goes_on = start.is_some_and(|start| !start.is_match(stripped(line)));
        match units.last_mut() {
            Some(last) if goes_on => last.1 += line.len(),
            _ => units.push((at, at + line.len())),
        }
        at += line.len();
    }
    units.into_iter().map(|(begin, end)| stripped(&text[begin..end])).collect()
}

fn one_by_one<'t>(patterns: &[&str], text: &'t [u8], start: Option<&Pattern>) -> (Vec<(usize, &'t [u8])>, Seen) {
    let compile = |pattern: &&str| RegexBuilder::new(pattern).multi_line(true).build().unwrap();
    let regexes: Vec<_> = patterns.iter().map(compile).collect();
    let mut found = Vec::new();
    for unit in units(text, start) {
        let matching = regexes.iter().enumerate().filter(|(_, regex)| regex.is_match(unit));
        found.extend(matching.map(|(index, _)| (index, unit)));
    }
    let lines: Vec<_> = text.split_inclusive(|byte| *byte == b'\n').collect();
    let content =
        |line: &[u8]| line.strip_suffix(b"\n").map_or(line.len(), |l| l.strip_suffix(b"\r").unwrap_or(l).len());
    let long = lines.iter().filter(|line| content(line) > MAX_LINE).count();
    (found, Seen { lines: lines.len() as u64, long_lines: long as u64 })
}

fn check(patterns: &[&str], text: &[u8]) {
    let scanner = scanner(patterns);
    let records = start_of_records();
    for start in [None, Some(&records)] {
        let mut found = Vec::new();
        let seen = scanner.scan(text, start, &mut |index, line| found.push((index, line)));
        let (expected, counted) = one_by_one(patterns, text, start);
        assert_eq!(seen, counted);
        let shown = |found: &[(usize, &[u8])]| -> Vec<String> {
            found
                .iter()
                .map(|(index, line)| format!("{:?} in {:?}", patterns[*index], line.escape_ascii().to_string()))
                .collect()
        };
        assert!(found == expected, "{:#?} instead of {:#?}", shown(&found), shown(&expected));
    }
}

fn piece() -> impl Strategy<Value = Vec<u8>> {
    let fixed = |texts: &'static [&'static [u8]]| proptest::sample::select(texts).prop_map(<[u8]>::to_vec);
    prop_oneof![
        8 => fixed(&[
            b"error", b"ERROR", b"Error: ", b" end", b"err", b"ab", b"ba", b"x", b"y", b"aaa", b"123", b"42 ", b" ", b"WARN",
            b"stra\xc3\x9fe", b"\xc3\xa9\xc3\xa9", b"\xff", b"\xff\xfe", b"\xc3", b"_", b"\t", b"hello world", b"\r",
        ]),
        6 => fixed(&[b"\n", b"\n", b"\r\n", b"\n\n"]),
        1 => (MAX_LINE - 3..MAX_LINE + 3).prop_map(|length| vec![b'a'; length]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_scan_finds_what_trying_each_pattern_on_each_line_finds(
        patterns in proptest::sample::subsequence(POOL.to_vec(), 1..6),
        pieces in proptest::collection::vec(piece(), 0..60),
    ) {
        check(&patterns, &pieces.concat());
    }
}

#[test]
fn every_pattern_alone_and_all_at_once_find_what_trying_them_finds() {
    let text =
        b"error\r\n\nan error end\nab\nba\n\xff 123 x\ny\nERROR: 42\n42 records\nb\na\nb\r\rerrorerror: no\nlast error";
    for pattern in POOL {
        check(&[pattern], text);
    }
    check(&POOL, text);
}

#[test]
fn a_match_beyond_the_cap_of_a_line_is_not_looked_at() {
    let mut text = vec![b'-'; MAX_LINE];
    text.extend(b"error\nerror\n");
    let mut found = Vec::new();
    let seen = scanner(&["error"]).scan(&text, None, &mut |index, line| found.push((index, line.to_vec())));
    assert_eq!(found, [(0, b"error".to_vec())]);
    assert_eq!(seen, Seen { lines: 2, long_lines: 1 });
}

#[test]
fn a_record_is_told_once_with_all_of_its_lines() {
    let text = b"tail of another: error\n10 begins\n  error\n  error\n11 goes on\nerror begins one too\n";
    let mut found = Vec::new();
    let record = start_of_records();
    scanner(&["error"]).scan(text, Some(&record), &mut |_, unit| found.push(String::from_utf8_lossy(unit)));
    assert_eq!(found, ["tail of another: error", "10 begins\n  error\n  error", "error begins one too"]);
}

/// A backtracking engine needs longer than the universe for these.
#[test]
fn a_pattern_that_explodes_elsewhere_takes_time_in_proportion_to_the_text() {
    let bombs = ["(a*)*b", "(x+x+)+y", "(a|aa)+$b", "(a|a?)+c", "(.*)(.*)(.*)(.*)[^a]{3}z"];
    let scanner = scanner(&bombs);
    let time = |lines: usize| {
        let text = [vec![b'a'; 1023], vec![b'\n']].concat().repeat(lines);
        let begun = std::time::Instant::now();
        scanner.scan(&text, None, &mut |_, _| panic!("nothing matches"));
        begun.elapsed()
    };
    time(16);
    let (quarter, whole) = (time(256), time(1024));
    assert!(whole < quarter * 40, "{quarter:?} for 256 KiB, {whole:?} for 1 MiB");
    // One line of 64 KiB, which is where the exponent would be.
    let text = vec![b'a'; 1 << 20];
    scanner.scan(&text, None, &mut |_, _| panic!("nothing matches"));
}

#[test]
fn a_pattern_that_needs_much_memory_is_refused() {
    for pattern in ["a{1000}{1000}", r"(\w{500}){500}", "((a{100}){100}){100}"] {
        let message = Expression::compile(pattern, true).unwrap_err();
        assert!(message.contains("exceeds size limit"), "{message}");
    }
}
