//! The defences of the protocol, one switch each. Decisions consult them; production code knows only
//! [`Defences::ALL`]. Model, simulation and mutant tests switch one off and must find the harm it does: the list below is
//! the only one, and it says of each defence where that is shown. Those who show it go through [`Defences::EACH`], so a
//! defence that nobody shows to be needed is a failure.

/// Where a run without a defence ends in harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// In the model, `runtime/protocol/examples/model`: the shortest way.
    Model,
    /// In the model, and in the seeded simulation of the whole worker, `simulate --mutants`.
    ModelAndSimulation,
    /// In the simulation: the model has no rollbacks.
    Simulation,
    /// In `runtime/protocol/tests/mutants.rs`. Model and simulation have neither broken logs nor external sinks, so
    /// that nothing in them depends on it.
    Test,
}

/// One defence.
#[derive(Clone, Copy, Debug)]
pub struct Defence {
    /// Its name: that of the field.
    pub name: &'static str,
    /// Switches it off.
    pub off: fn(&mut Defences),
    /// Where its absence does harm.
    pub shown: Shown,
}

impl Defence {
    /// All defences but this one.
    pub fn without(&self) -> Defences {
        let mut defences = Defences::ALL;
        (self.off)(&mut defences);
        defences
    }
}

/// The fields of [`Defences`], each with its [`Shown`].
macro_rules! defences {
    ($($(#[$about:meta])* $name:ident: $shown:ident,)*) => {
        /// One bool per defence; true is on.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct Defences {
            $($(#[$about])* pub $name: bool,)*
        }

        impl Defences {
            /// All on: the only value that production code makes.
            pub const ALL: Self = Self { $($name: true,)* };

            /// Every defence.
            pub const EACH: &[Defence] = &[$(Defence {
                name: stringify!($name),
                off: |defences| defences.$name = false,
                shown: Shown::$shown,
            },)*];
        }
    };
}

defences! {
    /// A Claim is written before the fence.
    claim: Model,
    /// Every other id that may write my journals is fenced.
    fence: ModelAndSimulation,
    /// Ids of my own generation that my journals name are fenced too.
    own_generation_fence: Model,
    /// Journals are read to the high watermark taken after the fence, not to where they happened to be read.
    read_to_high_watermark: Model,
    /// A Claim of a higher generation stops me.
    superseded: ModelAndSimulation,
    /// My own Claim must be the newest Claim.
    own_claim_check: Model,
    /// After an outcome that is not known, or an own `init_transactions`, old memory is never used.
    c7: Model,
    /// Journals and inputs are read committed (obeyed by whoever reads the log).
    read_committed: ModelAndSimulation,
    /// Counts and hashes of replayed batches and outputs must match the journal.
    hash_check: Test,
    /// Outputs stay suppressed up to the last commit of the journal.
    suppress_until_commit: Test,
    /// Restore takes exactly the object that the journal points to.
    exact_pointer: Test,
    /// An abort drops the state with the transaction.
    abort_drops_state: ModelAndSimulation,
    /// `Released{drain}` locks a unit against generations up to its writer's.
    released_lock: Model,
    /// A downstream unit is drained only when it has consumed the `End` of every upstream unit.
    end_marker: Model,
    /// A change of plan waits until every journal of the pipeline is drained, and looks again at step 5.
    drained_everywhere: Model,
    /// Trimming keeps what open Holds and a rollback need.
    hold: Test,
    /// Trimming keeps what the slowest sink still needs.
    sink_progress: Test,
    /// What is processed again after a rollback gives nothing out.
    suppress_reprocessed: Simulation,
    /// Nobody reads on before every unit has processed again what it had to.
    reprocess_together: Simulation,
}
