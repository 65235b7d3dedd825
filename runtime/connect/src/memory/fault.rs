//! Where a simulation makes the network misbehave: one question per request, answered by the test.

/// A request that can be disturbed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are those of the door's methods")]
pub enum Operation {
    Assign,
    Poll,
    InitTransactions,
    Fence,
    Produce,
    /// The `EndTxn` of a commit; asked by `start_commit`.
    Commit,
    /// The `EndTxn` of an abort.
    Abort,
    CommitOffsets,
    Watermarks,
    OffsetAt,
    Describe,
    EnsureTopics,
    DeleteTopics,
    DeleteRecords,
}

/// One request.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// Transactional id of the door that asks.
    pub id: &'a str,
    /// What it asks.
    pub operation: Operation,
    /// How many requests, of any kind, came before it since the log was made.
    pub number: u64,
}

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Fault {
    /// It is served.
    #[default]
    None,
    /// It never reaches the broker: `Lost`; a commit ends `Unknown`, a produce shows as a delivery error.
    LoseRequest,
    /// It is served, and nobody hears of it: as above, but applied.
    LoseAnswer,
    /// The broker is away: `Unreachable` where the door can say so, else as `LoseRequest`.
    Unreachable,
    /// Commit and abort only, else as `LoseRequest`: not applied now; the request stays in flight until
    /// `Log::deliver_delayed`. The outcome is `Unknown`.
    Delay,
    /// Commit and abort only, else as `None`: applied now, while an earlier copy stays in flight, as when the client
    /// sends again after a time-out. The outcome is `Unknown`, or `Committed` with
    /// [`super::Settings::hide_repeats`].
    Repeat,
    /// Commit only, else as `None`: the next so many questions for the outcome are answered by "not yet", and only then
    /// the request is served.
    Slow(u32),
}

/// The author of faults. It has to be deterministic if the simulation is.
pub trait Faults: Send {
    /// What happens to this request.
    fn fault(&mut self, call: &Call<'_>) -> Fault;
}

impl<F: FnMut(&Call<'_>) -> Fault + Send> Faults for F {
    fn fault(&mut self, call: &Call<'_>) -> Fault {
        self(call)
    }
}
