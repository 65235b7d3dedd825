//! The Secrets that masks are keyed with: which ones this worker has, and which ones it may work with.
//!
//! A Claim says by a keyed hash which Secrets its commits are made with. Who has other ones can replay these commits, for
//! what they wrote stands in the log, but may not go on behind them: equal values would no longer have equal masks, and
//! nobody would be told. A drain is where that is allowed to happen.
//!
//! ```text
//!  Claim with A ── commits ── crash, restart with A ──────────────> goes on
//!                               restart with B ─> refused ── drain ─> lock ── Claim with B ── commits
//! ```

use super::error::WorkerError;
use super::life::Life;
use super::setup::{Environment, Setup};
use crate::pod::Intents;
use connect::door::KafkaIo;
use protocol::going_live::{Action, WaitingFor};
use std::sync::Arc;

/// Gives the plans the keys that the Secrets hold now. Earlier plans get what there is: without their keys they can be
/// replayed, not followed.
pub(super) fn renew<E: Environment>(setup: &mut Setup, environment: &mut E) -> Result<(), WorkerError> {
    if let Some(keys) = environment.mask_keys(&setup.plan)? {
        setup.plan = Arc::new(setup.plan.with_keys(keys));
    }
    for plan in setup.earlier_plans.values_mut() {
        if let Ok(Some(keys)) = environment.mask_keys(plan) {
            *plan = Arc::new(plan.with_keys(keys));
        }
    }
    Ok(())
}

/// True while somebody asks for a drain: then units go on to its end with whatever Secrets there are.
fn is_draining(intents: &Intents) -> bool {
    intents.drain.as_ref().is_some_and(|(id, _)| intents.resumed.as_ref() != Some(id))
}

/// True once a drain is over: what is claimed behind it takes up the Secrets as they are then.
pub(super) fn has_resumed(intents: &Intents) -> bool {
    intents.drain.as_ref().is_some_and(|(id, _)| intents.resumed.as_ref() == Some(id))
}

impl<Io: KafkaIo> Life<Io> {
    /// Refuses to claim, or to go live, with Secrets that others of this plan do not have, here or in any other journal of
    /// the pipeline. Who waits to be promoted refuses already then, so that nobody promotes it.
    pub(super) fn check_secrets(
        &self,
        setup: &Setup,
        intents: &Intents,
        action: &Action,
    ) -> Result<(), WorkerError> {
        let claims = matches!(action, Action::Claim(_)) && !self.claims_in_flight;
        let waits = matches!(action, Action::Follow(WaitingFor::Promotion));
        if !claims && !waits && !matches!(action, Action::Live(_)) {
            return Ok(());
        }
        if let Some(at) = setup.plan.missing_key() {
            return Err(WorkerError::KeyMissing {
                at: at.clone(),
                place: "what this worker was given".to_owned(),
            });
        }
        let Some(mine) = setup.plan.secrets_hash() else { return Ok(()) };
        let in_use = |slot: &usize| {
            let ownership = self.journals[*slot].ownership(&self.members);
            ownership.secrets_in_use(setup.plan.hash()).is_some_and(|secrets| secrets != mine)
        };
        let Some(slot) = (0..self.journals.len()).find(in_use) else { return Ok(()) };
        let unit = self.surroundings.unit(slot).clone();
        if is_draining(intents) {
            tracing::warn!(%unit, "a Secret of a mask has changed: the drain ends with the new value");
            return Ok(());
        }
        let keys = setup.plan.mask_secrets().into_iter().map(ToString::to_string);
        Err(WorkerError::OtherSecrets { unit, keys: keys.collect() })
    }
}
