//! Reads a body to its end: inflated on the way, never more of it than the bound, kept only as far as it is needed.

use super::exchange::Answer;
use crate::observation::{Failure, Reason};
use flate2::{Decompress, FlushDecompress, Status};
use http::HeaderMap;
use http::header::CONTENT_ENCODING;

/// Reads the body of an answer; the first `keep` bytes of it are put into `kept`. Gives its size after inflating.
///
/// # Errors
/// [`Reason::Limit`] for more than `cap` bytes; [`Reason::Protocol`] when the connection breaks, the encoding is broken,
/// or the body is needed and encoded in a way that was not asked for.
pub(super) async fn read(answer: &mut Answer, cap: u64, keep: usize, kept: &mut Vec<u8>) -> Result<u64, Failure> {
    kept.clear();
    let coding = Coding::of(&answer.head.headers);
    let mut sink = Sink { kept, keep, cap, seen: 0 };
    let mut inflater = match coding {
        Coding::Identity => None,
        Coding::Compressed(format) => Some(Inflater::new(format)),
        Coding::Unknown if keep == 0 => None,
        Coding::Unknown => {
            return Err(Failure::new(
                Reason::Protocol,
                "the body is encoded in a way that is neither gzip nor deflate",
            ));
        }
    };
    while let Some(chunk) = answer.chunk().await {
        let chunk = chunk?;
        match &mut inflater {
            Some(inflater) => inflater.feed(&chunk, &mut sink)?,
            None => sink.write(&chunk)?,
        }
    }
    match inflater {
        Some(inflater) if !inflater.is_complete() => {
            Err(Failure::new(Reason::Protocol, "the compressed body ends in the middle"))
        }
        _ => Ok(sink.seen),
    }
}

struct Sink<'a> {
    kept: &'a mut Vec<u8>,
    keep: usize,
    cap: u64,
    seen: u64,
}

impl Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.seen += bytes.len() as u64;
        let room = self.keep.saturating_sub(self.kept.len()).min(bytes.len());
        self.kept.extend_from_slice(&bytes[..room]);
        if self.seen > self.cap {
            let detail = format!("the body is larger than {} bytes (max_body)", self.cap);
            return Err(Failure::new(Reason::Limit, detail));
        }
        Ok(())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Gzip,
    Deflate,
}

#[derive(Debug, PartialEq, Eq)]
enum Coding {
    Identity,
    Compressed(Format),
    Unknown,
}

impl Coding {
    fn of(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(CONTENT_ENCODING).iter();
        let Some(value) = values.next() else { return Coding::Identity };
        if values.next().is_some() {
            return Coding::Unknown;
        }
        let named = |name: &[u8]| value.as_bytes().trim_ascii().eq_ignore_ascii_case(name);
        if named(b"gzip") || named(b"x-gzip") {
            Coding::Compressed(Format::Gzip)
        } else if named(b"deflate") {
            Coding::Compressed(Format::Deflate)
        } else if named(b"identity") || named(b"") {
            Coding::Identity
        } else {
            Coding::Unknown
        }
    }
}

/// How much is inflated at a time, which is what a bomb costs beyond the bound.
const INFLATE_BYTES: usize = 16 * 1024;

/// The largest window of zlib, in bits.
const WINDOW_BITS: u8 = 15;

struct Inflater {
    format: Format,
    member: Member,
    output: Box<[u8]>,
}

/// A gzip body is one or several members, one after the other (RFC 1952, section 2.2).
enum Member {
    NotBegun,
    Running(Decompress),
    Ended,
}

impl Inflater {
    fn new(format: Format) -> Self {
        Self { format, member: Member::NotBegun, output: vec![0; INFLATE_BYTES].into() }
    }

    /// An answer without any body may still name an encoding.
    fn is_complete(&self) -> bool {
        !matches!(self.member, Member::Running(_))
    }

    fn begin(&mut self, first: u8) {
        let stream = match self.format {
            Format::Gzip => Decompress::new_gzip(WINDOW_BITS),
            // "deflate" means zlib (RFC 9110, section 8.4.1.2), but some servers send it without zlib's header.
            Format::Deflate => Decompress::new(first & 0x0f == 8),
        };
        self.member = Member::Running(stream);
    }

    fn feed(&mut self, mut input: &[u8], sink: &mut Sink<'_>) -> Result<(), Failure> {
        while let Some(first) = input.first().copied() {
            match &mut self.member {
                Member::NotBegun => self.begin(first),
                Member::Ended if self.format == Format::Gzip && first == GZIP_MAGIC => self.begin(first),
                // Padding after the end, which gzip itself ignores too.
                Member::Ended => return Ok(()),
                Member::Running(stream) => {
                    let (consumed, ended) = inflate(stream, input, &mut self.output, sink)?;
                    input = &input[consumed..];
                    if ended {
                        self.member = Member::Ended;
                    }
                }
            }
        }
        Ok(())
    }
}

/// The first byte of a gzip member.
const GZIP_MAGIC: u8 = 0x1f;

/// Inflates until the input is used up or the stream ends: how much was used, and whether it ended.
fn inflate(
    stream: &mut Decompress,
    input: &[u8],
    output: &mut [u8],
    sink: &mut Sink<'_>,
) -> Result<(usize, bool), Failure> {
    let broken = || Failure::new(Reason::Protocol, "the compressed body is corrupt");
    let mut used = 0;
    loop {
        let (in_before, out_before) = (stream.total_in(), stream.total_out());
        let status = stream.decompress(&input[used..], output, FlushDecompress::None).map_err(|_| broken())?;
        let consumed = (stream.total_in() - in_before) as usize;
        let produced = (stream.total_out() - out_before) as usize;
        used += consumed;
        sink.write(&output[..produced])?;
        if status == Status::StreamEnd {
            return Ok((used, true));
        }
        // A full output means that more may wait inside the stream, even when all input is used up.
        if used == input.len() && produced < output.len() {
            return Ok((used, false));
        }
        if consumed == 0 && produced == 0 {
            return Err(broken());
        }
    }
}
