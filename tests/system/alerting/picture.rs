//! The message of which the README has a picture: made by the shipped rules, configuration and templates.

use super::pace::Pace;
use super::scene::Alarm;
use crate::stage::Stage;
use crate::support::eventually;
use serde_json::Value;
use std::path::Path;

/// What differs from one run to the next, as a reader of the README would have it.
fn settled(payload: &Value) -> String {
    let text = serde_json::to_string_pretty(payload).unwrap();
    let mut settled = text;
    for (volatile, steady) in [
        (r"<t:\d+:R>", "<t:0:R>"),
        (r"http://127\.0\.0\.1:\d+/#/silences", "http://localhost:9093/#/silences"),
        (r"127\.0\.0\.1:\d+", "127.0.0.1:9810"),
        (r"127\.0\.0\.1%3A\d+", "127.0.0.1%3A9810"),
    ] {
        settled = regex::Regex::new(volatile).unwrap().replace_all(&settled, steady).into_owned();
    }
    settled + "\n"
}

#[tokio::test]
async fn the_picture_of_a_message_is_of_what_the_shipped_files_make_of_a_missing_price() {
    let stage = Stage::set().await;
    let alarm = Alarm::start(Pace::QUICK, stage.banken.base.strip_prefix("http://").unwrap()).await;
    stage.demo.fault("missing_field", "").await;
    let message = eventually("the message is in the critical channel", async || {
        let messages = alarm.messages("critical");
        messages.into_iter().find(|message| message.description().contains("BankenJsonFieldMissing"))
    })
    .await;
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/images/discord/message.json");
    let fresh = settled(&message.payload);
    if std::env::var_os("BANKEN_BLESS").is_some_and(|wish| wish == "1") {
        std::fs::write(&file, &fresh).unwrap();
    }
    assert_eq!(
        std::fs::read_to_string(&file).unwrap_or_default(),
        fresh,
        "make it anew with BANKEN_BLESS=1, then draw it with `python3 docs/images/discord/draw.py`"
    );
}
