//! What people ask of a remedy: one attempt, its history, to take note.

use super::server::{Server, complained, happened, remedy, remedy_of, said, sample, until_happened, until_state};

#[tokio::test]
async fn a_person_who_asks_gets_one_attempt_even_of_a_remedy_that_is_not_armed() {
    let server = Server::start().await;
    let banken = server.guarded(&server.config(false, "")).await;
    let told = said(remedy(&banken, &["restart"]));
    for (line, what) in told.lines().zip(["opened", "intent", "result", "recovered"]) {
        assert!(line.contains(&format!("  {what} ")), "{what} is not in {line:?}");
    }
    assert_eq!(told.lines().count(), 4, "{told}");
    assert_eq!(server.starts(), 2);
}

#[tokio::test]
async fn the_kill_switch_stands_above_a_person_who_asks() {
    let server = Server::start().await;
    let banken = server.guarded(&server.config(true, "")).await;
    std::fs::write(server.path("state/remedies/no-repair"), "").unwrap();
    let told = complained(remedy(&banken, &["restart"]));
    assert!(told.contains("kill_switch: the kill switch is set"), "{told}");
    assert_eq!(server.starts(), 1);
}

#[tokio::test]
async fn the_history_is_told_in_words_and_as_it_stands_and_of_one_remedy() {
    let server = Server::start().await;
    let other = "  - name: other\n    when: { probe: web }\n    steps: [ { command: { argv: [ /bin/true ] } } ]\n";
    let banken = server.guarded(&server.config(true, other)).await;
    server.kill();
    until_happened(&banken, "recovered", 1).await;
    let lines = |arguments: &[&str]| said(remedy(&banken, arguments)).lines().map(str::to_owned).collect::<Vec<_>>();
    let words = lines(&["history", "restart"]);
    assert_eq!(words.len(), 4, "{words:#?}");
    assert!(words[2].contains("attempt 1 step 1 command success"), "{words:#?}");
    assert_eq!(lines(&["history", "restart", "-n", "1"]), words[3..]);
    let of_all = lines(&["history", "--json"]);
    assert!(of_all.iter().any(|line| line.contains("\"remedy\":\"other\"")), "{of_all:#?}");
    let listed = lines(&["list"]);
    assert!(listed[0].contains("armed") && listed[1].contains("dry run"), "{listed:#?}");
    assert_eq!(listed, lines(&[]));
}

#[tokio::test]
async fn what_gave_up_stays_so_until_a_person_takes_note() {
    let server = Server::start().await;
    let config = server.config_with(true, "- command: { argv: [ /bin/false ] }", "");
    let banken = server.guarded(&config.replace("start_grace: 5s", "start_grace: 0s")).await;
    server.kill();
    until_state(&banken, "exhausted").await;
    let failure = "action=\"command\",outcome=\"failure\"";
    assert_eq!(sample(&banken, "banken_remedy_actions_total", failure).await, Some(1.0));
    server.start_by_hand();
    banken.until_status("web", "healthy").await;
    until_state(&banken, "exhausted").await;
    let told = said(remedy(&banken, &["ack", "restart"]));
    assert_eq!(told, "taken note of restart: what gave up may act again\n");
    until_state(&banken, "idle").await;
    until_happened(&banken, "acknowledged", 1).await;
    server.kill();
    until_happened(&banken, "gave_up", 2).await;
    assert_eq!(happened(&banken).iter().filter(|what| *what == "intent").count(), 2);
}

#[tokio::test]
async fn a_name_that_is_not_there_is_said_with_those_that_are() {
    let server = Server::start().await;
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("banken.yml");
    std::fs::write(&config, server.config(true, "")).unwrap();
    let wrong = [
        &["restrat"][..],
        &["restrat", "--dry-run"],
        &["history", "restrat"],
        &["ack", "restrat"],
        &["pause", "restrat", "--for", "1h"],
    ];
    for arguments in wrong {
        let told = complained(remedy_of(&config, arguments));
        assert!(told.contains("there is no remedy \"restrat\" in "), "{arguments:?}: {told}");
        assert!(told.contains(": it has restart"), "{arguments:?}: {told}");
    }
    let told = complained(remedy_of(&config, &["restart"]));
    assert!(told.contains("no Banken with this folder of state took it up: is it running?"), "{told}");
}
