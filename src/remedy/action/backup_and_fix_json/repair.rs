//! What can be repaired of a JSON text, pure: a byte order mark, trailing commas, an end that was cut off, and an end that
//! stands there twice. Everything else is left to people. Nothing is invented: what was cut off is dropped.

use serde::de::IgnoredAny;
use std::fmt;
use std::ops::Range;

/// What a text is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// JSON as it should be.
    Valid,
    /// It can be repaired.
    Repaired(Repaired),
    /// It cannot: why not.
    Hopeless(String),
}

/// A text that was repaired.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Repaired {
    pub text: Vec<u8>,
    pub repairs: Vec<Repair>,
}

/// One thing that was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repair {
    Mark,
    Commas(usize),
    CutEnd,
    DuplicateEnd,
}

impl fmt::Display for Repair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Repair::Mark => f.write_str("byte order mark removed"),
            Repair::Commas(1) => f.write_str("a trailing comma removed"),
            Repair::Commas(number) => write!(f, "{number} trailing commas removed"),
            Repair::CutEnd => f.write_str("closed after its last whole member"),
            Repair::DuplicateEnd => f.write_str("what stood behind its end removed"),
        }
    }
}

/// Deeper texts are not repaired; readers refuse them anyway.
const MAX_DEPTH: usize = 128;

const MARK: &[u8] = b"\xef\xbb\xbf";

/// Judges a text, and repairs it where that has one possible meaning.
pub(super) fn judge(bytes: &[u8]) -> Verdict {
    if std::str::from_utf8(bytes).is_ok_and(is_json) {
        return Verdict::Valid;
    }
    match repair(bytes) {
        Ok(repaired) => match std::str::from_utf8(&repaired.text) {
            Ok(text) if is_json(text) => Verdict::Repaired(repaired),
            _ => Verdict::Hopeless("it would still be no JSON".into()),
        },
        Err(why) => Verdict::Hopeless(why),
    }
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

fn repair(bytes: &[u8]) -> Result<Repaired, String> {
    let mut repairs = Vec::new();
    let mut rest = bytes;
    if let Some(unmarked) = rest.strip_prefix(MARK) {
        repairs.push(Repair::Mark);
        rest = unmarked;
    }
    // A file system that had the length but not the blocks on its disk gives zeros.
    let end = rest.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let mut text = &rest[..end];
    let mut is_cut = text.len() < rest.len();
    if let Err(error) = std::str::from_utf8(text) {
        if error.error_len().is_some() {
            return Err(format!("byte {} is no UTF-8", bytes.len() - rest.len() + error.valid_up_to() + 1));
        }
        // The last character was cut off.
        text = &text[..error.valid_up_to()];
        is_cut = true;
    }
    let mut scanner = Scanner { text, at: 0, open: Vec::new(), whole: 0, commas: Vec::new() };
    let end = scanner.scan()?;
    let commas = scanner.commas.clone();
    let mut fixed = match end {
        End::Whole(end) => {
            let kept = without(text, &commas, end);
            if scanner.duplicates(end)? {
                repairs.push(Repair::DuplicateEnd);
                kept
            } else {
                if is_cut {
                    repairs.push(Repair::CutEnd);
                }
                [kept.as_slice(), &text[end..]].concat()
            }
        }
        End::Cut => {
            let safe = scanner.open.last().map_or(0, |open| open.safe);
            if scanner.open.is_empty() || scanner.whole == 0 {
                return Err("nothing whole is left of it".into());
            }
            repairs.push(Repair::CutEnd);
            let closers = scanner.open.iter().rev().map(|open| open.closer);
            without(text, &commas, safe).into_iter().chain(closers).collect()
        }
    };
    let removed = commas.iter().filter(|comma| comma.end <= text.len()).count();
    if removed > 0 {
        repairs.push(Repair::Commas(removed));
    }
    if matches!(end, End::Cut) && text.ends_with(b"\n") {
        fixed.push(b'\n');
    }
    Ok(Repaired { text: fixed, repairs })
}

/// The text up to an end, without these pieces.
fn without(text: &[u8], pieces: &[Range<usize>], end: usize) -> Vec<u8> {
    let mut kept = Vec::with_capacity(end);
    let mut at = 0;
    for piece in pieces.iter().filter(|piece| piece.end <= end) {
        kept.extend_from_slice(&text[at..piece.start]);
        at = piece.end;
    }
    kept.extend_from_slice(&text[at..end]);
    kept
}

/// How a text ends.
enum End {
    /// The value is whole, and ends there.
    Whole(usize),
    /// The text ends within the value.
    Cut,
}

/// An object or array that was begun.
struct Open {
    closer: u8,
    /// Where its last whole member ends.
    safe: usize,
}

/// What comes next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Value,
    /// The first one of an array, or its end.
    FirstValue,
    /// Behind the comma that stands there.
    ValueAfter(usize),
    FirstKey,
    KeyAfter(usize),
    Colon,
    CommaOrEnd,
}

