//! What the containers printed, kept for `pods/log`. Bounded: per pod, and by the pods that are there.

use jiff::Timestamp;
use std::{
    collections::{HashMap, VecDeque},
    fmt::Write,
    sync::{Mutex, PoisonError},
};

/// Bytes kept of one pod's log; the oldest lines go first. A report of the agent (64 KiB) fits with its progress lines.
const MAX_LOG_BYTES: usize = 256 * 1024;

/// The logs of all pods of the fleet.
#[derive(Debug, Default)]
pub struct LogStore {
    pods: Mutex<HashMap<(String, String), PodLog>>,
}

/// The log of one pod: its first container prints, the others keep silent.
#[derive(Clone, Debug)]
struct PodLog {
    uid: String,
    node: String,
    containers: Vec<String>,
    lines: VecDeque<(Timestamp, String)>,
    bytes: usize,
    /// Lines that were dropped to stay within the bound.
    dropped: usize,
    running: bool,
}

/// Which part of a log is wanted.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogWindow {
    /// Lines to leave out from the beginning of what was ever printed: what a follower has already.
    pub skip: usize,
    /// The last lines only.
    pub tail: Option<usize>,
    /// Lines printed since then only.
    pub since: Option<Timestamp>,
    /// Whether each line begins with its time.
    pub timestamps: bool,
}

/// A part of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogText {
    /// The lines, each with its end.
    pub text: String,
    /// Lines that were ever printed: the `skip` of the next read.
    pub printed: usize,
    /// Whether more may come.
    pub running: bool,
}

/// Why there is no log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoLog {
    /// No such pod runs or ran here.
    #[error("pod {0:?} not found")]
    Pod(String),
    /// The pod has no such container.
    #[error("container {container:?} not found in pod {pod:?}")]
    Container {
        /// Name of the pod.
        pod: String,
        /// Name of the container.
        container: String,
    },
}

/// A pod as the log store names it.
#[derive(Clone, Copy, Debug)]
pub struct LogOwner<'a> {
    /// Namespace.
    pub namespace: &'a str,
    /// Name.
    pub name: &'a str,
    /// UID: what a pod's predecessor of the same name printed is not its own.
    pub uid: &'a str,
}

impl LogStore {
    /// Begins the log of a pod whose containers start; the log of an earlier run ends.
    pub fn open(&self, owner: LogOwner<'_>, node: &str, containers: Vec<String>) {
        let log = PodLog {
            uid: owner.uid.into(),
            node: node.into(),
            containers,
            lines: VecDeque::new(),
            bytes: 0,
            dropped: 0,
            running: true,
        };
        self.with(|pods| pods.insert((owner.namespace.into(), owner.name.into()), log));
    }

    /// Adds what the pod printed; each line of `text` becomes one.
    pub fn append(&self, owner: LogOwner<'_>, now: Timestamp, text: &str) {
        self.of(owner, |log| {
            for line in text.lines() {
                log.push(now, line.to_owned());
            }
        });
    }

    /// Notes that no more will come.
    pub fn close(&self, owner: LogOwner<'_>) {
        self.of(owner, |log| log.running = false);
    }

    /// Forgets a pod that is gone.
    pub fn remove(&self, owner: LogOwner<'_>) {
        let key = (owner.namespace.to_owned(), owner.name.to_owned());
        self.with(|pods| {
            if pods.get(&key).is_some_and(|log| log.uid == owner.uid) {
                pods.remove(&key);
            }
        });
    }

    /// The node that a pod's log is on.
    pub fn node_of(&self, namespace: &str, pod: &str) -> Option<String> {
        self.with(|pods| pods.get(&(namespace.to_owned(), pod.to_owned())).map(|log| log.node.clone()))
    }

    /// Reads a part of a container's log.
    ///
    /// # Errors
    /// [`NoLog`].
    pub fn read(&self, namespace: &str, pod: &str, container: &str, window: LogWindow) -> Result<LogText, NoLog> {
        self.with(|pods| {
            let log = pods.get(&(namespace.to_owned(), pod.to_owned())).ok_or_else(|| NoLog::Pod(pod.into()))?;
            match log.containers.iter().position(|c| c == container) {
                Some(0) => Ok(log.text(window)),
                Some(_) => Ok(LogText { text: String::new(), printed: 0, running: log.running }),
                None => Err(NoLog::Container { pod: pod.into(), container: container.into() }),
            }
        })
    }

