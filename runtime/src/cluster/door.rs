//! The way to Kafka as the Secrets say it now: rotated certificates and passwords are taken up without a restart.
//!
//! ```text
//!  mounted Secret changes ──> looked at every 5 s ──> does the cluster let us in with it?
//!                                                       yes ──> the worker goes through Going live with new clients
//!                                                       no  ──> the old clients go on, it is logged, looked at again
//! ```

use super::{Reach, SecretsFrom};
use connect::kafka::{Access, Io, Settings};
use pipeline::plan::Plan;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Between looks at the Secrets.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How long the cluster may take to let us in on trial: a live worker waits meanwhile.
const TRIAL: Duration = Duration::from_secs(3);

/// How one worker, or its store of snapshots, reaches Kafka.
#[derive(Clone)]
pub(super) struct Door {
    reach: Reach,
    plan: Arc<Plan>,
    /// With what was last read.
    pub settings: Settings,
    look_at: Instant,
}

impl Door {
    pub fn new(reach: Reach, plan: Arc<Plan>, settings: Settings) -> Self {
        Self { reach, plan, settings, look_at: Instant::now() + LOOK_EVERY }
    }

    /// Where Secrets are.
    pub fn secrets(&self) -> &SecretsFrom {
        &self.reach.secrets
    }

    /// Takes up what the Secrets hold now, and says whether that is something else. A Secret that cannot be read, or is
    /// incomplete, changes nothing: it may be half-way through a change.
    pub fn renew(&mut self) -> bool {
        let Some(settings) = self.changed() else { return false };
        tracing::info!(client = self.settings.client_id, "the Secrets of Kafka have changed");
        self.settings = settings;
        true
    }

    /// True when the Secrets hold something else by now, and the cluster lets us in with it.
    pub fn is_outdated(&mut self) -> bool {
        if Instant::now() < self.look_at {
            return false;
        }
        let tried = self.changed().map(|settings| Io::probe(&settings, TRIAL));
        self.look_at = Instant::now() + LOOK_EVERY;
        match tried {
            None => false,
            Some(Ok(())) => true,
            Some(Err(error)) => {
                let client = &self.settings.client_id;
                tracing::warn!(client, "the changed Secrets of Kafka are not used yet: {error}");
                false
            }
        }
    }

    fn changed(&self) -> Option<Settings> {
        match self.reach.access(&self.plan) {
            Ok(Access { servers, security }) => {
                let settings = Settings { bootstrap_servers: servers, security, ..self.settings.clone() };
                Some(settings).filter(|settings| *settings != self.settings)
            }
            Err(error) => {
                tracing::warn!("the Secrets of Kafka cannot be used now: {}", crate::worker::chain(&error));
                None
            }
        }
    }
}
