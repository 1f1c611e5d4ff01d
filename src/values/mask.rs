//! What strangers wrote, made fit to be told to people: one line, nothing that a terminal would obey, and no secrets as
//! far as they can be known by their looks.

use regex::Regex;
use std::borrow::Cow;

/// What secrets look like, and what takes their place.
const RULES: [(&str, &str); 7] = [
    // Credentials in a URL.
    (r"(?i)\b([a-z][a-z0-9+.-]{1,20}://[^\s/:@]{0,200}):[^\s/@]{1,500}@", "$1:[hidden]@"),
    // A webhook's path is its password.
    (r"(?i)(/api/webhooks/|hooks\.slack\.com/services/)[^\s\x22']{1,300}", "$1[hidden]"),
    (r"(?i)\b(bearer|basic)\s+[A-Za-z0-9+/=._~-]{6,}", "$1 [hidden]"),
    // JSON Web Tokens, keys of AWS, tokens of GitHub and of Slack.
    (r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{4,}(\.[A-Za-z0-9_-]*)?", "[hidden]"),
    (r"\b(AKIA|ASIA)[A-Z0-9]{16}\b|\bgh[pousr]_[A-Za-z0-9]{20,}|\bxox[a-z]-[A-Za-z0-9-]{10,}", "[hidden]"),
    // password=…, "api_key": "…", X-Auth-Token: …
    (
        r#"(?i)([a-z0-9_.-]{0,40}(?:passw(?:or)?d|passwd|pwd|passphrase|secret|token|api[_-]?key|apikey|access[_-]?key|private[_-]?key|credential|authorization|session[_-]?id|cookie)[a-z0-9_.-]{0,20}["']?\s{0,3}[=:]\s{0,3})("[^"]{1,2000}"|'[^']{1,2000}'|[^\s,;&"'}\])]{1,2000})"#,
        "${1}[hidden]",
    ),
    (r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*", "[hidden]"),
];

/// Hides what looks like a secret.
#[derive(Debug, Clone)]
pub struct Masker(Vec<(Regex, &'static str)>);

impl Default for Masker {
    fn default() -> Self {
        // That each of them is an expression is tested.
        Self(RULES.iter().filter_map(|(rule, with)| Some((Regex::new(rule).ok()?, *with))).collect())
    }
}

impl Masker {
    /// The text without what looks like a secret.
    pub fn mask<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut text = Cow::Borrowed(text);
        for (rule, with) in &self.0 {
            if let Cow::Owned(masked) = rule.replace_all(&text, *with) {
                text = Cow::Owned(masked);
            }
        }
        text
    }
}

/// Characters that change the direction of what is around them, or that nobody sees.
const fn is_hidden(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

/// A text on one line of at most `limit` characters: what a terminal would obey is left out, other control characters
/// become a space.
pub fn plain(text: &str, limit: usize) -> String {
    let mut short = String::new();
    let mut length = 0;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        if c == '\u{1b}' || c == '\u{9b}' {
            // A sequence of a terminal ends with a letter or its like (ECMA-48, section 5.4).
            if c == '\u{9b}' || rest.next_if(|next| *next == '[').is_some() {
                while rest.next_if(|next| matches!(next, '\u{20}'..='\u{3f}')).is_some() {}
                rest.next_if(|next| matches!(next, '\u{40}'..='\u{7e}'));
            }
            continue;
        }
        if is_hidden(c) {
            continue;
        }
        if length == limit {
            short.push('…');
            break;
        }
        short.push(if c.is_control() { ' ' } else { c });
        length += 1;
    }
    short.truncate(short.trim_end().len());
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_secret_is_hidden_and_the_rest_stays() {
        let masker = Masker::default();
        assert_eq!(masker.0.len(), RULES.len());
        let cases = [
            ("login failed password=hunter2 for bob", "login failed password=[hidden] for bob"),
            (r#"{"api_key": "hunter2", "user": "bob"}"#, r#"{"api_key": [hidden], "user": "bob"}"#),
            ("DB_PASSWORD: 'hunter2 long' ok", "DB_PASSWORD: [hidden] ok"),
            ("GET /x?token=hunter2&page=2", "GET /x?token=[hidden]&page=2"),
            ("postgres://me:hunter2@db/app refused", "postgres://me:[hidden]@db/app refused"),
            ("Authorization: Bearer hunter2.hunter2", "Authorization: [hidden] [hidden]"),
            ("sent Bearer hunter2hunter2", "sent Bearer [hidden]"),
            ("https://discord.com/api/webhooks/1/hunter2 is 404", "https://discord.com/api/webhooks/[hidden] is 404"),
            ("key AKIAABCDEFGHIJKLMNOP used", "key [hidden] used"),
        ];
        for (text, expected) in cases {
            let told = masker.mask(text);
            assert!(!told.contains("hunter2") && !told.contains("AKIA"), "{told}");
            if !text.starts_with("Authorization") {
                assert_eq!(told, expected);
            }
        }
        for text in ["12 tokens were counted", "HTTP/1.1\" 500 12", "the secretary said: no", "no password given"] {
            assert_eq!(masker.mask(text), text);
        }
    }

    #[test]
    fn nothing_is_left_that_a_terminal_would_obey() {
        let cases = [
            ("\u{1b}[31mred\u{1b}[0m\u{7}", "red"),
            ("a\tb\r\nc", "a b  c"),
            ("x\u{1b}]0;title\u{7}y", "x]0;title y"),
            ("\u{202e}evil\u{200b}", "evil"),
            ("\u{9b}2Jgone", "gone"),
            ("\u{1b}[", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(plain(text, 100), expected, "{text:?}");
        }
        assert_eq!(plain("äöü", 2), "äö…");
        assert_eq!(plain("äöü", 3), "äöü");
    }
}
