//! Records as texts that can be compared.

use super::RecordKind;
use super::question::name_of;
use hickory_proto::rr::{Name, RData};
use std::net::{Ipv4Addr, Ipv6Addr};

/// A record in the form in which records are compared: as in a zone, names without capitals and without the last dot.
pub(super) fn text_of(data: &RData) -> String {
    match data {
        RData::A(address) => address.to_string(),
        RData::AAAA(address) => address.to_string(),
        RData::CNAME(name) => text_of_name(&name.0),
        RData::NS(name) => text_of_name(&name.0),
        RData::PTR(name) => text_of_name(&name.0),
        RData::MX(mx) => format!("{} {}", mx.preference, text_of_name(&mx.exchange)),
        RData::SRV(srv) => format!("{} {} {} {}", srv.priority, srv.weight, srv.port, text_of_name(&srv.target)),
        RData::SOA(soa) => format!(
            "{} {} {} {} {} {} {}",
            text_of_name(&soa.mname),
            text_of_name(&soa.rname),
            soa.serial,
            soa.refresh,
            soa.retry,
            soa.expire,
            soa.minimum
        ),
        RData::CAA(caa) => {
            let flags = if caa.issuer_critical { 128 } else { 0 };
            text_of_caa(flags, &caa.tag, &String::from_utf8_lossy(&caa.value))
        }
        other => other.to_string(),
    }
}

fn text_of_name(name: &Name) -> String {
    let text = name.to_ascii().to_ascii_lowercase();
    if text.len() > 1 { text.trim_end_matches('.').to_owned() } else { text }
}

fn text_of_caa(flags: u8, tag: &str, value: &str) -> String {
    format!("{flags} {} \"{value}\"", tag.to_ascii_lowercase())
}

/// What is expected, brought into the form of [`text_of`].
///
/// # Errors
/// How a record of this type is written.
pub(super) fn expected(text: &str, kind: RecordKind) -> Result<String, String> {
    let name = |text: &str| name_of(text).map(|name| text_of_name(&name));
    let wrong = |how: &str| format!("{text:?} is not a record of this type: write {how}");
    let words: Vec<_> = text.split_ascii_whitespace().collect();
    let number = |word: &str, how: &str| word.parse::<u16>().map_err(|_| wrong(how));
    match kind {
        RecordKind::A => text
            .parse::<Ipv4Addr>()
            .map(|address| address.to_string())
            .map_err(|_| wrong("an address, as in 192.0.2.1")),
        RecordKind::Aaaa => text
            .parse::<Ipv6Addr>()
            .map(|address| address.to_string())
            .map_err(|_| wrong("an address, as in 2001:db8::1")),
        RecordKind::Cname | RecordKind::Ns | RecordKind::Ptr => name(text),
        RecordKind::Mx => {
            let how = "preference and name, as in 10 mail.example.org";
            let [preference, exchange] = words[..] else { return Err(wrong(how)) };
            Ok(format!("{} {}", number(preference, how)?, name(exchange)?))
        }
        RecordKind::Srv => {
            let how = "priority, weight, port and name, as in 0 5 5060 sip.example.org";
            let [priority, weight, port, target] = words[..] else { return Err(wrong(how)) };
            let [priority, weight, port] = [number(priority, how)?, number(weight, how)?, number(port, how)?];
            Ok(format!("{priority} {weight} {port} {}", name(target)?))
        }
        RecordKind::Caa => {
            let how = "flags, tag and value, as in 0 issue \"ca.example.org\"";
            let mut parts = text.splitn(3, ' ');
            let (Some(flags), Some(tag), Some(value)) = (parts.next(), parts.next(), parts.next()) else {
                return Err(wrong(how));
            };
            let flags = flags.parse::<u8>().map_err(|_| wrong(how))?;
            Ok(text_of_caa(flags, tag, value.trim().trim_matches('"')))
        }
        RecordKind::Soa => match words[..] {
            [mname, rname, ref numbers @ ..] if numbers.len() == 5 => {
                Ok(format!("{} {} {}", name(mname)?, name(rname)?, numbers.join(" ")))
            }
            _ => Err(wrong("all seven fields, or use matches")),
        },
        RecordKind::Txt => Ok(text.to_owned()),
    }
}
