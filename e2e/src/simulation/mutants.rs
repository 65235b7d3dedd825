//! Each defence that the simulation can tell, switched off: it has to find the harm.

use protocol::defences::{Defence, Defences, Shown};

/// The defences whose absence some thousand simulated schedules show. The model shows others.
pub fn mutants() -> impl Iterator<Item = &'static Defence> {
    let shown = |defence: &&Defence| matches!(defence.shown, Shown::ModelAndSimulation | Shown::Simulation);
    Defences::EACH.iter().filter(shown)
}
