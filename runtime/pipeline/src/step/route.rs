//! `route`: sends a record to the first branch whose expression is true, else to the default branch, tombstones too.

use super::Kernels;
use super::filter::keep_true;
use crate::effect::Effects;
use crate::unit::flow::{Flow, Round, Selection, merge_rows};

/// One route.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    pub(crate) name: String,
    pub(crate) branches: Vec<Kernels>,
}

impl Route {
    /// Selections by branch; the last branch is the default.
    pub(crate) fn run(
        &mut self,
        round: &Round<'_>,
        flows: &mut [Flow<'_>],
        selections: Vec<Selection>,
        out: &mut Effects,
    ) -> Vec<Vec<Selection>> {
        let mut branches = vec![Vec::new(); self.branches.len() + 1];
        for Selection { flow, mut rows } in selections {
            let tombstones = flows[flow].take_tombstones(&mut rows);
            for (at, kernels) in self.branches.iter_mut().enumerate() {
                let mut matching = rows.clone();
                let failed = keep_true(kernels, &self.name, round, &mut flows[flow], &mut matching, out);
                subtract(&mut rows, &matching);
                subtract(&mut rows, &failed);
                branches[at].push(Selection { flow, rows: matching });
            }
            merge_rows(&mut rows, &tombstones);
            if let Some(default) = branches.last_mut() {
                default.push(Selection { flow, rows });
            }
        }
        branches
    }
}

/// Takes ascending rows out of ascending rows.
fn subtract(rows: &mut Vec<u32>, taken: &[u32]) {
    let mut taken = taken.iter().peekable();
    rows.retain(|row| {
        while taken.next_if(|other| *other < row).is_some() {}
        taken.peek() != Some(&row)
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_are_taken_are_gone() {
        let mut rows = vec![0, 1, 4, 5, 9];
        subtract(&mut rows, &[1, 5, 9]);
        assert_eq!(rows, [0, 4]);
        subtract(&mut rows, &[]);
        assert_eq!(rows, [0, 4]);
    }
}
