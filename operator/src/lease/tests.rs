use super::Timing;
use super::election::{Election, Moment, Request};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use proptest::prelude::*;
use std::time::Duration;

const WALL: Timestamp = Timestamp::UNIX_EPOCH;

fn seconds(seconds: u64) -> Moment {
    Duration::from_secs(seconds)
}

fn candidate(me: &str) -> Election {
    Election::new("weir".to_owned(), me.to_owned(), Timing::default())
}

/// A Lease as the API server gives it; `renewed` is what changes when its holder shows a sign of life.
fn lease(holder: &str, renewed: i64, version: u64) -> Lease {
    let spec = LeaseSpec {
        holder_identity: Some(holder.to_owned()),
        lease_duration_seconds: Some(15),
        renew_time: Timestamp::from_second(renewed).ok().map(MicroTime),
        lease_transitions: Some(3),
        ..LeaseSpec::default()
    };
    let metadata = ObjectMeta { resource_version: Some(version.to_string()), ..ObjectMeta::default() };
    Lease { metadata, spec: Some(spec) }
}

/// What a candidate does that has just read this Lease, in one word.
fn word(election: &Election, now: Moment) -> &'static str {
    match election.next(now, WALL) {
        Request::Read => "read",
        Request::Create(_) => "create",
        Request::Replace(_) => "replace",
        Request::Nothing => "nothing",
    }
}

#[test]
fn a_candidate_reads_first_and_makes_the_lease_that_is_missing() {
    let mut election = candidate("a");
    assert_eq!(word(&election, seconds(1)), "read");
    election.found(None, seconds(1));
    let Request::Create(made) = election.next(seconds(1), WALL) else { panic!("it is missing") };
    let spec = made.spec.clone().expect("a spec");
    assert_eq!(spec.holder_identity.as_deref(), Some("a"));
    assert_eq!((spec.lease_duration_seconds, spec.lease_transitions), (Some(15), Some(0)));
    assert_eq!(election.until(), None, "nobody leads by wanting to");
    election.wrote(made, seconds(1));
    assert_eq!(election.until(), Some(seconds(11)));
}

#[test]
fn a_lease_passes_on_when_it_has_not_changed_for_as_long_as_it_says() {
    let mut election = candidate("b");
    election.found(Some(lease("a", 100, 1)), seconds(10));
    assert_eq!(word(&election, seconds(24)), "nothing");
    // Another version with the same content is no sign of life; another content is.
    election.found(Some(lease("a", 100, 2)), seconds(20));
    assert_eq!(word(&election, seconds(25)), "replace");
    election.found(Some(lease("a", 101, 3)), seconds(25));
    assert_eq!(word(&election, seconds(39)), "nothing");
    assert_eq!(word(&election, seconds(40)), "replace");
    let Request::Replace(taken) = election.next(seconds(40), WALL) else { panic!("it has expired") };
    assert_eq!(taken.metadata.resource_version.as_deref(), Some("3"));
    assert_eq!(taken.spec.expect("a spec").lease_transitions, Some(4));
}

#[test]
fn a_clock_in_the_lease_is_never_believed() {
    for renewed in [0, 1_000_000, 10_000_000_000] {
        let mut election = candidate("b");
        election.found(Some(lease("a", renewed, 1)), seconds(10));
        assert_eq!(word(&election, seconds(24)), "nothing", "{renewed}");
        assert_eq!(word(&election, seconds(25)), "replace", "{renewed}");
    }
}

#[test]
fn a_lease_that_was_released_is_free_at_once() {
    let mut election = candidate("b");
    election.found(Some(lease("", 100, 1)), seconds(10));
    assert_eq!(word(&election, seconds(10)), "replace");
}

#[test]
fn a_lease_that_disappears_is_honoured_until_its_holder_must_have_noticed() {
    let mut election = candidate("b");
    election.found(Some(lease("a", 100, 1)), seconds(10));
    election.found(None, seconds(12));
    assert_eq!(word(&election, seconds(24)), "nothing");
    assert_eq!(word(&election, seconds(25)), "create");
}

#[test]
fn a_leader_that_finds_another_holder_leads_no_more() {
    let mut election = candidate("a");
    election.found(None, seconds(1));
    election.wrote(lease("a", 100, 1), seconds(1));
    election.failed();
    assert_eq!(election.until(), Some(seconds(11)), "one failure is no end");
    election.found(Some(lease("b", 101, 2)), seconds(3));
    assert_eq!(election.until(), None);
}

#[test]
fn a_leader_releases_what_it_holds_and_nothing_else() {
    let mut election = candidate("a");
    assert!(election.release(WALL).is_none());
    election.found(None, seconds(1));
    election.wrote(lease("a", 100, 7), seconds(1));
    let released = election.release(WALL).expect("it is ours");
    assert_eq!(released.metadata.resource_version.as_deref(), Some("7"));
    assert_eq!(released.spec.expect("a spec").holder_identity.as_deref(), Some(""));
    assert_eq!(election.until(), None);
    election.found(Some(lease("b", 101, 8)), seconds(2));
    assert!(election.release(WALL).is_none());
}

