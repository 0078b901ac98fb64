//! The calls that operators make, to the API server and to providers: counted, cut off, refused, delayed.
//!
//! Each call is a boundary: a kill before it leaves it undone, a kill after it leaves it done with nobody to know.

use jiff::Timestamp;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use winfleet::model::one_of;

/// On which side of a call an operator is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boundary {
    /// The call is not made.
    Before,
    /// The call is made, and its answer never seen.
    After,
}

/// When an operator is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// At the call of this number, counted from 1 over all calls of all operators.
    Call(u64, Boundary),
    /// At this time.
    At(Timestamp),
}

/// A kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kill {
    /// When.
    pub when: When,
    /// How long until the operator is started again.
    pub down_for: Duration,
}

/// What is wrong with an API server, or a hypervisor, for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The API server does not answer.
    Down,
    /// The API server answers this much later.
    Slow(Duration),
    /// Every n-th write is refused as if another had come first.
    Conflicts(u64),
    /// Caches lag by this much.
    Stale(Duration),
    /// No eviction is granted.
    EvictionsRefused,
    /// An operator's requests with this method to this kind's resource are refused; not those to a subresource.
    Refused(&'static str, &'static str, Refusal),
    /// The hypervisor does not answer.
    HypervisorDown,
    /// Of each n requests to the hypervisor one is refused, to be asked again after this time.
    HypervisorThrottled(u64, Duration),
    /// The hypervisor does at once what it is asked, and answers this much later.
    HypervisorLate(Duration),
}

/// Why the API server refuses what an operator asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A right is missing, or a rule forbids it.
    Forbidden,
    /// A webhook that has to be asked is away.
    WebhookAway,
}

/// Something that is wrong for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// From when.
    pub from: Timestamp,
    /// Until when.
    pub until: Timestamp,
    /// What.
    pub what: What,
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is made.
    Go,
    /// There is nobody any more who makes it.
    Dead,
    /// It gets no answer.
    Unanswered,
    /// It is refused: another write came first.
    Conflict,
    /// It is refused: too many calls, to be made again after this time.
    Throttled(Duration),
}

/// To whom a call goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Callee {
    /// The API server, with something that changes nothing there.
    Read,
    /// The API server, with something that does.
    Write,
    /// The hypervisor.
    Hypervisor,
}

/// The calls, and what happens to them.
#[derive(Debug, Default)]
pub struct Calls {
    /// How long the API server takes for a call when nothing is wrong.
    pub latency: Duration,
    /// How long a write takes to a store when nothing is wrong.
    pub lag: Duration,
    /// Where chance begins.
    pub seed: u64,
    troubles: Vec<Trouble>,
    kills: Vec<Kill>,
    lives: Vec<Life>,
    count: u64,
    /// How many of them went to the hypervisor.
    asked: u64,
    names: Option<Vec<String>>,
}

#[derive(Debug, Default)]
struct Life {
    /// The number of this run of the operator; 0 while it is dead.
    number: u64,
    runs: u64,
    killed: Arc<Notify>,
    down_for: Duration,
}

impl Calls {
    /// Calls that fare like this.
    pub fn new(troubles: Vec<Trouble>, kills: Vec<Kill>, instances: usize, names: bool) -> Self {
        Self {
            troubles,
            kills,
            lives: std::iter::repeat_with(Life::default).take(instances).collect(),
            names: names.then(Vec::new),
            ..Self::default()
        }
    }

    /// How many calls there were.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The calls by their words, where that was asked for.
    pub fn names(&mut self) -> Vec<String> {
        self.names.take().unwrap_or_default()
    }

    /// An operator is started: the number of its run, and what tells it that it is killed.
    pub fn start(&mut self, instance: usize) -> (u64, Arc<Notify>) {
        let life = &mut self.lives[instance];
        life.runs += 1;
        life.number = life.runs;
        life.killed = Arc::new(Notify::new());
        (life.number, Arc::clone(&life.killed))
    }

