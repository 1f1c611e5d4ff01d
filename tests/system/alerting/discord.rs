//! Stands in for Discord: takes messages through webhooks, holds them against the documented limits of Discord, answers as Discord
//! does, and remembers everything.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, post};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// The webhook of a channel, at a Discord that answers at `base`.
pub fn webhook(base: &str, channel: &str) -> String {
    format!("{base}/api/webhooks/{channel}/a-token")
}

/// One request for a message.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub channel: String,
    pub at: Instant,
    pub payload: Value,
    /// Why Discord would refuse it.
    pub problems: Vec<String>,
}

impl Delivery {
    pub fn content(&self) -> &str {
        self.payload["content"].as_str().unwrap_or_default()
    }

    pub fn title(&self) -> &str {
        self.payload["embeds"][0]["title"].as_str().unwrap_or_default()
    }

    pub fn description(&self) -> &str {
        self.payload["embeds"][0]["description"].as_str().unwrap_or_default()
    }
}

type Seen<T> = Arc<Mutex<Vec<T>>>;

#[derive(Clone, Default)]
struct Memory {
    deliveries: Seen<Delivery>,
    pings: Seen<Instant>,
}

pub struct Discord {
    /// Where it answers, without a slash at the end.
    pub base: String,
    memory: Memory,
    serving: tokio::task::JoinHandle<()>,
}

impl Discord {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let memory = Memory::default();
        let router = axum::Router::new()
            .route("/api/webhooks/{channel}/{token}", post(take))
            .route("/ping", any(ping))
            .with_state(memory.clone());
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { base, memory, serving }
    }

    /// Everything that was asked for so far, whether it was taken or refused.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.memory.deliveries.lock().unwrap().clone()
    }

    /// What came into one channel, which must all have been taken.
    pub fn messages(&self, channel: &str) -> Vec<Delivery> {
        let mut messages = self.deliveries();
        messages.retain(|delivery| delivery.channel == channel);
        for message in &messages {
            assert!(message.problems.is_empty(), "Discord refuses {message:#?}");
        }
        messages
    }

    /// When `/ping`, the dead man's switch beside Discord, was asked for.
    pub fn pings(&self) -> Vec<Instant> {
        self.memory.pings.lock().unwrap().clone()
    }
}

impl Drop for Discord {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn ping(State(memory): State<Memory>, method: Method) -> &'static str {
    assert_eq!(method, Method::POST);
    memory.pings.lock().unwrap().push(Instant::now());
    "OK"
}

async fn take(
    State(memory): State<Memory>,
    Path((channel, _token)): Path<(String, String)>,
    headers: axum::http::HeaderMap,
    body: Bytes,
) -> Response {
    let json = headers.get(header::CONTENT_TYPE).is_some_and(|form| form == "application/json");
    let (payload, problems) = match serde_json::from_slice(&body) {
        Ok(payload) if json => {
            let problems = problems_of(&payload);
            (payload, problems)
        }
        Ok(payload) => (payload, vec!["the Content-Type is not application/json".to_owned()]),
        Err(error) => (Value::Null, vec![format!("the body is not JSON: {error}")]),
    };
    let refused = (!problems.is_empty()).then(|| problems.clone());
    memory.deliveries.lock().unwrap().push(Delivery { channel, at: Instant::now(), payload, problems });
    match refused {
        None => StatusCode::NO_CONTENT.into_response(),
        Some(problems) => {
            let error = json!({ "message": "Invalid Form Body", "code": 50035, "errors": problems });
            (StatusCode::BAD_REQUEST, axum::Json(error)).into_response()
        }
    }
}

/// Why Discord would refuse a message, by the documented limits of its webhooks and embeds.
fn problems_of(payload: &Value) -> Vec<String> {
    let mut check = Check::default();
    if !payload.is_object() {
        return vec!["the message is not an object".to_owned()];
    }
    check.text("content", &payload["content"], 0, 2000);
    if let Some(name) = check.text("username", &payload["username"], 1, 80) {
        let name = name.to_lowercase();
        check.expect(!name.contains("discord") && !name.contains("clyde"), || format!("username is {name}"));
    }
    check.link("avatar_url", &payload["avatar_url"]);
    let embeds = check.list("embeds", &payload["embeds"], 10);
    let total: usize = embeds.iter().enumerate().map(|(at, embed)| check.embed(&format!("embeds[{at}]"), embed)).sum();
    check.expect(total <= 6000, || format!("all embeds together have {total} characters, more than 6000"));
    let said = payload["content"].as_str().is_some_and(|content| !content.trim().is_empty());
    check.expect(said || total > 0, || "the message is empty".to_owned());
    check.problems
}

/// Characters as Discord counts them: units of UTF-16.
pub fn length(text: &str) -> usize {
    text.encode_utf16().count()
}

#[derive(Default)]
struct Check {
    problems: Vec<String>,
}

impl Check {
    fn expect(&mut self, right: bool, problem: impl FnOnce() -> String) {
        if !right {
            self.problems.push(problem());
        }
    }

