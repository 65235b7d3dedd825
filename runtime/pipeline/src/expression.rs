//! CEL: parsed once, checked, compiled to kernels over columns.

/// A compiled expression.
#[derive(Clone, Debug)]
pub struct Expression {}
