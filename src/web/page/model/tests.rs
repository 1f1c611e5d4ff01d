use super::*;
use crate::board::{
    Deed, JobCell, JobDescriptor, JobRecord, Outcome, RemedyCell, RemedyDescriptor, RemedyState, Suppression,
};
use crate::web::words::Language;
use std::sync::Arc;

fn remedy(armed: bool) -> RemedyCell {
    RemedyCell::new(RemedyDescriptor {
        name: "restart-bot".into(),
        when: "probe bot is unhealthy".into(),
        target: "probe bot".into(),
        steps: vec!["check_port", "service_restart"],
        armed,
        max_attempts: 3,
    })
}

fn model(language: Language, cell: RemedyCell) -> Model {
    let board = Board::default();
    board.replace_remedies(vec![Arc::new(cell)]);
    Model::of(language.words(), &board).unwrap()
}

fn row(model: &Model) -> &str {
    let section = model.sections.iter().find(|section| section.id == "remedies").unwrap();
    &section.rows[0].html
}

#[test]
fn a_remedy_that_gave_up_needs_attention_first_in_both_languages() {
    for (language, headline, said) in [
        (Language::English, "1 of 1 needs attention", "it gave up and needs a person"),
        (Language::Japanese, "1 件中 1 件に対応が必要です", "人の対応が必要です"),
    ] {
        let cell = remedy(true);
        cell.update(|record| {
            record.state = RemedyState::Exhausted;
            record.since = Some(1.0);
            record.count("service_restart", Outcome::Failure);
            let (incident, words) = ("7".to_owned(), "service_restart: bot.service did not come back".to_owned());
            record.remember(Deed { at: 2.0, incident, words, good: Some(false) });
        });
        let model = model(language, cell);
        assert_eq!((model.overall, model.headline.as_str()), ("unhealthy", headline));
        let [_, attention, _] = &model.parts;
        for seen in ["restart-bot", said, "/runbooks/BankenRemedyExhausted", "probe bot"] {
            assert!(attention.html.contains(seen), "{seen} is not in {}", attention.html);
        }
        assert!(row(&model).contains("bot.service did not come back"), "{}", row(&model));
    }
}

#[test]
fn a_dry_run_says_so_and_why_it_did_not_act_and_needs_nobody() {
    let cell = remedy(false);
    cell.update(|record| {
        record.suppression = Some(Suppression::DryRun);
        record.suppressed[Suppression::DryRun as usize] = 4;
    });
    let model = model(Language::English, cell);
    let [_, attention, _] = &model.parts;
    assert_eq!(attention.html, "<section id=\"attention\" hidden></section>");
    for seen in ["dry run", "it would act, but: it is not armed", "held back", "4 ×", "check_port → service_restart"]
    {
        assert!(row(&model).contains(seen), "{seen} is not in {}", row(&model));
    }
}

#[test]
fn a_late_job_is_a_card_and_a_row_that_leads_to_its_runbook() {
    let descriptor = JobDescriptor {
        name: "cycle".into(),
        group: Some("bot".into()),
        schedule: Some("every 5m".into()),
        records_min: None,
        records_max: None,
        limits: Vec::new(),
    };
    let record = JobRecord { late: Some(true), due_at: Some(unix_now() - 60.0), ..JobRecord::default() };
    let board = Board::default();
    board.replace_jobs(vec![Arc::new(JobCell::new(descriptor, record))]);
    let model = Model::of(Language::English.words(), &board).unwrap();
    let [counts, attention, _] = &model.parts;
    assert!(counts.html.contains("<b>1</b> unhealthy"), "{}", counts.html);
    for seen in ["#job-cycle", "no run has ended yet", "/runbooks/BankenJobLate"] {
        assert!(attention.html.contains(seen), "{seen} is not in {}", attention.html);
    }
}
