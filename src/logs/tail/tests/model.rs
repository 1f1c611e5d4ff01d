//! Random histories against a model that knows which lines exist.

use super::*;
use proptest::prelude::*;

#[derive(Debug, Clone, Copy)]
enum Event {
    Lines(u8),
    Unfinished,
    Rename,
    CopyTruncate,
    Compress,
    Pass,
    PassUnsaved,
    Settle,
    Kill,
}

fn event(copies: bool) -> impl Strategy<Value = Event> {
    use Event::*;
    let rotation = if copies { CopyTruncate } else { Rename };
    prop_oneof![
        4 => (1..60_u8).prop_map(Lines),
        1 => Just(Unfinished),
        3 => Just(rotation),
        1 => Just(Compress),
        3 => Just(Pass),
        2 => Just(PassUnsaved),
        1 => Just(Settle),
        2 => Just(Kill),
    ]
}

struct Model {
    scene: Scene,
    written: u64,
    unfinished: bool,
    rotated: usize,
    truncations: u64,
}

impl Model {
    fn new(glob: &str) -> Self {
        let mut scene = Scene::new(&[glob]);
        scene.append("app.log", "");
        scene.pass();
        Self { scene, written: 0, unfinished: false, rotated: 0, truncations: 0 }
    }

    fn lines(&mut self, count: u8) {
        let mut text = String::new();
        if std::mem::take(&mut self.unfinished) {
            text.push_str(" now finished\n");
            self.written += 1;
        }
        for _ in 0..count {
            text = format!("{text}HIT {} and some more to fill it\n", self.written);
            self.written += 1;
        }
        self.scene.append("app.log", text);
    }

    /// Moves `app.log.N` to `app.log.N+1`.
    fn shift(&mut self) {
        for number in (1..=self.rotated).rev() {
            let from = format!("app.log.{number}");
            if self.scene.path(&from).exists() {
                self.scene.rename(&from, &format!("app.log.{}", number + 1));
            }
        }
        self.rotated += 1;
    }

    fn step(&mut self, event: Event) {
        // Only whole lines are rotated away: what becomes of others depends on when it is looked at.
        if matches!(event, Event::Rename | Event::CopyTruncate) && self.unfinished {
            self.lines(0);
        }
        match event {
            Event::Lines(count) => self.lines(count),
            Event::Unfinished => {
                if !self.unfinished {
                    // No two lines are the same, as in a log with times: a copy of the same text is the same text.
                    self.scene.append("app.log", format!("HIT {} unfinished", self.written));
                    self.unfinished = true;
                }
            }
            Event::Rename => {
                self.shift();
                self.scene.rename("app.log", "app.log.1");
                self.scene.append("app.log", "");
            }
            Event::CopyTruncate => {
                self.shift();
                self.scene.copy("app.log", "app.log.1");
                self.scene.truncate("app.log");
                self.truncations += 1;
            }
            Event::Compress => {
                // As delaycompress does: what was read for sure, the oldest.
                self.scene.pass();
                self.scene.pass();
                let oldest = (2..=self.rotated).rev().map(|number| format!("app.log.{number}"));
                if let Some(oldest) = oldest.into_iter().find(|name| self.scene.path(name).exists()) {
                    self.scene.rename(&oldest, &format!("{oldest}.{}.gz", self.written));
                }
            }
            Event::Pass => self.scene.pass(),
            Event::PassUnsaved => {
                if self.scene.tail.is_none() {
                    self.scene.start();
                }
                while self.scene.turn().more {}
            }
            Event::Settle => self.scene.settle(),
            Event::Kill => self.scene.kill(),
        }
    }

    fn finish(mut self) {
        if self.unfinished {
            self.lines(0);
        }
        self.scene.settle();
        let counted = (self.scene.hits(), self.scene.lines());
        assert_eq!(counted, (self.written, self.written));
        assert_eq!(self.scene.events().2, 0, "gaps");
        assert!(self.scene.events().1 <= self.truncations);
        self.scene.restart();
        self.scene.settle();
        assert_eq!((self.scene.hits(), self.scene.lines()), counted, "and again after a restart");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_line_is_counted_once_across_renames_and_kills(
        events in prop::collection::vec(event(false), 1..40), siblings in any::<bool>(),
    ) {
        let mut model = Model::new(if siblings { "app.log*" } else { "app.log" });
        for event in events {
            model.step(event);
        }
        model.finish();
    }

    // Nothing is written between copy and truncation here, so nothing is destroyed.
    #[test]
    fn every_line_is_counted_once_across_copytruncate_and_kills(
        events in prop::collection::vec(event(true), 1..40), siblings in any::<bool>(),
    ) {
        let mut model = Model::new(if siblings { "app.log*" } else { "app.log" });
        for event in events {
            model.step(event);
        }
        model.finish();
    }
}
