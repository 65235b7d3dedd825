//! The calls: paths, bodies and answers.
//!
//! | call | answer |
//! |---|---|
//! | `GET /control/v1/status` | 200 [`crate::PodStatus`] |
//! | `POST /control/v1/promote/{generation}` | 202 [`Accepted`]; 409 [`Refused`] when the pod is of another generation |
//! | `POST /control/v1/drain/{id}` with [`Drain`] | 202 [`Accepted`]; 409 while another drain is not resumed |
//! | `POST /control/v1/resume/{id}` | 202 [`Accepted`]; 409 when the newest drain has another id |
//!
//! Every POST is idempotent: it records an intent and returns at once, progress is read from the status. A pod that
//! restarts forgets intents that are not in the journals yet, so the operator sends them again at every look.

use crate::status::MESSAGE_BYTES_MAX;
use serde::{Deserialize, Serialize};

/// Version of the control API, in every path and in [`crate::PodStatus::api_version`].
pub const API_VERSION: &str = "v1";
/// Path of the status.
pub const STATUS_PATH: &str = "/control/v1/status";
/// Route of `promote`, with its parameter.
pub const PROMOTE_ROUTE: &str = "/control/v1/promote/{generation}";
/// Route of `drain`, with its parameter.
pub const DRAIN_ROUTE: &str = "/control/v1/drain/{id}";
/// Route of `resume`, with its parameter.
pub const RESUME_ROUTE: &str = "/control/v1/resume/{id}";
/// Longest id of a drain, in bytes.
pub const ID_BYTES_MAX: usize = 63;

/// Path that promotes generation `generation`.
pub fn promote_path(generation: u64) -> String {
    PROMOTE_ROUTE.replace("{generation}", &generation.to_string())
}

/// Path that drains under `id`.
pub fn drain_path(id: &DrainId) -> String {
    DRAIN_ROUTE.replace("{id}", id.as_str())
}

/// Path that ends the drain `id`.
pub fn resume_path(id: &DrainId) -> String {
    RESUME_ROUTE.replace("{id}", id.as_str())
}

/// Name of one drain, chosen by the operator and written to its status before the first call: lower-case letters,
/// digits and dashes, 1 to [`ID_BYTES_MAX`] bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DrainId(String);

/// A text is not the id of a drain.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not the id of a drain: 1 to 63 lower-case letters, digits and dashes are")]
pub struct InvalidDrainId(pub String);

impl DrainId {
    /// Checks the text.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidDrainId> {
        let text = text.into();
        let fits = (1..=ID_BYTES_MAX).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if fits { Ok(Self(text)) } else { Err(InvalidDrainId(text)) }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for DrainId {
    type Error = InvalidDrainId;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::new(text)
    }
}

impl From<DrainId> for String {
    fn from(id: DrainId) -> Self {
        id.0
    }
}

impl std::fmt::Display for DrainId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Body of `drain`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Drain {
    /// After `Released`, every unit makes its state durable and writes `Cut`: for suspend, `Recreate` and delete,
    /// where the pods go away before anybody takes over.
    pub cut: bool,
}

/// The intent is recorded; the status tells how far it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Accepted {
    /// The generation of the pod that accepts.
    pub generation: u64,
}

/// The call makes no sense to this pod; nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Refused {
    /// The generation of the pod that refuses.
    pub generation: u64,
    /// Why.
    pub message: String,
}

/// Cuts a message to what fits into status and events, at a character boundary.
pub fn bounded_message(mut message: String) -> String {
    if message.len() > MESSAGE_BYTES_MAX {
        message.truncate(message.floor_char_boundary(MESSAGE_BYTES_MAX - '…'.len_utf8()));
        message.push('…');
    }
    message
}
