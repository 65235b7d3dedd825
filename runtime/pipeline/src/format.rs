//! Formats: from the bytes of records to columns, and from values back to bytes.
//!
//! What lives here knows the text of a format and nothing of plans: a decoder gets a projection and a batch, a writer
//! gets a value. What a record *must* look like is the business of [`crate::schema`].

pub mod json;
pub mod time;
