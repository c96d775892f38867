//! A build that writes, a service that is restarted, viewers that come and go.

use std::ops::AddAssign;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use serde_json::json;
use sheen_core::id::{BuildId, BuildSessionId, UserId};
use sheen_core::runtime::ManualSleep;
use sheen_core::time::ManualClock;
use sheen_core::token::FencingToken;
use sheen_events::feed::{Feed, FeedConfig};
use sheen_events::log::{Append, AppendOutcome, EventLog, EventType, NewEvent, NewStream};
use sheen_events::reader::{Moment, Over};
use sheen_events::stream::{StreamConfig, StreamService};
use sheen_events::wake::Wake;

use crate::chaos::{ChaosWake, Dice, Failing};
use crate::viewer::{PATIENCE, Viewer};

/// What came up in the schedules, so that none is empty of trouble unseen.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    events: u64,
    reconnects: u64,
    duplicates: u64,
    polls: u64,
    restarts: u64,
    left: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.events += other.events;
        self.reconnects += other.reconnects;
        self.duplicates += other.duplicates;
        self.polls += other.polls;
        self.restarts += other.restarts;
        self.left += other.left;
    }
}

impl Counts {
    /// Of few schedules not each has everything.
    pub(crate) fn assert_that_lines_broke(&self) {
        let some = [self.events, self.reconnects, self.polls, self.restarts];
        assert!(some.iter().all(|count| *count > 0), "{self:?}");
    }

    pub(crate) fn assert_that_all_happened(&self) {
        let all = [
            self.events,
            self.reconnects,
            self.duplicates,
            self.polls,
            self.restarts,
            self.left,
        ];
        assert!(all.iter().all(|count| *count > 0), "{self:?}");
    }
}

#[derive(Debug)]
pub(crate) struct World {
    seed: u64,
    dice: Dice,
    clock: Arc<ManualClock>,
    sleep: Arc<ManualSleep>,
    log: Arc<Failing>,
    wake: Arc<ChaosWake>,
    pub(crate) streams: StreamService,
    pub(crate) feed: Feed,
    pub(crate) user: UserId,
    pub(crate) build: BuildId,
    session: BuildSessionId,
    /// The data of the visible events, in order.
    written: Vec<String>,
    is_calm: bool,
}

impl World {
    pub(crate) async fn new(
        log: Arc<dyn EventLog>,
        clock: Arc<ManualClock>,
        seed: u64,
        build: &str,
    ) -> Self {
        let (user, session) = (UserId::parse("ann").unwrap(), BuildSessionId::parse("bs"));
        let (build, session) = (BuildId::parse(build).unwrap(), session.unwrap());
        let stream = NewStream::new(build.clone(), user.clone(), session.clone());
        log.open(stream).await.unwrap();
        let log = Arc::new(Failing {
            inner: log,
            dice: Dice::new(seed ^ 0xf417),
            calm: false.into(),
        });
        let wake = Arc::new(ChaosWake::new(clock.clone(), seed));
        let sleep = Arc::new(ManualSleep::new(clock.clone()));
        let dice = Dice::new(seed);
        let streams = service(&log, &wake, &sleep, &clock, &dice);
        let feed = feed(&log, &wake, &clock, &dice);
        Self {
            seed,
            dice,
            clock,
            sleep,
            feed,
            log,
            wake,
            streams,
            user,
            build,
            session,
            written: Vec::new(),
            is_calm: false,
        }
    }

    pub(crate) fn now(&self) -> Moment {
        Moment::now(&*self.clock)
    }

    /// Which of `kinds` kinds of trouble happens now; none once it is calm.
    pub(crate) fn trouble(&self, kinds: u64) -> Option<u64> {
        let rolled = self.dice.roll(kinds * 2);
        (!self.is_calm && rolled < kinds).then_some(rolled)
    }

    pub(crate) fn below(&self, most: usize) -> usize {
        usize::try_from(self.dice.roll(most as u64)).unwrap()
    }

    /// The whole schedule: trouble while the build writes, then calm until every reader is done.
    pub(crate) async fn run(mut self) -> Counts {
        let mut counts = Counts::default();
        let mut viewers = vec![Viewer::new(&self.session, self.seed)];
        let steps = 30 + self.dice.roll(60);
        for step in 0..steps {
            self.build_writes().await;
            match self.dice.roll(14) {
                0 | 1 if viewers.len() < 4 => {
                    viewers.push(Viewer::new(&self.session, self.seed * 1000 + step));
                }
                2 if viewers.len() > 1 => {
                    let viewer = viewers.swap_remove(self.below(viewers.len()));
                    self.assert_beginning(&viewer);
                    counts.left += 1;
                }
                3 => {
                    self.restart(&mut viewers);
                    counts.restarts += 1;
                }
                _ => {}
            }
            self.pass(&mut viewers).await;
        }
        self.end().await;
        let mut waited = Duration::ZERO;
        while viewers.iter().any(|viewer| viewer.over.is_none()) {
            assert!(waited < PATIENCE, "seed {}: {viewers:?}", self.seed);
            waited += Duration::from_secs(1);
            self.sleep.advance(Duration::from_secs(1));
            self.wake.deliver();
            for viewer in &mut viewers {
                viewer.act(&self).await;
            }
        }
        for viewer in &viewers {
            self.assert_whole(viewer);
            let told = viewer.counts();
            counts.events += told.events;
            counts.reconnects += told.reconnects;
            counts.duplicates += told.duplicates;
            counts.polls += viewer.polled;
        }
        drop(viewers);
        assert_eq!(
            self.streams.active(),
            0,
            "seed {}: a stream is left",
            self.seed
        );
        counts
    }

