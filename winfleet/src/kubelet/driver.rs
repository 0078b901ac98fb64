//! Lets time pass in the model, by the wall clock, and tells each kubelet what it sees of its machine.

use super::machine::MachineFacts;
use crate::{
    agent_host::ArmedTasks,
    hypervisor::SharedWorld,
    model::World,
    wine::{WineMachines, WineTasks},
};
use std::{collections::HashMap, time::Duration};
use tokio::{sync::watch, time::MissedTickBehavior};

/// Between two ticks: a tenth of the shortest timing that scenarios use (1 s).
const TICK: Duration = Duration::from_millis(100);

/// Ticks the world and the armed tasks on its machines for ever, and publishes the facts of each machine when they change.
pub async fn drive(world: SharedWorld, wine: WineMachines, machines: HashMap<String, watch::Sender<MachineFacts>>) {
    let mut wine_tasks = WineTasks::new(wine, world.clone());
    let mut tasks = ArmedTasks::default();
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        world.with(|world, now| {
            // First: a task that the real program takes is not due for the other.
            wine_tasks.tick(world, now);
            tasks.tick(world, now);
            tell(world, &machines);
        });
    }
}

fn tell(world: &World, machines: &HashMap<String, watch::Sender<MachineFacts>>) {
    for machine in world.machines() {
        let Some(sender) = machines.get(machine.name()) else { continue };
        let facts = MachineFacts::of(machine);
        sender.send_if_modified(|known| {
            let changed = *known != facts;
            *known = facts;
            changed
        });
    }
}
