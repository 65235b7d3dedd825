//! JSON Schema validation of values.

/// A compiled JSON Schema.
#[derive(Clone, Debug)]
pub struct Schema {}
