//! Watermarks: how far event time has come, per channel and for several channels together.
//!
//! A channel says how far it is itself; a [`Combined`] watermark is the smallest of the channels that hold it back, and
//! never goes back. Silence holds it back for ever: only a source partition is ever idle, and only when told so.

use crate::state::bytes::{Malformed, Reader, put_zigzag};
use crate::unit::Channel;

/// The watermark when nothing can come any more.
pub(crate) const END_OF_TIME: i64 = i64::MAX;
/// Before the first record.
pub(crate) const START_OF_TIME: i64 = i64::MIN;

/// Whether a channel, or a unit as its readers see it, holds watermarks back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    /// It does, from the start on, spoken or not.
    Active,
    /// It does not, until its next record.
    Idle,
    /// It never will again.
    Ended,
}

/// One channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChannelState {
    pub(crate) channel: Channel,
    pub(crate) condition: Condition,
    /// [`START_OF_TIME`] before the first record.
    pub(crate) watermark_ms: i64,
    /// Records that come before its watermark has reached this travel whole, because readers may be further.
    pub(crate) catch_up_ms: i64,
}

/// The channels of a unit, by input and partition.
#[derive(Clone, Debug, Default)]
pub(crate) struct Channels {
    states: Vec<ChannelState>,
}

impl Channels {
    /// The state of a channel; it is opened when new.
    pub(crate) fn open(&mut self, channel: Channel) -> &mut ChannelState {
        let at = self.states.binary_search_by_key(&channel, |state| state.channel).unwrap_or_else(|at| {
            let (condition, watermark_ms) = (Condition::Active, START_OF_TIME);
            self.states
                .insert(at, ChannelState { channel, condition, watermark_ms, catch_up_ms: START_OF_TIME });
            at
        });
        &mut self.states[at]
    }

    /// The state of a channel that is open.
    pub(crate) fn get(&self, channel: Channel) -> Option<&ChannelState> {
        let at = self.states.binary_search_by_key(&channel, |state| state.channel).ok()?;
        Some(&self.states[at])
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &ChannelState> {
        self.states.iter()
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        crate::state::bytes::put_varint(out, self.states.len() as u64);
        for state in &self.states {
            crate::state::bytes::put_varint(out, u64::from(state.channel.input));
            crate::state::bytes::put_varint(out, u64::from(state.channel.partition));
            state.condition.encode(out);
            put_zigzag(out, state.watermark_ms);
            put_zigzag(out, state.catch_up_ms);
        }
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let mut channels = Self::default();
        for _ in 0..reader.count("number of channels")? {
            let malformed = Malformed { what: "input of a channel" };
            let input = u16::try_from(reader.varint("input of a channel")?).map_err(|_| malformed)?;
            let partition = reader.varint32("partition of a channel")?;
            let state = channels.open(Channel { input, partition });
            state.condition = Condition::decode(reader)?;
            state.watermark_ms = reader.zigzag("watermark of a channel")?;
            state.catch_up_ms = reader.zigzag("catch-up of a channel")?;
        }
        Ok(channels)
    }
}

impl Condition {
    pub(crate) fn encode(self, out: &mut Vec<u8>) {
        out.push(match self {
            Condition::Active => 0,
            Condition::Idle => 1,
            Condition::Ended => 2,
        });
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        match reader.u8("condition")? {
            0 => Ok(Condition::Active),
            1 => Ok(Condition::Idle),
            2 => Ok(Condition::Ended),
            _ => Err(Malformed { what: "condition" }),
        }
    }
}

/// One way into a combined watermark: all channels of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Feed {
    pub(crate) input: u16,
    /// What comes out of it may lie this far behind its watermark: a window's allowed lateness.
    pub(crate) behind_ms: i64,
}

/// A watermark over all channels of some inputs.
#[derive(Clone, Debug)]
pub(crate) struct Combined {
    feeds: Vec<Feed>,
    may_idle: bool,
    status: Status,
}

/// How far a combination is, and whether it holds its readers back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Status {
    pub(crate) condition: Condition,
    /// [`START_OF_TIME`] until every channel has spoken.
    pub(crate) watermark_ms: i64,
}

impl Status {
    pub(crate) const START: Status = Status { condition: Condition::Active, watermark_ms: START_OF_TIME };

    pub(crate) fn encode(self, out: &mut Vec<u8>) {
        self.condition.encode(out);
        put_zigzag(out, self.watermark_ms);
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Status { condition: Condition::decode(reader)?, watermark_ms: reader.zigzag("watermark")? })
    }
}

impl Combined {
    /// `may_idle`: all feeds are sources. What has gone through state is never idle, because rows of windows that are
    /// still open come later, and their readers must wait for them.
    pub(crate) fn new(feeds: Vec<Feed>, may_idle: bool) -> Self {
        Self { feeds, may_idle, status: Status::START }
    }

    pub(crate) fn status(&self) -> Status {
        self.status
    }

    pub(crate) fn watermark_ms(&self) -> i64 {
        self.status.watermark_ms
    }

    /// True when nothing can come over any channel.
    pub(crate) fn has_ended(&self) -> bool {
        self.status.condition == Condition::Ended
    }

