//! What this process uses, as the kernel says.

use control::status::Usage;

/// Ticks of the processor time in `/proc` per second: the same on every Linux that we build for.
const TICKS_PER_SECOND: f64 = 100.0;

/// What this process uses; none where there is no `/proc`.
pub fn usage() -> Option<Usage> {
    let read = |name: &str| std::fs::read_to_string(format!("/proc/self/{name}")).ok();
    Some(Usage { cpu_seconds: cpu_seconds(&read("stat")?)?, memory_bytes: memory_bytes(&read("status")?)? })
}

/// Time in user mode and in the kernel, the fields 14 and 15. The name before them may hold anything, but ends with the
/// last bracket.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    Some((ticks()? + ticks()?) as f64 / TICKS_PER_SECOND)
}

fn memory_bytes(status: &str) -> Option<u64> {
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(resident.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_and_memory_are_read_behind_any_name() {
        let stat = "17 (we) (ir) R 1 17 17 0 -1 4194304 100 0 0 0 250 50 3 4 20 0 9 0 100 1 2 3";
        assert_eq!(cpu_seconds(stat), Some(3.0));
        assert_eq!(memory_bytes("Name:\tweir\nVmRSS:\t  2048 kB\nThreads:\t9\n"), Some(2_097_152));
        assert_eq!((cpu_seconds("nothing"), memory_bytes("nothing")), (None, None));
    }

    #[test]
    fn this_process_uses_memory() {
        assert!(usage().is_some_and(|usage| usage.memory_bytes > 0));
    }
}
