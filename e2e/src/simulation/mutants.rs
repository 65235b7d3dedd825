//! Each defence that the simulation can tell, switched off: it has to find the harm.

use protocol::defences::{Defence, Defences, Shown};

/// The defences whose absence a few hundred simulated schedules show. The model shows others.
pub fn mutants() -> impl Iterator<Item = &'static Defence> {
    Defences::EACH.iter().filter(|defence| defence.shown == Shown::ModelAndSimulation)
}
