//! The wall around the engine: whatever it meets in records ends in an error that names them, never in a thread that is
//! gone. The life that met it is dropped, so nothing that a panic left half-way is looked at again.

use super::error::WorkerError;
use super::unit::Member;
use pipeline::effect::Effects;
use pipeline::record::RecordBatch;
use pipeline::unit::Tick;
use protocol::journal::record::InputPartition;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

impl Member {
    /// Applies records of one partition of one input, live or in replay.
    pub fn apply(
        &mut self,
        at: InputPartition,
        batch: &RecordBatch,
        clock_ms: i64,
    ) -> Result<Effects, WorkerError> {
        let engine = self.engine()?;
        match caught(|| engine.apply(at, batch, clock_ms)) {
            Ok(Ok(effects)) => Ok(effects),
            Ok(Err(source)) => {
                Err(WorkerError::Batch { place: self.place(at, batch), source: Box::new(source) })
            }
            Err(cause) => Err(WorkerError::Poison { place: self.place(at, batch), cause }),
        }
    }

    /// Applies an empty batch.
    pub fn tick(&mut self, tick: Tick, clock_ms: i64) -> Result<Effects, WorkerError> {
        let engine = self.engine()?;
        caught(|| engine.tick(tick, clock_ms))
            .map_err(|cause| WorkerError::Poison { place: format!("{} at {tick:?}", self.id), cause })
    }

    /// The boundary of a commit.
    pub fn boundary(&mut self) -> Result<Effects, WorkerError> {
        let engine = self.engine()?;
        caught(|| engine.boundary())
            .map_err(|cause| WorkerError::Poison { place: format!("{} at a commit", self.id), cause })
    }

    fn place(&self, at: InputPartition, batch: &RecordBatch) -> String {
        let input = self.replay.inputs().get(usize::from(at.input));
        let topic = input.map_or("?", |input| &*input.topic);
        let first = batch.records().first().map_or(0, |record| record.offset);
        let last = batch.records().last().map_or(0, |record| record.offset);
        format!("{}: topic `{topic}` partition {} offsets {first} to {last}", self.id, at.partition)
    }
}

/// What a piece of work gives, or what its panic said.
pub fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| said(&*panic))
}

fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("a panic without words").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_what_it_said() {
        assert_eq!(caught(|| 7), Ok(7));
        assert_eq!(caught(|| panic!("row {} is odd", 3)), Err::<(), _>("row 3 is odd".to_owned()));
        assert_eq!(caught(|| panic!("plain")), Err::<(), _>("plain".to_owned()));
    }
}
