//! The only place that reads the clock and draws random numbers; everything else is given them.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// When the process first asked.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Time since this process first asked, for how long things take.
pub fn elapsed() -> Duration {
    START.elapsed()
}

/// Milliseconds since the epoch.
pub fn wall_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

/// 64 random bits. The standard library seeds its hash maps from the operating system; nothing here needs more than
/// "no two lives of a worker draw the same".
pub fn random() -> u64 {
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_i64(wall_ms());
    hasher.finish()
}
