//! Echo requests and what comes back, as bytes: RFC 792 and RFC 4443.

/// Which ICMP, and so which numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    V4,
    V6,
}

const V4_ANSWER: u8 = 0;
const V4_UNREACHABLE: u8 = 3;
const V4_REQUEST: u8 = 8;
const V4_EXPIRED: u8 = 11;
const V6_UNREACHABLE: u8 = 1;
const V6_TOO_BIG: u8 = 2;
const V6_EXPIRED: u8 = 3;
const V6_REQUEST: u8 = 128;
const V6_ANSWER: u8 = 129;

/// Type, code, checksum, identifier, sequence.
pub(super) const HEADER: usize = 8;

/// Enough for the headers of an answer: the longest of IPv4 is 60 bytes.
pub(super) const OVERHEAD: usize = 128;

/// What of an echo request comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) id: u16,
    pub(super) sequence: u16,
}

/// What a packet says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard<'a> {
    /// The answer to a request, with what the request carried.
    Answer(Mark, &'a [u8]),
    /// A request got no further, and why.
    Refusal(Mark, &'static str),
}

/// An echo request. For IPv6 the kernel fills in the checksum, because it covers the addresses.
pub(super) fn request(version: Version, mark: Mark, payload: &[u8]) -> Vec<u8> {
    let kind = if version == Version::V4 { V4_REQUEST } else { V6_REQUEST };
    let mut packet = Vec::with_capacity(HEADER + payload.len());
    packet.extend_from_slice(&[kind, 0, 0, 0]);
    packet.extend_from_slice(&mark.id.to_be_bytes());
    packet.extend_from_slice(&mark.sequence.to_be_bytes());
    packet.extend_from_slice(payload);
    if version == Version::V4 {
        let sum = checksum(&packet);
        packet[2..4].copy_from_slice(&sum.to_be_bytes());
    }
    packet
}

/// The Internet checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = 0;
    for pair in bytes.chunks(2) {
        sum += u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// Understands a packet, of which a raw socket of IPv4 gives the IP header too. None for what concerns nobody here.
pub(super) fn parse(version: Version, has_ip_header: bool, bytes: &[u8]) -> Option<Heard<'_>> {
    let bytes = if has_ip_header { inside_v4(bytes)? } else { bytes };
    let (kind, code) = (*bytes.first()?, *bytes.get(1)?);
    let answer = if version == Version::V4 { V4_ANSWER } else { V6_ANSWER };
    if kind == answer {
        return Some(Heard::Answer(mark(bytes)?, bytes.get(HEADER..)?));
    }
    let why = refusal(version, kind, code)?;
    // The beginning of the packet that got no further.
    let quoted = bytes.get(HEADER..)?;
    let request = match version {
        Version::V4 => inside_v4(quoted)?,
        Version::V6 => inside_v6(quoted)?,
    };
    let wanted = if version == Version::V4 { V4_REQUEST } else { V6_REQUEST };
    (request.first() == Some(&wanted)).then(|| mark(request).map(|mark| Heard::Refusal(mark, why)))?
}

fn mark(bytes: &[u8]) -> Option<Mark> {
    let half = |at: usize| Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
    Some(Mark { id: half(4)?, sequence: half(6)? })
}

fn inside_v4(bytes: &[u8]) -> Option<&[u8]> {
    let first = *bytes.first()?;
    let is_icmp = bytes.get(9) == Some(&1);
    (first >> 4 == 4 && is_icmp).then(|| bytes.get(usize::from(first & 0xf) * 4..))?
}

fn inside_v6(bytes: &[u8]) -> Option<&[u8]> {
    let is_icmp = bytes.get(6) == Some(&58);
    (*bytes.first()? >> 4 == 6 && is_icmp).then(|| bytes.get(40..))?
}

fn refusal(version: Version, kind: u8, code: u8) -> Option<&'static str> {
    Some(match (version, kind, code) {
        (Version::V4, V4_UNREACHABLE, 0) | (Version::V6, V6_UNREACHABLE, 0) => "network unreachable",
        (Version::V4, V4_UNREACHABLE, 1) | (Version::V6, V6_UNREACHABLE, 3) => "host unreachable",
        (Version::V4, V4_UNREACHABLE, 4) | (Version::V6, V6_TOO_BIG, _) => "packet too large",
        (Version::V4, V4_UNREACHABLE, 9 | 10 | 13) | (Version::V6, V6_UNREACHABLE, 1 | 5 | 6) => "prohibited",
        (Version::V4, V4_UNREACHABLE, _) | (Version::V6, V6_UNREACHABLE, _) => "unreachable",
        (Version::V4, V4_EXPIRED, _) | (Version::V6, V6_EXPIRED, _) => "time to live exceeded",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MARK: Mark = Mark { id: 0x1234, sequence: 7 };

    fn v4_header(protocol: u8, options: usize) -> Vec<u8> {
        let mut header = vec![0; 20 + options];
        header[0] = 0x40 | u8::try_from((20 + options) / 4).unwrap();
        header[9] = protocol;
        header
    }

    fn v6_header(next: u8) -> Vec<u8> {
        let mut header = vec![0; 40];
        header[0] = 0x60;
        header[6] = next;
        header
    }

    fn answer(version: Version, payload: &[u8]) -> Vec<u8> {
        let mut packet = request(version, MARK, payload);
        packet[0] = if version == Version::V4 { 0 } else { 129 };
        packet
    }

    #[test]
    fn a_request_has_its_place_for_everything_and_sums_to_nothing() {
        assert_eq!(
            request(Version::V4, Mark { id: 1, sequence: 2 }, b"ab"),
            [8, 0, 0x96, 0x9a, 0, 1, 0, 2, b'a', b'b']
        );
        for payload in [&b""[..], b"a", b"ab", &[0xff; 1001]] {
            assert_eq!(checksum(&request(Version::V4, MARK, payload)), 0);
        }
        assert_eq!(request(Version::V6, MARK, b"")[..4], [128, 0, 0, 0]);
    }

    #[test]
    fn answers_are_understood_with_and_without_the_header_of_ip() {
        for version in [Version::V4, Version::V6] {
            assert_eq!(parse(version, false, &answer(version, b"xyz")), Some(Heard::Answer(MARK, b"xyz")));
            assert_eq!(parse(version, false, &request(version, MARK, b"xyz")), None, "our own request on the loopback");
        }
        for options in [0, 12, 40] {
            let packet = [v4_header(1, options), answer(Version::V4, b"xyz")].concat();
            assert_eq!(parse(Version::V4, true, &packet), Some(Heard::Answer(MARK, b"xyz")));
        }
        assert_eq!(parse(Version::V4, true, &[v4_header(17, 0), answer(Version::V4, b"")].concat()), None);
    }

    #[test]
    fn a_refusal_is_known_by_the_request_that_it_quotes() {
        let cases = [
            (Version::V4, [3, 0], "network unreachable"),
            (Version::V4, [3, 1], "host unreachable"),
            (Version::V4, [3, 13], "prohibited"),
            (Version::V4, [3, 5], "unreachable"),
            (Version::V4, [11, 0], "time to live exceeded"),
            (Version::V6, [1, 0], "network unreachable"),
            (Version::V6, [1, 3], "host unreachable"),
            (Version::V6, [2, 0], "packet too large"),
            (Version::V6, [3, 0], "time to live exceeded"),
        ];
        for (version, [kind, code], why) in cases {
            let quoted = if version == Version::V4 { v4_header(1, 4) } else { v6_header(58) };
            // Routers need not quote more than the first eight bytes.
            let request = request(version, MARK, b"");
            let packet = [vec![kind, code, 0, 0, 0, 0, 0, 0], quoted, request].concat();
            assert_eq!(parse(version, false, &packet), Some(Heard::Refusal(MARK, why)));
        }
        let foreign = [vec![3, 3, 0, 0, 0, 0, 0, 0], v4_header(17, 0), vec![8, 0, 0, 0, 0, 0, 0, 0]].concat();
        assert_eq!(parse(Version::V4, false, &foreign), None, "somebody else's UDP packet");
        let foreign = [vec![1, 3, 0, 0, 0, 0, 0, 0], v6_header(17), vec![128, 0, 0, 0, 0, 0, 0, 0]].concat();
        assert_eq!(parse(Version::V6, false, &foreign), None);
    }

    proptest! {
        #[test]
        fn nothing_that_comes_in_makes_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            for version in [Version::V4, Version::V6] {
                let _ = (parse(version, true, &bytes), parse(version, false, &bytes));
            }
        }

        #[test]
        fn nothing_that_resembles_a_refusal_makes_the_parser_panic(
            kind in 0_u8..12, ihl in 0x40_u8..0x70, rest in proptest::collection::vec(any::<u8>(), 0..80)
        ) {
            let packet = [vec![kind, 1, 0, 0, 0, 0, 0, 0, ihl], rest].concat();
            let _ = (parse(Version::V4, false, &packet), parse(Version::V6, false, &packet));
        }
    }
}
