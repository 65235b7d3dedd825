//! The bytes of journal records; docs/reference/journal.md is the same in prose. Total: any bytes decode to a record or
//! to an error.

use super::record::{
    Base, Claim, ClaimedInput, Commit, Cut, Heritage, Hold, InputPartition, JournalRecord, Leg, Released,
    Renewal, Reprocess, Reprocessed, SinkProgress,
};
use crate::format::{DecodeError, Decoder, Encoder, Magic, ROLLBACK_FORMAT, WRITE_FORMAT};
use crate::identity::{
    DrainId, Generation, Incarnation, Lineage, Owner, PlacementHash, Seq, UnitId, WorkerIndex, Writer,
};
use crate::schedule;
use crate::snapshot::SnapshotPointer;
use pipeline::plan::SecretsHash;
use pipeline::unit::Channel;
use std::sync::Arc;

const CLAIM: u8 = 1;
const COMMIT: u8 = 2;
const HOLD: u8 = 3;
const UNHOLD: u8 = 4;
const RELEASED: u8 = 5;
const CUT: u8 = 6;
const REPROCESSED: u8 = 7;

impl JournalRecord {
    /// The value of the Kafka record.
    pub fn encode(&self) -> Vec<u8> {
        let format = self.format();
        let mut out = Encoder::of(Magic::Journal, format);
        match self {
            Self::Claim(claim) => write_claim(out.byte(CLAIM), claim, format),
            Self::Commit(commit) => write_commit(out.byte(COMMIT), commit, format),
            Self::Hold(hold) => write_hold(out.byte(HOLD), hold),
            Self::Unhold { name } => {
                out.byte(UNHOLD).text(name);
            }
            Self::Released(released) => write_released(out.byte(RELEASED), released),
            Self::Cut(cut) => write_cut(out.byte(CUT), cut),
            Self::Reprocessed(done) => {
                write_owner(out.byte(REPROCESSED), &done.owner);
                out.number(done.id.0);
            }
        }
        out.finish()
    }

    /// The oldest version that can say it.
    fn format(&self) -> u8 {
        let claim = match self {
            Self::Claim(claim) => Some(&**claim),
            Self::Commit(commit) => commit.renewal.as_ref().map(|renewal| &renewal.claim),
            Self::Reprocessed(_) => return ROLLBACK_FORMAT,
            _ => None,
        };
        let of_rollback = |claim: &Claim| {
            claim.base.is_some() || claim.reprocess.is_some() || claim.rollback_until_ms.is_some()
        };
        if claim.is_some_and(of_rollback) { ROLLBACK_FORMAT } else { WRITE_FORMAT }
    }

    /// Reads the value of a Kafka record.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut from = Decoder::new(Magic::Journal, bytes)?;
        let record = match from.byte("kind")? {
            CLAIM => Self::Claim(Box::new(read_claim(&mut from)?)),
            COMMIT => Self::Commit(Box::new(read_commit(&mut from)?)),
            HOLD => Self::Hold(read_hold(&mut from)?),
            UNHOLD => Self::Unhold { name: from.text("name")?.to_owned() },
            RELEASED => Self::Released(read_released(&mut from)?),
            CUT => Self::Cut(read_cut(&mut from)?),
            REPROCESSED => Self::Reprocessed(Reprocessed {
                owner: read_owner(&mut from)?,
                id: DrainId(from.number("reprocessed")?),
            }),
            _ => return Err(from.damaged("kind")),
        };
        from.end()?;
        Ok(record)
    }
}

fn write_owner(out: &mut Encoder, owner: &Owner) {
    out.number(u64::from(owner.writer.generation.0))
        .number(u64::from(owner.writer.worker.0))
        .long_word(owner.incarnation.0);
}

fn read_owner(from: &mut Decoder<'_>) -> Result<Owner, DecodeError> {
    Ok(Owner {
        writer: Writer {
            generation: Generation(from.number32("generation")?),
            worker: WorkerIndex(from.number32("worker")?),
        },
        incarnation: Incarnation(from.long_word("incarnation")?),
    })
}

pub(crate) fn write_pointer(out: &mut Encoder, pointer: &SnapshotPointer) {
    out.text(&pointer.key).long_word(pointer.hash).number(pointer.bytes).number(pointer.seq.0);
}

pub(crate) fn read_pointer(from: &mut Decoder<'_>) -> Result<SnapshotPointer, DecodeError> {
    Ok(SnapshotPointer {
        key: from.text("snapshot key")?.into(),
        hash: from.long_word("snapshot hash")?,
        bytes: from.number("snapshot bytes")?,
        seq: Seq(from.number("snapshot seq")?),
    })
}