/// What happens to one request: how long it takes there and back, and whether it or its answer is lost.
#[derive(Clone, Copy, Debug)]
struct Fate {
    there: u64,
    back: u64,
    lost_there: bool,
    lost_back: bool,
}

fn fate() -> impl Strategy<Value = Fate> {
    let slow = prop_oneof![8 => 0..300u64, 1 => 300..20_000u64];
    (slow.clone(), slow, prop::bool::weighted(0.1), prop::bool::weighted(0.1))
        .prop_map(|(there, back, lost_there, lost_back)| Fate { there, back, lost_there, lost_back })
}

/// A candidate in a machine of its own, whose clock starts anywhere.
struct Machine {
    election: Election,
    clock: u64,
    /// When it does the next thing.
    next_at: u64,
    /// The request that it waits for, and when it was sent.
    waits: Option<(usize, u64)>,
    /// It is stopped until then, and notices nothing.
    stopped_until: u64,
    alive: bool,
}

impl Machine {
    fn new(me: &str, clock: u64, now: u64) -> Self {
        Self { election: candidate(me), clock, next_at: now, waits: None, stopped_until: 0, alive: true }
    }

    fn local(&self, now: u64) -> Moment {
        Duration::from_millis(self.clock + now)
    }

    fn leads(&self, now: u64) -> bool {
        self.alive && self.election.until().is_some_and(|until| self.local(now) < until)
    }

    fn pauses(&mut self, now: u64) {
        self.next_at = now + 1_600 + (now * 7919 + self.clock) % 400;
    }
}

/// A request on its way, which goes on whoever waits for it.
struct Flight {
    request: Request,
    fate: Fate,
    sent_at: u64,
    answer: Option<Result<Option<Lease>, ()>>,
}

/// The API server: one Lease, written only with the version that is stored.
#[derive(Default)]
struct Server {
    lease: Option<Lease>,
    version: u64,
    away_until: u64,
}

impl Server {
    fn handle(&mut self, request: &Request, now: u64) -> Result<Option<Lease>, ()> {
        if now < self.away_until {
            return Err(());
        }
        let stored = self.lease.as_ref().and_then(|lease| lease.metadata.resource_version.clone());
        let lease = match request {
            Request::Read => return Ok(self.lease.clone()),
            Request::Create(lease) if stored.is_none() => lease,
            Request::Replace(lease) if stored.is_some() && lease.metadata.resource_version == stored => lease,
            _ => return Err(()),
        };
        self.version += 1;
        let mut lease = lease.clone();
        lease.metadata.resource_version = Some(self.version.to_string());
        self.lease = Some(lease.clone());
        Ok(Some(lease))
    }
}

/// Three machines, an API server, and the wire between them.
struct World {
    machines: Vec<Machine>,
    server: Server,
    wire: Vec<Flight>,
    fates: Vec<Fate>,
    lives: usize,
}

impl World {
    fn new(clocks: [u64; 3], fates: Vec<Fate>) -> Self {
        let machines =
            clocks.iter().enumerate().map(|(who, clock)| Machine::new(&who.to_string(), *clock, 0));
        Self { machines: machines.collect(), server: Server::default(), wire: Vec::new(), fates, lives: 3 }
    }

    fn strike(&mut self, blow: Blow, now: u64) {
        match blow {
            Blow::Stop(who, long) => self.machines[who].stopped_until = now + long,
            Blow::Kill(who) => self.machines[who].alive = false,
            Blow::Start(who) => {
                let clock = self.machines[who].clock / 3;
                self.machines[who] = Machine::new(&self.lives.to_string(), clock, now);
                self.lives += 1;
            }
            Blow::Away(long) => self.server.away_until = now + long,
            Blow::Release(who) => {
                let wall = WALL + Duration::from_millis(now);
                if self.machines[who].alive
                    && let Some(lease) = self.machines[who].election.release(wall)
                {
                    let _ = self.server.handle(&Request::Replace(lease), now);
                    self.machines[who].alive = false;
                }
            }
        }
    }

