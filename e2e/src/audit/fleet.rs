//! The workers of an audit: processes of this machine, or pods of a cluster.

use super::pods::{Memory, Pods};
use super::workers::Worker;
use super::{Ends, Topics};
use std::time::{Duration, Instant};

/// All workers.
pub enum Fleet {
    /// Plain processes.
    Processes(Vec<Worker>),
    /// Pods.
    Pods(Pods),
}

impl Fleet {
    /// How many there are.
    pub fn count(&self) -> usize {
        match self {
            Self::Processes(workers) => workers.len(),
            Self::Pods(pods) => pods.count() as usize,
        }
    }

    /// What pods have taken of their memory so far; none for plain processes, which have no limit.
    pub fn look_at_memory(&mut self) -> anyhow::Result<Option<Memory>> {
        match self {
            Self::Processes(_) => Ok(None),
            Self::Pods(pods) => pods.look_at_memory().map(Some),
        }
    }

    /// SIGKILL. Who supervises it starts it again: we, or the kubelet.
    pub fn kill(&mut self, index: usize) -> anyhow::Result<()> {
        match self {
            Self::Processes(workers) => workers[index].kill_and_restart(),
            Self::Pods(pods) => pods.signal(index as u32, "KILL"),
        }
    }

    /// SIGKILL, and once more while the next life restores.
    pub fn kill_in_restore(&mut self, index: usize) -> anyhow::Result<()> {
        match self {
            Self::Processes(workers) => {
                workers[index].kill_and_restart()?;
                workers[index].wait_for("Restoring", Duration::from_secs(60))?;
                workers[index].kill_and_restart()
            }
            // The next process of the pod restores first: it is hit as soon as it exists.
            Self::Pods(pods) => {
                pods.signal(index as u32, "KILL")?;
                pods.signal(index as u32, "KILL")
            }
        }
    }

    /// The pods, whose pipeline can be changed.
    pub fn pods(&mut self) -> anyhow::Result<&mut Pods> {
        match self {
            Self::Processes(_) => anyhow::bail!("plain workers have no operator that could change them"),
            Self::Pods(pods) => Ok(pods),
        }
    }

    /// Deletes the pod without grace; a process is killed.
    pub fn force_delete(&mut self, index: usize) -> anyhow::Result<()> {
        match self {
            Self::Processes(workers) => workers[index].kill_and_restart(),
            Self::Pods(pods) => pods.force_delete(index as u32),
        }
    }

    /// Stops the process again and again until it stands still with a transaction open: the kill that follows leaves it
    /// open. Keys keep their partition from `in` to `passed`, so worker `w` writes partition `w`.
    pub fn freeze_in_transaction(&self, index: usize, topics: &Topics, ends: &Ends) -> anyhow::Result<()> {
        let until = Instant::now() + Duration::from_secs(60);
        // A broker that is just coming back does not answer: then nothing is known to be open.
        let is_open = || ends.transaction_is_open(&topics.passed, index as i32).unwrap_or(false);
        while Instant::now() < until {
            if !is_open() {
                continue;
            }
            self.signal(index, "STOP")?;
            if is_open() {
                return Ok(());
            }
            self.signal(index, "CONT")?;
        }
        anyhow::bail!("worker {index} was never seen inside a transaction")
    }

    fn signal(&self, index: usize, name: &str) -> anyhow::Result<()> {
        match self {
            Self::Processes(workers) => workers[index].signal(name),
            Self::Pods(pods) => pods.signal(index as u32, name),
        }
    }

    /// Lets every worker end in good order.
    pub fn stop(self) -> anyhow::Result<()> {
        match self {
            Self::Processes(workers) => {
                workers.into_iter().try_for_each(|worker| worker.stop(Duration::from_secs(30)))
            }
            Self::Pods(pods) => pods.stop(),
        }
    }
}
