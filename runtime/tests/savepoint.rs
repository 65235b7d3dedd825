//! Savepoints, with the real worker loop over the log in memory: of a pipeline that stands still, and of one that works, taken at
//! every moment; restored under another name, by the same plan and by another one.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends at the first surprise")]

#[path = "savepoint/world.rs"]
mod world;

use connect::door::{KafkaIo, Partitioning};
use connect::snapshot::{FileStore, Folder, MemoryStore};
use protocol::savepoint::{MANIFEST, Waits};
use runtime::savepoint::{Complete, Destination, SavepointError, Taker, open, restore};
use std::path::Path;
use world::{Pipeline, World, latest, plan};

#[test]
fn a_pipeline_that_stood_still_goes_on_elsewhere_as_if_nothing_had_been() {
    for to in [plan("kept", "event.n >= 0"), plan("kept", "event.n > -1"), plan("all", "event.n > -1")] {
        let mut world = World::new();
        let old = plan("kept", "event.n >= 0");
        world.start(&old);
        world.feed(0, 0..23);
        world.feed(1, 0..9);
        world.rounds(400);
        world.stop();
        let (folder, taken) = world.savepoint();
        assert!(taken.savepoint.drained && !taken.savepoint.has_blocks());
        world.restore(&to, &folder).unwrap();
        world.feed(0, 23..60);
        world.feed(1, 9..60);
        world.finish();
        world.check_exactly_once(&to.hash().to_string());
    }
}

#[test]
fn what_is_saved_at_any_moment_of_a_pipeline_at_work_fits_together() {
    let plan = plan("kept", "event.n >= 0");
    let mut in_flight = 0;
    for moment in 0..60 {
        let mut world = World::new();
        world.start(&plan);
        world.until_live();
        for second in 0..moment % 7 {
            world.feed_both(second..second + 1);
            world.rounds(30);
        }
        let mut taker = world.taker();
        let folder = MemoryStore::new();
        let mut second = moment % 7;
        let taken = loop {
            if second < 40 {
                world.feed_both(second..second + 1);
                second += 1;
            }
            world.rounds(moment % 11 + 1);
            if let Some(taken) = world.step(&mut taker, &folder) {
                break taken;
            }
        };
        assert!(!taken.savepoint.drained);
        in_flight += u32::from(taken.savepoint.has_blocks());
        // The pipeline goes on for a while, and is then lost with everything that it had.
        world.rounds(moment);
        world.lose();
        world.restore(&plan, &folder).unwrap();
        world.feed_both(second..60);
        world.finish();
        world.check_at_least_once(&format!("moment {moment}"));
    }
    assert!(in_flight > 10, "{in_flight} savepoints held something that was between two units");
}

#[test]
fn what_is_between_two_units_is_for_the_same_plan() {
    let old = plan("kept", "event.n >= 0");
    let folder = (0..200).find_map(|moment| {
        let mut world = World::new();
        world.start(&old);
        world.until_live();
        world.feed_both(0..12);
        world.rounds(moment);
        let mut taker = world.taker();
        let folder = MemoryStore::new();
        let taken = loop {
            world.round();
            world.feed_both(12..13);
            if let Some(taken) = world.step(&mut taker, &folder) {
                break taken;
            }
        };
        taken.savepoint.has_blocks().then_some((world, folder))
    });
    let (mut world, folder) = folder.unwrap();
    world.lose();
    let refused = world.restore(&plan("kept", "event.n > -1"), &folder).unwrap_err();
    assert!(matches!(refused, SavepointError::OtherPlan { .. }), "{refused}");
    assert!(refused.is_permanent());
    world.restore(&old, &folder).unwrap();
    world.finish();
    world.check_at_least_once("the same plan");
}