/// A string, number or word.
enum Token {
    Until(usize),
    Cut,
}

struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
    open: Vec<Open>,
    /// How many members were whole.
    whole: usize,
    commas: Vec<Range<usize>>,
}

impl Scanner<'_> {
    fn scan(&mut self) -> Result<End, String> {
        let mut next = Next::Value;
        loop {
            self.at += self.text[self.at..].iter().take_while(|byte| is_space(**byte)).count();
            let Some(byte) = self.text.get(self.at).copied() else { return Ok(End::Cut) };
            next = match (next, byte) {
                (Next::Value | Next::FirstValue | Next::ValueAfter(_), b'{' | b'[') => self.begin(byte)?,
                (Next::FirstValue, b']') | (Next::FirstKey, b'}') => self.finish(),
                (Next::ValueAfter(comma), b']') | (Next::KeyAfter(comma), b'}') => {
                    self.commas.push(comma..comma + 1);
                    self.finish()
                }
                (Next::CommaOrEnd, b']' | b'}') if self.open.last().is_some_and(|open| open.closer == byte) => {
                    self.finish()
                }
                (Next::CommaOrEnd, b',') => {
                    let comma = self.at;
                    self.at += 1;
                    let is_object = self.open.last().is_some_and(|open| open.closer == b'}');
                    if is_object { Next::KeyAfter(comma) } else { Next::ValueAfter(comma) }
                }
                (Next::Colon, b':') => {
                    self.at += 1;
                    Next::Value
                }
                (Next::FirstKey | Next::KeyAfter(_), b'"') => match self.string()? {
                    Token::Until(end) => {
                        self.at = end;
                        Next::Colon
                    }
                    Token::Cut => return Ok(End::Cut),
                },
                (Next::Value | Next::FirstValue | Next::ValueAfter(_), _) => {
                    let token = if byte == b'"' { self.string()? } else { self.word()? };
                    let Token::Until(end) = token else { return Ok(End::Cut) };
                    self.at = end;
                    self.member()
                }
                _ => return Err(self.strange()),
            };
            if self.open.is_empty() {
                return Ok(End::Whole(self.at));
            }
        }
    }

    fn begin(&mut self, byte: u8) -> Result<Next, String> {
        if self.open.len() >= MAX_DEPTH {
            return Err(format!("it is nested deeper than {MAX_DEPTH}"));
        }
        self.at += 1;
        let (closer, next) = if byte == b'{' { (b'}', Next::FirstKey) } else { (b']', Next::FirstValue) };
        self.open.push(Open { closer, safe: self.at });
        Ok(next)
    }

    fn finish(&mut self) -> Next {
        self.at += 1;
        self.open.pop();
        self.member()
    }

    fn member(&mut self) -> Next {
        self.whole += 1;
        let at = self.at;
        if let Some(open) = self.open.last_mut() {
            open.safe = at;
        }
        Next::CommaOrEnd
    }

    fn string(&self) -> Result<Token, String> {
        let mut at = self.at + 1;
        loop {
            match self.text.get(at) {
                None => return Ok(Token::Cut),
                Some(b'"') => return Ok(Token::Until(at + 1)),
                Some(b'\\') => match self.text.get(at + 1) {
                    None => return Ok(Token::Cut),
                    Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => at += 2,
                    Some(b'u') => {
                        let digits = self.text[at + 2..].iter().take(4);
                        let good = digits.clone().take_while(|digit| digit.is_ascii_hexdigit()).count();
                        match (good, digits.len()) {
                            (4, _) => at += 6,
                            (good, seen) if good == seen => return Ok(Token::Cut),
                            _ => return Err(self.strange()),
                        }
                    }
                    Some(_) => return Err(self.strange()),
                },
                Some(0..0x20) => return Err(self.strange()),
                Some(_) => at += 1,
            }
        }
    }

    /// A number, `true`, `false` or `null`. A number at the very end may have been longer.
    fn word(&self) -> Result<Token, String> {
        let length = self.text[self.at..].iter().take_while(|byte| is_of_word(**byte)).count();
        let word = &self.text[self.at..self.at + length];
        let is_last = self.at + length == self.text.len();
        let is_literal = [&b"true"[..], b"false", b"null"].contains(&word);
        let is_begun = [&b"true"[..], b"false", b"null"].iter().any(|literal| literal.starts_with(word));
        let is_numeric = word.first().is_some_and(|first| first.is_ascii_digit() || *first == b'-');
        if is_literal {
            return Ok(Token::Until(self.at + length));
        }
        // A number that stands alone has no end that could be missing.
        if is_last && !word.is_empty() && (is_begun || is_numeric) && !self.open.is_empty() {
            return if is_begun || could_be_number(word) { Ok(Token::Cut) } else { Err(self.strange()) };
        }
        match std::str::from_utf8(word) {
            Ok(text) if is_numeric && is_json(text) => Ok(Token::Until(self.at + length)),
            _ => Err(self.strange()),
        }
    }

    /// Whether what stands behind the end is the end once more, as an overwriting with something shorter leaves it.
    fn duplicates(&self, end: usize) -> Result<bool, String> {
        let rest = self.text[end..].trim_ascii();
        if rest.is_empty() {
            return Ok(false);
        }
        let value = self.text[..end].trim_ascii();
        let is_container = value.ends_with(b"}") || value.ends_with(b"]");
        let only_closes = rest.iter().all(|byte| matches!(byte, b'}' | b']') || is_space(*byte));
        // Two whole texts one after the other are two, and perhaps lines of a log.
        let is_own = std::str::from_utf8(rest).is_ok_and(is_json);
        if is_container && !is_own && (only_closes || value.ends_with(rest)) {
            return Ok(true);
        }
        Err(format!("behind its end at byte {end} stands something else"))
    }

    fn strange(&self) -> String {
        let line = self.text[..self.at].iter().filter(|byte| **byte == b'\n').count() + 1;
        format!("what stands at byte {} (line {line}) is no JSON and has no single meaning", self.at + 1)
    }
}