    /// Time goes on, by little or by much, and everyone does what is to be done.
    async fn pass(&self, viewers: &mut [Viewer]) {
        let millis = match self.dice.roll(20) {
            0 => 40_000,
            1..=4 => 6_000,
            _ => 1 + self.dice.roll(1_500),
        };
        self.sleep.advance(Duration::from_millis(millis));
        self.wake.deliver();
        for viewer in viewers {
            // A slow one does nothing for a while.
            if !self.dice.one_in(5) {
                viewer.act(self).await;
            }
        }
    }

    async fn build_writes(&mut self) {
        if self.dice.one_in(3) {
            return;
        }
        let count = 1 + self.below(5);
        self.append(count, &EventType::BUILD_LOG).await;
    }

    async fn append(&mut self, count: usize, kind: &EventType) {
        let mut events = Vec::new();
        for _ in 0..count {
            let message = "x".repeat(self.below(400));
            let data = json!({"message": message, "n": self.written.len()});
            let event = NewEvent::new(kind.clone(), data.as_object().unwrap()).unwrap();
            if self.dice.one_in(4) && *kind == EventType::BUILD_LOG {
                events.push(event.clone().hidden());
            }
            self.written.push(event.data.to_string());
            events.push(event);
        }
        let append = Append::new(self.build.clone(), FencingToken::ZERO, events);
        let outcome = self.log.append(append).await.unwrap();
        assert!(matches!(outcome, AppendOutcome::Appended(_)), "{outcome:?}");
        self.wake.ring(&self.build);
    }

    /// The build ends, and even the wake-ups of its end may be lost; from here on nothing goes wrong
    /// but what has gone wrong already.
    async fn end(&mut self) {
        self.append(1, &EventType::DEPLOY_COMPLETED).await;
        self.log.close(&self.build).await.unwrap();
        self.wake.ring(&self.build);
        self.is_calm = true;
        self.log.calm.store(true, SeqCst);
        self.wake.calm.store(true, SeqCst);
    }

    /// Another process takes the place of this one, which goes in peace or does not.
    fn restart(&mut self, viewers: &mut [Viewer]) {
        if self.dice.one_in(2) {
            self.streams.shutdown();
        } else {
            for viewer in viewers {
                viewer.lose_line(self);
            }
        }
        self.streams = service(&self.log, &self.wake, &self.sleep, &self.clock, &self.dice);
        self.feed = feed(&self.log, &self.wake, &self.clock, &self.dice);
    }

    /// No gap, nothing twice, nothing changed: as far as it was told.
    fn assert_beginning(&self, viewer: &Viewer) {
        let written = (1..).zip(&self.written);
        let same = viewer.seen.iter().zip(written);
        for ((seq, data), (wanted, written)) in same {
            assert_eq!((seq, data), (&wanted, written), "seed {}", self.seed);
        }
        assert!(viewer.seen.len() <= self.written.len());
    }

    fn assert_whole(&self, viewer: &Viewer) {
        self.assert_beginning(viewer);
        assert_eq!(viewer.seen.len(), self.written.len(), "seed {}", self.seed);
        assert_eq!(viewer.counts().gaps, 0, "seed {}: a jump", self.seed);
        assert!(viewer.caught_up, "seed {}: never caught up", self.seed);
        assert_eq!(viewer.over, Some(Over::Closed), "seed {}", self.seed);
    }
}

/// One that reads for each poll, or one that believes the wake-ups.
fn feed(log: &Arc<Failing>, wake: &Arc<ChaosWake>, clock: &Arc<ManualClock>, dice: &Dice) -> Feed {
    if dice.one_in(2) {
        return Feed::new(log.clone());
    }
    Feed::remembering(
        log.clone(),
        wake.clone(),
        clock.clone(),
        FeedConfig::default(),
    )
}

fn service(
    log: &Arc<Failing>,
    wake: &Arc<ChaosWake>,
    sleep: &Arc<ManualSleep>,
    clock: &Arc<ManualClock>,
    dice: &Dice,
) -> StreamService {
    let mut config = StreamConfig::default();
    config.page_size = u32::try_from(1 + dice.roll(9)).unwrap();
    StreamService::new(
        log.clone(),
        wake.clone(),
        sleep.clone(),
        clock.clone(),
        config,
    )
}
