use super::*;
use crate::logs::Plan;
use tokio::sync::watch;
use tokio::task::JoinHandle;

struct Running {
    cell: Arc<LogCell>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Running {
    fn start(scene: &Scene) -> Self {
        let plan: Plan = scene.spec.plan(Vec::new()).unwrap();
        let cell = Arc::new(LogCell::new(plan.descriptor()));
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(plan.follow(Arc::clone(&cell), Some(scene.store.clone()), None, stopped));
        Self { cell, stop, task }
    }

    async fn until(&self, what: &str, is_so: impl Fn(&LogRecord) -> bool) -> Duration {
        let began = Instant::now();
        while !self.cell.read(&is_so) {
            assert!(began.elapsed() < Duration::from_secs(20), "{what}: {:?}", self.cell.read(LogRecord::clone));
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        began.elapsed()
    }

    /// The quickest of some times: a machine that is busy may miss one; a poll alone would never be so quick.
    async fn hears(&self, scene: &Scene, name: &str, from: u64) -> Duration {
        let mut quickest = Duration::MAX;
        for count in from + 1..=from + 5 {
            scene.append(name, "HIT\n");
            quickest = quickest.min(self.until(name, |record| record.patterns[0].matches == count).await);
        }
        quickest
    }

    async fn end(self) {
        self.stop.send(true).unwrap();
        self.task.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_is_heard_of_at_once_and_what_was_read_is_saved_at_the_end() {
    let scene = Scene::new(&["*.log", "late/*.log", "link"]);
    scene.append("app.log", "");
    fs::create_dir(scene.path("else")).unwrap();
    scene.append("else/real", "");
    std::os::unix::fs::symlink("else/real", scene.path("link")).unwrap();
    let running = Running::start(&scene);
    running.until("it begins", |record| record.caught_up_at.is_some()).await;
    assert!(running.hears(&scene, "app.log", 0).await < Duration::from_millis(100));
    assert!(running.hears(&scene, "else/real", 5).await < Duration::from_millis(100), "through a link");
    scene.rename("app.log", "app.log.1");
    scene.append("app.log", "HIT\n");
    running.until("a rotation", |r| (r.counts.rotations, r.patterns[0].matches) == (1, 11)).await;
    fs::create_dir(scene.path("late")).unwrap();
    scene.append("late/x.log", "HIT\n");
    running.until("a folder that came later", |record| record.patterns[0].matches == 12).await;
    running.end().await;
    scene.append("app.log", "HIT\n");
    let running = Running::start(&scene);
    running.until("a restart", |record| record.caught_up_at.is_some()).await;
    assert_eq!(running.cell.read(|record| record.patterns[0].matches), 13);
    running.end().await;
}
