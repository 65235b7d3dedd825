//! The control API of the pods, from the caller's side: ask one pod, tell many.
//!
//! A pod that does not answer within the deadline is unknown; unknown is never taken for zero or for gone.

use crate::context::with_causes;
use control::PodStatus;
use control::call::{API_VERSION, Drain, DrainId, STATUS_PATH, drain_path, promote_path, resume_path};
use futures::StreamExt;
use serde::Serialize;
use std::time::Duration;

/// How long one call may take, connecting included.
const CALL_DEADLINE: Duration = Duration::from_secs(2);
/// Calls of one reconcile that run at the same time.
const CALLS_AT_ONCE: usize = 32;
/// Largest answer that is read: 4 096 units at 1 KiB.
const ANSWER_BYTES_MAX: usize = 4 << 20;

/// What a pod is told. Every instruction is idempotent and is sent again at every look.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Instruction {
    /// Take over as this generation.
    Promote(u64),
    /// Finish, release and make the state durable, under this id.
    Drain(DrainId),
    /// Go on after the drain with this id.
    Resume(DrainId),
}

/// Where a pod listens: host and port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Address(pub String);

/// Asks and tells pods.
#[derive(Clone, Debug)]
pub struct Pods {
    client: reqwest::Client,
}

/// Why a pod could not be asked or told.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The client could not be made.
    #[error("failed to make the HTTP client of the control API")]
    Client(#[source] reqwest::Error),
    /// No answer.
    #[error("failed to call the control API at {address}")]
    Call {
        /// Who was called.
        address: String,
        /// Why there is no answer.
        #[source]
        source: reqwest::Error,
    },
    /// An answer that is not one.
    #[error("the control API at {address} answered {status}")]
    Status {
        /// Who was called.
        address: String,
        /// HTTP status.
        status: u16,
    },
    /// An answer that is too long.
    #[error("the control API at {0} answered more than {ANSWER_BYTES_MAX} bytes")]
    TooLong(String),
    /// An answer that does not decode.
    #[error("failed to decode the status of the pod at {address}")]
    Decode {
        /// Who was called.
        address: String,
        /// Why it does not decode.
        #[source]
        source: serde_json::Error,
    },
    /// A pod of another version.
    #[error(
        "the pod at {address} speaks version {version} of the control API, this operator speaks {API_VERSION}"
    )]
    Version {
        /// Who was called.
        address: String,
        /// What it speaks.
        version: String,
    },
}

impl Pods {
    /// A client without proxy: pods are reached directly.
    pub fn new() -> Result<Self, Error> {
        let client =
            reqwest::Client::builder().no_proxy().timeout(CALL_DEADLINE).build().map_err(Error::Client)?;
        Ok(Self { client })
    }

    /// What a pod says about itself.
    pub async fn status(&self, address: &Address) -> Result<PodStatus, Error> {
        let failed = |source| Error::Call { address: address.0.clone(), source };
        let url = format!("http://{}{STATUS_PATH}", address.0);
        let mut answer = self.client.get(url).send().await.map_err(failed)?;
        if !answer.status().is_success() {
            return Err(Error::Status { address: address.0.clone(), status: answer.status().as_u16() });
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(Error::TooLong(address.0.clone()));
            }
            body.extend_from_slice(&chunk);
        }
        let status: PodStatus = serde_json::from_slice(&body)
            .map_err(|source| Error::Decode { address: address.0.clone(), source })?;
        if status.api_version != API_VERSION {
            return Err(Error::Version { address: address.0.clone(), version: status.api_version });
        }
        Ok(status)
    }

    /// What several pods say, in their order.
    pub async fn statuses(&self, addresses: &[Address]) -> Vec<Result<PodStatus, Error>> {
        let asked = addresses.iter().cloned().map(|address| async move { self.status(&address).await });
        futures::stream::iter(asked).buffered(CALLS_AT_ONCE).collect().await
    }

    /// Tells several pods the same. Who does not hear it is told again at the next look, so failures are only counted.
    pub async fn tell(&self, addresses: &[Address], instruction: &Instruction) -> usize {
        let calls = addresses
            .iter()
            .cloned()
            .map(|address| async move { self.tell_one(&address, instruction).await });
        let results: Vec<_> = futures::stream::iter(calls).buffer_unordered(CALLS_AT_ONCE).collect().await;
        let failed = results.into_iter().filter_map(Result::err);
        failed
            .map(|error| tracing::debug!(error = with_causes(&error), ?instruction, "a pod was not told"))
            .count()
    }

    async fn tell_one(&self, address: &Address, instruction: &Instruction) -> Result<(), Error> {
        let path = match instruction {
            Instruction::Promote(generation) => promote_path(*generation),
            Instruction::Drain(id) => drain_path(id),
            Instruction::Resume(id) => resume_path(id),
        };
        let call = self.client.post(format!("http://{}{path}", address.0));
        let call = match instruction {
            Instruction::Drain(_) => call.json(&Drain { cut: true }),
            Instruction::Promote(_) | Instruction::Resume(_) => call,
        };
        let answer =
            call.send().await.map_err(|source| Error::Call { address: address.0.clone(), source })?;
        if answer.status().is_success() {
            return Ok(());
        }
        Err(Error::Status { address: address.0.clone(), status: answer.status().as_u16() })
    }
}
