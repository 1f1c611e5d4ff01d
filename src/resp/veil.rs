//! What a peer says, without the password that it was sent.

use crate::values::Secret;

/// The most characters of a peer's words in a failure.
const MAX_SHOWN: usize = 120;

/// Keeps the password out of what a peer says.
#[derive(Debug)]
pub struct Veil(Option<Vec<u8>>);

impl Veil {
    /// So many bytes of the password in a row are hidden, also where the rest was cut off. A shorter password is hidden
    /// as a whole.
    const ENOUGH: usize = 4;

    /// Over this password, where there is one.
    pub fn new(password: Option<&Secret>) -> Self {
        Self(password.map(|password| password.expose().as_bytes().to_vec()).filter(|password| !password.is_empty()))
    }

    /// What a peer says: its first line, short, without control characters.
    pub fn show(&self, said: &[u8]) -> String {
        let line = said.split(|byte| *byte == b'\n').next().unwrap_or_default().trim_ascii();
        let line = self.hide(line);
        let mut shown = String::new();
        for character in String::from_utf8_lossy(&line).chars() {
            if shown.len() >= MAX_SHOWN {
                shown.push('…');
                break;
            }
            match character {
                '"' | '\'' => shown.push(character),
                other => shown.extend(other.escape_debug()),
            }
        }
        shown
    }

    fn hide<'a>(&self, said: &'a [u8]) -> std::borrow::Cow<'a, [u8]> {
        let Some(secret) = &self.0 else { return said.into() };
        let mut shown = Vec::new();
        let mut rest = said;
        while let Some((first, others)) = rest.split_first() {
            let same = secret.iter().zip(rest).take_while(|(ours, theirs)| ours == theirs).count();
            if same >= Self::ENOUGH.min(secret.len()) {
                shown.extend_from_slice(b"[hidden]");
                rest = &rest[same..];
            } else {
                shown.push(*first);
                rest = others;
            }
        }
        shown.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn veil(password: &str) -> Veil {
        Veil(Some(password.as_bytes().to_vec()))
    }

    #[test]
    fn a_password_that_is_echoed_is_hidden_whole_or_cut() {
        let veil = veil("hunter2-horse");
        assert_eq!(veil.show(b"no hunter2-horse here"), "no [hidden] here");
        assert_eq!(veil.show(b"args: 'hunter2' and hunter"), "args: '[hidden]' and [hidden]");
        assert_eq!(veil.show(b"hunhunter2-horsehunter2-horse"), "hun[hidden][hidden]");
        assert_eq!(Veil(Some(b"pw".to_vec())).show(b"it is pw"), "it is [hidden]");
        assert_eq!(Veil(None).show(b"plain\r\nsecond"), "plain");
        assert_eq!(Veil(None).show(b"\x1b[31m\xff"), "\\u{1b}[31m\u{fffd}");
        assert!(Veil(None).show(&[b'x'; 5000]).chars().count() <= MAX_SHOWN + 1);
    }
}