    /// Kills an operator; it is to stay down for this long.
    pub fn kill(&mut self, instance: usize, down_for: Duration) {
        let Some(life) = self.lives.get_mut(instance) else { return };
        if std::mem::take(&mut life.number) != 0 {
            life.down_for = down_for;
            life.killed.notify_one();
        }
    }

    /// How long a killed operator stays down.
    pub fn down_for(&self, instance: usize) -> Duration {
        self.lives[instance].down_for
    }

    /// The times at which operators are killed.
    pub fn kill_times(&self) -> impl Iterator<Item = (Timestamp, Duration)> {
        self.kills.iter().filter_map(|kill| match kill.when {
            When::At(at) => Some((at, kill.down_for)),
            When::Call(..) => None,
        })
    }

    /// A call is about to be made.
    pub fn begin(
        &mut self,
        (instance, life): (usize, u64),
        callee: Callee,
        words: impl FnOnce() -> String,
        now: Timestamp,
    ) -> Verdict {
        if self.lives[instance].number != life {
            return Verdict::Dead;
        }
        self.count += 1;
        if let Some(names) = &mut self.names {
            names.push(words());
        }
        if self.killed_at(instance, Boundary::Before) {
            return Verdict::Dead;
        }
        let (count, asked, seed) = (self.count, self.asked, self.seed);
        self.asked += u64::from(callee == Callee::Hypervisor);
        let verdict = |what: &What| match (what, callee) {
            (What::Down, Callee::Read | Callee::Write) | (What::HypervisorDown, Callee::Hypervisor) => {
                Some(Verdict::Unanswered)
            }
            (What::Conflicts(every), Callee::Write) if count.is_multiple_of(*every) => Some(Verdict::Conflict),
            (What::HypervisorThrottled(every, again), Callee::Hypervisor) if one_of(seed, asked, *every) => {
                Some(Verdict::Throttled(*again))
            }
            _ => None,
        };
        self.holding(now).find_map(verdict).unwrap_or(Verdict::Go)
    }

    /// A call was made: whether there is somebody still to see the answer.
    pub fn end(&mut self, instance: usize) -> bool {
        !self.killed_at(instance, Boundary::After)
    }

    fn killed_at(&mut self, instance: usize, side: Boundary) -> bool {
        let count = self.count;
        let here = |kill: &&Kill| kill.when == When::Call(count, side);
        let Some(kill) = self.kills.iter().find(here).copied() else { return false };
        self.kill(instance, kill.down_for);
        true
    }

    /// How long a call takes to be answered: before it is done, and after.
    pub fn delays(&self, callee: Callee, now: Timestamp) -> (Duration, Duration) {
        let mut delays = (if callee == Callee::Hypervisor { Duration::ZERO } else { self.latency }, Duration::ZERO);
        for what in self.holding(now) {
            match (what, callee) {
                (What::Slow(by), Callee::Read | Callee::Write) => delays.0 += *by,
                (What::HypervisorLate(by), Callee::Hypervisor) => delays.1 += *by,
                _ => {}
            }
        }
        delays
    }

    /// How late writes come to the stores now.
    pub fn cache_lag(&self, now: Timestamp) -> Duration {
        let stale = self.holding(now).filter_map(|what| if let What::Stale(by) = what { Some(*by) } else { None });
        stale.fold(self.lag, Duration::max)
    }

    /// Whether evictions are refused now.
    pub fn evictions_refused(&self, now: Timestamp) -> bool {
        self.holding(now).any(|what| *what == What::EvictionsRefused)
    }

    /// Why a request of an operator is refused now, if it is.
    pub fn refused(&self, method: &str, plural: &str, now: Timestamp) -> Option<Refusal> {
        self.holding(now).find_map(|what| match what {
            What::Refused(of, kind, why) if *of == method && *kind == plural => Some(*why),
            _ => None,
        })
    }

    fn holding(&self, now: Timestamp) -> impl Iterator<Item = &What> {
        self.troubles.iter().filter(move |trouble| trouble.from <= now && now < trouble.until).map(|t| &t.what)
    }
}
