//! Replies of every form that RESP2 has, for commands that answer with numbers and lists.

use super::{MAX_TEXT, first_line};

/// A list that announces more is not read.
const MAX_ITEMS: usize = 100_000;

/// A list in a list in a list is enough.
const MAX_DEPTH: usize = 4;

/// The longest reply as a whole: what a list of some thousand keys may have.
const MAX_BYTES: usize = 16 << 20;

/// What a server answers. Its texts are bytes: a key is not always UTF-8.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// `+OK`
    Word(String),
    /// `-READONLY You can't write against a read only replica.`
    Refusal(String),
    /// `:12`
    Number(i64),
    /// `$4`, and then so many bytes.
    Text(Vec<u8>),
    /// `*2`, and then so many replies.
    List(Vec<Answer>),
    /// `$-1` or `*-1`.
    Nothing,
}

/// The reply at the begin of these bytes and its length, once it is whole; or why it is none.
pub(super) fn parse(heard: &[u8]) -> Result<Option<(Answer, usize)>, &'static str> {
    let parsed = parse_at(heard, 0)?;
    if parsed.is_none() && heard.len() > MAX_BYTES {
        return Err("a reply of more than 16 MiB");
    }
    Ok(parsed)
}

fn parse_at(heard: &[u8], depth: usize) -> Result<Option<(Answer, usize)>, &'static str> {
    let Some((form, rest)) = heard.split_first() else { return Ok(None) };
    if !b"+-:$*".contains(form) {
        return Err("it does not begin as a reply does");
    }
    let Some(line) = first_line(rest)? else { return Ok(None) };
    let length = 1 + line.len() + 2;
    let text = || String::from_utf8_lossy(line).into_owned();
    let number = || -> Result<i64, &'static str> {
        std::str::from_utf8(line).ok().and_then(|line| line.parse().ok()).ok_or("a number that is none")
    };
    let answer = match form {
        b'+' => Answer::Word(text()),
        b'-' => Answer::Refusal(text()),
        b':' => Answer::Number(number()?),
        form => match (number()?, form) {
            (-1, _) => Answer::Nothing,
            (size, b'$') => return bytes(heard, length, size),
            (size, _) => return list(heard, length, size, depth),
        },
    };
    Ok(Some((answer, length)))
}

fn bytes(heard: &[u8], begin: usize, size: i64) -> Result<Option<(Answer, usize)>, &'static str> {
    let size = usize::try_from(size).map_err(|_| "it announces a text without a length")?;
    if size > MAX_TEXT {
        return Err("it announces a text of more than 1 MiB");
    }
    let Some(body) = heard.get(begin..begin + size + 2) else { return Ok(None) };
    let body = body.strip_suffix(b"\r\n").ok_or("a text is longer than announced")?;
    Ok(Some((Answer::Text(body.to_vec()), begin + size + 2)))
}

fn list(heard: &[u8], begin: usize, size: i64, depth: usize) -> Result<Option<(Answer, usize)>, &'static str> {
    let size = usize::try_from(size).map_err(|_| "it announces a list without a length")?;
    if size > MAX_ITEMS || depth >= MAX_DEPTH {
        return Err("it announces a list of too many or too deep");
    }
    let mut items = Vec::new();
    let mut at = begin;
    for _ in 0..size {
        let Some((item, length)) = parse_at(&heard[at..], depth + 1)? else { return Ok(None) };
        items.push(item);
        at += length;
    }
    Ok(Some((Answer::List(items), at)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_reply_of_every_form_is_taken_once_it_is_whole_and_not_a_byte_more() {
        let key = |key: &[u8]| Answer::Text(key.to_vec());
        let page = Answer::List(vec![key(b"17"), Answer::List(vec![key(b"a\r\nb"), key(b"\xff"), Answer::Nothing])]);
        let whole: [(&[u8], Answer); 6] = [
            (b"+OK\r\n", Answer::Word("OK".into())),
            (b"-ERR no\r\n", Answer::Refusal("ERR no".into())),
            (b":-12\r\n", Answer::Number(-12)),
            (b"*0\r\n", Answer::List(Vec::new())),
            (b"*-1\r\n", Answer::Nothing),
            (b"*2\r\n$2\r\n17\r\n*3\r\n$4\r\na\r\nb\r\n$1\r\n\xff\r\n$-1\r\n", page),
        ];
        for (bytes, answer) in whole {
            let more = [bytes, b"+rest"].concat();
            assert_eq!(parse(&more), Ok(Some((answer, bytes.len()))));
            for cut in 0..bytes.len() {
                assert_eq!(parse(&bytes[..cut]), Ok(None), "{cut} bytes of {bytes:?}");
            }
        }
    }

    #[test]
    fn what_is_no_reply_or_would_be_too_much_is_known_at_once() {
        let strange: [&[u8]; 7] = [
            b"HTTP",
            b":x\r\n",
            b"$-2\r\n",
            b"*-2\r\n",
            b"*100001\r\n",
            b"$1048577\r\n",
            b"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n",
        ];
        for bytes in strange {
            assert!(parse(bytes).is_err(), "{}", String::from_utf8_lossy(bytes));
        }
    }

    proptest! {
        #[test]
        fn nothing_that_comes_makes_the_parser_panic(bytes in proptest::collection::vec(prop_oneof![Just(b'*'), Just(b'$'), Just(b'\r'), Just(b'\n'), b'0'..=b'9', any::<u8>()], 0..60)) {
            let _ = parse(&bytes);
        }
    }
}
