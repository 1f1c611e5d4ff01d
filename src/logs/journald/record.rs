//! One record of the journal, as `journalctl --output=json` writes it.

use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use std::fmt;

/// What is read of a record.
#[derive(Debug, PartialEq, Deserialize)]
pub struct Record {
    /// Its place in the journal.
    #[serde(rename = "__CURSOR")]
    pub cursor: String,
    /// What was logged.
    #[serde(rename = "MESSAGE", default)]
    pub message: Message,
    #[serde(rename = "_PID", default)]
    pid: Option<String>,
}

impl Record {
    /// Whether the process with this id wrote it.
    pub fn is_of(&self, pid: &str) -> bool {
        self.pid.as_deref() == Some(pid)
    }
}

/// The record of a line; nothing for a line that is not meant to be one.
pub fn parse(line: &[u8]) -> Option<serde_json::Result<Record>> {
    // Older versions say in a line between when the journal begins.
    line.first().is_some_and(|first| *first == b'{').then(|| serde_json::from_slice(line))
}

/// The messages of a record: one, or several if the field is there several times. A string, or an array of bytes where
/// it is no text; null where it is withheld.
#[derive(Debug, Default, PartialEq)]
pub struct Message(pub Vec<Vec<u8>>);

impl<'de> Deserialize<'de> for Message {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MessageVisitor)
    }
}

struct MessageVisitor;

impl<'de> Visitor<'de> for MessageVisitor {
    type Value = Message;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string, an array of bytes, or several of those")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Message, E> {
        Ok(Message(vec![text.as_bytes().to_vec()]))
    }

    fn visit_unit<E: Error>(self) -> Result<Message, E> {
        Ok(Message::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Message, A::Error> {
        let (mut bytes, mut messages) = (Vec::new(), Vec::new());
        while let Some(part) = parts.next_element()? {
            match part {
                Part::Byte(byte) => bytes.push(byte),
                Part::Message(message) => messages.push(message),
                Part::Nothing => {}
            }
        }
        if messages.is_empty() {
            messages.push(bytes);
        }
        Ok(Message(messages))
    }
}

/// An element of an array: a byte of one message, or one of several messages.
enum Part {
    Byte(u8),
    Message(Vec<u8>),
    Nothing,
}

impl<'de> Deserialize<'de> for Part {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PartVisitor)
    }
}

struct PartVisitor;

impl<'de> Visitor<'de> for PartVisitor {
    type Value = Part;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a byte, a string or an array of bytes")
    }

    fn visit_u64<E: Error>(self, byte: u64) -> Result<Part, E> {
        u8::try_from(byte).map(Part::Byte).map_err(E::custom)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Part, E> {
        Ok(Part::Message(text.as_bytes().to_vec()))
    }

    fn visit_unit<E: Error>(self) -> Result<Part, E> {
        Ok(Part::Nothing)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Part, A::Error> {
        let mut bytes = Vec::new();
        while let Some(byte) = parts.next_element()? {
            bytes.push(byte);
        }
        Ok(Part::Message(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(json: &str) -> Vec<Vec<u8>> {
        parse(format!(r#"{{"__CURSOR":"c","_BOOT_ID":"b","MESSAGE":{json},"_PID":"7"}}"#).as_bytes())
            .unwrap()
            .unwrap()
            .message
            .0
    }

    #[test]
    fn a_message_is_text_or_bytes_or_several_or_withheld() {
        assert_eq!(message(r#""a \"b\"\nc""#), [b"a \"b\"\nc"]);
        assert_eq!(message("[255,254,32]"), [[255, 254, 32]]);
        assert_eq!(message(r#"["one",[255,10],null]"#), [b"one".to_vec(), vec![255, 10]]);
        assert!(message("null").is_empty());
        assert!(parse(br#"{"__CURSOR":"c"}"#).unwrap().unwrap().message.0.is_empty());
    }

    #[test]
    fn what_is_no_record_is_told_from_what_is_a_bad_one() {
        assert!(parse(b"-- Logs begin at Sun 2026-11-22 --").is_none());
        assert!(parse(b"").is_none());
        for bad in [r#"{"MESSAGE":"no cursor"}"#, r#"{"__CURSOR":"c","MESSAGE":[256]}"#, r#"{"__CURSOR":"c""#] {
            assert!(parse(bad.as_bytes()).unwrap().is_err(), "{bad}");
        }
    }

    #[test]
    fn records_of_a_process_are_known_by_its_id() {
        let record = parse(br#"{"__CURSOR":"c","_PID":"77"}"#).unwrap().unwrap();
        assert!(record.is_of("77") && !record.is_of("7"));
        assert!(!parse(br#"{"__CURSOR":"c"}"#).unwrap().unwrap().is_of("77"));
    }
}
