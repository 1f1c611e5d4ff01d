//! The little XML that XML-RPC needs: calls are written, answers are read; nothing that is read can nest without end.

/// A call of a method with a program, and whether to wait for it.
pub(super) fn call(method: &str, program: &str, wait: Option<bool>) -> String {
    let wait = wait.map_or_else(String::new, |wait| {
        format!("<param><value><boolean>{}</boolean></value></param>", u8::from(wait))
    });
    format!(
        "<?xml version=\"1.0\"?><methodCall><methodName>{method}</methodName><params><param><value><string>{}</string>\
         </value></param>{wait}</params></methodCall>",
        escaped(program)
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// What is answered.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Answer {
    Value(Value),
    /// Its number and its words.
    Fault(i64, String),
}

/// A value. What is neither a number nor a text nor made of those is none.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Number(i64),
    Text(String),
    Members(Vec<(String, Value)>),
    Other,
}

impl Value {
    pub(super) fn member(&self, name: &str) -> Option<&Value> {
        let Value::Members(members) = self else { return None };
        members.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    pub(super) fn as_number(&self) -> Option<i64> {
        if let Value::Number(number) = self { Some(*number) } else { None }
    }

    pub(super) fn as_text(&self) -> Option<&str> {
        if let Value::Text(text) = self { Some(text) } else { None }
    }
}

/// Values in values in values: more than this supervisord never answers.
const MAX_DEPTH: usize = 8;

/// Reads an answer; nothing if it is none.
pub(super) fn answer(text: &[u8]) -> Option<Answer> {
    let text = std::str::from_utf8(text).ok()?;
    let mut rest = Rest(text);
    rest.skip_prolog();
    rest.open("methodResponse")?;
    if rest.open("fault").is_some() {
        let fault = rest.value(0)?;
        let number = fault.member("faultCode")?.as_number()?;
        return Some(Answer::Fault(number, fault.member("faultString")?.as_text()?.to_owned()));
    }
    rest.open("params")?;
    rest.open("param")?;
    let value = rest.value(0)?;
    for end in ["param", "params", "methodResponse"] {
        rest.close(end)?;
    }
    Some(Answer::Value(value))
}

struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    fn skip_prolog(&mut self) {
        self.0 = self.0.trim_start();
        if self.0.starts_with("<?") {
            self.0 = self.0.split_once("?>").map_or("", |(_, rest)| rest);
        }
    }

    /// `<name>`, after any space.
    fn open(&mut self, name: &str) -> Option<()> {
        self.take(|rest| rest.trim_start().strip_prefix('<')?.strip_prefix(name)?.strip_prefix('>'))
    }

    /// `</name>`, after any space.
    fn close(&mut self, name: &str) -> Option<()> {
        self.take(|rest| rest.trim_start().strip_prefix("</")?.strip_prefix(name)?.strip_prefix('>'))
    }

    /// `<name/>`, after any space.
    fn empty(&mut self, name: &str) -> Option<()> {
        self.take(|rest| rest.trim_start().strip_prefix('<')?.strip_prefix(name)?.trim_start().strip_prefix("/>"))
    }

