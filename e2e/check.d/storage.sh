# shellcheck shell=bash
# Phases that need a real object store: the bed's server of S3, which the tests start and stop themselves.

# Snapshots in a bucket: what every store does, wrong keys, missing buckets, a server that goes away and comes back; and
# workers that restore from it.
check_storage() {
  phase 'bed: s3 server' 30m e2e/bed/bed s3-server
  S3_SERVER=$(e2e/bed/bed s3-server)
  phase 'storage: S3' 15m env S3_SERVER="$S3_SERVER" cargo test --profile ci --locked --workspace \
    --features connect/s3-tests,runtime/s3-tests --test snapshots_s3 --test restore_s3
}
