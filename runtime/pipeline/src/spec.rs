//! The wire shape of all kinds: what the user writes.
