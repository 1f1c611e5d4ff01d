#!/usr/bin/env bash
# Lets everything go wrong that the test of alerts lets go wrong, and waits for it as long as it takes: the rules, the configuration
# of Alertmanager and the intervals of Banken and Prometheus are those that are shipped. Takes about 25 minutes, and
# prints how long after each fault each channel heard of it, and how long after the repair that it is over.
#
#     tests/soak/alerts_real_time.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
BANKEN_ALERTS=real-time exec cargo test --locked --test system -- \
  --exact alerting::faults::every_fault_reaches_its_channels_once_and_so_does_its_end --nocapture
