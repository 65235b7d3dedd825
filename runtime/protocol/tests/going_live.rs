//! Going live, step by step and under random events.

mod support;

use pipeline::plan::PlanHash;
use proptest::prelude::*;
use protocol::defences::Defences;
use protocol::going_live::{
    Action, ClaimOrder, Comeback, Event, GoingLive, JournalFacts, Lost, Me, Phase, Promotion, WaitingFor,
    back_off_ms, own_generation,
};
use protocol::identity::{DrainId, Generation, Incarnation, Owner, PlacementHash, Seq, WorkerIndex, Writer};
use protocol::journal::ownership::ClaimHead;
use protocol::journal::{Head, Ownership};
use support::{OTHER_PLAN, PLAN, owner};

fn me(generation: u32, worker: u32, life: u128) -> Me {
    Me {
        owner: owner(generation, worker, life),
        plan: PLAN,
        placement: PlacementHash(1),
        promotion: Promotion::Operator,
        prior: Vec::new(),
        comeback: Comeback::Fresh,
        release_wait_ms: 200,
    }
}

fn claim_of(owner: Owner, plan: PlanHash) -> Head {
    Head::Claim(ClaimHead {
        owner,
        plan,
        placement: PlacementHash(1),
        resume: None,
        retired: false,
        secrets: None,
    })
}

fn resuming(owner: Owner, drain: u64) -> Head {
    Head::Claim(ClaimHead {
        owner,
        plan: PLAN,
        placement: PlacementHash(1),
        resume: Some(DrainId(drain)),
        retired: false,
        secrets: None,
    })
}

fn commit_of(owner: Owner, seq: u64) -> Head {
    Head::Commit { owner, seq: Seq(seq), renewal: None }
}

fn drained(owner: Owner, seq: u64, drain: u64) -> Head {
    Head::Released { owner, seq: Seq(seq), drain: Some(DrainId(drain)) }
}

/// A journal as its reader knows it.
#[derive(Clone, Default)]
struct Journal {
    heads: Vec<Head>,
    ownership: Ownership,
}

impl Journal {
    fn of(heads: &[Head]) -> Self {
        let mut journal = Self::default();
        for head in heads {
            journal.push(*head);
        }
        journal
    }

    fn push(&mut self, head: Head) {
        self.ownership.apply(&head).expect("the sequence holds");
        self.heads.push(head);
    }

    fn facts(&self, own: bool) -> JournalFacts<'_> {
        JournalFacts {
            own,
            new_stage: false,
            ownership: &self.ownership,
            read_to: Some(self.heads.len() as i64),
            replayed: Some(self.ownership.seq()),
        }
    }
}

/// Asks a new life of `me` about its own journals and then the others.
fn first_action(me: &Me, own: &[Journal], others: &[Journal]) -> Action {
    let facts: Vec<_> = own
        .iter()
        .map(|journal| journal.facts(true))
        .chain(others.iter().map(|journal| journal.facts(false)))
        .collect();
    let mut life = GoingLive::new();
    life.observe(me, Event::Promoted(me.owner.generation()));
    life.next(me, &Defences::ALL, 0, &facts)
}

