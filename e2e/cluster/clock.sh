# shellcheck shell=bash
# For scripts that print how long something took.

# Milliseconds since the epoch.
now() { printf '%s' "$((${EPOCHREALTIME/[.,]/} / 1000))"; }