    /// One step of one machine, as `Elector` does it.
    fn step(&mut self, who: usize, now: u64) {
        let machine = &mut self.machines[who];
        if !machine.alive || now < machine.stopped_until || now < machine.next_at {
            return;
        }
        let local = machine.local(now);
        if let Some((id, sent_at)) = machine.waits {
            let flight = &mut self.wire[id];
            let there = !flight.fate.lost_back && now >= sent_at + flight.fate.there + flight.fate.back;
            let read = matches!(flight.request, Request::Read);
            match flight.answer.clone().filter(|_| there) {
                Some(Ok(lease)) if read => machine.election.found(lease, local),
                Some(Ok(Some(lease))) => {
                    let sent_at = machine.local(sent_at);
                    machine.election.wrote(lease, sent_at);
                }
                None if now < sent_at + 5_000 => return,
                _ => machine.election.failed(),
            }
            machine.waits = None;
            if !read || !there {
                machine.pauses(now);
                return;
            }
        } else {
            machine.election.look_again(local);
        }
        match machine.election.next(local, WALL + Duration::from_millis(now)) {
            Request::Nothing => machine.pauses(now),
            request => {
                machine.waits = Some((self.wire.len(), now));
                let fate = self.fates[self.wire.len() % self.fates.len()];
                self.wire.push(Flight { request, fate, sent_at: now, answer: None });
            }
        }
    }

    fn arrive(&mut self, now: u64) {
        for flight in &mut self.wire {
            let arrives = !flight.fate.lost_there
                && flight.answer.is_none()
                && now >= flight.sent_at + flight.fate.there;
            if arrives {
                flight.answer = Some(self.server.handle(&flight.request, now));
            }
        }
    }
}

/// What is done to the world at some moment.
#[derive(Clone, Copy, Debug)]
enum Blow {
    Stop(usize, u64),
    Kill(usize),
    Start(usize),
    Away(u64),
    Release(usize),
}

fn blow() -> impl Strategy<Value = Blow> {
    prop_oneof![
        (0..3usize, 1_000..40_000u64).prop_map(|(who, long)| Blow::Stop(who, long)),
        (0..3usize).prop_map(Blow::Kill),
        (0..3usize).prop_map(Blow::Start),
        (1_000..40_000u64).prop_map(Blow::Away),
        (0..3usize).prop_map(Blow::Release),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Three candidates, clocks that have nothing to do with each other, requests that are slow or lost on either way,
    /// machines that stop and die, an API server that is away: never do two lead, and in the end one does.
    #[test]
    fn two_never_lead_at_the_same_time(
        clocks in prop::array::uniform3(0..1_000_000_000u64),
        fates in prop::collection::vec(fate(), 1..200),
        blows in prop::collection::btree_map(0..200_000u64, blow(), 0..12),
    ) {
        let mut world = World::new(clocks, fates);
        let mut blows = blows.into_iter().peekable();
        // The last minute is quiet, so that the world can come to rest.
        let (end, quiet_from) = (320_000, 260_000);
        for now in (0..end).step_by(20) {
            while let Some((_, blow)) = blows.next_if(|(at, _)| *at <= now) {
                world.strike(blow, now);
            }
            if now == quiet_from {
                world.fates = vec![Fate { there: 1, back: 1, lost_there: false, lost_back: false }];
            }
            world.arrive(now);
            (0..3).for_each(|who| world.step(who, now));
            let leaders: Vec<usize> = (0..3).filter(|who| world.machines[*who].leads(now)).collect();
            prop_assert!(leaders.len() <= 1, "{leaders:?} lead at {now}");
        }
        let alive = world.machines.iter().any(|machine| machine.alive);
        let leads = world.machines.iter().any(|machine| machine.leads(end));
        prop_assert!(!alive || leads, "nobody leads at the end");
    }
}

/// The same worlds find two leaders when a candidate does not wait long enough.
#[test]
fn the_simulation_notices_two_leaders() {
    let fates = vec![Fate { there: 1, back: 1, lost_there: false, lost_back: false }];
    let mut world = World::new([0, 5_000, 9_000], fates);
    for machine in &mut world.machines {
        machine.election = candidate_with_a_short_lease(&machine.clock.to_string());
    }
    let two_lead = (0..60_000).step_by(20).any(|now| {
        world.arrive(now);
        (0..3).for_each(|who| world.step(who, now));
        if now == 10_000 {
            // It goes on with its work, but not with its lease.
            let leader = (0..3).find(|who| world.machines[*who].leads(now)).expect("one leads");
            world.machines[leader].next_at = now + 9_000;
        }
        (0..3).filter(|who| world.machines[*who].leads(now)).count() > 1
    });
    assert!(two_lead);
}

/// A lease that passes on before its holder has given up.
fn candidate_with_a_short_lease(me: &str) -> Election {
    let timing = Timing { lease: seconds(5), ..Timing::default() };
    Election::new("weir".to_owned(), me.to_owned(), timing)
}

#[test]
fn pauses_differ_and_are_bounded() {
    let timing = Timing::default();
    assert_eq!(timing.pause(0.0), seconds(2));
    assert_eq!(timing.pause(1.0), Duration::from_millis(1_600));
    assert_eq!(timing.pause(7.0), Duration::from_millis(1_600));
    assert!(timing.renew_deadline + timing.call <= timing.lease);
}