    fn of(&self, owner: LogOwner<'_>, change: impl FnOnce(&mut PodLog)) {
        let key = (owner.namespace.to_owned(), owner.name.to_owned());
        self.with(|pods| {
            if let Some(log) = pods.get_mut(&key).filter(|log| log.uid == owner.uid) {
                change(log);
            }
        });
    }

    fn with<T>(&self, f: impl FnOnce(&mut HashMap<(String, String), PodLog>) -> T) -> T {
        f(&mut self.pods.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl PodLog {
    fn push(&mut self, now: Timestamp, line: String) {
        self.bytes += line.len() + 1;
        self.lines.push_back((now, line));
        while self.bytes > MAX_LOG_BYTES && self.lines.len() > 1 {
            if let Some((_, line)) = self.lines.pop_front() {
                self.bytes -= line.len() + 1;
                self.dropped += 1;
            }
        }
    }

    fn text(&self, window: LogWindow) -> LogText {
        let wanted = |at: &Timestamp| window.since.is_none_or(|since| *at >= since);
        let lines: Vec<_> =
            self.lines.iter().skip(window.skip.saturating_sub(self.dropped)).filter(|(at, _)| wanted(at)).collect();
        let from = lines.len() - window.tail.map_or(lines.len(), |n| n.min(lines.len()));
        let mut text = String::new();
        for (at, line) in &lines[from..] {
            // Writing to a String does not fail.
            let _ = if window.timestamps { writeln!(text, "{at} {line}") } else { writeln!(text, "{line}") };
        }
        LogText { text, printed: self.dropped + self.lines.len(), running: self.running }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWNER: LogOwner<'static> = LogOwner { namespace: "n", name: "p", uid: "u" };

    fn store(lines: &str) -> LogStore {
        let store = LogStore::default();
        store.open(OWNER, "win-1", vec!["c".into(), "sidecar".into()]);
        store.append(OWNER, Timestamp::UNIX_EPOCH, lines);
        store
    }

    fn text(store: &LogStore, window: LogWindow) -> String {
        store.read("n", "p", "c", window).expect("a log").text
    }

    #[test]
    fn gives_the_part_that_is_wanted() {
        let store = store("one\ntwo\nthree");
        assert_eq!(text(&store, LogWindow::default()), "one\ntwo\nthree\n");
        assert_eq!(text(&store, LogWindow { tail: Some(1), ..LogWindow::default() }), "three\n");
        assert_eq!(text(&store, LogWindow { tail: Some(0), ..LogWindow::default() }), "");
        assert_eq!(text(&store, LogWindow { tail: Some(9), skip: 2, ..LogWindow::default() }), "three\n");
        let since = Some(Timestamp::MAX);
        assert_eq!(text(&store, LogWindow { since, ..LogWindow::default() }), "");
        let stamped = LogWindow { timestamps: true, tail: Some(1), ..LogWindow::default() };
        assert_eq!(text(&store, stamped), "1970-01-01T00:00:00Z three\n");
        assert_eq!(store.read("n", "p", "sidecar", LogWindow::default()).map(|l| l.text), Ok(String::new()));
    }

    #[test]
    fn names_what_is_not_there() {
        let store = store("");
        let read = |pod, container| store.read("n", pod, container, LogWindow::default());
        assert_eq!(read("q", "c"), Err(NoLog::Pod("q".into())));
        assert_eq!(read("p", "d"), Err(NoLog::Container { pod: "p".into(), container: "d".into() }));
    }

    #[test]
    fn another_pod_of_the_same_name_has_another_log() {
        let store = store("one");
        let successor = LogOwner { uid: "v", ..OWNER };
        store.append(successor, Timestamp::UNIX_EPOCH, "two");
        store.remove(successor);
        assert_eq!(text(&store, LogWindow::default()), "one\n");
        store.remove(OWNER);
        assert_eq!(store.node_of("n", "p"), None);
    }

    #[test]
    fn old_lines_go_first_and_a_follower_still_counts_right() {
        let store = store("");
        let line = "x".repeat(1000);
        for _ in 0..1000 {
            store.append(OWNER, Timestamp::UNIX_EPOCH, &line);
        }
        let all = store.read("n", "p", "c", LogWindow::default()).expect("a log");
        assert!(all.text.len() <= MAX_LOG_BYTES && all.text.len() > MAX_LOG_BYTES - 1001);
        assert_eq!(all.printed, 1000);
        store.append(OWNER, Timestamp::UNIX_EPOCH, "new");
        assert_eq!(text(&store, LogWindow { skip: all.printed, ..LogWindow::default() }), "new\n");
    }
}
