//! What the journal and containers have in common: somebody else keeps the log and sends it, and may stop to.
//!
//! A [`Source`] connects and reads through [`pump`] until it ends; [`follow`] lets it begin again with growing pauses.
//! Lines go through a [`Batch`], each with the position that is reached once it is taken, to the [`Sink`], which counts
//! them and saves position and counts together.

mod batch;
mod sink;

pub use batch::{Batch, Incidents};
pub use sink::Sink;

use crate::observation::Failure;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

/// The first pause before a source begins again; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How long lines are gathered before they are counted together.
const GATHER: Duration = Duration::from_millis(20);

/// When nothing came for so long, everything that was there has been read.
const QUIET: Duration = Duration::from_millis(200);

/// After so long a stream counts as caught up even if lines never cease, or none ever came.
const CATCH_UP: Duration = Duration::from_secs(2);

/// How long the last of the records of several lines may still grow.
const RECORD_GROWS: Duration = Duration::from_secs(1);

/// How often a quiet stream is noted to have been read to its end.
const TICK: Duration = Duration::from_secs(1);

/// Why reading ended.
#[derive(Debug)]
pub enum End {
    /// We were told to stop.
    Stopped,
    /// There is no more for now, and nothing is wrong.
    Over,
    /// It cannot be read.
    Failed(Failure),
}

impl From<Failure> for End {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// A position that can be saved.
pub trait Place: Clone + Serialize + DeserializeOwned + Send + 'static {}

impl<P: Clone + Serialize + DeserializeOwned + Send + 'static> Place for P {}

/// Lines that come.
pub trait Stream: Send {
    /// Where reading goes on.
    type Position: Place;

    /// Waits until something comes and puts the lines that are complete into `batch`. It may be dropped while it waits
    /// without losing anything.
    fn read(&mut self, batch: &mut Batch<Self::Position>) -> impl Future<Output = Result<(), End>> + Send;

    /// What is wrong although lines may come.
    fn complaint(&self) -> Option<Failure> {
        None
    }
}

/// Somebody who keeps a log and can be asked for it again and again.
pub trait Source: Send {
    /// Where reading goes on.
    type Position: Place;

    /// Reads from where `sink` stands until it ends.
    fn read(
        &mut self,
        sink: &Sink<Self::Position>,
        stop: &mut watch::Receiver<bool>,
    ) -> impl Future<Output = End> + Send;
}

/// Reads until `stop` says so, then saves. What ends is begun again, after 1 s at first and after 30 s at last.
pub async fn follow<S: Source>(mut source: S, sink: Sink<S::Position>, mut stop: watch::Receiver<bool>) {
    let mut pause = FIRST_PAUSE;
    loop {
        let before = sink.progress();
        match source.read(&sink, &mut stop).await {
            End::Stopped => break,
            End::Over => sink.tell(None),
            End::Failed(failure) => sink.tell(Some(failure)),
        }
        if sink.progress() != before {
            pause = FIRST_PAUSE;
        }
        if unless_stopped(&mut stop, sleep(pause)).await.is_none() {
            break;
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    sink.save().await;
}

/// The result of `work`, or nothing if we are told to stop first.
pub async fn unless_stopped<T>(stop: &mut watch::Receiver<bool>, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        // A sender that is gone cannot tell us any more; nobody wants us to go on.
        _ = stop.wait_for(|stop| *stop) => None,
        done = work => Some(done),
    }
}

/// Hands everything that a stream sends to the sink, until it ends.
pub async fn pump<S: Stream>(stream: &mut S, sink: &Sink<S::Position>, stop: &mut watch::Receiver<bool>) -> End {
    let mut batch = sink.batch();
    let mut pulse = Pulse::begin();
    loop {
        let wake = pulse.wake();
        let read = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return End::Stopped,
            read = stream.read(&mut batch) => Some(read),
            () = sleep_until(wake) => None,
        };
        let result = match read {
            Some(read) => {
                let read = match read {
                    Ok(()) => gather(stream, &mut batch).await,
                    Err(end) => Err(end),
                };
                pulse.heard(Instant::now());
                // What a stream that has ended left of a record will not grow any more.
                sink.take(&mut batch, read.is_err()).await.map_err(End::from).and(read)
            }
            None => sink.take(&mut batch, pulse.is_still()).await.map_err(End::from),
        };
        if let Err(end) = result {
            return end;
        }
        if pulse.is_quiet() {
            sink.caught_up();
            sink.tell(stream.complaint());
        } else if pulse.is_endless() {
            sink.caught_up_once();
        }
    }
}

/// Takes more of what is there already, within bounds of time and size.
async fn gather<S: Stream>(stream: &mut S, batch: &mut Batch<S::Position>) -> Result<(), End> {
    let until = Instant::now() + GATHER;
    while !batch.is_full() {
        match timeout_at(until, stream.read(batch)).await {
            Ok(Ok(())) => {}
            Ok(Err(end)) => return Err(end),
            Err(_) => break,
        }
    }
    Ok(())
}

/// When something came, and what follows from nothing coming.
#[derive(Debug)]
struct Pulse {
    began: Instant,
    heard: Option<Instant>,
    woke: Instant,
}

impl Pulse {
    fn begin() -> Self {
        let now = Instant::now();
        Self { began: now, heard: None, woke: now }
    }

    fn heard(&mut self, now: Instant) {
        (self.heard, self.woke) = (Some(now), now);
    }

    /// From when on silence means that there is no more.
    fn quiet_from(&self) -> Instant {
        self.heard.map_or(self.began + CATCH_UP, |heard| heard + QUIET)
    }

    fn wake(&mut self) -> Instant {
        let now = Instant::now();
        if self.woke <= now {
            let quiet_from = self.quiet_from();
            self.woke = if quiet_from > now { quiet_from } else { now + TICK };
        }
        self.woke
    }

    fn is_quiet(&self) -> bool {
        Instant::now() >= self.quiet_from()
    }

    fn is_still(&self) -> bool {
        self.heard.is_some_and(|heard| heard.elapsed() >= RECORD_GROWS)
    }

    fn is_endless(&self) -> bool {
        self.began.elapsed() >= CATCH_UP
    }
}