#[test]
fn what_was_changed_a_moment_ago_is_saved_with_the_state_that_it_has_taken_over() {
    for (name, to) in [
        ("another filter", plan("kept", "event.n > -1")),
        ("another first stage", plan("all", "event.n > -1")),
    ] {
        for moment in 0..40 {
            let mut world = World::new();
            world.start(&plan("kept", "event.n >= 0"));
            world.feed(0, 0..23);
            world.feed(1, 0..9);
            world.rounds(300);
            world.stop();
            world.change(&to);
            world.rounds(moment);
            let (folder, taken) = world.taken_at_work();
            assert_eq!(taken.savepoint.plan, to.hash());
            world.lose();
            world.restore(&to, &folder).unwrap();
            world.feed(0, 23..60);
            world.feed(1, 9..60);
            world.finish();
            world.check_at_least_once(&format!("{name}, moment {moment}"));
        }
    }
}

#[test]
fn a_savepoint_at_work_with_nothing_on_its_way_is_restored_by_another_plan() {
    let (old, new) = (plan("kept", "event.n >= 0"), plan("all", "event.n > -1"));
    let mut world = World::new();
    world.start(&old);
    world.feed_both(0..23);
    world.rounds(600);
    let (folder, taken) = world.taken_at_work();
    assert!(!taken.savepoint.drained && taken.savepoint.is_cut());
    world.lose();
    world.restore(&new, &folder).unwrap();
    world.feed_both(23..60);
    world.finish();
    world.check_exactly_once("nothing was given out since");
}

#[test]
fn who_goes_back_and_forth_between_plans_is_saved_with_the_blocks_of_today() {
    let (one, other) = (plan("kept", "event.n >= 0"), plan("kept", "event.n > -1"));
    for moment in 0..30 {
        let mut world = World::new();
        world.start(&one);
        world.feed_both(0..12);
        world.rounds(300);
        for plan in [&other, &one] {
            world.stop();
            world.change(plan);
            world.until_live();
        }
        world.feed_both(12..30);
        world.rounds(moment);
        let (folder, _) = world.taken_at_work();
        world.lose();
        world.restore(&one, &folder).unwrap();
        world.feed_both(30..60);
        world.finish();
        world.check_at_least_once(&format!("moment {moment}"));
    }
}

/// Reading begins at the end of the topic, and nothing is committed before the pods restart: where it began is not forgotten.
#[test]
fn a_unit_without_a_commit_starts_where_its_first_claim_said() {
    let plan = latest();
    let mut world = World::new();
    world.feed_both(0..10);
    let before = world.sent();
    world.start(&plan);
    world.until_live();
    world.restart();
    world.until_live();
    let (folder, taken) = world.taken_at_work();
    let starts = taken.savepoint.units().filter(|(unit, _)| &*unit.stage == "kept");
    let starts: Vec<_> =
        starts.map(|(_, unit)| (unit.state.is_some(), unit.inputs[0].starts.clone())).collect();
    assert_eq!(starts, [(false, vec![(0, 10)]), (false, vec![(1, 10)])]);
    world.lose();
    world.restore(&plan, &folder).unwrap();
    world.feed_both(10..60);
    world.finish();
    world.check_passed(before..world.sent());
}

#[test]
fn a_pipeline_that_was_resumed_and_did_nothing_since_is_saved() {
    let plan = plan("kept", "event.n >= 0");
    let mut world = World::new();
    world.start(&plan);
    world.until_live();
    world.stop();
    world.resume();
    world.until_live();
    let (folder, _) = world.taken_at_work();
    world.lose();
    world.restore(&plan, &folder).unwrap();
    world.feed_both(0..30);
    world.finish();
    world.check_exactly_once("from nothing");
}

#[test]
fn a_pipeline_that_was_suspended_before_it_did_anything_can_be_saved() {
    let plan = plan("kept", "event.n >= 0");
    let mut world = World::new();
    world.start(&plan);
    world.until_live();
    world.stop();
    let (folder, _) = world.savepoint();
    world.restore(&plan, &folder).unwrap();
    world.feed_both(0..30);
    world.finish();
    world.check_exactly_once("from nothing");
}