pub(crate) fn write_positions(out: &mut Encoder, positions: &[(InputPartition, i64)]) {
    out.list(positions, |out, (at, next)| {
        out.number(u64::from(at.input)).number(u64::from(at.partition)).signed(*next);
    });
}

pub(crate) fn read_positions(from: &mut Decoder<'_>) -> Result<Vec<(InputPartition, i64)>, DecodeError> {
    from.list("positions", |from| {
        let at = InputPartition { input: from.number16("position")?, partition: from.number32("position")? };
        Ok((at, from.signed("position")?))
    })
}

pub(crate) fn write_watermarks(out: &mut Encoder, watermarks: &[(Channel, i64)]) {
    out.list(watermarks, |out, (channel, at)| {
        out.number(u64::from(channel.input)).number(u64::from(channel.partition)).signed(*at);
    });
}

pub(crate) fn read_watermarks(from: &mut Decoder<'_>) -> Result<Vec<(Channel, i64)>, DecodeError> {
    from.list("watermarks", |from| {
        let channel = Channel { input: from.number16("watermark")?, partition: from.number32("watermark")? };
        Ok((channel, from.signed("watermark")?))
    })
}

pub(crate) fn write_inputs(out: &mut Encoder, inputs: &[ClaimedInput]) {
    out.list(inputs, |out, input| {
        out.text(&input.name).text(&input.topic).text(&input.topic_id);
        out.list(&input.starts, |out, (partition, start)| {
            out.number(u64::from(*partition)).signed(*start);
        });
    });
}

pub(crate) fn read_inputs(from: &mut Decoder<'_>) -> Result<Vec<ClaimedInput>, DecodeError> {
    from.list("inputs", |from| {
        Ok(ClaimedInput {
            name: Arc::from(from.text("input name")?),
            topic: Arc::from(from.text("input topic")?),
            topic_id: Arc::from(from.text("input topic id")?),
            starts: from.list("starts", |from| Ok((from.number32("start")?, from.signed("start")?)))?,
        })
    })
}

fn write_claim(out: &mut Encoder, claim: &Claim, format: u8) {
    write_owner(out, &claim.owner);
    out.plan(claim.plan).word(claim.placement.0).number(u64::from(claim.semantics));
    out.number(u64::from(claim.lineage.0)).byte(u8::from(claim.retired));
    out.option(claim.resume, |out, drain| {
        out.number(drain.0);
    });
    out.option(claim.base.as_ref(), |out, base| {
        out.option(base.pointer.as_ref(), write_pointer).number(base.through.0);
        out.number(u64::from(base.undone.0));
    });
    out.option(claim.heritage.as_ref(), |out, heritage| {
        out.plan(heritage.plan).list(&heritage.units, |out, (unit, pointer)| {
            out.text(&unit.stage).number(u64::from(unit.index));
            write_pointer(out, pointer);
        });
    });
    write_inputs(out, &claim.inputs);
    out.list(&claim.stages, |out, stage| {
        out.text(stage);
    });
    out.option(claim.secrets, |out, secrets| {
        out.secrets(secrets);
    });
    if format < ROLLBACK_FORMAT {
        return;
    }
    out.option(claim.reprocess.as_ref(), |out, reprocess| {
        out.number(reprocess.id.0).list(&reprocess.legs, |out, leg| {
            write_positions(out, &leg.until);
            out.list(&leg.ticks, |out, tick| schedule::write_tick(out, *tick));
        });
    });
    out.option(claim.rollback_until_ms, |out, until_ms| {
        out.signed(until_ms);
    });
}

