//! The transaction coordinator: producer ids, epochs, and how a transaction ends.
//!
//! It follows the broker, including what hurts: an `EndTxn` is only checked against the epoch, so a late copy of an
//! earlier one ends whatever transaction is open now.

use crate::door::TopicPartition;
use std::collections::{BTreeMap, BTreeSet};

/// What a producer got from `init_transactions`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Session {
    pub producer: u64,
    pub epoch: u32,
}

#[derive(Debug, Default)]
pub(super) struct Coordinator {
    producers: BTreeMap<String, Producer>,
    ids_given: u64,
}

#[derive(Debug)]
struct Producer {
    session: Session,
    transaction: Transaction,
}

#[derive(Debug)]
enum Transaction {
    None,
    Open { partitions: BTreeSet<TopicPartition> },
    Ended { committed: bool },
}

/// What has to be written because a transaction ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub producer: u64,
    pub committed: bool,
    pub partitions: BTreeSet<TopicPartition>,
}

/// Why the coordinator refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The epoch is not the newest.
    Fenced,
    /// There is no such transaction to add to or to end this way.
    InvalidState,
}

impl Coordinator {
    /// A new epoch for an id; the open transaction of the old one is aborted.
    pub fn init(&mut self, id: &str) -> (Session, Option<Ended>) {
        let ids_given = &mut self.ids_given;
        let producer = self.producers.entry(id.to_owned()).or_insert_with(|| {
            *ids_given += 1;
            Producer { session: Session { producer: *ids_given, epoch: 0 }, transaction: Transaction::None }
        });
        producer.session.epoch += 1;
        let ended = producer.end(false);
        producer.transaction = Transaction::None;
        (producer.session, ended)
    }

    /// Aborts the open transaction of an id as the broker does after `transaction.timeout.ms`: with a new epoch.
    pub fn expire(&mut self, id: &str) -> Option<Ended> {
        let producer = self.producers.get_mut(id)?;
        let ended = producer.end(false)?;
        producer.session.epoch += 1;
        Some(ended)
    }

    /// Ids with an open transaction.
    pub fn open(&self) -> Vec<String> {
        let open = self.producers.iter().filter(|(_, p)| matches!(p.transaction, Transaction::Open { .. }));
        open.map(|(id, _)| id.clone()).collect()
    }

    /// Adds a partition to the open transaction, or opens one.
    pub fn add(&mut self, id: &str, session: Session, partition: &TopicPartition) -> Result<(), Refusal> {
        if let Transaction::Open { partitions } = self.opened(id, session)? {
            partitions.insert(partition.clone());
        }
        Ok(())
    }

    /// Refuses when the partition is not part of the open transaction of this session.
    pub fn verify(&self, id: &str, session: Session, partition: &TopicPartition) -> Result<(), Refusal> {
        let producer = self.producers.get(id).filter(|p| p.session == session).ok_or(Refusal::Fenced)?;
        match &producer.transaction {
            Transaction::Open { partitions } if partitions.contains(partition) => Ok(()),
            _ => Err(Refusal::InvalidState),
        }
    }

    /// Ends the open transaction. Asked again in the same words it says yes again.
    pub fn end(&mut self, id: &str, session: Session, commit: bool) -> Result<Option<Ended>, Refusal> {
        let producer = self.current(id, session)?;
        match producer.transaction {
            Transaction::Open { .. } => Ok(producer.end(commit)),
            Transaction::Ended { committed } if committed == commit => Ok(None),
            Transaction::Ended { .. } | Transaction::None => Err(Refusal::InvalidState),
        }
    }

    fn current(&mut self, id: &str, session: Session) -> Result<&mut Producer, Refusal> {
        self.producers.get_mut(id).filter(|p| p.session == session).ok_or(Refusal::Fenced)
    }

    fn opened(&mut self, id: &str, session: Session) -> Result<&mut Transaction, Refusal> {
        let producer = self.current(id, session)?;
        if !matches!(producer.transaction, Transaction::Open { .. }) {
            producer.transaction = Transaction::Open { partitions: BTreeSet::new() };
        }
        Ok(&mut producer.transaction)
    }
}

impl Producer {
    fn end(&mut self, committed: bool) -> Option<Ended> {
        match std::mem::replace(&mut self.transaction, Transaction::Ended { committed }) {
            Transaction::Open { partitions } => {
                Some(Ended { producer: self.session.producer, committed, partitions })
            }
            other => {
                self.transaction = other;
                None
            }
        }
    }
}
