//! All cases in all worlds as tests of one runner.

use crate::worlds::{self, Entry};
use anyhow::{Context, Result, bail, ensure};
use conformance::report::{Figures, Table};
use conformance::{Bench, Case, World, cases};
use libtest_mimic::{Failed, Trial};
use std::collections::BTreeMap;
use std::fs;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::{Mutex, OnceCell};
use xtask::workspace;

/// Longest that one case may take.
const PATIENCE: Duration = Duration::from_mins(4);
/// The document with the table.
const DOCUMENT: &str = "docs/providers.md";

/// The suite and what came out.
pub struct Suite {
    shared: Arc<Shared>,
}

struct Shared {
    runtime: Runtime,
    places: BTreeMap<&'static str, Place>,
    /// Worlds that can not be had here, and why.
    missing: BTreeMap<&'static str, String>,
    table: std::sync::Mutex<Table>,
}

#[derive(Default)]
struct Place {
    world: OnceCell<Result<Arc<dyn World>, String>>,
    turn: Mutex<()>,
}

impl Suite {
    /// What the worlds need is installed; none is opened yet.
    pub fn new() -> Result<Self> {
        let runtime = Runtime::new().context("cannot start the async runtime")?;
        let places = worlds::ALL.iter().map(|entry| (entry.name, Place::default())).collect();
        let missing = worlds::ALL
            .iter()
            .filter_map(|entry| Some((entry.name, format!("{:#}", (entry.needs)().err()?))))
            .collect();
        Ok(Self { shared: Arc::new(Shared { runtime, places, missing, table: std::sync::Mutex::default() }) })
    }

    /// Worlds whose cases are left out, and why: to be said loudly.
    pub fn missing(&self) -> &BTreeMap<&'static str, String> {
        &self.shared.missing
    }

    /// Each case in each world.
    pub fn trials(&self) -> Vec<Trial> {
        let mut trials = Vec::new();
        // Case by case, so that the threads of the runner spread over the worlds.
        for case in cases::all() {
            for entry in worlds::ALL {
                trials.push(
                    self.trial(entry, case.name.to_owned(), move |shared, world| Box::pin(shared.run(world, case))),
                );
            }
        }
        for entry in worlds::ALL {
            trials.push(self.trial(entry, "figures".to_owned(), |shared, world| Box::pin(shared.measure(world))));
        }
        trials
    }

    fn trial(
        &self,
        entry: &'static Entry,
        name: String,
        play: impl for<'a> Fn(&'a Shared, Arc<dyn World>) -> futures::future::LocalBoxFuture<'a, Result<()>>
        + Send
        + 'static,
    ) -> Trial {
        let shared = Arc::clone(&self.shared);
        let missing = self.missing().contains_key(entry.name);
        let trial = Trial::test(format!("{}::{name}", entry.name), move || {
            let played = shared.runtime.block_on(async {
                let place = shared.places.get(entry.name).context("no such world")?;
                let _turn = place.turn.lock().await;
                let opened = place.world.get_or_init(|| async { (entry.open)().await.map_err(|e| format!("{e:#}")) });
                let world =
                    opened.await.as_ref().map_err(|error| anyhow::anyhow!("the world can not be opened: {error}"))?;
                play(&shared, Arc::clone(world)).await
            });
            played.map_err(|error| Failed::from(format!("{error:#}")))
        });
        trial.with_ignored_flag(missing)
    }

    /// Compares the document with what came out, or writes it.
    ///
    /// # Errors
    /// They differ.
    pub fn documents(&self, bless: bool) -> Result<()> {
        let table = self.shared.table.lock().unwrap_or_else(PoisonError::into_inner);
        println!("{}", table.figures());
        if !self.missing().is_empty() {
            ensure!(!bless, "{DOCUMENT} is written only when all providers were tested");
            eprintln!("{DOCUMENT} WAS NOT COMPARED with what came out");
            return Ok(());
        }
        let path = workspace::root().join(DOCUMENT);
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {DOCUMENT}"))?;
        let wanted = table.put_into(&text)?;
        if bless {
            return fs::write(&path, wanted).with_context(|| format!("cannot write {DOCUMENT}"));
        }
        ensure!(text == wanted, "{DOCUMENT} is not what came out: `cargo xtask test providers --bless` writes it");
        Ok(())
    }
}

impl Shared {
    async fn run(&self, world: Arc<dyn World>, case: Case) -> Result<()> {
        let bench = Bench::new(world.as_ref(), case.name);
        let verdict = tokio::time::timeout(PATIENCE, (case.run)(&bench)).await;
        world.proxy().behave();
        let Ok(verdict) = verdict else { bail!("no end within {PATIENCE:?}") };
        self.note(|table| table.note(case, world.name(), verdict))
    }

    async fn measure(&self, world: Arc<dyn World>) -> Result<()> {
        let bench = Bench::new(world.as_ref(), "figures");
        let figures = Figures::measure(&bench).await?;
        let capabilities = world.provider().capabilities();
        self.note(|table| {
            table.measured(world.name(), figures, capabilities);
            Ok(())
        })
    }

    fn note(&self, note: impl FnOnce(&mut Table) -> Result<()>) -> Result<()> {
        note(&mut self.table.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
