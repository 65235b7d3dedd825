//! The defences of the protocol, one switch each. Decisions consult them; production code knows only
//! [`Defences::ALL`]. Model, simulation and mutant tests switch one off and must find the harm it does.

/// One bool per defence; true is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct Defences {
    /// A Claim is written before the fence.
    pub claim: bool,
    /// Every other id that may write my journals is fenced.
    pub fence: bool,
    /// Ids of my own generation that my journals name are fenced too.
    pub own_generation_fence: bool,
    /// Journals are read to the high watermark taken after the fence, not to where they happened to be read.
    pub read_to_high_watermark: bool,
    /// A Claim of a higher generation stops me.
    pub superseded: bool,
    /// My own Claim must be the newest Claim.
    pub own_claim_check: bool,
    /// After an outcome that is not known, or an own `init_transactions`, old memory is never used.
    pub c7: bool,
    /// Journals and inputs are read committed (obeyed by whoever reads the log).
    pub read_committed: bool,
    /// Counts and hashes of replayed batches and outputs must match the journal.
    pub hash_check: bool,
    /// Outputs stay suppressed up to the last commit of the journal.
    pub suppress_until_commit: bool,
    /// Restore takes exactly the object that the journal points to.
    pub exact_pointer: bool,
    /// An abort drops the state with the transaction.
    pub abort_drops_state: bool,
    /// `Released{drain}` locks a unit against generations up to its writer's.
    pub released_lock: bool,
    /// A downstream unit is drained only when it has consumed the `End` of every upstream unit.
    pub end_marker: bool,
    /// A change of plan waits until every journal of the pipeline is drained, and looks again at step 5.
    pub drained_everywhere: bool,
    /// Trimming keeps what open Holds need.
    pub hold: bool,
    /// Trimming keeps what the slowest sink still needs.
    pub sink_progress: bool,
}

impl Defences {
    /// All on: the only value that production code makes.
    pub const ALL: Self = Self {
        claim: true,
        fence: true,
        own_generation_fence: true,
        read_to_high_watermark: true,
        superseded: true,
        own_claim_check: true,
        c7: true,
        read_committed: true,
        hash_check: true,
        suppress_until_commit: true,
        exact_pointer: true,
        abort_drops_state: true,
        released_lock: true,
        end_marker: true,
        drained_everywhere: true,
        hold: true,
        sink_progress: true,
    };
}
