//! Formats: from bytes to columns and back.
