//! Metrics, as Prometheus reads them.

use jiff::Timestamp;
use prometheus_client::encoding::{EncodeLabelSet, text::encode};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Makes a set of one label.
macro_rules! label {
    ($name:ident, $label:ident) => {
        #[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
        struct $name {
            $label: String,
        }

        impl $name {
            fn of(value: &str) -> Self {
                Self { $label: value.to_owned() }
            }
        }
    };
}

label!(Controller, controller);
label!(Outcome, outcome);
label!(Step, step);
label!(Kind, kind);
label!(Class, class);

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Failure {
    controller: &'static str,
    reason: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Request {
    verb: String,
    code: u16,
}

/// All metrics of the operator.
pub struct Metrics {
    registry: Registry,
    reconciles: Family<Controller, Histogram>,
    failures: Family<Failure, Counter>,
    node_updates: Family<Outcome, Counter>,
    steps: Family<Step, Histogram>,
    requests: Family<Request, Counter>,
    leader: Gauge,
    stores: Family<Kind, Gauge>,
    watch_failures: Family<Kind, Counter>,
    unreadable: Family<Kind, Counter>,
    snapshots: Snapshots,
}

/// Of snapshots, by class.
#[derive(Default)]
struct Snapshots {
    count: Family<Class, Gauge>,
    bytes: Family<Class, Gauge>,
    oldest: Family<Class, Gauge>,
    orphans: Family<Class, Gauge>,
    cost: Family<Cost, Gauge<f64, AtomicU64>>,
    /// The currency in which each class's cost is shown: another price takes its place.
    currencies: Mutex<HashMap<String, String>>,
    not_deleted: Family<Class, Counter>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Cost {
    class: String,
    currency: String,
}

/// The snapshots of a class, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SnapshotFigures {
    /// How many there are.
    pub count: i64,
    /// Their size in bytes, where providers say it.
    pub bytes: i64,
    /// When the oldest was captured, in seconds since 1970; 0 when there is none.
    pub oldest: i64,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("windlass"),
            // 1 ms to 33 s: a pass is bounded by 60 s.
            reconciles: Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.001, 2.0, 16))),
            failures: Family::default(),
            node_updates: Family::default(),
            // 1 s to 9 h.
            steps: Family::new_with_constructor(|| Histogram::new(exponential_buckets(1.0, 2.0, 16))),
            requests: Family::default(),
            leader: Gauge::default(),
            stores: Family::default(),
            watch_failures: Family::default(),
            unreadable: Family::default(),
            snapshots: Snapshots::default(),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        let r = &mut self.registry;
        r.register_with_unit(
            "reconcile",
            "How long passes take, by controller",
            Unit::Seconds,
            self.reconciles.clone(),
        );
        r.register("reconcile_errors", "Passes that failed, by controller and reason", self.failures.clone());
        r.register("node_updates", "Node updates that ended, by outcome", self.node_updates.clone());
        r.register_with_unit("step", "How long steps took, by step", Unit::Seconds, self.steps.clone());
        r.register("api_requests", "Requests to the API server, by HTTP verb and status code", self.requests.clone());
        r.register("leader", "1 where this instance leads", self.leader.clone());
        r.register(
            "store_synced_timestamp_seconds",
            "When the API server last told a change of a kind, or listed it, seconds since 1970; old where nobody changes it",
            self.stores.clone(),
        );
        r.register("watch_errors", "Watches that failed and were tried again, by kind", self.watch_failures.clone());
        let s = &self.snapshots;
        r.register("snapshots", "Snapshots on record, by class", s.count.clone());
        r.register("snapshot_bytes", "Size of these snapshots, where providers say it", s.bytes.clone());
        r.register(
            "snapshot_oldest_timestamp_seconds",
            "When the oldest of them was captured, seconds since 1970; 0 without any",
            s.oldest.clone(),
        );
        r.register("snapshot_orphans", "Snapshots at the provider that nobody knows of, by class", s.orphans.clone());
        r.register("snapshot_cost_per_month", "Estimate by the price that the class names", s.cost.clone());
        r.register("snapshot_delete_errors", "Deletions that a provider did not do, by class", s.not_deleted.clone());
        r.register("unreadable_objects", "Objects that were found not to parse, by kind", self.unreadable.clone());
    }

    /// A pass of a controller took so long.
    pub fn reconciled(&self, controller: &str, took: Duration) {
        self.reconciles.get_or_create(&Controller::of(controller)).observe(took.as_secs_f64());
    }

    /// A pass of a controller failed.
    pub fn reconcile_failed(&self, controller: &'static str, reason: &str) {
        self.failures.get_or_create(&Failure { controller, reason: reason.to_owned() }).inc();
    }

    /// A node update ended with this outcome.
    pub fn node_update_ended(&self, outcome: &str) {
        self.node_updates.get_or_create(&Outcome::of(outcome)).inc();
    }

    /// A step ended after this time.
    pub fn step_ended(&self, step: &str, took: Duration) {
        self.steps.get_or_create(&Step::of(step)).observe(took.as_secs_f64());
    }

    /// A request to the API server was answered.
    pub fn requested(&self, verb: &str, code: u16) {
        self.requests.get_or_create(&Request { verb: verb.to_owned(), code }).inc();
    }

    /// This instance leads now, or does not.
    pub fn leads(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    /// The API server has said something about this kind.
    pub fn store_synced(&self, kind: &str) {
        self.stores.get_or_create(&Kind::of(kind)).set(Timestamp::now().as_second());
    }

    /// A watch failed.
    pub fn watch_failed(&self, kind: &str) {
        self.watch_failures.get_or_create(&Kind::of(kind)).inc();
    }

    /// The snapshots of a class, as they are now, and what a month of them costs, in a currency.
    pub fn snapshots_are(&self, class: &str, figures: SnapshotFigures, cost: Option<(f64, &str)>) {
        let of = Class::of(class);
        self.snapshots.count.get_or_create(&of).set(figures.count);
        self.snapshots.bytes.get_or_create(&of).set(figures.bytes);
        self.snapshots.oldest.get_or_create(&of).set(figures.oldest);
        self.cost_is(class, cost);
    }

    /// What a month of a class's snapshots costs; a cost in another currency, or of before there was no price, goes.
    fn cost_is(&self, class: &str, cost: Option<(f64, &str)>) {
        let of = |currency: &str| Cost { class: class.to_owned(), currency: currency.to_owned() };
        let mut currencies = self.snapshots.currencies.lock().unwrap_or_else(PoisonError::into_inner);
        let shown = currencies.remove(class).filter(|shown| cost.is_none_or(|(_, currency)| currency != shown));
        if let Some(shown) = shown {
            self.snapshots.cost.remove(&of(&shown));
        }
        if let Some((cost, currency)) = cost {
            self.snapshots.cost.get_or_create(&of(currency)).set(cost);
            currencies.insert(class.to_owned(), currency.to_owned());
        }
    }

    /// A class is gone, and all that was counted of it goes, too.
    pub fn class_is_gone(&self, class: &str) {
        let (of, snapshots) = (Class::of(class), &self.snapshots);
        for family in [&snapshots.count, &snapshots.bytes, &snapshots.oldest, &snapshots.orphans] {
            family.remove(&of);
        }
        snapshots.not_deleted.remove(&of);
        self.cost_is(class, None);
    }

    /// So many snapshots of a class are known to nobody.
    pub fn orphans_are(&self, class: &str, orphans: usize) {
        self.snapshots.orphans.get_or_create(&Class::of(class)).set(i64::try_from(orphans).unwrap_or(i64::MAX));
    }

    /// A snapshot of a class could not be deleted at its provider.
    pub fn snapshot_not_deleted(&self, class: &str) {
        self.snapshots.not_deleted.get_or_create(&Class::of(class)).inc();
    }

    /// An object was found not to parse.
    pub fn unreadable(&self, kind: &str) {
        self.unreadable.get_or_create(&Kind::of(kind)).inc();
    }

    /// All of them, in the `OpenMetrics` text format.
    pub fn text(&self) -> String {
        let mut text = String::new();
        match encode(&mut text, &self.registry) {
            Ok(()) => text,
            Err(error) => format!("# not encoded: {error}\n# EOF\n"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_of_a_class_goes_with_it_and_a_cost_with_its_currency() {
        let metrics = Metrics::default();
        let of_class = |name: &str| {
            let text = metrics.text();
            let of = |line: &&str| line.contains(&format!("class=\"{name}\""));
            text.lines().filter(of).map(str::to_owned).collect::<Vec<_>>()
        };
        let figures = SnapshotFigures { count: 1, bytes: 2, oldest: 3 };
        metrics.snapshots_are("ebs", figures, Some((1.5, "EUR")));
        metrics.snapshots_are("sim", figures, Some((0.5, "USD")));
        metrics.orphans_are("ebs", 1);
        metrics.snapshot_not_deleted("ebs");
        assert_eq!(of_class("ebs").len(), 6, "{:?}", of_class("ebs"));
        metrics.snapshots_are("ebs", figures, Some((1.7, "USD")));
        let costs: Vec<_> = of_class("ebs").into_iter().filter(|line| line.contains("currency")).collect();
        assert_eq!(costs, ["windlass_snapshot_cost_per_month{class=\"ebs\",currency=\"USD\"} 1.7"]);
        metrics.snapshots_are("ebs", figures, None);
        assert!(!of_class("ebs").iter().any(|line| line.contains("currency")), "there is no price any more");
        metrics.snapshots_are("ebs", figures, Some((1.5, "EUR")));
        metrics.class_is_gone("ebs");
        assert!(of_class("ebs").is_empty(), "{:?}", of_class("ebs"));
        assert_eq!(of_class("sim").len(), 4, "another class is as it was");
    }

    #[test]
    fn what_was_counted_is_in_the_text() {
        let metrics = Metrics::default();
        metrics.requested("GET", 200);
        metrics.requested("GET", 200);
        metrics.node_update_ended("Reverted");
        metrics.leads(true);
        metrics.reconcile_failed("rollout", "conflict");
        metrics.step_ended("Drain", Duration::from_secs(3));
        let text = metrics.text();
        for line in [
            "windlass_api_requests_total{verb=\"GET\",code=\"200\"} 2",
            "windlass_node_updates_total{outcome=\"Reverted\"} 1",
            "windlass_leader 1",
            "windlass_reconcile_errors_total{controller=\"rollout\",reason=\"conflict\"} 1",
            "windlass_step_seconds_count{step=\"Drain\"} 1",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