#[test]
fn a_life_goes_through_every_step_in_order() {
    let old = owner(1, 0, 1);
    let me = me(2, 0, 2);
    let mut journal = Journal::of(&[claim_of(old, PLAN), commit_of(old, 1)]);
    let mut life = GoingLive::new();
    let ask = |life: &mut GoingLive, journal: &Journal, now: u64| {
        life.next(&me, &Defences::ALL, now, &[journal.facts(true)])
    };
    assert_eq!(ask(&mut life, &journal, 0), Action::Follow(WaitingFor::Promotion));
    life.observe(&me, Event::Promoted(Generation(2)));
    assert_eq!(ask(&mut life, &journal, 0), Action::Initialise);
    life.observe(&me, Event::Initialised);
    let order = ClaimOrder { slot: 0, resume: None };
    assert_eq!(ask(&mut life, &journal, 0), Action::Claim(vec![order]));
    journal.push(claim_of(me.owner, PLAN));
    life.observe(&me, Event::Claimed { committed: true, now_ms: 1_000 });
    let waits = Action::Follow(WaitingFor::Released { until_ms: 1_200 });
    assert_eq!(ask(&mut life, &journal, 1_000), waits);
    journal.push(commit_of(old, 2));
    journal.push(Head::Released { owner: old, seq: Seq(2), drain: None });
    assert_eq!(ask(&mut life, &journal, 1_010), Action::Fence(vec![old.writer]), "released: no more waiting");
    life.observe(&me, Event::Fenced);
    assert_eq!(ask(&mut life, &journal, 1_020), Action::MeasureEnds(vec![0]));
    life.observe(&me, Event::Ends(vec![6]));
    assert_eq!(ask(&mut life, &journal, 1_030), Action::Follow(WaitingFor::HighWatermark));
    let behind = JournalFacts { read_to: Some(6), replayed: Some(Seq(1)), ..journal.facts(true) };
    let replays = life.next(&me, &Defences::ALL, 1_040, &[behind]);
    assert_eq!(replays, Action::Follow(WaitingFor::Replay));
    let read = JournalFacts { read_to: Some(6), ..journal.facts(true) };
    let Action::Live(grant) = life.next(&me, &Defences::ALL, 1_050, &[read]) else { panic!("not live") };
    assert_eq!((grant.owner(), grant.slots()), (me.owner, &[0][..]));
    let again = life.next(&me, &Defences::ALL, 1_060, &[read]);
    assert_eq!(again, Action::Follow(WaitingFor::HighWatermark), "the grant is given once");
}

#[test]
fn an_owner_that_does_not_answer_is_waited_for_until_the_deadline() {
    let me = me(2, 0, 2);
    let mut journal = Journal::of(&[claim_of(owner(1, 0, 1), PLAN)]);
    let mut life = GoingLive::new();
    life.observe(&me, Event::Promoted(Generation(2)));
    life.next(&me, &Defences::ALL, 0, &[journal.facts(true)]);
    life.observe(&me, Event::Initialised);
    journal.push(claim_of(me.owner, PLAN));
    life.observe(&me, Event::Claimed { committed: true, now_ms: 0 });
    let wait = life.next(&me, &Defences::ALL, 199, &[journal.facts(true)]);
    assert_eq!(wait, Action::Follow(WaitingFor::Released { until_ms: 200 }));
    let fence = life.next(&me, &Defences::ALL, 200, &[journal.facts(true)]);
    assert_eq!(fence, Action::Fence(vec![owner(1, 0, 1).writer]));
}

#[test]
fn who_may_claim() {
    let empty = Journal::default();
    let claimed = |generation: u32, plan: PlanHash| Journal::of(&[claim_of(owner(generation, 0, 9), plan)]);
    let operator = me(1, 0, 1);
    assert_eq!(first_action(&operator, std::slice::from_ref(&empty), &[]), Action::Initialise);
    // A Claim of my generation in any journal promotes me.
    let mut life = GoingLive::new();
    let facts = [empty.facts(true), empty.facts(false)];
    assert_eq!(life.next(&operator, &Defences::ALL, 0, &facts), Action::Follow(WaitingFor::Promotion));
    let other = claimed(1, PLAN);
    let facts = [empty.facts(true), other.facts(false)];
    assert_eq!(life.next(&operator, &Defences::ALL, 0, &facts), Action::Initialise);
    // A higher generation.
    assert_eq!(first_action(&operator, &[claimed(2, PLAN)], &[]), Action::Superseded);
    assert_eq!(
        first_action(&operator, std::slice::from_ref(&empty), &[claimed(2, OTHER_PLAN)]),
        Action::Superseded
    );
    assert_eq!(
        first_action(&operator, std::slice::from_ref(&empty), &[claimed(2, PLAN)]),
        Action::Initialise
    );
    // My number with another plan.
    assert_eq!(first_action(&operator, &[claimed(1, OTHER_PLAN)], &[]), Action::GenerationCollision);
}