    /// A text, where there is one.
    fn text<'a>(&mut self, name: &str, value: &'a Value, least: usize, most: usize) -> Option<&'a str> {
        if value.is_null() {
            return None;
        }
        let text = value.as_str();
        self.expect(text.is_some(), || format!("{name} is not a text"));
        let length = length(text?);
        self.expect((least..=most).contains(&length), || {
            format!("{name} has {length} characters, not {least} to {most}")
        });
        text
    }

    fn link(&mut self, name: &str, value: &Value) {
        if let Some(link) = self.text(name, value, 0, 2048) {
            let right = link.is_empty() || link.starts_with("http://") || link.starts_with("https://");
            self.expect(right, || format!("{name} is not a link: {link}"));
        }
    }

    fn list<'a>(&mut self, name: &str, value: &'a Value, most: usize) -> &'a [Value] {
        if value.is_null() {
            return &[];
        }
        self.expect(value.is_array(), || format!("{name} is not a list"));
        let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
        self.expect(items.len() <= most, || format!("{name} has {} entries, more than {most}", items.len()));
        items
    }

    /// Gives the characters that count for the total.
    fn embed(&mut self, name: &str, embed: &Value) -> usize {
        self.expect(embed.is_object(), || format!("{name} is not an object"));
        let color = &embed["color"];
        let right = color.is_null() || color.as_u64().is_some_and(|color| color <= 0x00ff_ffff);
        self.expect(right, || format!("{name}.color is {color}, not 0 to 16777215"));
        self.link(&format!("{name}.url"), &embed["url"]);
        let texts = [
            ("title", &embed["title"], 256),
            ("description", &embed["description"], 4096),
            ("footer.text", &embed["footer"]["text"], 2048),
            ("author.name", &embed["author"]["name"], 256),
        ];
        let mut total = 0;
        for (part, text, most) in texts {
            total += self.text(&format!("{name}.{part}"), text, 0, most).map_or(0, length);
        }
        for (at, field) in self.list(&format!("{name}.fields"), &embed["fields"], 25).iter().enumerate() {
            for (part, most) in [("name", 256), ("value", 1024)] {
                let text = &field[part];
                let name = format!("{name}.fields[{at}].{part}");
                self.expect(text.is_string(), || format!("{name} is missing"));
                total += self.text(&name, text, 1, most).map_or(0, length);
            }
        }
        total
    }
}

#[test]
fn the_stand_in_refuses_what_discord_refuses() {
    let embed = |embed: Value| json!({ "embeds": [embed] });
    let long = |length: usize| "x".repeat(length);
    let field = || json!({ "name": "n", "value": "v" });
    let taken = [
        json!({ "content": long(2000) }),
        embed(json!({ "title": long(256), "description": long(4096), "color": 0x00ff_ffff })),
        embed(json!({ "title": "🔥".repeat(128) })),
        json!({ "content": "", "embeds": vec![json!({ "title": "x" }); 10] }),
        embed(json!({ "fields": vec![field(); 25], "color": 0 })),
        json!({ "embeds": vec![json!({ "description": long(3000) }); 2] }),
    ];
    for payload in taken {
        assert_eq!(problems_of(&payload), [""; 0], "{payload}");
    }
    let refused = [
        (json!([]), "the message is not an object"),
        (json!({}), "the message is empty"),
        (json!({ "content": " \n", "embeds": [] }), "the message is empty"),
        (embed(json!({ "title": "" })), "the message is empty"),
        (json!({ "content": long(2001) }), "content has 2001 characters, not 0 to 2000"),
        (json!({ "content": 5, "embeds": [{ "title": "x" }] }), "content is not a text"),
        (json!({ "content": "x", "username": "" }), "username has 0 characters, not 1 to 80"),
        (json!({ "content": "x", "username": "My Discord" }), "username is my discord"),
        (json!({ "content": "x", "avatar_url": "file:///x" }), "avatar_url is not a link: file:///x"),
        (json!({ "content": "x", "embeds": {} }), "embeds is not a list"),
        (json!({ "content": "x", "embeds": ["x"] }), "embeds[0] is not an object"),
        (json!({ "embeds": vec![json!({ "title": "x" }); 11] }), "embeds has 11 entries, more than 10"),
        (embed(json!({ "title": long(257) })), "embeds[0].title has 257 characters, not 0 to 256"),
        (embed(json!({ "title": "🔥".repeat(129) })), "embeds[0].title has 258 characters, not 0 to 256"),
        (embed(json!({ "description": long(4097) })), "embeds[0].description has 4097 characters, not 0 to 4096"),
        (embed(json!({ "title": "x", "color": 0x0100_0000 })), "embeds[0].color is 16777216, not 0 to 16777215"),
        (embed(json!({ "title": "x", "color": "red" })), "embeds[0].color is \"red\", not 0 to 16777215"),
        (embed(json!({ "fields": vec![field(); 26] })), "embeds[0].fields has 26 entries, more than 25"),
        (embed(json!({ "fields": [{ "name": "n" }] })), "embeds[0].fields[0].value is missing"),
        (
            json!({ "embeds": vec![json!({ "description": long(3001) }); 2] }),
            "all embeds together have 6002 characters, more than 6000",
        ),
    ];
    for (payload, problem) in refused {
        assert_eq!(problems_of(&payload), [problem], "{payload}");
    }
}
