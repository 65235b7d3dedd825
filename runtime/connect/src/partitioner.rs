//! Which partition a record goes to: Kafka's murmur2 for keys, the caller's own number for records without one.
//!
//! The same function serves both sides of the log, so that a replay lands where the first run landed.

use crate::door::Partitioning;

/// The partition of a record among `partitions` (at least one).
pub fn partition_of(to: Partitioning, key: Option<&[u8]>, partitions: u32) -> u32 {
    match (to, key) {
        (Partitioning::Exact(partition), _) => partition,
        (Partitioning::ByKey { .. }, Some(key)) => (murmur2(key) & 0x7fff_ffff) % partitions.max(1),
        (Partitioning::ByKey { unkeyed }, None) => unkeyed % partitions.max(1),
    }
}

/// Austin Appleby's MurmurHash2 with the seed of the Java client.
fn murmur2(data: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const MULTIPLIER: u32 = 0x5bd1_e995;
    let mut hash = SEED ^ data.len() as u32;
    let mut words = data.chunks_exact(4);
    for word in &mut words {
        let mut k = u32::from_le_bytes([word[0], word[1], word[2], word[3]]).wrapping_mul(MULTIPLIER);
        k = (k ^ (k >> 24)).wrapping_mul(MULTIPLIER);
        hash = hash.wrapping_mul(MULTIPLIER) ^ k;
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        for (at, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * at);
        }
        hash = hash.wrapping_mul(MULTIPLIER);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(MULTIPLIER);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn murmur2_agrees_with_the_java_client() {
        // The vectors of org.apache.kafka.common.utils.UtilsTest#testMurmur2.
        for (text, hash) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(text.as_bytes()) as i32, hash, "{text}");
        }
    }

    #[test]
    fn a_record_without_key_goes_where_the_caller_says() {
        assert_eq!(partition_of(Partitioning::ByKey { unkeyed: 7 }, None, 4), 3);
        assert_eq!(partition_of(Partitioning::Exact(2), Some(b"any"), 4), 2);
    }
}