#[test]
fn what_never_worked_has_nothing_to_save() {
    let world = World::new();
    let subject = World::subject(&Pipeline::first(&plan("kept", "event.n >= 0")));
    let refused = Taker::begin(subject, world.log.connect("t")).err().unwrap();
    assert!(matches!(refused, SavepointError::NeverRan { .. }), "{refused}");
    assert!(!refused.is_permanent(), "it may begin to work");
}

#[test]
fn a_pipeline_that_is_being_stopped_is_waited_for() {
    let plan = plan("kept", "event.n >= 0");
    let mut world = World::new();
    world.start(&plan);
    world.feed_both(0..20);
    world.rounds(300);
    world.begin_to_stop();
    let mut taker = world.taker();
    let folder = MemoryStore::new();
    let mut waited = false;
    let taken = loop {
        world.round();
        if let Some(taken) = world.step(&mut taker, &folder) {
            break taken;
        }
        waited |= matches!(taker.waits(), Some(Waits::Drain(_)));
    };
    assert!(taken.savepoint.drained && waited);
}

fn saved() -> (World, MemoryStore, Destination) {
    let plan = plan("kept", "event.n >= 0");
    let mut world = World::new();
    world.start(&plan);
    world.feed_both(0..20);
    world.rounds(300);
    world.stop();
    let (folder, _) = world.savepoint();
    let destination = World::destination(&plan);
    (world, folder, destination)
}

#[test]
fn to_restore_again_changes_nothing() {
    let (world, mut folder, destination) = saved();
    let journal = destination.identity.commits_topic("kept");
    let mut lengths = Vec::new();
    for _ in 0..3 {
        let mut io = world.log.connect("restore");
        restore(&destination, &mut io, &mut folder, &mut MemoryStore::new()).unwrap();
        lengths.push(world.log.committed(&journal).unwrap().iter().map(connect_len).sum::<usize>());
    }
    assert_eq!(lengths, [8, 8, 8], "Claim, Commit, Released and Cut of two units");
}

fn connect_len(batch: &pipeline::record::RecordBatch) -> usize {
    batch.len()
}

#[test]
fn a_pipeline_that_has_worked_is_left_alone() {
    let (mut world, folder, _) = saved();
    let destination = world.of_itself();
    let mut io = world.log.connect("restore");
    let refused = restore(&destination, &mut io, &mut folder.clone(), &mut MemoryStore::new()).unwrap_err();
    assert!(matches!(refused, SavepointError::NotNew), "{refused}");
    world.resume();
    world.finish();
    world.check_exactly_once("nothing has happened");
}

#[test]
fn whatever_does_not_fit_is_refused_by_name() {
    let (world, folder, destination) = saved();
    let refused = |folder: &mut MemoryStore, destination: &Destination| {
        let mut io = world.log.connect("restore");
        let refused = restore(destination, &mut io, folder, &mut MemoryStore::new()).unwrap_err();
        assert!(refused.is_permanent(), "{refused}");
        refused
    };
    let other = Destination { manifest_hash: Some("00".to_owned()), ..destination.clone() };
    assert!(matches!(refused(&mut folder.clone(), &other), SavepointError::Other { .. }));
    let none = refused(&mut MemoryStore::new(), &destination);
    assert_eq!(none.to_string(), "there is no complete savepoint");
    let (savepoint, _) = open(&mut folder.clone()).unwrap();
    let states = savepoint.units().filter_map(|(_, unit)| Some(unit.state.as_ref()?.key.to_string()));
    let parts: Vec<String> = states.chain([MANIFEST.to_owned()]).collect();
    for (name, what) in [(&*parts[0], "the state of kept/0 in the savepoint"), (MANIFEST, "`manifest`")] {
        let mut damaged = MemoryStore::new();
        for name in &parts {
            let bytes = folder.clone().read(name).unwrap();
            damaged.write(name, &bytes).unwrap();
        }
        assert!(damaged.damage(name, |bytes| bytes.truncate(bytes.len() / 2)));
        let refused = refused(&mut damaged, &destination);
        assert!(refused.to_string().starts_with(what), "{refused}");
    }
    world.log.connect("cut").delete_records(&[(world::at("in", 0), 4_000)]).unwrap_err();
    world.log.append("in", Partitioning::Exact(0), &world::record(99)).unwrap();
}

