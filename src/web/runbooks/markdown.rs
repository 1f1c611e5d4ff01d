//! As much of Markdown as runbooks use: headings, paragraphs, lists, fenced code, tables; code, emphasis and links in a line.
//! Everything else is text. Every character of the text is escaped.

use std::fmt::Write as _;

/// A text as HTML.
pub fn html(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let mut out = String::new();
    blocks(&lines, &mut out);
    out
}

/// What a line begins.
enum Begins<'a> {
    Nothing,
    Heading(usize, &'a str),
    Fence,
    Row,
    /// An item, the element of its list, and the columns that its mark takes.
    Item(&'static str, usize),
    Text,
}

fn begins(line: &str) -> Begins<'_> {
    let level = line.bytes().take_while(|byte| *byte == b'#').count();
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    match line {
        _ if line.trim().is_empty() => Begins::Nothing,
        _ if (1..=6).contains(&level) && line[level..].starts_with(' ') => Begins::Heading(level, line[level..].trim()),
        _ if line.starts_with("```") => Begins::Fence,
        _ if line.starts_with('|') => Begins::Row,
        _ if line.starts_with("- ") => Begins::Item("ul", 2),
        _ if (1..=9).contains(&digits) && line[digits..].starts_with(". ") => Begins::Item("ol", digits + 2),
        _ => Begins::Text,
    }
}

/// Each step takes at least one line, and what is inside an item is shorter than the item.
fn blocks(mut lines: &[&str], out: &mut String) {
    while let [first, rest @ ..] = lines {
        lines = match begins(first) {
            Begins::Nothing => rest,
            Begins::Heading(level, title) => {
                // Writing to a String cannot fail, here and below.
                let _ = writeln!(out, "<h{level}>{}</h{level}>", inline(title));
                rest
            }
            Begins::Fence => fence(rest, out),
            Begins::Row => table(lines, out),
            Begins::Item(list, _) => items(lines, list, out),
            Begins::Text => {
                let end = rest.iter().take_while(|line| matches!(begins(line), Begins::Text)).count();
                let _ = writeln!(out, "<p>{}</p>", inline(&lines[..=end].join("\n")));
                &rest[end..]
            }
        };
    }
}

fn fence<'a, 'b>(lines: &'a [&'b str], out: &mut String) -> &'a [&'b str] {
    let end = lines.iter().take_while(|line| !line.starts_with("```")).count();
    out.push_str("<pre><code>");
    for line in &lines[..end] {
        escape(line, out);
        out.push('\n');
    }
    out.push_str("</code></pre>\n");
    &lines[(end + 1).min(lines.len())..]
}

/// The first row is the head, the second one rules it off.
fn table<'a, 'b>(lines: &'a [&'b str], out: &mut String) -> &'a [&'b str] {
    let end = lines.iter().take_while(|line| matches!(begins(line), Begins::Row)).count();
    out.push_str("<table>\n");
    for (number, row) in lines[..end].iter().enumerate().filter(|(number, _)| *number != 1) {
        let cell = if number == 0 { "th" } else { "td" };
        out.push_str("<tr>");
        // A bar that is escaped belongs to its cell.
        let row = row.trim().trim_matches('|').replace("\\|", "\0");
        for text in row.split('|') {
            let _ = write!(out, "<{cell}>{}</{cell}>", inline(&text.trim().replace('\0', "|")));
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</table>\n");
    &lines[end..]
}

/// The items of one list. What is indented below an item belongs to it, also after an empty line.
fn items<'a, 'b>(mut lines: &'a [&'b str], list: &str, out: &mut String) -> &'a [&'b str] {
    let _ = writeln!(out, "<{list}>");
    while let [first, rest @ ..] = lines
        && let Begins::Item(kind, width) = begins(first)
        && kind == list
    {
        let is_inside = |line: &&str| line.trim().is_empty() || line.starts_with("  ");
        let end = rest.iter().take_while(|line| is_inside(line)).count();
        let mut inside = vec![&first[width..]];
        inside.extend(rest[..end].iter().map(|line| {
            let indent = line.bytes().take_while(|byte| *byte == b' ').count().min(width);
            &line[indent..]
        }));
        let mut text = String::new();
        blocks(&inside, &mut text);
        // A paragraph that is all of an item is no paragraph.
        let text = text.trim_end();
        let alone =
            text.strip_prefix("<p>").and_then(|text| text.strip_suffix("</p>")).filter(|text| !text.contains("<p>"));
        let _ = writeln!(out, "<li>{}</li>", alone.unwrap_or(text));
        lines = &rest[end..];
    }
    let _ = writeln!(out, "</{list}>");
    lines
}

