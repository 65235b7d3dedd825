//! What a candidate does next, from what it has seen. Pure: no request, no clock.

use super::Timing;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use std::time::Duration;

/// A moment by the clock of this process alone: time since some start of it, which never jumps.
pub(super) type Moment = Duration;

/// A Lease as it was last seen.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    spec: LeaseSpec,
    /// None once it is gone. Who held it may not have noticed.
    version: Option<String>,
    /// When the spec was first seen to be so.
    changed_at: Moment,
}

impl Seen {
    /// Who holds it; nobody when it was released.
    fn holder(&self) -> Option<&str> {
        self.spec.holder_identity.as_deref().filter(|holder| !holder.is_empty())
    }

    /// The moment from which on it counts as given up.
    fn expires_at(&self, timing: &Timing) -> Moment {
        let stated = self.spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        let good_for = stated.filter(|seconds| *seconds > 0).map_or(timing.lease, Duration::from_secs);
        self.changed_at.saturating_add(good_for)
    }
}

/// What to do about a Lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// There is none, it was released, or its holder shows no sign of life: take it.
    Acquire,
    /// It is ours: say that we live.
    Renew,
    /// Somebody else holds it.
    Wait,
}

/// The whole of the election.
pub(super) fn decide(seen: Option<&Seen>, me: &str, timing: &Timing, now: Moment) -> Decision {
    match seen.and_then(|seen| Some((seen.holder()?, seen.expires_at(timing)))) {
        Some((holder, _)) if holder == me => Decision::Renew,
        Some((_, expires_at)) if now < expires_at => Decision::Wait,
        Some(_) | None => Decision::Acquire,
    }
}

/// The next request.
#[derive(Clone, Debug)]
pub(super) enum Request {
    /// Look.
    Read,
    /// Make the Lease.
    Create(Lease),
    /// Write it with the version that was read.
    Replace(Lease),
    /// Nothing, until the next look.
    Nothing,
}

/// One candidate.
#[derive(Debug)]
pub(super) struct Election {
    name: String,
    me: String,
    timing: Timing,
    seen: Option<Seen>,
    /// What is known is not known to be old.
    fresh: bool,
    /// Until when we lead.
    until: Option<Moment>,
    /// The lease is taken from whoever holds it. Only once: who loses it to another one like that does not fight.
    out_of_turn: bool,
}

impl Election {
    pub(super) fn new(name: String, me: String, timing: Timing) -> Self {
        Self { name, me, timing, seen: None, fresh: false, until: None, out_of_turn: false }
    }

    /// Takes the lease from whoever holds it. That one may work on for a while: until it must have noticed, nothing may
    /// be done that only a leader does.
    pub(super) fn take_out_of_turn(&mut self) {
        self.out_of_turn = true;
    }

    /// Until when we lead; none when we do not. The lease cannot pass on before that, by any clock.
    pub(super) fn until(&self) -> Option<Moment> {
        self.until
    }

    /// Who holds the lease, as far as we know.
    pub(super) fn holder(&self) -> Option<&str> {
        self.seen.as_ref().and_then(Seen::holder)
    }

    /// The next request. `wall` is written for those who read the Lease; nobody decides by it.
    pub(super) fn next(&self, now: Moment, wall: Timestamp) -> Request {
        if !self.fresh {
            return Request::Read;
        }
        let decision = decide(self.seen.as_ref(), &self.me, &self.timing, now);
        if decision == Decision::Wait && !self.out_of_turn {
            return Request::Nothing;
        }
        let lease = self.lease(wall);
        match lease.metadata.resource_version {
            Some(_) => Request::Replace(lease),
            None => Request::Create(lease),
        }
    }

    /// The Lease that lets everybody else begin at once; none when it is not ours to give.
    pub(super) fn release(&mut self, wall: Timestamp) -> Option<Lease> {
        self.until = None;
        if self.holder() != Some(self.me.as_str()) {
            return None;
        }
        let mut lease = self.lease(wall);
        if let Some(spec) = &mut lease.spec {
            spec.holder_identity = Some(String::new());
            spec.lease_duration_seconds = Some(1);
        }
        Some(lease)
    }

    /// The pause is over: who follows looks again, who leads renews what it knows, who led too long leads no more.
    pub(super) fn look_again(&mut self, now: Moment) {
        self.fresh = self.fresh && self.holder() == Some(self.me.as_str());
        self.until = self.until.filter(|until| now < *until);
    }

    /// What a read has found, at this moment.
    pub(super) fn found(&mut self, lease: Option<Lease>, now: Moment) {
        self.fresh = true;
        let Some(Lease { metadata, spec }) = lease else {
            self.until = None;
            self.seen = self.seen.take().map(|seen| Seen { version: None, ..seen });
            return;
        };
        let spec = spec.unwrap_or_default();
        let before = self.seen.take().filter(|seen| seen.spec == spec);
        let changed_at = before.map_or(now, |seen| seen.changed_at);
        self.seen = Some(Seen { spec, version: metadata.resource_version, changed_at });
        if self.holder() != Some(self.me.as_str()) {
            self.until = None;
        }
    }

    /// A write of ours succeeded, that was sent at this moment.
    pub(super) fn wrote(&mut self, lease: Lease, sent_at: Moment) {
        let spec = lease.spec.unwrap_or_default();
        self.out_of_turn = false;
        self.seen = Some(Seen { spec, version: lease.metadata.resource_version, changed_at: sent_at });
        self.until = Some(sent_at.saturating_add(self.timing.renew_deadline));
    }

    /// A request failed, or nobody knows whether it had its effect.
    pub(super) fn failed(&mut self) {
        self.fresh = false;
    }

    /// The Lease with us as its holder, based on what was seen.
    fn lease(&self, wall: Timestamp) -> Lease {
        let renews = self.holder() == Some(self.me.as_str());
        let before = self.seen.as_ref().map(|seen| seen.spec.clone()).unwrap_or_default();
        let acquired = before.acquire_time.filter(|_| renews).unwrap_or(MicroTime(wall));
        let another = i32::from(self.seen.is_some() && !renews);
        let spec = LeaseSpec {
            holder_identity: Some(self.me.clone()),
            lease_duration_seconds: i32::try_from(self.timing.lease.as_secs()).ok(),
            acquire_time: Some(acquired),
            renew_time: Some(MicroTime(wall)),
            lease_transitions: Some(before.lease_transitions.unwrap_or_default().saturating_add(another)),
            ..LeaseSpec::default()
        };
        let metadata = ObjectMeta {
            name: Some(self.name.clone()),
            resource_version: self.seen.as_ref().and_then(|seen| seen.version.clone()),
            ..ObjectMeta::default()
        };
        Lease { metadata, spec: Some(spec) }
    }
}
