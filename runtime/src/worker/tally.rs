//! What a worker has counted. Only what is known to be committed counts: work that is done again after a restart, and
//! what a replay does once more, would count twice.

use pipeline::effect::{Counters, Effects, NodeCounters};
use pipeline::plan::Node;
use std::collections::BTreeMap;

/// Records by what became of them, over all and by the source, step or sink that dealt with them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Over all steps.
    pub counters: Counters,
    /// By the name of the source, step or sink.
    pub nodes: BTreeMap<String, NodeCounters>,
}

impl Tally {
    /// Adds what a unit made. `nodes` are those of its stage.
    fn count(&mut self, effects: &Effects, nodes: &[Node]) {
        self.counters.add(effects.counters);
        for (node, counters) in &effects.nodes {
            if let Some(node) = nodes.get(usize::from(node.0)) {
                self.nodes.entry(node.name.clone()).or_default().add(*counters);
            }
        }
    }

    /// Adds another one.
    pub fn add(&mut self, other: &Tally) {
        self.counters.add(other.counters);
        for (name, counters) in &other.nodes {
            self.nodes.entry(name.clone()).or_default().add(*counters);
        }
    }
}

/// The way of a count from the engine to a commit whose outcome is known.
#[derive(Debug, Default)]
pub struct Counting {
    open: Tally,
    in_flight: Tally,
    committed: Tally,
}

impl Counting {
    /// A unit made these effects; they wait for the next commit.
    pub fn made(&mut self, effects: &Effects, nodes: &[Node]) {
        self.open.count(effects, nodes);
    }

    /// Everything that was made so far goes into a commit.
    pub fn sent(&mut self) {
        self.in_flight = std::mem::take(&mut self.open);
    }

    /// Not everything of the commit that is being written could be written as it was made.
    pub fn correct(&mut self, change: impl FnOnce(&mut Tally)) {
        change(&mut self.in_flight);
    }

    /// That commit is committed.
    pub fn committed(&mut self) {
        self.committed.add(&std::mem::take(&mut self.in_flight));
    }

    /// Records that were read and are not known to be committed.
    pub fn waiting(&self) -> u64 {
        self.open.counters.records_in + self.in_flight.counters.records_in
    }

    /// What is committed for certain.
    pub fn known(&self) -> &Tally {
        &self.committed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pipeline::plan::NodeId;

    const LATE: NodeCounters = NodeCounters { records: 0, late: 1, dead_letters: 0 };

    fn three_records_one_late() -> Effects {
        let counters = Counters { records_in: 3, late: 1, ..Counters::default() };
        Effects { counters, nodes: vec![(NodeId(1), LATE), (NodeId(9), LATE)], ..Effects::default() }
    }

    #[test]
    fn only_what_is_committed_is_known() {
        let plan =
            pipeline::plan::from_yaml(include_str!("../../pipeline/cases/late/pipeline.yaml")).unwrap();
        let nodes = &plan.stages()[0].nodes;
        let at = nodes.iter().position(|node| node.name == "per-car").unwrap();
        let made = Effects { nodes: vec![(NodeId(at as u16), LATE)], ..three_records_one_late() };
        let mut counting = Counting::default();
        counting.made(&made, nodes);
        counting.sent();
        counting.made(&made, nodes);
        assert_eq!(counting.known(), &Tally::default());
        counting.committed();
        counting.sent();
        assert_eq!(counting.known().counters.records_in, 3);
        assert_eq!(counting.known().nodes, BTreeMap::from([("per-car".to_owned(), LATE)]));
    }

    #[test]
    fn lives_add_up_and_unknown_nodes_count_for_no_step() {
        let mut sum = Tally::default();
        let mut one = Tally::default();
        one.count(&three_records_one_late(), &[]);
        one.nodes.insert("w".to_owned(), LATE);
        sum.add(&one);
        sum.add(&one);
        assert_eq!((sum.counters.records_in, sum.counters.late), (6, 2));
        assert_eq!(sum.nodes["w"].late, 2);
    }
}