#[test]
fn a_changed_plan_waits_until_every_journal_is_drained() {
    let (a, b) = (owner(1, 0, 1), owner(1, 1, 2));
    let mine = me(2, 0, 3);
    let busy = Journal::of(&[claim_of(b, OTHER_PLAN), commit_of(b, 1)]);
    let done = |who: Owner| Journal::of(&[claim_of(who, OTHER_PLAN), commit_of(who, 1), drained(who, 1, 7)]);
    let waits = Action::Follow(WaitingFor::Drain);
    assert_eq!(first_action(&mine, &[done(a)], &[busy]), waits);
    assert_eq!(first_action(&mine, &[done(a)], &[done(b)]), Action::Initialise);
    assert_eq!(first_action(&mine, &[done(a)], &[Journal::default()]), waits, "nobody was there yet");
    let resumed = Journal::of(&[claim_of(b, OTHER_PLAN), drained(b, 0, 7), {
        let Head::Claim(claim) = resuming(b, 7) else { unreachable!() };
        Head::Claim(ClaimHead { plan: OTHER_PLAN, ..claim })
    }]);
    assert_eq!(first_action(&mine, &[done(a)], &[resumed]), waits);
    // A stage that the older plan does not have.
    let own = done(a);
    let fresh = Journal::default();
    let facts = [own.facts(true), JournalFacts { new_stage: true, ..fresh.facts(false) }];
    let mut life = GoingLive::new();
    life.observe(&mine, Event::Promoted(Generation(2)));
    assert_eq!(life.next(&mine, &Defences::ALL, 0, &facts), Action::Initialise);
}

#[test]
fn a_drained_unit_is_claimed_again_only_to_resume_it() {
    let old = owner(1, 0, 1);
    let mine = me(1, 0, 2);
    let journal = Journal::of(&[claim_of(old, PLAN), commit_of(old, 1), drained(old, 1, 7)]);
    let mut life = GoingLive::new();
    let mut ask = |event: Option<Event>| {
        if let Some(event) = event {
            life.observe(&mine, event);
        }
        life.next(&mine, &Defences::ALL, 0, &[journal.facts(true)])
    };
    assert_eq!(ask(None), Action::Follow(WaitingFor::Resume(DrainId(7))));
    assert_eq!(ask(Some(Event::Resume(DrainId(6)))), Action::Follow(WaitingFor::Resume(DrainId(7))));
    assert_eq!(ask(Some(Event::Resume(DrainId(7)))), Action::Initialise);
    assert_eq!(
        ask(Some(Event::Initialised)),
        Action::Claim(vec![ClaimOrder { slot: 0, resume: Some(DrainId(7)) }])
    );
}

/// A plan before had another stage. Its journals are claimed along with the others, and hold no lock of this generation.
#[test]
fn journals_of_the_past_alone_are_no_reason_to_go_live_before_the_drain_is_resumed() {
    let old = owner(1, 0, 1);
    let mine = me(1, 0, 2);
    let locked = Journal::of(&[claim_of(old, PLAN), commit_of(old, 1), drained(old, 1, 7)]);
    let past = owner(0, 0, 1);
    let retiring = ClaimHead {
        owner: old,
        plan: PLAN,
        placement: PlacementHash(1),
        resume: None,
        retired: true,
        secrets: None,
    };
    let retired = Journal::of(&[
        claim_of(past, OTHER_PLAN),
        commit_of(past, 1),
        drained(past, 1, 6),
        Head::Claim(retiring),
    ]);
    assert!(retired.ownership.is_retired());
    let facts = [locked.facts(true), retired.facts(true)];
    let mut life = GoingLive::new();
    let mut ask = |event: Event| {
        life.observe(&mine, event);
        life.next(&mine, &Defences::ALL, 0, &facts)
    };
    assert_eq!(ask(Event::Promoted(Generation(1))), Action::Follow(WaitingFor::Resume(DrainId(7))));
    assert_eq!(ask(Event::Resume(DrainId(7))), Action::Initialise);
    let orders = [ClaimOrder { slot: 0, resume: Some(DrainId(7)) }, ClaimOrder { slot: 1, resume: None }];
    assert_eq!(ask(Event::Initialised), Action::Claim(orders.to_vec()));
}

