//! The source side of a window of the plan before, under another plan.

use super::Assign;
use crate::state::bytes::{Malformed, Reader, put_varint, put_zigzag};
use crate::unit::Channel;
use crate::watermark::{Channels, START_OF_TIME};
use crate::window::Slices;

/// What lateness was before. A record whose slice its channel had left when the plan changed stays late, however long
/// the new plan waits for late records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Past {
    /// The shortest wait for late records so far.
    shortest_ms: i64,
    /// Readers may be further than they were told from here, because others told them under the plan before.
    unsure: bool,
    /// First slice that may be open, by channel; none is for rows without one. Only what still decides something.
    floors: Vec<(Option<Channel>, i64)>,
}

impl Past {
    pub(super) fn new(slices: Slices) -> Self {
        Self { shortest_ms: slices.lateness_ms(), unsure: false, floors: Vec::new() }
    }

    /// True when a slice was left by its channel under a plan before.
    #[inline]
    pub(super) fn has_left(&self, channel: Option<Channel>, start_ms: i64) -> bool {
        !self.floors.is_empty() && start_ms < self.floor(channel)
    }

    fn floor(&self, channel: Option<Channel>) -> i64 {
        let found = self.floors.iter().find(|(of, _)| *of == channel);
        found.map_or(START_OF_TIME, |(_, floor_ms)| *floor_ms)
    }

    fn raise(&mut self, channel: Option<Channel>, floor_ms: i64) {
        let floor_ms = floor_ms.max(self.floor(channel));
        self.floors.retain(|(of, _)| *of != channel);
        self.floors.push((channel, floor_ms));
        self.floors.sort_unstable();
    }

    /// Forgets floors below which the watermark alone says that records are late.
    pub(super) fn forget(&mut self, slices: Slices, watermark_ms: impl Fn(Option<Channel>) -> i64) {
        self.floors.retain(|(channel, floor_ms)| *floor_ms > slices.first_open(watermark_ms(*channel)));
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_zigzag(out, self.shortest_ms);
        out.push(u8::from(self.unsure));
        put_varint(out, self.floors.len() as u64);
        for (channel, floor_ms) in &self.floors {
            put_varint(out, channel.map_or(0, |channel| u64::from(channel.input) + 1));
            put_varint(out, channel.map_or(0, |channel| u64::from(channel.partition)));
            put_zigzag(out, *floor_ms);
        }
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let shortest_ms = reader.zigzag("shortest lateness")?;
        let unsure = reader.flag("doubt about readers")?;
        let mut floors = Vec::new();
        for _ in 0..reader.count("number of floors")? {
            let malformed = Malformed { what: "input of a floor" };
            let input = reader.varint("input of a floor")?;
            let partition = reader.varint32("partition of a floor")?;
            let channel = match input.checked_sub(1) {
                None => None,
                Some(input) => {
                    Some(Channel { input: u16::try_from(input).map_err(|_| malformed)?, partition })
                }
            };
            floors.push((channel, reader.zigzag("floor")?));
        }
        Ok(Self { shortest_ms, unsure, floors })
    }
}

/// The source side that a unit of the plan before had.
#[derive(Clone, Copy)]
pub(crate) struct Predecessor<'a> {
    pub(crate) assign: &'a Assign,
    pub(crate) channels: &'a Channels,
    /// It is the same unit: its readers know what it told them.
    pub(crate) same_unit: bool,
}

impl Assign {
    /// Takes over what `old` knows, a source side of the same name and meaning. `channel` gives the channel that this
    /// unit has for one of the other's.
    pub(crate) fn inherit(&mut self, old: Predecessor<'_>, channel: impl Fn(Channel) -> Option<Channel>) {
        let Predecessor { assign, channels, same_unit } = old;
        self.past.shortest_ms = self.past.shortest_ms.min(assign.past.shortest_ms);
        self.large.inherit(&assign.large, &channel);
        let waits_longer = self.slices.lateness_ms() > assign.slices.lateness_ms();
        for state in channels.iter() {
            let Some(now) = channel(state.channel) else { continue };
            let known_ms = assign.past.floor(Some(state.channel));
            let left_ms = assign.slices.first_open(state.watermark_ms);
            let floor_ms = if waits_longer { known_ms.max(left_ms) } else { known_ms };
            if floor_ms > self.slices.first_open(state.watermark_ms) {
                self.past.raise(Some(now), floor_ms);
            }
        }
        if same_unit {
            let watermark_ms = assign.combined.watermark_ms();
            self.combined.restore(assign.combined.status());
            self.outbox.restore(assign.said());
            self.thrift = assign.thrift;
            self.past.unsure |= assign.past.unsure;
            let known_ms = assign.past.floor(None);
            let left_ms = assign.slices.first_open(watermark_ms);
            let floor_ms = if waits_longer { known_ms.max(left_ms) } else { known_ms };
            if floor_ms > self.slices.first_open(watermark_ms) {
                self.past.raise(None, floor_ms);
            }
        }
    }

    /// Its readers may be further than it knows: they were told by other units.
    pub(crate) fn doubt(&mut self) {
        self.past.unsure = true;
    }

    /// True when what it told its readers bounds how far they are.
    pub(crate) fn knows_its_readers(&self) -> bool {
        !self.past.unsure
    }

    /// How much further than their watermark readers have to be thought: they closed slices by a shorter wait.
    pub(crate) fn longer_wait_ms(&self) -> i64 {
        self.slices.lateness_ms().saturating_sub(self.past.shortest_ms)
    }

    /// The window that it is a side of.
    pub(crate) fn name(&self) -> &str {
        &self.window.name
    }
}