#[test]
fn a_topic_that_was_made_again_is_another_one() {
    let (world, mut folder, destination) = saved();
    let mut io = world.log.connect("admin");
    io.delete_topics(&["in".to_owned()]).unwrap();
    let gone = restore(&destination, &mut io, &mut folder, &mut MemoryStore::new()).unwrap_err();
    assert!(gone.to_string().contains("it does not exist"), "{gone}");
    world.log.create_topic("in", 2);
    let other = restore(&destination, &mut io, &mut folder, &mut MemoryStore::new()).unwrap_err();
    assert!(other.to_string().contains("another topic has its name"), "{other}");
    assert!(other.is_permanent());
}

#[test]
fn records_that_are_gone_are_told() {
    let (world, mut folder, destination) = saved();
    world.log.append("in", Partitioning::Exact(0), &world::record(30)).unwrap();
    world.log.append("in", Partitioning::Exact(0), &world::record(31)).unwrap();
    let mut io = world.log.connect("admin");
    let (_, high) = io.watermarks(&[world::at("in", 0)]).unwrap()[0];
    io.delete_records(&[(world::at("in", 0), high)]).unwrap();
    let refused = restore(&destination, &mut io, &mut folder, &mut MemoryStore::new()).unwrap_err();
    assert!(matches!(refused, SavepointError::OutOfLog { .. }), "{refused}");
}

/// A savepoint that a release before has written. With `WRITE_SAVEPOINTS` in the environment this release writes it anew: once
/// for each format.
fn released(name: &str, write: impl FnOnce() -> (MemoryStore, Complete)) -> FileStore {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/savepoint/released");
    let mut kept = FileStore::open(root, name).unwrap();
    if std::env::var_os("WRITE_SAVEPOINTS").is_some() {
        let (mut now, Complete { savepoint, .. }) = write();
        let states = savepoint.units().filter_map(|(_, unit)| Some(&*unit.state.as_ref()?.key));
        let blocks = savepoint.units().flat_map(|(_, unit)| &unit.blocks).map(|part| &*part.name);
        for part in states.chain(blocks).chain([MANIFEST]) {
            let bytes = Folder::read(&mut now, part).unwrap();
            Folder::write(&mut kept, part, &bytes).unwrap();
        }
    }
    kept
}

#[test]
fn a_savepoint_of_the_first_release_that_had_them_is_restored() {
    let plan = plan("kept", "event.n >= 0");
    let mut world = World::new();
    world.start(&plan);
    world.feed(0, 0..23);
    world.feed(1, 0..9);
    world.rounds(400);
    world.stop();
    let mut kept = released("suspended-1", || world.savepoint());
    world.restore_from(&plan, &mut kept).unwrap();
    world.feed(0, 23..60);
    world.feed(1, 9..60);
    world.finish();
    world.check_exactly_once("suspended");
}

#[test]
fn a_savepoint_at_work_of_the_first_release_that_had_them_is_restored() {
    let plan = plan("kept", "event.n >= 0");
    let begun = || {
        let mut world = World::new();
        world.start(&plan);
        world.feed_both(0..40);
        world
    };
    let mut kept = released("at-work-1", || {
        let mut all = (1..200).map(|moment| {
            let mut world = begun();
            world.rounds(moment);
            world.taken_at_work()
        });
        all.find(|(_, taken)| taken.savepoint.has_blocks()).unwrap()
    });
    let (savepoint, _) = open(&mut kept).unwrap();
    assert!(savepoint.has_blocks() && !savepoint.drained, "it holds what was between two units");
    let mut world = begun();
    world.rounds(500);
    world.lose();
    world.restore_from(&plan, &mut kept).unwrap();
    world.feed_both(40..60);
    world.finish();
    world.check_at_least_once("at work");
}
