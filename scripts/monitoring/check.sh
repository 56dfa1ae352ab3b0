#!/usr/bin/env bash
# Tests what an operator's Prometheus and Grafana get: the answer of a real box, the alert rules, the dashboard's expressions.
# usage: check.sh   (promtool of Debian's package prometheus; `make check-monitoring` installs it)
set -euo pipefail
cd "$(dirname "$(realpath "$0")")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
HOLDFAST_METRICS_FILE=$work/metrics go test -count=1 -run '^TestMetrics$' ./firmware/box >"$work/log" 2>&1 || { tail -n 100 "$work/log" >&2; exit 1; }
promtool check metrics <"$work/metrics"
promtool check rules scripts/monitoring/alerts.yml
scripts/monitoring/tests.py "$work/metrics" >"$work/tests.yml"
promtool test rules "$work/tests.yml"
