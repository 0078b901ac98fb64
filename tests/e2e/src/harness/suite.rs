//! All stories as tests of one runner, and the clusters that they are told on.

use super::stage::Stage;
use super::story::{Story, Venue};
use super::{Scene, report};
use anyhow::{Context, Result, anyhow};
use libtest_mimic::{Failed, Trial};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::runtime::Runtime;
use tokio::sync::{Mutex, OnceCell};
use xtask::workspace::{self, Profile, Programs};

/// All stories, and what they share.
pub struct Suite {
    shared: Arc<Shared>,
    /// Holds the lock on the folder of the logs.
    _lock: File,
}

struct Shared {
    stories: Vec<Arc<Story>>,
    folder: PathBuf,
    runtime: Runtime,
    programs: OnceCell<Programs>,
    places: BTreeMap<Venue, Place>,
}

/// A venue: its cluster, once a story wanted it.
#[derive(Default)]
struct Place {
    /// A cluster that could not be made fails every story of it with the same words, and is not tried again.
    stage: OnceCell<Result<Arc<Stage>, String>>,
    turn: Mutex<()>,
}

impl Suite {
    /// Nothing is started yet: a story starts what it needs.
    ///
    /// # Errors
    /// The folder for the logs cannot be made.
    pub fn new(stories: Vec<Story>) -> Result<Self> {
        let (folder, lock) = own_folder(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("../e2e"))?;
        let runtime = Runtime::new().context("cannot start the async runtime")?;
        let places = [Venue::Shared, Venue::Crashes, Venue::Outages].map(|venue| (venue, Place::default())).into();
        let stories = stories.into_iter().map(Arc::new).collect();
        let shared = Shared { stories, folder, runtime, programs: OnceCell::new(), places };
        Ok(Self { shared: Arc::new(shared), _lock: lock })
    }

    /// The stories as tests.
    pub fn trials(&self) -> Vec<Trial> {
        let trial = |story: &Arc<Story>| {
            let (shared, story) = (Arc::clone(&self.shared), Arc::clone(story));
            Trial::test(story.name.clone(), move || {
                shared.runtime.block_on(shared.play(&story)).map_err(|error| Failed::from(format!("{error:#}")))
            })
        };
        self.shared.stories.iter().map(trial).collect()
    }

    /// Ends all clusters. (Should this process die before, their guardians do it.)
    pub fn close(&self) {
        for place in self.shared.places.values() {
            if let Some(Ok(stage)) = place.stage.get() {
                stage.close();
            }
        }
    }
}

impl Shared {
    async fn play(&self, story: &Arc<Story>) -> Result<()> {
        let place = self.places.get(&story.venue).context("no such venue")?;
        let _turn = if story.venue.one_at_a_time() { Some(place.turn.lock().await) } else { None };
        let stage =
            place.stage.get_or_init(|| async { self.open(story.venue).await.map_err(|e| format!("{e:#}")) }).await;
        let stage = stage.as_ref().map_err(|error| anyhow!("the cluster could not be made: {error}"))?;
        let scene = Scene::new(Arc::clone(stage), &story.name);
        let told = tokio::time::timeout(story.patience, story.tell(scene.clone())).await;
        let late = || anyhow!("the story did not end within {} s", story.patience.as_secs());
        let Err(error) = told.unwrap_or_else(|_| Err(late())) else {
            report::remove(&scene, &self.folder);
            return Ok(());
        };
        Err(anyhow!("{error:#}\n{}", report::write(&scene, &self.folder).await))
    }

    async fn open(&self, venue: Venue) -> Result<Arc<Stage>> {
        let programs = self.programs.get_or_try_init(|| async {
            tokio::task::spawn_blocking(|| workspace::build_programs(Profile::Dev)).await?
        });
        let programs = programs.await?.clone();
        let stories: Vec<_> = self.stories.iter().filter(|story| story.venue == venue).cloned().collect();
        Ok(Arc::new(Stage::open(&self.folder.join(venue.name()), programs, &stories).await?))
    }
}

/// The folder for the logs, and the lock that makes it ours: a second run at the same time takes a folder of its own.
fn own_folder(wanted: &Path) -> Result<(PathBuf, File)> {
    let lock = |folder: &Path| -> Result<File> {
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let file = File::create(folder.join("lock"))?;
        file.try_lock()?;
        Ok(file)
    };
    if let Ok(file) = lock(wanted) {
        return Ok((wanted.canonicalize()?, file));
    }
    let mine = wanted.join(std::process::id().to_string());
    let file = lock(&mine)?;
    Ok((mine.canonicalize()?, file))
}
