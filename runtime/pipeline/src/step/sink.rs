//! Sinks: records leave the unit as they are, key, value, headers and timestamp.

use crate::effect::Effects;
use crate::plan::SinkId;
use crate::unit::flow::{Flow, Selection, in_order};

/// Hands records to a sink in the order in which they came in, whichever way they took.
pub(crate) fn run(sink: SinkId, flows: &[Flow<'_>], selections: Vec<Selection>, out: &mut Effects) {
    let runs = in_order(flows, selections);
    let rows: usize = runs.iter().map(|run| run.rows.len()).sum();
    if rows == 0 {
        return;
    }
    out.counters.records_out += rows as u64;
    for run in &runs {
        out.output(sink).push_rows(&flows[run.flow].batch, &run.rows);
    }
}
