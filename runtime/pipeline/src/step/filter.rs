//! `filter`: keeps the records for which an expression is true. Tombstones pass.

use super::{Kernels, expression_fault};
use crate::effect::Effects;
use crate::unit::flow::{Flow, Round, Selection, merge_rows};

/// One filter.
#[derive(Clone, Debug)]
pub(crate) struct Filter {
    pub(crate) name: String,
    pub(crate) kernels: Kernels,
}

impl Filter {
    /// Narrows selections.
    pub(crate) fn run(
        &mut self,
        round: &Round<'_>,
        flows: &mut [Flow<'_>],
        mut selections: Vec<Selection>,
        out: &mut Effects,
    ) -> Vec<Selection> {
        for selection in &mut selections {
            narrow(
                &mut self.kernels,
                &self.name,
                round,
                &mut flows[selection.flow],
                &mut selection.rows,
                out,
            );
        }
        selections
    }
}

fn narrow(
    kernels: &mut Kernels,
    step: &str,
    round: &Round<'_>,
    flow: &mut Flow<'_>,
    rows: &mut Vec<u32>,
    out: &mut Effects,
) {
    let tombstones = flow.take_tombstones(rows);
    keep_true(kernels, step, round, flow, rows, out);
    merge_rows(rows, &tombstones);
}

/// Keeps the rows for which the expression is true; those where it fails become dead letters, and are given back.
pub(super) fn keep_true(
    kernels: &mut Kernels,
    step: &str,
    round: &Round<'_>,
    flow: &mut Flow<'_>,
    rows: &mut Vec<u32>,
    out: &mut Effects,
) -> Vec<u32> {
    let Some(kernel) = kernels.of(flow.maker) else { return Vec::new() };
    let mut failed = Vec::new();
    kernel.filter(&round.context(&flow.batch), &mut flow.frame, rows, &mut failed);
    for (row, message) in &failed {
        round.refuse(out, step, &expression_fault(step, message), flow.origin(*row));
    }
    failed.into_iter().map(|(row, _)| row).collect()
}
