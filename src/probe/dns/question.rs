//! The question as it is sent, and by what its answer is known.

use super::RecordKind;
use hickory_proto::ProtoError;
use hickory_proto::op::{DEFAULT_MAX_PAYLOAD_LEN, Edns, Header, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::Name;
use hickory_proto::serialize::binary::{BinDecodable as _, BinDecoder};
use std::fmt;
use std::net::IpAddr;

/// A question, encoded once; each run only gives it another id.
pub(super) struct Question {
    query: Query,
    packet: Vec<u8>,
    /// The same for a server that does not know extensions (RFC 6891, section 7).
    plain: Vec<u8>,
}

/// How a question is put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// With the size of datagrams that we take (EDNS).
    Extended,
    /// As of old.
    Plain,
}

/// Why a message is not the answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Mismatch {
    /// It belongs to something else, and says nothing about the server.
    Foreign(&'static str),
    /// It is the server's answer, and cannot be read.
    Broken(String),
}

/// The bytes of a header.
const HEADER: usize = 12;

impl Question {
    /// # Errors
    /// What is wrong with the name.
    pub(super) fn new(name: &str, record_type: RecordKind, recursion: bool) -> Result<Self, String> {
        let name = match name.parse::<IpAddr>() {
            Ok(address) if record_type == RecordKind::Ptr => Name::from(address),
            Ok(address) => {
                return Err(format!("{address} is an address: write a name, or type: PTR to ask for the name of it"));
            }
            Err(_) => name_of(name)?,
        };
        let query = Query::query(name, record_type.into());
        let mut message = Message::new(0, MessageType::Query, OpCode::Query);
        message.metadata.recursion_desired = recursion;
        message.add_query(query.clone());
        let encoded = |message: &Message| message.to_vec().map_err(|error| format!("it cannot be asked for: {error}"));
        let plain = encoded(&message)?;
        let mut edns = Edns::new();
        edns.set_max_payload(DEFAULT_MAX_PAYLOAD_LEN);
        message.set_edns(edns);
        Ok(Self { query, packet: encoded(&message)?, plain })
    }

    /// The question under a new id that nobody can guess, and the id.
    pub(super) fn packet(&self, form: Form) -> (Vec<u8>, u16) {
        let id = Message::query().metadata.id;
        let mut packet = match form {
            Form::Extended => self.packet.clone(),
            Form::Plain => self.plain.clone(),
        };
        packet[..2].copy_from_slice(&id.to_be_bytes());
        (packet, id)
    }

    /// The answer to the question with this id.
    ///
    /// # Errors
    /// Why it is not the answer.
    pub(super) fn read(&self, id: u16, bytes: &[u8]) -> Result<Message, Mismatch> {
        let Some(header) = bytes.get(..HEADER) else { return Err(Mismatch::Foreign("shorter than a header")) };
        if header[..2] != id.to_be_bytes() {
            return Err(Mismatch::Foreign("with another id"));
        }
        if header[2] & 0x80 == 0 {
            return Err(Mismatch::Foreign("a question and not an answer"));
        }
        let message = match Message::from_vec(bytes) {
            Ok(message) => message,
            // Some servers cut the last record that does not fit in two; it is asked for over TCP anyway.
            Err(_) if header[2] & 0x02 != 0 => head_of(bytes).map_err(|error| Mismatch::Broken(error.to_string()))?,
            Err(error) => return Err(Mismatch::Broken(error.to_string())),
        };
        let same = match message.queries.as_slice() {
            [query] => *query == self.query,
            // Who refuses a question need not repeat it.
            [] => message.metadata.response_code != ResponseCode::NoError,
            _ => false,
        };
        if message.metadata.op_code != OpCode::Query || !same {
            return Err(Mismatch::Foreign("an answer to another question"));
        }
        Ok(message)
    }
}

/// Header and question of a message whose records cannot be read.
fn head_of(bytes: &[u8]) -> Result<Message, ProtoError> {
    let mut decoder = BinDecoder::new(bytes);
    let header = Header::read(&mut decoder)?;
    let mut message = Message::response(header.metadata.id, header.metadata.op_code);
    message.metadata = header.metadata;
    message.queries = Message::read_queries(&mut decoder, usize::from(header.counts.queries))?;
    Ok(message)
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.query.name().to_ascii(), self.query.query_type())
    }
}

/// A name as people write it, with or without the dot at its end; one that is not ASCII as it travels (IDNA).
///
/// # Errors
/// How a name is written.
pub(super) fn name_of(text: &str) -> Result<Name, String> {
    let wrong =
        |error: &dyn fmt::Display| format!("{text:?} is not a name that DNS knows, such as example.org: {error}");
    if text.trim() != text || text.is_empty() {
        return Err(wrong(&"it is empty, or has spaces around it"));
    }
    let name = if text.is_ascii() { Name::from_ascii(text) } else { Name::from_utf8(text) };
    let mut name = name.map_err(|error| wrong(&error))?;
    name.set_fqdn(true);
    Ok(name)
}
