//! What a client is told, in one place.

use super::security::Security;
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;

/// Bytes that the producer puts into one request per partition.
pub(super) const BATCH_BYTES: usize = 500_000;

/// How one worker reaches Kafka.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `host:port,…`.
    pub bootstrap_servers: String,
    /// Encryption and login; plain text by default.
    pub security: Security,
    /// Shown in the broker's logs and quotas.
    pub client_id: String,
    /// Consumer group that offsets are sent to, for lag tools.
    pub group: String,
    /// How long the broker lets a transaction be open; see [`transaction_timeout_ms`].
    pub transaction_timeout_ms: u32,
    /// How long a request may take before it counts as lost.
    pub request_timeout_ms: u32,
    /// Kilobytes that are fetched ahead, for each partition.
    pub prefetch_kbytes_max: u32,
    /// Copies of topics of our own; none is three, or the number of brokers when there are fewer.
    pub replication: Option<u16>,
}

/// `min(max(10 s, 20 × commit interval), 900 s)`, the last being the broker's default of `transaction.max.timeout.ms`.
pub fn transaction_timeout_ms(commit_interval_ms: u64) -> u32 {
    (commit_interval_ms.saturating_mul(20)).clamp(10_000, 900_000) as u32
}

impl Settings {
    /// Defaults for a commit interval of 100 ms.
    pub fn new(
        bootstrap_servers: impl Into<String>,
        client_id: impl Into<String>,
        group: impl Into<String>,
    ) -> Self {
        Self {
            bootstrap_servers: bootstrap_servers.into(),
            security: Security::default(),
            client_id: client_id.into(),
            group: group.into(),
            transaction_timeout_ms: transaction_timeout_ms(100),
            request_timeout_ms: 10_000,
            prefetch_kbytes_max: 4_096,
            replication: None,
        }
    }

    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.bootstrap_servers)
            .set("client.id", &self.client_id)
            .set("socket.timeout.ms", self.request_timeout_ms.to_string())
            .set("socket.keepalive.enable", "true")
            .set("reconnect.backoff.ms", "100")
            .set("reconnect.backoff.max.ms", "2000")
            .set_log_level(RDKafkaLogLevel::Info);
        self.security.tell(&mut config);
        config
    }

    /// Reads committed records of partitions that are assigned by hand.
    pub(super) fn reader(&self) -> ClientConfig {
        let mut config = self.client();
        config
            .set("group.id", &self.group)
            .set("isolation.level", "read_committed")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "error")
            .set("enable.partition.eof", "true")
            .set("check.crcs", "true")
            // The end of a partition is told when a fetch comes back empty, so an empty one must not wait for long.
            .set("fetch.wait.max.ms", "100")
            .set("fetch.error.backoff.ms", "100")
            .set("fetch.queue.backoff.ms", "20")
            .set("queued.min.messages", "50000")
            .set("queued.max.messages.kbytes", self.prefetch_kbytes_max.to_string());
        config
    }

    /// Looks up offsets, of open transactions too.
    pub(super) fn lookup(&self) -> ClientConfig {
        let mut config = self.client();
        config.set("isolation.level", "read_uncommitted");
        config
    }

    pub(super) fn admin(&self) -> ClientConfig {
        self.client()
    }

    /// Writes in transactions. Each request time-out is a disconnect (`socket.max.fails`), so that no answer is waited
    /// for twice on one connection; `debug=eos` makes the client tell every attempt to end a transaction.
    pub(super) fn writer(&self, transactional_id: &str) -> ClientConfig {
        let mut config = self.client();
        let request_timeout_ms = self.request_timeout_ms.min(self.transaction_timeout_ms);
        config
            .set("transactional.id", transactional_id)
            .set("transaction.timeout.ms", self.transaction_timeout_ms.to_string())
            .set("message.timeout.ms", self.transaction_timeout_ms.to_string())
            .set("socket.timeout.ms", request_timeout_ms.to_string())
            .set("socket.max.fails", "1")
            .set("acks", "all")
            .set("linger.ms", "5")
            .set("batch.size", BATCH_BYTES.to_string())
            // What a topic takes is checked against the topic.
            .set("message.max.bytes", "104857600")
            .set("compression.type", "lz4")
            .set("queue.buffering.max.messages", "200000")
            .set("queue.buffering.max.kbytes", "262144")
            .set("delivery.report.only.error", "true")
            .set("debug", "eos")
            .set_log_level(RDKafkaLogLevel::Debug);
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transaction_timeout_follows_the_commit_interval_within_bounds() {
        let cases = [(10, 10_000), (100, 10_000), (1_000, 20_000), (60_000, 900_000), (u64::MAX, 900_000)];
        for (interval, timeout) in cases {
            assert_eq!(transaction_timeout_ms(interval), timeout, "{interval}");
        }
    }
}
