//! The world as several tasks of one process share it, on the wall clock.

use super::Mode;
use crate::model::World;
use jiff::Timestamp;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A world that runs on the wall clock. Clones are the same world.
#[derive(Clone)]
pub struct SharedWorld(Arc<Inner>);

struct Inner {
    world: Mutex<World>,
    mode: Mutex<Mode>,
}

impl SharedWorld {
    /// Shares a world; its hypervisor behaves as the scenario says.
    pub fn new(world: World) -> Self {
        let mode = Mode { throttle: world.hypervisor().throttle, ..Mode::default() };
        Self(Arc::new(Inner { world: Mutex::new(world), mode: Mutex::new(mode) }))
    }

    /// Lets time pass up to now, and gives the world and the time to `act`. Others wait meanwhile: `act` must be short.
    pub fn with<R>(&self, act: impl FnOnce(&mut World, Timestamp) -> R) -> R {
        let mut world = lock(&self.0.world);
        let now = Timestamp::now();
        world.tick(now);
        act(&mut world, now)
    }

    /// Gives the way in which `/v1` answers to `act`.
    pub(super) fn with_mode<R>(&self, act: impl FnOnce(&mut Mode) -> R) -> R {
        act(&mut lock(&self.0.mode))
    }
}

/// A panic elsewhere leaves plain data behind, which is still good.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
