//! The one table of texts. A row has both languages, so neither can lack one.

macro_rules! texts {
    ($($key:ident: $english:literal, $japanese:literal;)*) => {
        /// Every text in one language.
        #[derive(Debug)]
        pub struct Words {
            $(pub $key: &'static str,)*
        }

        pub static ENGLISH: Words = Words { $($key: $english,)* };

        pub static JAPANESE: Words = Words { $($key: $japanese,)* };

        #[cfg(test)]
        pub static TABLE: &[(&str, &str, &str)] = &[$((stringify!($key), $english, $japanese),)*];
    };
}

texts! {
    // States.
    healthy: "healthy", "正常";
    suspect: "suspect", "要注意";
    unhealthy: "unhealthy", "異常";
    unknown: "unknown", "不明";
    degraded: "degraded", "一部に問題";
    info: "info", "情報";
    warning: "warning", "警告";
    error: "error", "エラー";
    critical: "critical", "重大";

    // The page.
    status: "Status", "状態";
    elsewhere: "Elsewhere", "ほかのページ";
    runbooks: "Runbooks", "ランブック";
    metrics: "Metrics", "メトリクス";
    json: "JSON", "JSON";
    skip: "Skip to the content", "本文へ移動";
    as_of: "as of {0}", "{0} 時点";
    counts: "How many are in each state", "状態ごとの数";
    all_well: "All is well: {0} healthy", "すべて正常です（{0}）";
    not_all_run: "Not everything has run yet", "まだ一度も実行されていないものがあります";
    one_needs: "{0} of {1} needs attention", "{1} 件中 {0} 件に対応が必要です";
    many_need: "{0} of {1} need attention", "{1} 件中 {0} 件に対応が必要です";
    probe_one: "{0} probe", "プローブ {0} 件";
    probe_many: "{0} probes", "プローブ {0} 件";
    log_one: "{0} log", "ログ {0} 件";
    log_many: "{0} logs", "ログ {0} 件";
    job_one: "{0} job", "ジョブ {0} 件";
    job_many: "{0} jobs", "ジョブ {0} 件";
    remedy_one: "{0} remedy", "修復 {0} 件";
    remedy_many: "{0} remedies", "修復 {0} 件";
    comma: ", ", "、";
    colon: ": ", "：";
    semicolon: "; ", "；";
    needs_attention: "Needs attention", "対応が必要";
    more_below: "and {0} more, in their groups below", "ほか {0} 件は下の各グループにあります";
    everything_else: "Everything else", "その他";
    logs: "Logs", "ログ";
    jobs: "Jobs", "ジョブ";
    remedies: "Remedies", "修復";
    log: "log", "ログ";
    job: "job", "ジョブ";
    remedy: "remedy", "修復";
    of_group: "{0}, {1} not healthy", "{0} 件、うち正常でないもの {1} 件";
    column_probe: "Probe", "プローブ";
    column_latency: "Latency, 1 h", "応答時間";
    column_available: "Availability", "稼働率";
    column_last: "Last run", "最後の実行";
    availability_note: "Availability is the share of the known time that was not spent in an incident; an incident counts from its first failure. Time in which Banken did not run, or was in trouble itself, counts neither way. In italics: less than half of that time is known.", "稼働率は、状態が分かっている時間のうち障害中でなかった割合です。障害は最初の失敗から数えます。Banken が動いていなかった時間や、Banken 自身に問題があった時間は、どちらにも数えません。斜体は、状態が分かっている時間が半分に満たないことを示します。";
    known_of: "Known of the time: {0}", "状態が分かっている時間の割合：{0}";
    watches: "Banken {0} (番犬) watches; Prometheus remembers.", "Banken {0}（番犬）が見張り、Prometheus が記憶します。";
    stale: "Banken does not answer; this is what it last said.", "Banken が応答しません。表示は最後に受け取った内容です。";
    no_answer: "no answer", "応答なし";
    live: "live", "自動更新中";
    runbook: "Runbook", "ランブック";

    // Ages.
    seconds_ago: "{0} s ago", "{0} 秒前";
    minutes_ago: "{0} min ago", "{0} 分前";
    hours_ago: "{0} h ago", "{0} 時間前";
    days_ago: "{0} d ago", "{0} 日前";
    for_seconds: "for {0} s", "{0} 秒間";
    for_minutes: "for {0} min", "{0} 分間";
    for_hours: "for {0} h", "{0} 時間";
    for_days: "for {0} d", "{0} 日間";

    // Windows.
    window_hour: "1 h", "1 時間";
    window_day: "24 h", "24 時間";
    window_week: "7 d", "7 日";
    window_month: "30 d", "30 日";

    // Reasons.
    reason_resolve: "name not resolved", "名前を解決できません";
    reason_connect: "no connection", "接続できません";
    reason_tls: "TLS not accepted", "TLS を確立できません";
    reason_timeout: "no answer in time", "時間内に応答がありません";
    reason_protocol: "not what the protocol says", "プロトコルに合わない応答です";
    reason_status: "unexpected status", "想定外のステータスです";
    reason_body: "unexpected content", "内容が想定と違います";
    reason_json: "JSON not as expected", "JSON が想定と違います";
    reason_auth: "access refused", "アクセスを拒否されました";
    reason_query: "query failed", "クエリに失敗しました";
    reason_missing: "something is missing", "あるべきものがありません";
    reason_stale: "too old", "古すぎます";
    reason_limit: "over a limit", "上限を超えました";
    reason_exit: "not running", "動いていません";
    reason_local: "Banken’s own fault", "Banken 自身の問題";

    // Phases.
    phase_resolve: "resolve", "名前解決";
    phase_connect: "connect", "接続";
    phase_tls: "TLS", "TLS";
    phase_wait: "wait", "応答待ち";
    phase_transfer: "transfer", "転送";

    // What a probe says.
    ok_in: "ok in {0}", "{0} で応答";
    not_run_yet: "has not run yet", "まだ実行されていません";
    above: "{0} {1} is above {2} ({3})", "{0} {1} がしきい値 {2} を超過（{3}）";
    caused_by: "caused by", "原因";
    affects: "affects", "影響先";

    // What a log says.
    lines_read: "{0} lines", "{0} 行";
    nothing_found: "nothing found", "検出なし";
    being_read: "is being read, {0} to go", "読み込み中（残り {0}）";
    behind: "{0} behind", "{0} の遅れ";
    found_times: "{0} ×", "{0} 回";
    files: "files", "ファイル数";
    largest_file: "largest file", "最大のファイル";
    not_read: "not read yet", "未読";
    recent_matches: "Recent matches", "最近の検出";

    // What a job says.
    late: "late", "遅れています";
    late_for: "late {0}", "遅れ {0}";
    running: "running {0}", "実行中 {0}";
    no_run_ended: "no run has ended yet", "完了した実行はまだありません";
    last_run_ok: "last run ok {0}", "前回は成功、{0}";
    last_run_failed: "last run failed {0}", "前回は失敗、{0}";
    last_run_lost: "last run never ended, {0}", "前回は終了せず、{0}";
    took: "in {0}", "所要 {0}";
    records: "{0} records", "{0} 件処理";
    records_unusual: "{0} records are unusual", "件数 {0} は想定外";
    duration: "duration", "所要時間";
    run_success: "ok", "成功";
    run_failure: "failed", "失敗";
    run_abandoned: "never ended", "終了せず";
    schedule: "schedule", "スケジュール";
    due: "next success until", "次の成功の期限";
    last_success: "last success", "最後の成功";
    last_runs: "Last runs", "最近の実行";
    runs_told: "the last {0} runs, of which {1} did not end well", "最近の {0} 回、うち正常に終わらなかったもの {1} 回";

    // What a remedy says.
    remedy_idle: "idle", "待機中";
    remedy_acting: "acting", "実行中";
    remedy_verifying: "verifying", "確認中";
    remedy_backing_off: "backing off", "再試行待ち";
    remedy_exhausted: "exhausted", "打ち切り";
    armed: "armed", "実行を許可";
    dry_run: "dry run", "ドライラン";
    remedy_gave_up: "it gave up and needs a person", "修復を打ち切りました。人の対応が必要です";
    remedy_acts: "it acts, attempt {0} of {1}", "実行中です（{1} 回中 {0} 回目）";
    remedy_looks: "it looks whether that helped, attempt {0} of {1}", "効果を確認中です（{1} 回中 {0} 回目）";
    remedy_waits: "it did not help, the next attempt waits (attempt {0} of {1})", "効果がなく、次の試行を待っています（{1} 回中 {0} 回目）";
    remedy_would: "it would act, but: {0}", "実行を控えています：{0}";
    remedy_nothing: "nothing to do", "することはありません";
    remedy_when: "acts when", "条件";
    last_deeds: "What it did last", "最近の動作";
    nothing_done: "it has done nothing yet", "まだ何もしていません";
    steps: "steps", "手順";
    recoveries: "verified recoveries", "確認済みの復旧";
    suppressed_times: "held back: {0}", "見送り：{0}";
    suppressed_dry_run: "it is not armed (dry run)", "ドライランです";
    suppressed_cooldown: "it failed again within the cool-down", "クールダウン中に再び失敗しました";
    suppressed_breaker: "too many actions within a short time", "短時間に実行回数が多すぎます";
    suppressed_shared_cause: "much else fails too, so that the cause is elsewhere", "ほかにも多くの失敗があり、原因は別にあります";
    suppressed_flapping: "the target comes and goes by itself", "対象が復旧と失敗を繰り返しています";
    suppressed_maintenance: "a maintenance window is open", "メンテナンス中です";
    suppressed_kill_switch: "the kill switch is set", "緊急停止スイッチが入っています";
    suppressed_dependency: "something that the target depends on fails", "対象が依存しているものが失敗しています";
    suppressed_target_busy: "the target is being started, or a person has stopped it", "対象は起動中か、人が停止したものです";
    suppressed_own_fault: "Banken itself is in trouble", "Banken 自身に問題があります";
    suppressed_journal: "the journal cannot be written", "記録を書き込めません";

    // The page of a probe.
    availability: "Availability", "稼働率";
    of_known: "{0} of the time is known", "状態が分かっている時間は {0}";
    in_incidents: "{0} in incidents", "障害時間 {0}";
    no_incident: "no incident", "障害なし";
    nothing_known: "nothing is known yet", "まだ分かりません";
    last_day: "Last 24 hours", "直近 24 時間";
    last_month: "Last 30 days", "直近 30 日";
    legend_good: "available", "稼働";
    legend_bad: "in an incident", "障害";
    legend_unknown: "not known", "不明";
    strip_told: "{0} in incidents, {1} of the time is known", "障害 {0}、状態が分かっている時間は {1}";
    latency_hour: "Latency, last hour", "応答時間（直近 1 時間）";
    latency_day: "Latency, last 24 hours", "応答時間（直近 24 時間）";
    latency_told: "{0} runs took from {1} to {2}, on average {3}; {4} failed", "{0} 回の実行。最短 {1}、最長 {2}、平均 {3}、失敗 {4} 回";
    latency_short: "latency from {0} to {1}, on average {2}", "応答時間は最短 {0}、最長 {1}、平均 {2}";
    no_latency: "no run in this time", "この間の実行はありません";
    as_table: "The same as a table", "表で見る";
    begins: "from (UTC)", "開始（UTC）";
    runs: "runs", "実行";
    failed: "failed", "失敗";
    shortest: "shortest", "最短";
    mean: "mean", "平均";
    longest: "longest", "最長";
    last_failures: "Last failures", "最近の失敗";
    no_failure: "no failed run is remembered", "記憶にある失敗はありません";
    changes: "Changes of state", "状態の変化";
    no_change: "no change is remembered", "記憶にある変化はありません";
    last_run: "Last run", "最後の実行";
    in_state: "in this state", "この状態";
    success_hundred: "success, last 100 runs", "成功率（直近 100 回）";
    interval: "interval", "間隔";
    incidents: "incidents since the start", "起動以降の障害";
    time_to: "time: {0}", "時間：{0}";
    thresholds: "Thresholds", "しきい値";
    signal: "signal", "項目";
    value: "value", "値";
    all_as_json: "All of it as JSON", "すべてを JSON で見る";
    what_to_do: "What to do", "対処";
    not_found: "There is no probe of this name", "この名前のプローブはありません";
    depends_on: "depends on", "依存先";
    badge: "Badge for other pages", "ほかのページ用のバッジ";
    back: "All probes", "一覧に戻る";
}
