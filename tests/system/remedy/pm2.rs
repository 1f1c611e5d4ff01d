//! `service_restart: { pm2: … }` with the real PM2.

use super::{busy, done, failed, step};
use crate::pm2::{IDLE, Pm2, kill};
use crate::support::eventually;
use banken::remedy::action::{Action as _, Scene, Worker};
use std::time::{Duration, Instant};

fn restart(pm2: &Pm2, name: &str) -> Worker {
    step(&format!("service_restart: {{ pm2: {name}, home: '{}' }}", pm2.folder().display()))
}

fn pid(pm2: &Pm2, name: &str) -> i32 {
    i32::try_from(pm2.app(name)["pid"].as_i64().unwrap()).unwrap()
}

async fn until(pm2: &Pm2, name: &str, status: &str) {
    eventually(&format!("{name} is {status}"), async || (pm2.app(name)["pm2_env"]["status"] == status).then_some(()))
        .await;
}

#[tokio::test]
async fn an_app_is_restarted_with_all_its_instances_and_the_words_say_so() {
    let pm2 = Pm2::new();
    pm2.start("bot", IDLE, &[]);
    pm2.start("workers", IDLE, &["-i", "2"]);
    let bot = restart(&pm2, "bot");
    let lines = bot.rehearse(&Scene::default()).await.unwrap();
    assert_eq!(lines, ["would have PM2 restart the app bot: instance 0, which was online"]);
    let before = pid(&pm2, "bot");
    let (words, took) = done(&bot).await;
    let after = pid(&pm2, "bot");
    assert!(words.contains(&format!("instance 0, which was online (pid {after})")) && after != before, "{words}");
    println!("pm2: an app that runs is restarted in {took:?}");
    let (words, _) = done(&restart(&pm2, "workers")).await;
    assert!(words.contains("instance 1,") && words.contains("instance 2,"), "{words}");
    failed(&restart(&pm2, "nobody"), "PM2 knows no app nobody").await;
}

#[tokio::test]
async fn an_app_that_was_given_up_is_started_at_once_and_one_that_was_stopped_is_left_alone() {
    let pm2 = Pm2::new();
    let flag = pm2.folder().with_file_name("well");
    // It falls until it is well.
    let script =
        format!("if (!require('fs').existsSync('{}')) process.exit(3); setInterval(() => {{}}, 1000)", flag.display());
    pm2.start("crash", &script, &["--max-restarts", "2"]);
    until(&pm2, "crash", "errored").await;
    std::fs::write(&flag, "").unwrap();
    let crash = restart(&pm2, "crash");
    let (words, took) = done(&crash).await;
    assert!(words.contains("which PM2 had given up after"), "{words}");
    println!("pm2: an app that was given up is online after {took:?}");
    until(&pm2, "crash", "online").await;
    pm2.run(&["stop", "crash"]);
    busy(&crash, "is stopped: start it yourself, or set start_stopped: true").await;
    let anyway = format!("service_restart: {{ pm2: crash, home: '{}', start_stopped: true }}", pm2.folder().display());
    done(&step(&anyway)).await;
    until(&pm2, "crash", "online").await;
}

#[tokio::test]
async fn what_pm2_does_itself_is_left_alone_and_no_daemon_is_ever_started() {
    let pm2 = Pm2::new();
    pm2.start("bot", IDLE, &["--restart-delay", "600000"]);
    pm2.start("once", IDLE, &["--no-autorestart"]);
    let (bot, once) = (restart(&pm2, "bot"), restart(&pm2, "once"));
    kill(pid(&pm2, "bot"));
    until(&pm2, "bot", "waiting restart").await;
    busy(&bot, "is waiting restart").await;
    // Whether it fell or was stopped PM2 does not say.
    let killed = pid(&pm2, "once");
    kill(killed);
    until(&pm2, "once", "stopped").await;
    busy(&once, "is stopped").await;
    let anyway =
        step(&format!("service_restart: {{ pm2: once, home: '{}', start_stopped: true }}", pm2.folder().display()));
    let mut times = Vec::new();
    for _ in 0..5 {
        let killed = pid_or_start(&pm2, &anyway).await;
        let begun = Instant::now();
        kill(killed);
        // PM2 hears of it a little later.
        let took = loop {
            let outcome = anyway.act(&mut Scene::default()).await;
            let took = begun.elapsed();
            if outcome.is_ok() {
                break took;
            }
            assert!(took < Duration::from_secs(10), "{outcome:?}");
        };
        times.push(took);
    }
    times.sort();
    println!("pm2: from SIGKILL to online again: {times:?}");
    kill(pm2.daemon());
    failed(&bot, "daemon of PM2").await;
    let nowhere = tempfile::tempdir().unwrap();
    failed(
        &step(&format!("service_restart: {{ pm2: bot, home: '{}' }}", nowhere.path().display())),
        "no daemon of PM2",
    )
    .await;
    assert_eq!(std::fs::read_dir(nowhere.path()).unwrap().count(), 0);
}

async fn pid_or_start(pm2: &Pm2, action: &Worker) -> i32 {
    if pm2.app("once")["pm2_env"]["status"] != "online" {
        done(action).await;
    }
    pid(pm2, "once")
}
