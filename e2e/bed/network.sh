# shellcheck shell=bash
# The bridge that pods hang on; its address is how pods reach this machine.

bridge_exists() { [[ -d /sys/class/net/$BRIDGE ]]; }
