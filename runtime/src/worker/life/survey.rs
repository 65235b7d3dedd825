//! The journals before anything else: where their reading begins, and the generation of a process that nobody gave one.

use super::{Route, Stop};
use crate::worker::error::WorkerError;
use crate::worker::journals::{Journal, all_ended};
use crate::worker::setup::{Environment, Setup, Surroundings};
use connect::door::{Fetched, IoError, KafkaIo, TopicPartition};
use protocol::going_live::own_generation;
use protocol::identity::{Generation, Writer};
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

/// Reads all journals once to find the generation of a process that nobody gave one.
pub(super) fn survey<E: Environment>(setup: &Setup, environment: &mut E) -> Result<Generation, Stop> {
    let writer = Writer { generation: Generation(0), worker: setup.worker };
    let mut io = environment.connect(&setup.identity.transactional_id(writer))?;
    let surroundings = Surroundings::discover(setup, &BTreeSet::new(), &mut io)?;
    let mut journals: Vec<_> = surroundings.journals.iter().map(|_| Journal::new(None)).collect();
    let routes = read_journals(&surroundings, &mut io)?;
    let mut fetched = Vec::new();
    for _attempt in 0..SURVEY_POLLS {
        io.poll(Duration::from_millis(100), &mut fetched)?;
        for item in fetched.drain(..) {
            let (Fetched::Records { from: of, .. } | Fetched::End { of, .. }) = &item;
            let Some(Route::Journal(slot)) = routes.get(of) else { continue };
            match &item {
                Fetched::Records { from, batch } => journals[*slot].read(batch, &mut [], &from.topic)?,
                Fetched::End { offset, .. } => journals[*slot].end(*offset),
            }
        }
        if all_ended(&journals) {
            let owners = journals.iter().map(|journal| journal.ownership(&[]));
            return Ok(own_generation(owners, setup.plan.hash(), surroundings.placement));
        }
    }
    Err(Stop::Failed(WorkerError::Io(IoError::Lost {
        operation: "reading the journals",
        detail: "their ends were not reached in time".to_owned(),
    })))
}

/// Polls of a survey, each up to 100 ms.
const SURVEY_POLLS: u32 = 600;

/// Reads every journal from the start of its log.
pub(super) fn read_journals(
    surroundings: &Surroundings,
    io: &mut impl KafkaIo,
) -> Result<HashMap<TopicPartition, Route>, Stop> {
    let starts = io.watermarks(&surroundings.journals)?;
    let from: Vec<_> =
        surroundings.journals.iter().cloned().zip(starts.into_iter().map(|(first, _)| first)).collect();
    io.assign(&from)?;
    Ok(from.into_iter().enumerate().map(|(slot, (partition, _))| (partition, Route::Journal(slot))).collect())
}
