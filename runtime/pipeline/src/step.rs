//! Steps: what the nodes of a unit do with a round of records, one file per step.

pub(crate) mod filter;
pub(crate) mod map;
pub(crate) mod mask;
pub(crate) mod route;
pub(crate) mod sink;
pub(crate) mod source;

use crate::column::Projection;
use crate::dead_letter::{Fault, Reason};
use crate::expression::{BindError, Expression, Kernel};
use crate::plan::NodeId;

/// An expression, bound to the records of each node that they can come from.
#[derive(Clone, Debug)]
pub(crate) struct Kernels {
    by_maker: Vec<(NodeId, Kernel)>,
}

impl Kernels {
    /// `makers`: the nodes whose records come here, with the columns that they decode.
    pub(crate) fn bind(expression: &Expression, makers: &[(NodeId, &Projection)]) -> Result<Self, BindError> {
        let bind =
            |(maker, projection): &(NodeId, &Projection)| Ok((*maker, Kernel::bind(expression, projection)?));
        Ok(Self { by_maker: makers.iter().map(bind).collect::<Result<_, _>>()? })
    }

    fn of(&mut self, maker: NodeId) -> Option<&mut Kernel> {
        self.by_maker.iter_mut().find(|(id, _)| *id == maker).map(|(_, kernel)| kernel)
    }
}

fn expression_fault(step: &str, message: &str) -> Fault {
    Fault::new(Reason::ExpressionFailed, format!("step `{step}`: {message}"))
}
