//! What a message says to somebody who has nothing but the message.

use super::discord::Delivery;
use super::scenarios::Message;
use regex::Regex;
use std::time::Instant;

/// A message that arrived.
#[derive(Debug, Clone)]
pub struct Heard {
    pub at: Instant,
    pub channel: String,
    pub alert: String,
    pub is_over: bool,
    /// Title and description, without the line of links.
    pub text: String,
}

impl Heard {
    pub fn of(delivery: &Delivery) -> Self {
        assert!(delivery.problems.is_empty(), "Discord refuses {delivery:#?}");
        let (title, description) = (delivery.title(), delivery.description());
        // One alert is named in the text, several in the title.
        let name = Regex::new(r"\*\*(Banken\w+)\*\*").unwrap().captures(description);
        let name = name.or_else(|| Regex::new(r": (Banken\w+)").unwrap().captures(title));
        let alert = name.unwrap_or_else(|| panic!("no alert is named in {delivery:#?}"))[1].to_owned();
        let (text, links) = description.rsplit_once('\n').unwrap_or((description, ""));
        assert!(links.starts_with("[Runbook](http") && links.contains("[Dashboard](http"), "{delivery:#?}");
        let is_over = title.starts_with("✅ RESOLVED");
        Self { at: delivery.at, channel: delivery.channel.clone(), alert, is_over, text: format!("{title}\n{text}") }
    }

    /// Whether it is about this.
    pub fn is_about(&self, message: &Message) -> bool {
        self.alert == message.alert && self.channels_of(message) && self.text.contains(message.names)
    }

    fn channels_of(&self, message: &Message) -> bool {
        message.channels().contains(&self.channel.as_str())
    }
}

impl Message {
    /// Who hears of it.
    pub fn channels(&self) -> &'static [&'static str] {
        match self.severity {
            "critical" => &["critical", "administrator"],
            "warning" => &["warning"],
            _ => &["info"],
        }
    }
}
