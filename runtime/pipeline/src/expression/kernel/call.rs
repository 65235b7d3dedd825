//! Functions on columns: the arguments are columns, the function is called row by row.

use super::machine::{Machine, Operand, Raised};
use super::space::{Settled, settle};
use crate::column::Column;
use crate::expression::function::Signature;
use crate::expression::program::Node;
use crate::expression::types::Types;
use crate::expression::value::Val;
use crate::expression::{call, describe};

impl Machine<'_> {
    /// The values of a call. One that takes optional values goes the general way: a column cannot hold them.
    pub(super) fn call(&mut self, node: &Node, rows: &[u32], out: &mut Column) {
        let Node::Call(signature, nodes) = node else { return };
        if signature.arguments.iter().any(|types| types.may_be(Types::OPTIONAL)) {
            return self.by_row(node, rows, out);
        }
        let operands: Vec<Operand> = nodes.iter().map(|node| self.load(node, rows)).collect();
        for &row in rows {
            let mut spill = std::mem::take(&mut self.space.spill);
            let settled = self.call_on(signature, nodes, &operands, row, &mut spill);
            self.space.spill = spill;
            self.store(row, settled, out);
        }
        for operand in operands {
            self.release(operand);
        }
    }

    fn call_on(
        &self,
        signature: &'static Signature,
        nodes: &[Node],
        operands: &[Operand],
        row: u32,
        spill: &mut Vec<u8>,
    ) -> Result<Settled, Raised> {
        let mut arguments = [const { Val::Null }; call::MAX_ARGUMENTS];
        for (position, (node, operand)) in nodes.iter().zip(operands).enumerate() {
            let val = self.read(node, operand, row)?;
            if !val.types().may_be(signature.arguments[position]) {
                return Err(Raised::Now(describe::argument(signature, position, node, &val, self.program)));
            }
            arguments[position] = val;
        }
        call::call(signature, &arguments[..nodes.len()])
            .and_then(|val| settle(self.frame, self.context.batch, spill, &val))
            .map_err(Raised::Now)
    }
}
