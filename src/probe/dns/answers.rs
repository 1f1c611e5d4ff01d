//! What an answer must be, and whether it is.

use super::texts::{expected, text_of};
use super::{ANSWERS, RCODE, SERIAL, TTL};
use crate::observation::{Failure, Readings, Reason};
use crate::values::{Invalid, Pattern};
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{RData, RecordType};
use schemars::JsonSchema;
use serde::Deserialize;

/// The type of the records that are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum RecordKind {
    /// IPv4 addresses.
    #[default]
    A,
    /// IPv6 addresses.
    Aaaa,
    /// Who may issue certificates.
    Caa,
    /// The name that this name stands for.
    Cname,
    /// Who takes mail.
    Mx,
    /// The servers of a zone.
    Ns,
    /// The name of an address.
    Ptr,
    /// Who has the authority over a zone, and its serial number.
    Soa,
    /// Where a service is.
    Srv,
    /// Text.
    Txt,
}

impl From<RecordKind> for RecordType {
    fn from(kind: RecordKind) -> Self {
        match kind {
            RecordKind::A => RecordType::A,
            RecordKind::Aaaa => RecordType::AAAA,
            RecordKind::Caa => RecordType::CAA,
            RecordKind::Cname => RecordType::CNAME,
            RecordKind::Mx => RecordType::MX,
            RecordKind::Ns => RecordType::NS,
            RecordKind::Ptr => RecordType::PTR,
            RecordKind::Soa => RecordType::SOA,
            RecordKind::Srv => RecordType::SRV,
            RecordKind::Txt => RecordType::TXT,
        }
    }
}

/// A response code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Rcode {
    /// There is an answer.
    #[default]
    NoError,
    /// The name does not exist.
    NxDomain,
    /// The server cannot find out.
    ServFail,
    /// The server does not want to answer.
    Refused,
    /// The server does not know how to answer.
    NotImp,
    /// The server does not understand the question.
    FormErr,
}

impl From<Rcode> for ResponseCode {
    fn from(rcode: Rcode) -> Self {
        match rcode {
            Rcode::NoError => ResponseCode::NoError,
            Rcode::NxDomain => ResponseCode::NXDomain,
            Rcode::ServFail => ResponseCode::ServFail,
            Rcode::Refused => ResponseCode::Refused,
            Rcode::NotImp => ResponseCode::NotImp,
            Rcode::FormErr => ResponseCode::FormErr,
        }
    }
}

/// A response code as people who know DNS write it.
pub(super) fn word(code: ResponseCode) -> String {
    match code {
        ResponseCode::Unknown(number) => format!("RCODE{number}"),
        known => format!("{known:?}").to_uppercase(),
    }
}

/// The block `expect:`.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Expect {
    /// The response code.
    pub rcode: Rcode,
    /// At least so many records of the type that is asked for; without it 1 where `rcode` is `noerror`.
    pub min_answers: Option<u32>,
    /// What the records must say.
    pub answers: Answers,
}

/// The block `expect.answers:`; texts are compared without regard to their order, to capitals in names and to a dot at
/// the end of names.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Answers {
    /// All of these are among them.
    pub contains: Vec<String>,
    /// They are these and no others.
    pub equals: Vec<String>,
    /// At least one of these is among them.
    pub any: Vec<String>,
    /// Pattern that is found in at least one of them.
    pub matches: Option<Pattern>,
}

/// Expectations in the form in which answers are compared.
pub(super) struct Judge {
    record_type: RecordType,
    rcode: ResponseCode,
    min_answers: u32,
    answers: Answers,
}

impl Judge {
    pub(super) fn new(expect: &Expect, kind: RecordKind, invalid: &mut Vec<Invalid>) -> Self {
        let found = expect.rcode == Rcode::NoError;
        if !found && expect.answers != Answers::default() {
            let message = "an answer without records is expected: remove answers, or expect rcode: noerror";
            invalid.push(Invalid::new("expect.answers", message));
        }
        let mut tidied = |key: &str, texts: &[String]| {
            let mut all = Vec::with_capacity(texts.len());
            for (index, text) in texts.iter().enumerate() {
                match expected(text, kind) {
                    Ok(text) => all.push(text),
                    Err(message) => invalid.push(Invalid::new(format!("expect.answers.{key}[{index}]"), message)),
                }
            }
            all.sort_unstable();
            all.dedup();
            all
        };
        let answers = Answers {
            contains: tidied("contains", &expect.answers.contains),
            equals: tidied("equals", &expect.answers.equals),
            any: tidied("any", &expect.answers.any),
            matches: expect.answers.matches.clone(),
        };
        let min_answers = expect.min_answers.unwrap_or(u32::from(found));
        Self { record_type: kind.into(), rcode: expect.rcode.into(), min_answers, answers }
    }