    pub(crate) fn restore(&mut self, status: Status) {
        self.status = status;
    }

    /// Looks at the channels again; true when the watermark moved.
    pub(crate) fn update(&mut self, channels: &Channels) -> bool {
        let (mut lowest, mut active, mut idle, mut ended) = (END_OF_TIME, false, false, false);
        for state in channels.iter() {
            let Some(feed) = self.feeds.iter().find(|feed| feed.input == state.channel.input) else {
                continue;
            };
            match state.condition {
                Condition::Active => {
                    active = true;
                    lowest = lowest.min(behind(state.watermark_ms, feed.behind_ms));
                }
                Condition::Idle => idle = true,
                Condition::Ended => ended = true,
            }
        }
        let before = self.status.watermark_ms;
        self.status.condition = match (active, idle) {
            (false, true) if self.may_idle => Condition::Idle,
            (false, false) => Condition::Ended,
            _ => Condition::Active,
        };
        // Channels that are all idle say nothing: the watermark stays. So it does without channels: one may come.
        if active || (ended && !idle) {
            self.status.watermark_ms = before.max(lowest);
        }
        self.status.watermark_ms > before
    }
}

fn behind(watermark_ms: i64, behind_ms: i64) -> i64 {
    if watermark_ms == END_OF_TIME { END_OF_TIME } else { watermark_ms.saturating_sub(behind_ms) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel(partition: u32) -> Channel {
        Channel { input: 0, partition }
    }

    fn two() -> (Channels, Combined) {
        let mut channels = Channels::default();
        channels.open(channel(0));
        channels.open(channel(1));
        (channels, Combined::new(vec![Feed { input: 0, behind_ms: 0 }], true))
    }

    #[test]
    fn a_channel_that_has_not_spoken_holds_back() {
        let (mut channels, mut combined) = two();
        channels.open(channel(0)).watermark_ms = 100;
        assert!(!combined.update(&channels));
        assert_eq!(combined.status(), Status::START);
        channels.open(channel(1)).watermark_ms = 40;
        assert!(combined.update(&channels));
        assert_eq!(combined.watermark_ms(), 40);
    }

    #[test]
    fn an_idle_channel_stops_holding_back_and_the_watermark_never_goes_back() {
        let (mut channels, mut combined) = two();
        channels.open(channel(0)).watermark_ms = 100;
        channels.open(channel(1)).watermark_ms = 40;
        combined.update(&channels);
        channels.open(channel(1)).condition = Condition::Idle;
        assert!(combined.update(&channels));
        assert_eq!(combined.watermark_ms(), 100);
        channels.open(channel(1)).condition = Condition::Active;
        assert!(!combined.update(&channels));
        assert_eq!(combined.watermark_ms(), 100);
    }

    #[test]
    fn when_all_are_idle_the_watermark_stays() {
        let (mut channels, mut combined) = two();
        channels.open(channel(0)).watermark_ms = 100;
        channels.open(channel(1)).watermark_ms = 40;
        combined.update(&channels);
        channels.open(channel(0)).condition = Condition::Idle;
        channels.open(channel(1)).condition = Condition::Idle;
        assert!(!combined.update(&channels));
        assert_eq!(combined.status(), Status { condition: Condition::Idle, watermark_ms: 40 });
        channels.open(channel(0)).condition = Condition::Ended;
        combined.update(&channels);
        assert_eq!(combined.watermark_ms(), 40, "one ended and one idle: more may come of the idle one");
    }

    #[test]
    fn when_all_have_ended_time_ends() {
        let (mut channels, mut combined) = two();
        channels.open(channel(0)).condition = Condition::Ended;
        channels.open(channel(1)).watermark_ms = 40;
        combined.update(&channels);
        assert_eq!(combined.watermark_ms(), 40);
        channels.open(channel(1)).condition = Condition::Ended;
        combined.update(&channels);
        assert_eq!(combined.status(), Status { condition: Condition::Ended, watermark_ms: END_OF_TIME });
        let mut none = Combined::new(vec![Feed { input: 3, behind_ms: 5 }], true);
        none.update(&channels);
        let expected = Status { condition: Condition::Ended, watermark_ms: START_OF_TIME };
        assert_eq!(none.status(), expected, "a unit without channels holds nobody back until it gets one");
        channels.open(Channel { input: 3, partition: 0 }).watermark_ms = 7;
        none.update(&channels);
        assert_eq!(none.status(), Status { condition: Condition::Active, watermark_ms: 2 });
    }

    #[test]
    fn rows_of_a_window_are_as_far_behind_as_it_waits_for_late_records() {
        let (mut channels, _) = two();
        channels.open(channel(0)).watermark_ms = 100;
        channels.open(channel(1)).watermark_ms = 90;
        let mut combined = Combined::new(vec![Feed { input: 0, behind_ms: 60 }], false);
        combined.update(&channels);
        assert_eq!(combined.watermark_ms(), 30);
        channels.open(channel(0)).condition = Condition::Idle;
        channels.open(channel(1)).condition = Condition::Idle;
        combined.update(&channels);
        assert_eq!(
            combined.status(),
            Status { condition: Condition::Active, watermark_ms: 30 },
            "open windows hold"
        );
    }
}