#[test]
fn a_life_that_lost_its_id_stands_aside_for_a_twin_only() {
    let comeback = Comeback::Lost { previous: Incarnation(1), attempt: 1, since_ms: 5 };
    let mine = me(1, 0, 1).reborn(Incarnation(2), comeback);
    let own = Journal::of(&[claim_of(owner(1, 0, 1), PLAN)]);
    assert_eq!(first_action(&mine, &[own], &[]), Action::Initialise, "it was a time-out");
    let twin = Journal::of(&[claim_of(owner(1, 0, 1), PLAN), claim_of(owner(1, 0, 9), PLAN)]);
    assert_eq!(first_action(&mine, &[twin], &[]), Action::StandAside { until_ms: 5 + 60_000 });
    assert_eq!([0, 1, 4, 9].map(back_off_ms), [30_000, 60_000, 480_000, 480_000]);
}

#[test]
fn a_process_without_an_operator_finds_its_generation() {
    let number = |heads: &[Head]| own_generation([&Journal::of(heads).ownership], PLAN, PlacementHash(1));
    assert_eq!(number(&[]), Generation(1));
    assert_eq!(number(&[claim_of(owner(3, 0, 1), PLAN)]), Generation(3));
    assert_eq!(number(&[claim_of(owner(3, 0, 1), OTHER_PLAN)]), Generation(4));
}

#[test]
fn a_claim_that_did_not_commit_and_a_lost_id_end_the_life() {
    for (event, why) in [
        (Event::Claimed { committed: false, now_ms: 0 }, Lost::ClaimNotCommitted),
        (Event::OwnIdFenced, Lost::Fenced),
        (Event::CallFailed, Lost::CallFailed),
    ] {
        let mine = me(1, 0, 1);
        let journal = Journal::default();
        let mut life = GoingLive::new();
        life.observe(&mine, Event::Promoted(Generation(1)));
        life.next(&mine, &Defences::ALL, 0, &[journal.facts(true)]);
        life.observe(&mine, Event::Initialised);
        life.observe(&mine, event);
        assert_eq!(life.next(&mine, &Defences::ALL, 0, &[journal.facts(true)]), Action::StartOver(why));
    }
}

/// What may happen between two questions in the property test below.
#[derive(Clone, Debug)]
enum Chance {
    /// The action that was asked for is done, well.
    Done,
    /// Somebody else writes: a Claim, or the next commit, or a drain.
    Claim(u32, u32, u8, bool),
    Commit(u32, u32),
    Drain(u32, u32, u64),
    /// A message of the operator.
    Promoted(u32),
    Resume(u64),
    /// The reader is this far behind; replay too.
    Lag(u8, bool),
    Later(u64),
}

fn any_chance() -> impl Strategy<Value = Chance> {
    prop_oneof![
        12 => Just(Chance::Done),
        2 => (1u32..4, 0u32..3, 0u8..3, any::<bool>()).prop_map(|(g, w, life, plan)| Chance::Claim(g, w, life, plan)),
        2 => (1u32..4, 0u32..3).prop_map(|(g, w)| Chance::Commit(g, w)),
        1 => (1u32..4, 0u32..3, 0u64..3).prop_map(|(g, w, drain)| Chance::Drain(g, w, drain)),
        1 => (1u32..4).prop_map(Chance::Promoted),
        1 => (0u64..3).prop_map(Chance::Resume),
        2 => (0u8..3, any::<bool>()).prop_map(|(lag, replayed)| Chance::Lag(lag, replayed)),
        1 => (0u64..300).prop_map(Chance::Later),
    ]
}

/// What the property test remembers of the way.
#[derive(Default)]
struct Way {
    /// Length of the journals when the last own Claim was committed.
    claimed_at: Option<usize>,
    fenced: Vec<Writer>,
    /// High watermarks measured after the last fence.
    ends: Option<Vec<(u32, i64)>>,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