fn could_be_number(word: &[u8]) -> bool {
    // With one more digit it is whole, or it was already.
    let longer = [word, b"0"].concat();
    [word, &longer].into_iter().any(|word| std::str::from_utf8(word).is_ok_and(is_json))
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn repaired(text: &str) -> String {
        match judge(text.as_bytes()) {
            Verdict::Repaired(repaired) => String::from_utf8(repaired.text).unwrap(),
            other => panic!("{text:?}: {other:?}"),
        }
    }

    #[test]
    fn what_has_one_meaning_is_repaired_and_the_rest_stays_to_the_byte() {
        for (broken, whole) in [
            ("\u{feff}{\"a\": 1}\n", "{\"a\": 1}\n"),
            ("{\"a\": [1, 2, ], }\n", "{\"a\": [1, 2 ] }\n"),
            (r#"{"a":1,"b":{"c":[1,2"#, r#"{"a":1,"b":{"c":[1]}}"#),
            (r#"{"a":1,"b":"half a wo"#, r#"{"a":1}"#),
            (r#"{"a":1,"b":"#, r#"{"a":1}"#),
            (r#"{"a":1,"b"#, r#"{"a":1}"#),
            (r#"{"a":1,"#, r#"{"a":1}"#),
            (r#"{"a":true"#, r#"{"a":true}"#),
            (r#"[{"a":1},{"b":tru"#, r#"[{"a":1},{}]"#),
            (r#"[1,"\u00"#, "[1]"),
            (r#"[1,"\"#, "[1]"),
            ("[1,-", "[1]"),
            ("{\"a\":1,\n", "{\"a\":1}\n"),
            ("{\"a\":1}\0\0\0\0", "{\"a\":1}"),
            ("{\"a\":1,\"b\":\"\0", "{\"a\":1}"),
            (r#"{"a":1}}"#, r#"{"a":1}"#),
            ("{\"a\":1}\n}\n", "{\"a\":1}"),
            (r#"{"a":{"b":12}}:12}}"#, r#"{"a":{"b":12}}"#),
            ("\u{feff}[1,],", "[1]"),
        ] {
            if whole == "[1]" && broken.ends_with("],") {
                assert!(matches!(judge(broken.as_bytes()), Verdict::Hopeless(_)));
                continue;
            }
            assert_eq!(repaired(broken), whole, "{broken:?}");
        }
        let mut cut = "{\"a\":1,\"b\":\"\u{3042}".as_bytes().to_vec();
        cut.pop();
        let Verdict::Repaired(repaired) = judge(&cut) else { panic!() };
        assert_eq!((repaired.text.as_slice(), repaired.repairs.as_slice()), (&b"{\"a\":1}"[..], &[Repair::CutEnd][..]));
    }

    #[test]
    fn what_has_several_meanings_or_none_is_left_to_people() {
        for text in [
            "",
            " \n",
            "\0\0\0",
            "{",
            "[[[",
            "{\"a\":",
            "{\"a\":\"x",
            "nul",
            "tr",
            "\"half",
            "// x\n{}",
            "{/* x */}",
            "{'a':1}",
            "{a:1}",
            "[1,,2]",
            "[,1]",
            "{,}",
            "[1 2]",
            "{\"a\" 1}",
            "{\"a\":1 \"b\":2}",
            "[NaN]",
            "[Infinity]",
            "[01]",
            "[1,0x",
            "[1}",
            "{\"a\":1]",
            "[\"\x01\"]",
            "[\"\\x\"]",
            "[\"\\u12x4\"]",
            "{\"a\":1}{\"b\":2}",
            "{\"a\":1}\n{\"a\":1}\n",
            "[1]2",
            "1 1",
            "{\"a\":1} # x",
            "[1,]x",
            "\u{feff}",
            "]",
            "}",
        ] {
            assert!(matches!(judge(text.as_bytes()), Verdict::Hopeless(_)), "{text:?}: {:?}", judge(text.as_bytes()));
        }
        assert!(matches!(judge(b"{\"a\":\"\xff\"}"), Verdict::Hopeless(_)));
        let deep = "[".repeat(200);
        assert!(matches!(judge(format!("{deep}1").as_bytes()), Verdict::Hopeless(_)));
    }

    #[test]
    fn json_as_it_should_be_is_known_as_such() {
        for text in ["{}", " [1, 2.5e3, -0, \"\\ud83d\\ude00\", null]\n", "1", "\"x\"", "{\"a\":1,\"a\":2}"] {
            assert_eq!(judge(text.as_bytes()), Verdict::Valid, "{text}");
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_filter("finite", |number| number.is_finite()).prop_map(Value::from),
            ".{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(5, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::hash_map(".{0,6}", inner, 0..6).prop_map(|map| json!(map)),
            ]
        })
    }

    /// Whether everything in `part` stands in `whole` as well, at the same place.
    fn is_part(part: &Value, whole: &Value) -> bool {
        match (part, whole) {
            (Value::Object(part), Value::Object(whole)) => {
                part.iter().all(|(key, value)| whole.get(key).is_some_and(|whole| is_part(value, whole)))
            }
            (Value::Array(part), Value::Array(whole)) => {
                part.len() <= whole.len() && part.iter().zip(whole).all(|(part, whole)| is_part(part, whole))
            }
            _ => part == whole,
        }
    }

    proptest! {
        #[test]
        fn any_begin_of_a_valid_text_is_repaired_without_inventing_anything_or_refused(
            value in any_json(), pretty in any::<bool>(), share in 0.0..1.0_f64
        ) {
            let text = if pretty { serde_json::to_vec_pretty(&value) } else { serde_json::to_vec(&value) }.unwrap();
            prop_assert_eq!(judge(&text), Verdict::Valid);
            let cut = (text.len() as f64 * share) as usize;
            match judge(&text[..cut]) {
                Verdict::Repaired(repaired) => {
                    let again: Value = serde_json::from_slice(&repaired.text).unwrap();
                    prop_assert!(is_part(&again, &value), "{again} of {value}");
                    prop_assert_eq!(judge(&repaired.text), Verdict::Valid);
                }
                // A number that stands alone is one at any length.
                Verdict::Valid => prop_assert!(value.is_number()),
                Verdict::Hopeless(_) => {}
            }
        }

        #[test]
        fn nothing_that_is_garbled_makes_it_panic_or_give_what_is_no_json(
            value in any_json(), at in any::<prop::sample::Index>(), byte in any::<u8>(), tail in any::<Vec<u8>>()
        ) {
            let mut text = serde_json::to_vec(&value).unwrap();
            let at = at.index(text.len());
            text[at] = byte;
            text.extend(tail.into_iter().take(3));
            if let Verdict::Repaired(repaired) = judge(&text) {
                prop_assert!(serde_json::from_slice::<IgnoredAny>(&repaired.text).is_ok());
            }
        }

        #[test]
        fn structure_alone_never_makes_it_panic(text in "[\\[\\]{}:,\"\\\\tfn1 -]{0,24}") {
            if let Verdict::Repaired(repaired) = judge(text.as_bytes()) {
                prop_assert_eq!(judge(&repaired.text), Verdict::Valid);
            }
        }
    }
}
