//! Keys of real Redis servers.

use crate::redis::server::Redis;
use banken::remedy::action::{Action as _, Context, Scene, Setback, Worker};
use std::collections::BTreeSet;

fn built(block: &str) -> Worker {
    let spec: banken::remedy::action::Spec =
        serde_yaml::from_str(&format!("cache_clear: {{ redis: {{ {block} }} }}")).unwrap();
    spec.block().unwrap().build(&Context::default()).unwrap_or_else(|mistakes| panic!("{mistakes:?}"))
}

async fn act(worker: &Worker) -> Result<String, Setback> {
    worker.act(&mut Scene::default()).await.map(|done| done.detail)
}

async fn keys(redis: &Redis, database: &str) -> BTreeSet<String> {
    redis.cli(&["-n", database, "--raw", "KEYS", "*"]).await.lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn exactly_the_keys_with_the_prefix_go_and_nothing_else_of_the_store() {
    let redis = Redis::start("").await;
    let script = "for i=1,3000 do redis.call('SET','cache:'..i,i) end
        redis.call('SET','cache:\\255\\254\\r\\n', 1) redis.call('HSET','cache:hash','a',1) redis.call('SET','cache','x')
        redis.call('SET','xcache:1','x') redis.call('SET','Cache:1','x') return 1";
    redis.cli(&["EVAL", script, "0"]).await;
    redis.cli(&["-n", "3", "SET", "cache:other", "x"]).await;
    let worker = built(&format!("address: 127.0.0.1:{}, prefix: 'cache:'", redis.port));
    let told = worker.rehearse(&Scene::default()).await.unwrap();
    let address = format!("127.0.0.1:{}", redis.port);
    assert_eq!(told, [format!("would remove 3002 keys beginning with \"cache:\" in database 0 of {address}")]);
    assert_eq!(redis.cli(&["DBSIZE"]).await, "3005", "a rehearsal removes nothing");
    assert_eq!(
        act(&worker).await.unwrap(),
        format!("removed 3002 keys beginning with \"cache:\" in database 0 of {address}")
    );
    assert_eq!(keys(&redis, "0").await, ["cache", "xcache:1", "Cache:1"].map(str::to_owned).into());
    assert_eq!(keys(&redis, "3").await, ["cache:other".to_owned()].into());
    let other = built(&format!("address: {address}, prefix: 'cache:', database: 3"));
    assert!(act(&other).await.unwrap().starts_with("removed 1 key "));
    assert!(act(&other).await.unwrap().starts_with("removed 0 keys "));
}

#[tokio::test]
async fn a_prefix_with_the_characters_of_patterns_means_them_literally() {
    let redis = Redis::start("").await;
    for key in ["a[b]:1", "ab:1", "a\\^x-1", "a^x-1"] {
        redis.cli(&["SET", key, "x"]).await;
    }
    for prefix in ["'a[b]:'", "'a\\^x-'"] {
        let worker = built(&format!("address: 127.0.0.1:{}, prefix: {prefix}", redis.port));
        assert!(act(&worker).await.unwrap().starts_with("removed 1 key "), "{prefix}");
    }
    assert_eq!(keys(&redis, "0").await, ["ab:1", "a^x-1"].map(str::to_owned).into());
}

#[tokio::test]
async fn no_more_keys_go_than_are_allowed() {
    let redis = Redis::start("").await;
    redis.cli(&["EVAL", "for i=1,2500 do redis.call('SET','cache:'..i,i) end return 1", "0"]).await;
    let worker = built(&format!("address: 127.0.0.1:{}, prefix: 'cache:', max_keys: 1000", redis.port));
    let told = worker.rehearse(&Scene::default()).await.unwrap().join("\n");
    assert!(told.starts_with("would remove 1000 keys") && told.contains("max_keys"), "{told}");
    let done = act(&worker).await.unwrap();
    assert!(done.starts_with("removed 1000 keys") && done.contains("max_keys"), "{done}");
    assert_eq!(keys(&redis, "0").await.len(), 1500);
}

#[tokio::test]
async fn a_user_that_may_not_is_told_what_to_allow_and_no_password_is_shown() {
    let acl = "user tidy on >tidy-secret-1 ~cache:* +scan +unlink +select\nuser weak on >weak-secret-1 ~* +scan\n\
               requirepass default-secret";
    let redis = Redis::start(acl).await;
    let with = |login: &str| built(&format!("address: 127.0.0.1:{}, prefix: 'cache:', {login}", redis.port));
    redis.cli(&["-a", "default-secret", "--no-auth-warning", "SET", "cache:1", "x"]).await;
    let refused = async |login: &str, words: &str| {
        let setback = act(&with(login)).await.unwrap_err().to_string();
        assert!(setback.contains(words) && !setback.contains("secret"), "{setback}");
    };
    refused("ip: v4", "set password").await;
    refused("username: weak, password: weak-secret-1", "+UNLINK").await;
    refused("username: tidy, password: wrong-secret-1", "refused").await;
    assert!(act(&with("username: tidy, password: tidy-secret-1")).await.unwrap().starts_with("removed 1 key "));
}

#[tokio::test]
async fn a_replica_is_not_cleared_and_a_server_that_is_down_is_told() {
    let redis = Redis::start("").await;
    redis.cli(&["SET", "cache:1", "x"]).await;
    let mut replica = Redis::start(&format!("replicaof 127.0.0.1 {}", redis.port)).await;
    crate::support::eventually("the replica has the key", async || {
        keys(&replica, "0").await.contains("cache:1").then_some(())
    })
    .await;
    let worker = built(&format!("address: 127.0.0.1:{}, prefix: 'cache:'", replica.port));
    let setback = act(&worker).await.unwrap_err().to_string();
    assert!(setback.contains("is a replica"), "{setback}");
    replica.kill().await;
    let setback = act(&worker).await.unwrap_err();
    assert!(matches!(&setback, Setback::Failed(words) if words.contains("cannot connect")), "{setback:?}");
}
