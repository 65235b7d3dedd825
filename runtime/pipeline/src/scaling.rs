//! What a ScalingPolicy means: bounds, what each metric should be, how fast the number of pods may change, and when
//! other bounds hold. Whether pods come or go is decided elsewhere; here is what the decision goes by.

mod check;
mod clock;
mod cron;

pub use check::{COOLDOWN_DOWN_SECONDS, COOLDOWN_UP_SECONDS, HEALTH_TARGET, STABILIZATION_DOWN_SECONDS};
pub use clock::Clock;
pub use cron::{Cron, CronError};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::fmt;

/// A valid policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    pub(crate) target: String,
    pub(crate) bounds: Bounds,
    pub(crate) goals: Vec<Goal>,
    pub(crate) up: Rules,
    pub(crate) down: Rules,
    pub(crate) schedules: Vec<Schedule>,
    pub(crate) suspend: bool,
    pub(crate) dry_run: bool,
}

/// Fewest and most pods; `min` is at least 1 and at most `max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Fewest.
    pub min: u32,
    /// Most.
    pub max: u32,
}

/// What is measured of a pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Metric {
    /// Records that are not processed yet.
    ConsumerLag,
    /// Age of the oldest of them in seconds.
    LagSeconds,
    /// Records that were read and are not committed yet.
    QueueSize,
    /// Mean seconds from reading to the commit.
    ProcessingTime,
    /// Health from 0 to 1.
    Health,
    /// Processor time in percent of the request.
    Cpu,
    /// Memory in percent of the request.
    Memory,
    /// Input records per second.
    Throughput,
}

/// What a metric should be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Goal {
    /// The metric.
    pub metric: Metric,
    /// How it becomes a number of pods.
    pub aim: Aim,
}

/// How the value of a metric becomes a number of pods.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Aim {
    /// So much for each pod: pods = value / this.
    PerPod(f64),
    /// So much of the whole, whatever the number of pods: pods = pods now × value / this.
    Whole(f64),
    /// At least so much: pods = pods now × this / value while the value is less, and no opinion while it is not.
    AtLeast(f64),
}

/// What holds for one direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// How long the metrics must have asked for it, in seconds.
    pub stabilization_seconds: i64,
    /// How long after the last change nothing changes, in seconds.
    pub cooldown_seconds: i64,
    /// How much may change at once; without any, as much as is asked for.
    pub steps: Vec<Step>,
    /// Which of the steps counts.
    pub select: Select,
}

/// How much may change in a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// How many pods, or how many percent of them.
    pub amount: Amount,
    /// In which time.
    pub period_seconds: i64,
}

/// How much may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    /// So many pods.
    Pods(u32),
    /// So many percent of the pods that there were at the beginning of the period.
    Percent(u32),
}

/// Which of several steps counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Select {
    /// The largest change.
    Max,
    /// The smallest change.
    Min,
    /// None: no change in this direction.
    Disabled,
}

/// Other bounds at certain times.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// Its name.
    pub name: String,
    pub(crate) cron: Cron,
    pub(crate) zone: TimeZone,
    pub(crate) minutes: i64,
    pub(crate) bounds: Bounds,
}

impl Policy {
    /// Name of the pipeline that is scaled.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// What each metric should be.
    pub fn goals(&self) -> &[Goal] {
        &self.goals
    }

    /// What holds for more pods.
    pub fn up(&self) -> &Rules {
        &self.up
    }

    /// What holds for fewer pods.
    pub fn down(&self) -> &Rules {
        &self.down
    }

    /// Nothing is decided.
    pub fn is_suspended(&self) -> bool {
        self.suspend
    }

    /// What is decided is not done.
    pub fn is_dry_run(&self) -> bool {
        self.dry_run
    }

    /// The bounds of a moment, with the schedule that they come from.
    pub fn bounds_at(&self, now: Timestamp) -> (Bounds, Option<&str>) {
        let active = self.schedules.iter().find(|schedule| schedule.is_active(now));
        active.map_or((self.bounds, None), |schedule| (schedule.bounds, Some(schedule.name.as_str())))
    }
}

impl Schedule {
    /// True from each beginning until its duration is over.
    pub fn is_active(&self, now: Timestamp) -> bool {
        self.cron.began_within(now, self.minutes, &self.zone)
    }
}

impl Metric {
    /// The word of the manifest.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ConsumerLag => "consumerLag",
            Self::LagSeconds => "lagSeconds",
            Self::QueueSize => "queueSize",
            Self::ProcessingTime => "processingTime",
            Self::Health => "health",
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Throughput => "throughput",
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Aim {
    /// The number that the value is compared with.
    pub const fn target(self) -> f64 {
        match self {
            Self::PerPod(target) | Self::Whole(target) | Self::AtLeast(target) => target,
        }
    }
}
