//! What happened in one step, in words.

use crate::pure::Worker;
use std::fmt;

/// What happened in one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label {
    pub worker: u8,
    generation: u8,
    index: u8,
    /// The life of the worker that acts; 0 before its own init.
    pub life: u8,
    what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Drain(u8),
    Resume(u8),
    LateEndTxn,
    Expire,
    /// With the number of logs into which commit markers are written just before.
    Decide(u8),
    Init,
    WriteClaim(u8),
    EndClaim,
    EndClaimLate,
    EndClaimLost,
    Fence(u8, u8),
    /// With the number of logs into which commit markers are written just before.
    Live(u8, u8),
    NextLife,
    Gone,
    Crash,
    Produce(u8),
    ProduceOutput,
    End,
    EndLate,
    Abort(bool),
    KeepAfterInit,
    Release(u8),
    Fenced,
    Resumed,
}

impl Label {
    pub fn new(worker: u8, config: &Worker, what: What) -> Self {
        let (generation, index) = (config.generation as u8, config.worker as u8);
        Self { worker, generation, index, life: 0, what }
    }

    /// The generation that goes live in this step.
    pub fn granted(self) -> Option<usize> {
        matches!(self.what, What::Live(..)).then_some(usize::from(self.generation))
    }

    fn who(self) -> String {
        match self.what {
            What::Drain(_) | What::Resume(_) => "operator".to_owned(),
            What::LateEndTxn | What::Expire => "broker".to_owned(),
            _ if self.life == 0 => format!("g{}.{} new life", self.generation, self.index),
            _ => format!("g{}.{} life {}", self.generation, self.index, self.life),
        }
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<14} ", self.who())?;
        match self.what {
            What::Drain(id) => write!(f, "asks for drain {id}"),
            What::Resume(id) => write!(f, "resumes drain {id}"),
            What::LateEndTxn => write!(f, "receives the delayed EndTxn"),
            What::Expire => {
                write!(f, "aborts the transaction of g{}.{} for its age", self.generation, self.index)
            }
            What::Decide(markers) => write!(f, "reads{}, and goes on to the next step", behind(markers)),
            What::Init => write!(f, "init_transactions of its own id"),
            What::WriteClaim(units) => write!(f, "writes Claims, units {units:02b}"),
            What::EndClaim => write!(f, "commits its Claims"),
            What::EndClaimLate => write!(f, "commits its Claims; a copy of the EndTxn is still on its way"),
            What::EndClaimLost => write!(f, "commits its Claims; the broker loses them"),
            What::Fence(generation, worker) => write!(f, "fences the id of g{generation}.{worker}"),
            What::Live(units, markers) => {
                write!(f, "reads to the end{} and is LIVE, units {units:02b}", behind(markers))
            }
            What::NextLife => write!(f, "stands aside, then begins a new life"),
            What::Gone => write!(f, "is superseded"),
            What::Crash => write!(f, "crashes and begins a new life"),
            What::Produce(units) => write!(f, "writes its Commits, units {units:02b}"),
            What::ProduceOutput => write!(f, "writes an output"),
            What::End => write!(f, "commits"),
            What::EndLate => write!(f, "commits after a time-out; a copy of the EndTxn is still on its way"),
            What::Abort(kept) => write!(f, "aborts{}", if kept { " and keeps its memory" } else { "" }),
            What::KeepAfterInit => write!(f, "init_transactions of its own id, and keeps its memory"),
            What::Release(unit) => write!(f, "writes Released for unit {unit}"),
            What::Fenced => write!(f, "finds itself fenced and begins a new life"),
            What::Resumed => write!(f, "hears of the resume and begins a new life"),
        }
    }
}

fn behind(markers: u8) -> &'static str {
    match markers {
        0 => "",
        1 => " (a commit marker became readable before)",
        _ => " (commit markers became readable before)",
    }
}