    /// Writes what an answer says and holds it against what is expected.
    pub(super) fn judge(&self, message: &Message, out: &mut Readings) -> Result<(), Failure> {
        let code = message.metadata.response_code;
        out.set(&RCODE, f64::from(u16::from(code)));
        let records = message.answers.iter().filter(|record| record.record_type() == self.record_type);
        let data: Vec<&RData> = records.map(|record| &record.data).collect();
        out.set(&ANSWERS, data.len() as f64);
        if let Some(ttl) = message.answers.iter().map(|record| record.ttl).min() {
            out.set(&TTL, f64::from(ttl));
        }
        if let Some(RData::SOA(soa)) = data.first() {
            out.set(&SERIAL, f64::from(soa.serial));
        }
        let name = || message.queries.first().map_or_else(String::new, |query| query.name().to_ascii());
        if code != self.rcode {
            return Err(if code == ResponseCode::NXDomain {
                Failure::new(Reason::Missing, format!("the name {} does not exist (NXDOMAIN)", name()))
            } else {
                let detail = format!("the server answered {} where {} was expected", word(code), word(self.rcode));
                Failure::new(Reason::Status, detail)
            });
        }
        if data.len() < self.min_answers as usize {
            let detail = format!(
                "the answer has {} records of type {}, at least {} must be there",
                data.len(),
                self.record_type,
                self.min_answers
            );
            return Err(Failure::new(Reason::Missing, detail));
        }
        let texts: Vec<String> = data.iter().map(|data| text_of(data)).collect();
        if !texts.is_empty() {
            out.note("answers", listed(&texts));
        }
        self.judge_texts(&texts)
    }

    fn judge_texts(&self, texts: &[String]) -> Result<(), Failure> {
        let Answers { contains, equals, any, matches } = &self.answers;
        let has = |text: &String| texts.contains(text);
        let mut wrong = Vec::new();
        let absent: Vec<_> = contains.iter().filter(|text| !has(text)).cloned().collect();
        if !absent.is_empty() {
            wrong.push(format!("{} is missing", listed(&absent)));
        }
        let same = || equals.iter().all(has) && texts.iter().all(|text| equals.contains(text));
        if !equals.is_empty() && !same() {
            wrong.push(format!("exactly {} was expected", listed(equals)));
        }
        if !any.is_empty() && !any.iter().any(has) {
            wrong.push(format!("one of {} was expected", listed(any)));
        }
        if let Some(pattern) = matches
            && !texts.iter().any(|text| pattern.is_match(text.as_bytes()))
        {
            wrong.push(format!("none matches {:?}", pattern.as_str()));
        }
        if wrong.is_empty() {
            return Ok(());
        }
        let found = if texts.is_empty() { "nothing".to_owned() } else { listed(texts) };
        Err(Failure::new(Reason::Body, format!("the answer is {found}: {}", wrong.join("; "))))
    }
}

/// So many records are named in a sentence.
const MAX_LISTED: usize = 8;

/// So many characters of each.
const MAX_TEXT: usize = 120;

fn listed(texts: &[String]) -> String {
    let short = |text: &String| {
        let mut shown: String = text.chars().flat_map(shown).take(MAX_TEXT).collect();
        if shown.chars().count() == MAX_TEXT {
            shown.push('…');
        }
        shown
    };
    let mut named: Vec<_> = texts.iter().take(MAX_LISTED).map(short).collect();
    if texts.len() > MAX_LISTED {
        named.push(format!("and {} more", texts.len() - MAX_LISTED));
    }
    named.join(", ")
}

/// A character as it may stand on one line.
fn shown(character: char) -> impl Iterator<Item = char> {
    let quote = matches!(character, '"' | '\'').then_some(character);
    quote.into_iter().chain(character.escape_debug().filter(move |_| quote.is_none()))
}