fn read_claim(from: &mut Decoder<'_>) -> Result<Claim, DecodeError> {
    Ok(Claim {
        owner: read_owner(from)?,
        plan: from.plan("plan")?,
        placement: PlacementHash(from.word("placement")?),
        semantics: from.number32("semantics")?,
        lineage: Lineage(from.number32("lineage")?),
        retired: match from.byte("retired")? {
            0 => false,
            1 => true,
            _ => return Err(from.damaged("retired")),
        },
        resume: from.option("resume", |from| Ok(DrainId(from.number("resume")?)))?,
        base: from.option("base", |from| {
            Ok(Base {
                pointer: from.option("base pointer", read_pointer)?,
                through: Seq(from.number("base seq")?),
                undone: match from.version() {
                    1 | 2 => Generation::default(),
                    _ => Generation(from.number32("undone generation")?),
                },
            })
        })?,
        heritage: from.option("heritage", |from| {
            Ok(Heritage {
                plan: from.plan("plan before")?,
                units: from.list("heritage", |from| {
                    let stage = Arc::from(from.text("unit before")?);
                    let unit = UnitId { stage, index: from.number32("unit before")? };
                    Ok((unit, read_pointer(from)?))
                })?,
            })
        })?,
        inputs: read_inputs(from)?,
        stages: from.list("stages", |from| Ok(Arc::from(from.text("stage")?)))?,
        secrets: match from.version() {
            1 => None,
            _ => from.option("secrets", |from| Ok(SecretsHash(from.long_word("secrets")?)))?,
        },
        reprocess: match from.version() {
            1 | 2 => None,
            _ => from.option("reprocess", read_reprocess)?,
        },
        rollback_until_ms: match from.version() {
            1 | 2 => None,
            _ => from.option("rollback until", |from| from.signed("rollback until"))?,
        },
    })
}

fn read_reprocess(from: &mut Decoder<'_>) -> Result<Reprocess, DecodeError> {
    Ok(Reprocess {
        id: DrainId(from.number("reprocess")?),
        legs: from.list("legs", |from| {
            Ok(Leg { until: read_positions(from)?, ticks: from.list("ticks", schedule::read_tick)? })
        })?,
    })
}

fn write_commit(out: &mut Encoder, commit: &Commit, format: u8) {
    write_owner(out, &commit.owner);
    out.number(commit.seq.0).signed(commit.clock_ms);
    write_positions(out, &commit.positions);
    schedule::write_schedule(out, commit.clock_ms, &commit.schedule);
    write_watermarks(out, &commit.watermarks);
    out.number(commit.outputs.count).word(commit.outputs.hash);
    out.option(commit.snapshot.as_ref(), write_pointer);
    out.option(commit.renewal.as_ref(), |out, renewal| {
        write_claim(out, &renewal.claim, format);
        out.list(&renewal.holds, write_hold);
    });
    out.list(&commit.sinks, |out, progress| {
        out.text(&progress.sink).number(progress.seq.0);
    });
}

fn read_commit(from: &mut Decoder<'_>) -> Result<Commit, DecodeError> {
    let owner = read_owner(from)?;
    let seq = Seq(from.number("seq")?);
    let clock_ms = from.signed("clock")?;
    Ok(Commit {
        owner,
        seq,
        clock_ms,
        positions: read_positions(from)?,
        schedule: schedule::read_schedule(from, clock_ms)?,
        watermarks: read_watermarks(from)?,
        outputs: schedule::OutputDigest {
            count: from.number("output count")?,
            hash: from.word("output hash")?,
        },
        snapshot: from.option("snapshot", read_pointer)?,
        renewal: from.option("renewal", |from| {
            Ok(Renewal { claim: read_claim(from)?, holds: from.list("holds", read_hold)? })
        })?,
        sinks: from.list("sinks", |from| {
            Ok(SinkProgress { sink: Arc::from(from.text("sink")?), seq: Seq(from.number("sink seq")?) })
        })?,
    })
}

fn write_hold(out: &mut Encoder, hold: &Hold) {
    out.text(&hold.name).number(u64::from(hold.generation.0)).signed(hold.until_ms);
}

fn read_hold(from: &mut Decoder<'_>) -> Result<Hold, DecodeError> {
    Ok(Hold {
        name: from.text("hold name")?.to_owned(),
        generation: Generation(from.number32("hold generation")?),
        until_ms: from.signed("hold until")?,
    })
}

fn write_released(out: &mut Encoder, released: &Released) {
    write_owner(out, &released.owner);
    out.number(released.seq.0).option(released.drain, |out, drain| {
        out.number(drain.0);
    });
}

fn read_released(from: &mut Decoder<'_>) -> Result<Released, DecodeError> {
    Ok(Released {
        owner: read_owner(from)?,
        seq: Seq(from.number("seq")?),
        drain: from.option("drain", |from| Ok(DrainId(from.number("drain")?)))?,
    })
}

fn write_cut(out: &mut Encoder, cut: &Cut) {
    write_owner(out, &cut.owner);
    out.number(cut.drain.0);
    write_pointer(out, &cut.pointer);
}

fn read_cut(from: &mut Decoder<'_>) -> Result<Cut, DecodeError> {
    Ok(Cut { owner: read_owner(from)?, drain: DrainId(from.number("drain")?), pointer: read_pointer(from)? })
}
