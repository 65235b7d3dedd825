//! Each defence switched off: the simulation has to find the harm.

use protocol::defences::Defences;

/// Switches one defence off.
type Mutation = fn(&mut Defences);

/// The defences whose absence a few hundred simulated schedules show, by name. The model shows others.
pub const MUTANTS: [(&str, Mutation); 4] = [
    ("fence", |d| d.fence = false),
    ("superseded", |d| d.superseded = false),
    ("read-committed", |d| d.read_committed = false),
    ("abort-drops-state", |d| d.abort_drops_state = false),
];

/// All defences but one.
pub fn without(mutation: Mutation) -> Defences {
    let mut defences = Defences::ALL;
    mutation(&mut defences);
    defences
}