/// Code, strong words and links within a text.
fn inline(mut text: &str) -> String {
    let mut out = String::new();
    while let Some(at) = text.find(['`', '*', '[']) {
        escape(&text[..at], &mut out);
        text = &text[at..];
        let taken = match text.as_bytes()[0] {
            b'`' => within(text, "`", "`").map(|(code, rest)| {
                out.push_str("<code>");
                escape(code, &mut out);
                out.push_str("</code>");
                rest
            }),
            b'*' => within(text, "**", "**")
                .map(|(words, rest)| (words, "strong", rest))
                .or_else(|| {
                    let (words, rest) = within(text, "*", "*")?;
                    (!words.starts_with(' ')).then_some((words, "em", rest))
                })
                .map(|(words, element, rest)| {
                    let _ = write!(out, "<{element}>{}</{element}>", inline(words));
                    rest
                }),
            _ => within(text, "[", "](").and_then(|(words, rest)| {
                let (target, rest) = rest.split_once(')')?;
                link(words, target, &mut out);
                Some(rest)
            }),
        };
        text = taken.unwrap_or_else(|| {
            out.push_str(&text[..1]);
            &text[1..]
        });
    }
    escape(text, &mut out);
    out
}

/// What stands between two marks, not empty, and what follows.
fn within<'a>(text: &'a str, open: &str, close: &str) -> Option<(&'a str, &'a str)> {
    text.strip_prefix(open)?.split_once(close).filter(|(inside, _)| !inside.is_empty())
}

/// A link to another runbook or to another site. The documents are not in the binary: they are named.
fn link(words: &str, target: &str, out: &mut String) {
    let words = inline(words);
    let page = target.split('#').next().unwrap_or_default();
    if target.starts_with("https://") || target.starts_with("http://") || target.starts_with('/') {
        out.push_str("<a href=\"");
        escape(target, out);
        let _ = write!(out, "\">{words}</a>");
    } else if let Some(alert) = page.strip_suffix(".md").filter(|alert| alert.chars().all(char::is_alphanumeric)) {
        let _ = write!(out, "<a href=\"/runbooks/{alert}\">{words}</a>");
    } else {
        let _ = write!(out, "{words} (");
        escape(target.trim_start_matches("../"), out);
        out.push(')');
    }
}

fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(html(text).replace('\n', ""), expected.replace('\n', ""), "{text}");
    }

    #[test]
    fn headings_and_paragraphs() {
        check("# A *b*\n\nOne\ntwo.\n\nThree.\n## C\n", "<h1>A <em>b</em></h1><p>Onetwo.</p><p>Three.</p><h2>C</h2>");
        check("#no heading\n", "<p>#no heading</p>");
    }

    #[test]
    fn lists_with_what_belongs_to_an_item() {
        check("- a\n  b\n- c\n\nd", "<ul><li>ab</li><li>c</li></ul><p>d</p>");
        check("1. a\n2. b\n   - c\n", "<ol><li>a</li><li><p>b</p><ul><li>c</li></ul></li></ol>");
        check("- a\n\n  b\n", "<ul><li><p>a</p><p>b</p></li></ul>");
        check(
            "- run\n\n  ```sh\n  x < y\n  ```\n- c\n",
            "<ul><li><p>run</p><pre><code>x &lt; y</code></pre></li><li>c</li></ul>",
        );
    }

    #[test]
    fn code_keeps_every_character() {
        check(
            "```promql\na{b=\"c\"} > 1 ** `x`\n# no heading\n```\nend",
            "<pre><code>a{b=&quot;c&quot;} &gt; 1 ** `x`# no heading</code></pre><p>end</p>",
        );
        check("```\nnever closed", "<pre><code>never closed</code></pre>");
        check("a `b*c*[d](e)` f", "<p>a <code>b*c*[d](e)</code> f</p>");
    }

    #[test]
    fn tables_have_a_head() {
        check(
            "| a | b |\n|---|---|\n| `1\\|2` | <3> |\n",
            "<table><tr><th>a</th><th>b</th></tr><tr><td><code>1|2</code></td><td>&lt;3&gt;</td></tr></table>",
        );
    }

    #[test]
    fn links_lead_to_runbooks_and_sites_and_documents_are_named() {
        check("[a](https://x/?b=\"c\")", "<p><a href=\"https://x/?b=&quot;c&quot;\">a</a></p>");
        check("[`a`](BankenDown.md#x)", "<p><a href=\"/runbooks/BankenDown\"><code>a</code></a></p>");
        check("[logs](../logs.md#rules)", "<p>logs (logs.md#rules)</p>");
        check("[x](javascript:y)", "<p>x (javascript:y)</p>");
    }

    #[test]
    fn signs_that_open_nothing_are_text_and_html_is_escaped() {
        check("2 * 3 * 4, a[0], `b, **c, <script>&'", "<p>2 * 3 * 4, a[0], `b, **c, &lt;script&gt;&amp;&#39;</p>");
        check("**a *b***", "<p><strong>a *b</strong>*</p>");
    }
}
