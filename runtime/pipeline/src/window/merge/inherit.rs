//! The open windows of a step of the plan before, under another plan.

use super::Merge;
use crate::plan::SourceId;
use crate::state::bytes::{Malformed, Reader};
use crate::state::groups::{key_hash, owner};
use crate::watermark::Status;
use crate::window::key;

/// Which keys a unit takes over of another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Share {
    /// All: it stands where the other stood.
    All,
    /// Those that the unit `index` of `units` owns: there were more or fewer units.
    Of { units: u32, index: u32 },
}

impl Merge {
    /// Takes over the open windows of `old`, a step of the same name and meaning. `source` gives the number that a
    /// source has now. Windows that were closed stay so, however long this plan waits for late records.
    pub(crate) fn inherit(
        &mut self,
        mut old: Merge,
        share: Share,
        source: impl Fn(SourceId) -> Option<SourceId>,
    ) -> Result<(), Malformed> {
        let before_ms = old.combined.watermark_ms();
        let watermark_ms = self.combined.watermark_ms().max(before_ms);
        self.combined.restore(Status { watermark_ms, ..self.combined.status() });
        self.closed_before_ms = self.closed_before_ms.max(old.closed_before_ms);
        if self.slices.lateness_ms() > old.slices.lateness_ms() {
            self.closed_before_ms = self.closed_before_ms.max(old.slices.first_open(before_ms));
        }
        for window in old.open.values_mut() {
            window.groups.own();
            for mut whole in window.held.take() {
                whole.origin.source = whole.origin.source.and_then(&source);
                window.held.push(whole);
            }
        }
        match share {
            Share::All if self.open.is_empty() => self.open = old.open,
            Share::All => self.add_share(old, |_| true)?,
            Share::Of { units, index } => self.add_share(old, |hash| owner(hash, units) == index)?,
        }
        Ok(())
    }

    fn add_share(&mut self, old: Merge, is_mine: impl Fn(u64) -> bool) -> Result<(), Malformed> {
        let fields = self.window.key_by.len();
        let (mut bytes, mut ids) = (Vec::new(), Vec::new());
        for (start_ms, mut window) in old.open {
            let groups: Vec<u32> =
                (0..window.groups.len() as u32).filter(|group| is_mine(window.groups.hash(*group))).collect();
            let mut held = window.held.take();
            held.retain(|whole| is_mine(key_hash(&whole.key)));
            if groups.is_empty() && held.is_empty() {
                continue;
            }
            bytes.clear();
            window.groups.encode(&groups, &mut bytes);
            let own = self.window_at(start_ms);
            own.groups.merge(&mut Reader::new(&bytes), &mut ids, |key| key::is_valid(key, fields))?;
            for whole in held {
                own.held.push(whole);
            }
        }
        Ok(())
    }
}