    fn take(&mut self, by: impl FnOnce(&'a str) -> Option<&'a str>) -> Option<()> {
        self.0 = by(self.0)?;
        Some(())
    }

    /// What stands before the next tag.
    fn text(&mut self) -> Option<String> {
        let (text, _) = self.0.split_once('<')?;
        self.0 = &self.0[text.len()..];
        Some(unescaped(text))
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        if depth > MAX_DEPTH {
            return None;
        }
        if self.empty("value").is_some() {
            return Some(Value::Text(String::new()));
        }
        self.open("value")?;
        let value = self.typed(depth)?;
        self.close("value")?;
        Some(value)
    }

    fn typed(&mut self, depth: usize) -> Option<Value> {
        for kind in ["int", "i4", "i8", "boolean"] {
            if self.open(kind).is_some() {
                let number = self.text()?.trim().parse().ok()?;
                self.close(kind)?;
                return Some(Value::Number(number));
            }
        }
        if self.empty("string").is_some() {
            return Some(Value::Text(String::new()));
        }
        if self.open("string").is_some() {
            let text = self.text()?;
            self.close("string")?;
            return Some(Value::Text(text));
        }
        if self.empty("struct").is_some() {
            return Some(Value::Members(Vec::new()));
        }
        if self.open("struct").is_some() {
            return self.members(depth);
        }
        for kind in ["nil", "double", "dateTime.iso8601", "base64"] {
            if self.empty(kind).is_some() {
                return Some(Value::Other);
            }
            if self.open(kind).is_some() {
                self.text()?;
                self.close(kind)?;
                return Some(Value::Other);
            }
        }
        // Without a type it is a text.
        self.text().map(Value::Text)
    }

    fn members(&mut self, depth: usize) -> Option<Value> {
        let mut members = Vec::new();
        while self.open("member").is_some() {
            self.open("name")?;
            let name = self.text()?;
            self.close("name")?;
            members.push((name, self.value(depth + 1)?));
            self.close("member")?;
        }
        self.close("struct")?;
        Some(Value::Members(members))
    }
}

fn unescaped(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&apos;", "'").replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// As supervisord 4 says it.
    const INFO: &str = "<?xml version='1.0'?>\n<methodResponse>\n<params>\n<param>\n<value><struct>\n<member>\n<name>name</name>\n\
        <value><string>a &amp;lt; b</string></value>\n</member>\n<member>\n<name>state</name>\n<value><int>20</int></value>\n\
        </member>\n<member>\n<name>spawnerr</name>\n<value><string></string></value>\n</member>\n</struct></value>\n</param>\n\
        </params>\n</methodResponse>\n";

    #[test]
    fn an_answer_of_supervisor_is_read() {
        let Some(Answer::Value(value)) = answer(INFO.as_bytes()) else { panic!("not understood") };
        assert_eq!(value.member("state").and_then(Value::as_number), Some(20));
        assert_eq!(value.member("name").and_then(Value::as_text), Some("a &lt; b"));
        assert_eq!(value.member("spawnerr").and_then(Value::as_text), Some(""));
        assert_eq!(value.member("other"), None);
        let done =
            "<methodResponse><params><param><value><boolean>1</boolean></value></param></params></methodResponse>";
        assert_eq!(answer(done.as_bytes()), Some(Answer::Value(Value::Number(1))));
    }

    #[test]
    fn what_nests_without_end_is_no_answer() {
        let deep = "<value><struct><member><name>x</name>".repeat(10_000);
        assert_eq!(answer(format!("<methodResponse><params><param>{deep}").as_bytes()), None);
        let deep = "<value><array><data>".repeat(10_000);
        assert_eq!(answer(format!("<methodResponse><params><param>{deep}").as_bytes()), None);
    }

    #[test]
    fn a_call_cannot_be_broken_out_of() {
        let call = call("supervisor.stopProcess", "a</string>&", Some(false));
        assert!(call.contains("<string>a&lt;/string&gt;&amp;</string>"), "{call}");
        assert!(call.contains("<boolean>0</boolean>"), "{call}");
    }

    proptest! {
        #[test]
        fn no_answer_makes_the_reader_panic(text in "[ -~\n]{0,200}", cut in 0..INFO.len()) {
            let _ = answer(text.as_bytes());
            prop_assert_eq!(answer(&INFO.as_bytes()[..cut]).is_some() && cut < INFO.len() - 1, false);
        }

        #[test]
        fn nothing_that_resembles_an_answer_makes_the_reader_panic(
            parts in proptest::collection::vec(proptest::sample::select(vec![
                "<methodResponse>", "<params>", "<param>", "<value>", "</value>", "<struct>", "</struct>", "<member>",
                "<name>", "</name>", "x", "<int>", "7", "</int>", "<fault>", "<string/>", "</member>", "&lt;", "<", "é",
            ]), 0..40)
        ) {
            let _ = answer(parts.concat().as_bytes());
        }
    }
}