    /// Whatever happens around it, a life is live only after its own Claim, the fence of every other id that its journals
    /// name, and reading to a high watermark that was taken after both.
    #[test]
    fn nobody_is_live_without_claim_fence_and_read(chances in prop::collection::vec(any_chance(), 0..80)) {
        let mine = Me { prior: vec![Writer { generation: Generation(1), worker: WorkerIndex(2) }], ..me(2, 0, 77) };
        let mut journals = [Journal::default(), Journal::default()];
        let (mut now, mut lag, mut replays) = (0, 0, true);
        let mut life = GoingLive::new();
        life.observe(&mine, Event::Promoted(Generation(2)));
        let mut way = Way::default();
        for chance in chances {
            let reads: Vec<Journal> = journals
                .iter()
                .map(|journal| Journal::of(&journal.heads[..journal.heads.len().saturating_sub(lag)]))
                .collect();
            let facts: Vec<JournalFacts<'_>> = reads
                .iter()
                .enumerate()
                .map(|(slot, journal)| {
                    let seq = journal.ownership.seq();
                    let replayed = if replays { seq } else { Seq(seq.0.saturating_sub(1)) };
                    JournalFacts { replayed: Some(replayed), ..journal.facts(slot == 0) }
                })
                .collect();
            let action = life.next(&mine, &Defences::ALL, now, &facts);
            if let Action::Live(grant) = &action {
                prop_assert_eq!(grant.slots(), &[0][..]);
                prop_assert!(way.claimed_at.is_some(), "no claim");
                for writer in reads[0].ownership.writers().iter().chain(&mine.prior) {
                    let fenced = *writer == mine.owner.writer || way.fenced.contains(writer);
                    prop_assert!(fenced, "{writer:?} is not fenced");
                }
                let ends = way.ends.clone().expect("ends were measured");
                prop_assert!(ends.iter().all(|(slot, end)| facts[*slot as usize].read_to >= Some(*end)));
                prop_assert_eq!(reads[0].ownership.newest_claim().map(|claim| claim.owner), Some(mine.owner));
                prop_assert_eq!(facts[0].replayed, Some(reads[0].ownership.seq()));
                return Ok(());
            }
            let over = matches!(
                action,
                Action::Superseded | Action::GenerationCollision | Action::StandAside { .. } | Action::StartOver(_)
            );
            if over {
                return Ok(());
            }
            match chance {
                Chance::Done => match action {
                    Action::Initialise => life.observe(&mine, Event::Initialised),
                    Action::Claim(orders) => {
                        for order in orders {
                            let Head::Claim(claim) = claim_of(mine.owner, PLAN) else { unreachable!() };
                            journals[order.slot as usize].push(Head::Claim(ClaimHead { resume: order.resume, ..claim }));
                        }
                        way = Way { claimed_at: Some(journals[0].heads.len()), ..Way::default() };
                        life.observe(&mine, Event::Claimed { committed: true, now_ms: now });
                    }
                    Action::Fence(ids) => {
                        way.fenced.extend(ids);
                        way.ends = None;
                        life.observe(&mine, Event::Fenced);
                    }
                    Action::MeasureEnds(slots) => {
                        let ends: Vec<i64> =
                            slots.iter().map(|slot| journals[*slot as usize].heads.len() as i64).collect();
                        way.ends = Some(slots.into_iter().zip(ends.clone()).collect());
                        life.observe(&mine, Event::Ends(ends));
                    }
                    _ => {}
                },
                Chance::Claim(generation, worker, seen, other) => {
                    let plan = if other && generation != 2 { OTHER_PLAN } else { PLAN };
                    let who = owner(generation, worker, u128::from(seen));
                    journals[usize::from(seen) % 2].push(claim_of(who, plan));
                }
                Chance::Commit(generation, worker) => {
                    let seq = journals[0].ownership.seq().next().0;
                    journals[0].push(commit_of(owner(generation, worker, 1), seq));
                }
                Chance::Drain(generation, worker, drain) => {
                    let seq = journals[0].ownership.seq().0;
                    journals[0].push(drained(owner(generation, worker, 1), seq, drain));
                }
                Chance::Promoted(generation) => life.observe(&mine, Event::Promoted(Generation(generation))),
                Chance::Resume(drain) => life.observe(&mine, Event::Resume(DrainId(drain))),
                Chance::Lag(behind, replayed) => (lag, replays) = (usize::from(behind), replayed),
                Chance::Later(by) => now += by,
            }
        }
        prop_assert!(!matches!(life.phase(), Phase::Granted));
    }
}
